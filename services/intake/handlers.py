"""Messages in: commands for requests, and what the other services tell."""

from dataclasses import dataclass

from services.intake.domain import request as rules
from services.intake.store import Store
from shared.aggregates import Outcome
from shared.consumer import Router
from shared.contracts.catalogue import Kinds
from shared.contracts.dispatch import DeliveryEvent
from shared.contracts.envelope import UNKNOWN, Meta
from shared.contracts.follow_ups import FollowUpRecorded
from shared.contracts.intake import (
    AmendRequest,
    CancelRequest,
    RequestAnswer,
    RequestCreated,
    RequestDetails,
    RequestFacts,
    SubmitRequest,
    SubmitStatus,
)
from shared.contracts.ledger import BuildingRegistered, PersonRegistered, PersonUpdated
from shared.contracts.needs import NeedRaised
from shared.contracts.people import PersonErased
from shared.contracts.refusal import refusal
from shared.identity import derived_id
from shared.runtime import Runtime
from shared.sealing import Lookup

router: Router["Intake"] = Router("intake")

_DETAILS = set(RequestDetails.model_fields)
_CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Intake:
    """The service, as its handlers know it."""

    runtime: Runtime
    store: Store
    kinds: Kinds


@router.command(SubmitRequest)
async def submit(house: Intake, command: SubmitRequest, meta: Meta, by: str = "amqp") -> RequestAnswer:
    """A need from another system, a form, a call."""
    runtime = house.runtime
    request_id = request_id_of(command)
    submission = rules.Submission(
        created=await understand(house, command, request_id),
        fingerprint=runtime.lookup.blind("request", command.model_dump_json()),
        tracking_code=tracking_code(runtime.lookup, request_id),
        submitted_by=by,
    )
    now = runtime.clock()
    cause = meta.named(meta.id or request_id)
    outcome = await house.store.requests.update(
        request_id, lambda request: rules.submit(request, submission, now), cause, new=True
    )
    if outcome.repeated:
        # Another body under a message id that was seen is no repetition: the rule says so.
        rules.submit(outcome.state, submission, now)
    if outcome.changed:
        runtime.telemetry.accepted.labels(_community(submission.created), command.kind).inc()
    return answer(outcome)


@router.command(AmendRequest)
async def amend(house: Intake, command: AmendRequest, meta: Meta) -> RequestAnswer:
    """The need changed."""
    request = rules.known(await house.store.requests.get(command.request_id))
    facts = await changed(house, command, request)
    outcome = await house.store.requests.update(
        command.request_id, lambda current: rules.amend(current, facts), meta.named(command.command_id)
    )
    return answer(outcome)


@router.command(CancelRequest)
async def cancel(house: Intake, command: CancelRequest, meta: Meta) -> RequestAnswer:
    """The need is gone."""
    outcome = await house.store.requests.update(command.request_id, rules.cancel, meta.named(command.command_id))
    return answer(outcome)


@router.event(*rules.STATE_AFTER)
async def observe(house: Intake, event: DeliveryEvent, meta: Meta) -> None:
    """Dispatch tells how it goes."""
    outcome = await house.store.requests.update(
        event.request_id, lambda request: rules.observe(request, event, meta.sequence, meta.time), meta
    )
    if outcome.changed and (waited := rules.waited(outcome.state, event, meta.time)) is not None:
        house.runtime.telemetry.waited(rules.STATE_AFTER[type(event)], event.urgency, waited)


@router.event(BuildingRegistered)
async def remember_building(house: Intake, event: BuildingRegistered, meta: Meta) -> None:
    """A building belongs to a grid."""
    await house.store.put_building(event.community or "", event.building, event.grid or "", meta.sequence)


@router.event(PersonRegistered, PersonUpdated)
async def remember_person(house: Intake, event: PersonRegistered, meta: Meta) -> None:
    """Somebody can be recognised."""
    await house.store.put_person(event, meta.sequence)


@router.event(PersonErased)
async def forget_person(house: Intake, event: PersonErased, meta: Meta) -> None:
    """Somebody can be recognised no more."""
    await house.store.forget_person(event, meta.sequence)


@router.event(FollowUpRecorded)
async def submit_what_was_told(house: Intake, event: FollowUpRecorded, meta: Meta) -> None:
    """Somebody was called or visited and asked for something: that is a request."""
    if event.sealed is not None:
        await _submit_sealed(house, event.sealed, f"follow-up:{event.follow_up_id}", meta)


@router.event(NeedRaised)
async def submit_what_is_needed(house: Intake, event: NeedRaised, meta: Meta) -> None:
    """The ledger's own work found that somebody needs something: that is a request."""
    await _submit_sealed(house, event.sealed, f"need:{event.need_id}", meta)


async def _submit_sealed(house: Intake, seal: str, context: str, meta: Meta) -> None:
    """What the ledger asks for; an event that is sent again after the person was erased asks for nothing more."""
    told = house.runtime.sealer.left(seal, context)
    if told is not None:
        await submit(house, SubmitRequest.model_validate_json(told), meta)


async def understand(house: Intake, command: SubmitRequest, request_id: str) -> RequestCreated:
    """What a request means here: its grid, its person, how urgent it is.

    Raises:
        Refusal: a kind of help that the catalogue does not have.
    """
    kind = house.kinds.kinds.get(command.kind)
    if kind is None:
        raise refusal("kind", "unknown_kind", f"no kind of help is called {command.kind}")
    urgency = command.urgency or kind.urgency
    place = await _place(house, command.community, command)
    needs = tuple(dict.fromkeys((*command.resident.needs, *place.needs)))
    runtime = house.runtime
    return RequestCreated.model_construct(
        request_id=request_id,
        kind=command.kind,
        community=command.community,
        grid=place.grid,
        building=command.address.building,
        stairwell=runtime.lookup.stairwell(command.community, command.address.building, command.address.unit),
        household=place.household,
        person=place.person,
        urgency=urgency,
        priority=rules.priority(urgency, first_line=place.first_line, needs=needs),
        first_line=place.first_line,
        needs=needs,
        language=command.resident.language or place.language,
        opens=command.window.opens if command.window else None,
        closes=command.window.closes if command.window else None,
        contactless=command.contactless,
        needs_review=place.needs_review,
        source=command.source,
        sealed=runtime.sealer.seal(command.model_dump_json(by_alias=True, include=_DETAILS), f"request:{request_id}"),
    )


async def changed(house: Intake, command: AmendRequest, request: rules.Request) -> RequestFacts:
    """The facts of a request as an amendment makes them."""
    facts = request.facts
    if facts is None:
        raise refusal("request_id", "unknown_request", "there is no request of this id", status=404)
    runtime = house.runtime
    context = f"request:{request.request_id}"
    told = runtime.sealer.left(facts.sealed, context)
    if told is None:
        raise refusal("request_id", "erased", "for whom this was, was erased; send a new request", status=410)
    before = RequestDetails.model_validate_json(told, extra="ignore")
    details = before.model_copy(update=rules.changed_details(command))
    urgency = command.urgency or facts.urgency
    place = await _place(house, facts.community or "", details)
    return facts.model_copy(
        update={
            "grid": place.grid,
            "building": details.address.building,
            "stairwell": runtime.lookup.stairwell(
                facts.community or "", details.address.building, details.address.unit
            ),
            "household": place.household,
            "person": place.person,
            "urgency": urgency,
            "first_line": place.first_line,
            "priority": rules.priority(urgency, first_line=place.first_line, needs=facts.needs),
            "opens": command.window.opens if command.window else facts.opens,
            "closes": command.window.closes if command.window else facts.closes,
            "needs_review": place.needs_review,
            "sealed": runtime.sealer.seal(details.model_dump_json(by_alias=True), context),
        }
    )


def request_id_of(command: SubmitRequest) -> str:
    """`source` and `source_id` name a request, for ever."""
    return derived_id("request", command.source, command.source_id)


def tracking_code(lookup: Lookup, request_id: str) -> str:
    """Ten characters that a resident can read out on the phone."""
    number = int(lookup.blind("tracking code", request_id), 16)
    letters = []
    for _ in range(10):
        number, position = divmod(number, len(_CODE_ALPHABET))
        letters.append(_CODE_ALPHABET[position])
    return "".join(letters)


def answer(outcome: Outcome[rules.Request]) -> RequestAnswer:
    """What the sender is told."""
    request = rules.known(outcome.state)
    status: SubmitStatus
    if not outcome.changed:
        status = "duplicate"
    elif request.facts is not None and request.facts.needs_review:
        status = "needs_review"
    else:
        status = "accepted"
    return RequestAnswer.model_construct(
        request_id=request.request_id, status=status, tracking_code=request.tracking_code or ""
    )


@dataclass(frozen=True, slots=True)
class _Place:
    household: str
    grid: str | None
    person: str | None
    first_line: bool
    language: str | None
    needs: tuple[str, ...]
    needs_review: tuple[str, ...]


async def _place(house: Intake, community: str, details: RequestDetails) -> _Place:
    """Where a door is, and who is known to live behind it."""
    lookup, address, resident = house.runtime.lookup, details.address, details.resident
    household = lookup.household(community, address.building, address.unit, address.room)
    lookups = []
    if resident.name:
        lookups.append(lookup.resident(household, resident.name))
    if resident.phone:
        lookups.append(lookup.phone(community, resident.phone))
    grid = await house.store.grid_of(community, address.building)
    person = await house.store.person(lookups)
    needs_review: tuple[str, ...] = ()
    if grid is None:
        known = await house.store.knows(community)
        needs_review = ("unknown_building" if known else "unknown_community",)
    return _Place(
        household=household,
        grid=grid,
        person=person["person"] if person else None,
        first_line=bool(person and person["first_line"]),
        language=person["language"] if person else None,
        needs=tuple(person["needs"]) if person else (),
        needs_review=needs_review,
    )


def _community(facts: RequestFacts) -> str:
    """For a metric: whoever submits may write any name, and only those that we know may become a time series."""
    return UNKNOWN if facts.community is None or "unknown_community" in facts.needs_review else facts.community
