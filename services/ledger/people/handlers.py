"""Messages in: who lives here, who is who, who has gone."""

import asyncio
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from services.ledger.domain import people as rules
from services.ledger.domain import people_life as life
from services.ledger.domain.people import Portrait
from services.ledger.domain.register import FIRST_LINE_AGE, Overtaken, Person, looked_through, register_person
from services.ledger.house import Ledger, today
from services.ledger.people.portraits import drawn, opened, portrait_of
from services.ledger.people.recognition import aliases_of, fingerprint_of, identify
from shared.consumer import Router
from shared.contracts.envelope import Event, Meta
from shared.contracts.intake import Address
from shared.contracts.ledger import RegisterPerson, RegistrationAnswer
from shared.contracts.people import CorrectPerson, ErasePerson, MergePeople, MovePerson, RecordDeath, UnmergePeople
from shared.contracts.refusal import Refusal, refusal
from shared.identity import derived_id
from shared.sealing import Sealer

router: Router[Ledger] = Router("ledger")

TOGETHER = 200
"""People who follow their building to another grid, or move up, in one round."""
FORGET_AT_ONCE = 100
"""People erased in one round."""
_REPLACED = frozenset({"lives_alone", "needs"})
"""Of these a row says all that there is, whoever else tells of the person."""
_BUT_THE_DOOR = "/but the door"
"""Behind the fingerprint of news that were not taken as a whole."""


@dataclass(frozen=True, slots=True)
class _News:
    """What a source tells of somebody."""

    told: Portrait
    source: str
    fingerprint: str
    named: AbstractSet[str]
    """Fields of which it says all that there is, where no other source tells of this person."""
    replaced: AbstractSet[str] = frozenset()
    """Fields of which it says so in any case."""

    def at(self, address: Address) -> "_News":
        """The same, but for the door. It is not all that was told, and may be told again."""
        told = replace(self.told, details=self.told.details.model_copy(update={"address": address}))
        return replace(self, told=told, fingerprint=f"{self.fingerprint}{_BUT_THE_DOOR}")


@router.command(RegisterPerson)
async def register(house: Ledger, command: RegisterPerson, meta: Meta) -> RegistrationAnswer:
    """Somebody lives here; or another list tells of somebody who is known."""
    return await enter(house, command, meta)


async def enter(
    house: Ledger, command: RegisterPerson, meta: Meta, row: AbstractSet[str] | None = None
) -> RegistrationAnswer:
    """Enter a registration, or a row of a list, which is never refused: who is observed keeps the door.

    Args:
        house: the service.
        command: what is told.
        meta: by whom.
        row: of these fields the row says all that there is to know; None: it is a registration, and does so of all.
    """
    portrait = rules.portrait(command, house.categories, today(house))
    aliases = aliases_of(house.runtime.lookup, portrait, derived_id("person", command.source, command.source_id))
    named, replaced = (command.model_fields_set, frozenset[str]()) if row is None else (row, row & _REPLACED)
    news = _News(portrait, aliases.source, fingerprint_of(house.runtime.lookup, command), named, replaced)
    while True:
        person_id, known = await identify(house, aliases)
        if known is not None and known.told_by().get(news.source) == news.fingerprint:
            return RegistrationAnswer(status="duplicate", id=person_id)
        told = await _with_news(house, person_id, known, news)
        if known is not None:
            there = known.facts.household, told.facts.household
            if there[0] != there[1] and await _observed_elsewhere(house, known, there[1]):
                if row is None:
                    raise _observed()
                news = news.at((await opened(house, known)).details.address)
                continue
            # A phone known from one list and a name from another are a mark that neither told.
            await _hold(house, told, known.marks() | {*aliases.others})
        try:
            outcome = await house.store.people.update(
                person_id,
                lambda current, told=told, known=known: register_person(current, told, known),  # type: ignore[misc]
                meta,
                new=known is None,
            )
        except Overtaken:
            continue
        return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=person_id)


async def _with_news(house: Ledger, person_id: str, known: Person | None, news: _News) -> Person:
    """The person as known and told."""
    sealer = await house.store.keys.sealer(person_id, make=True)
    assert sealer is not None
    told = news.told
    building = await house.store.buildings.get(f"{told.community}/{told.details.address.building}")
    grid = building.grid if building else None
    if known is None:
        return drawn(house, person_id, grid, told, sealer, {news.source: news.fingerprint})
    alone = known.told_by().keys() == {news.source}
    portrait = rules.combined(portrait_of(known, sealer), told, news.named if alone else news.replaced)
    if building is None and portrait.details.address.building == known.facts.building:
        grid = known.facts.grid
    person = drawn(house, person_id, grid, portrait, sealer, {**known.told_by(), news.source: news.fingerprint})
    person = person.model_copy(update={"absorbed": known.absorbed, "merged_into": known.merged_into})
    if not known.died:
        return person
    gone = person.model_copy(update={"left_at": known.left_at, "died_on": known.died_on})
    return life.left(gone, house.categories, house.runtime.clock(), died=True)


@router.command(MovePerson)
async def move(house: Ledger, command: MovePerson, meta: Meta) -> RegistrationAnswer:
    """To another door, away, or back."""
    known = await _current(house, command.person_id)
    grid = known.facts.grid
    if command.address is not None:
        building = await house.store.buildings.get(f"{known.facts.community}/{command.address.building}")
        if building is None:
            raise refusal("address.building", "unknown_building", "no building of this number is entered")
        grid = building.grid
        if await _observed_elsewhere(house, known, _door(house, known, command.address)):
            raise _observed()

    def after(person: Person, portrait: Portrait, sealer: Sealer) -> Person:
        there = (portrait.details.address, person.facts.grid)
        if command.address is not None and (command.address, grid) != there:
            details = portrait.details.model_copy(update={"address": command.address})
            person = _redrawn(house, person, grid, replace(portrait, details=details), sealer)
        if command.here:
            return life.back(person)
        return life.left(person, house.categories, house.runtime.clock(), died=False)

    return await _change(house, command.person_id, after, meta.named(command.command_id))


async def _observed_elsewhere(house: Ledger, known: Person, household: str) -> bool:
    """Whether they are to stay behind another door than this one."""
    observed = await house.store.observations.of_person(await house.store.register.ids_of(known.facts.person_id))
    return observed is not None and observed.household != household


def _observed() -> Refusal:
    message = "they are observed behind their door; release them, and begin again behind the new one"
    return refusal("person_id", "observed", message, status=409)


def _door(house: Ledger, known: Person, address: Address) -> str:
    return house.runtime.lookup.household(known.facts.community or "", address.building, address.unit, address.room)


@router.command(CorrectPerson)
async def correct(house: Ledger, command: CorrectPerson, meta: Meta) -> RegistrationAnswer:
    """Something was wrong, whoever told it."""

    def after(person: Person, portrait: Portrait, sealer: Sealer) -> Person:
        right = rules.corrected(portrait, command, house.categories, today(house))
        return person if right == portrait else _redrawn(house, person, person.facts.grid, right, sealer)

    return await _change(house, command.person_id, after, meta.named(command.command_id))


@router.command(RecordDeath)
async def record_death(house: Ledger, command: RecordDeath, meta: Meta) -> RegistrationAnswer:
    """Somebody died, or did not after all."""
    if command.revoked and command.died is not None:
        raise refusal("died", "not_allowed", "who did not die has no such day")
    if command.died is not None and command.died > today(house):
        raise refusal("died", "in_the_future", "this day is yet to come")

    def after(person: Person, _: Portrait, __: Sealer) -> Person:
        if command.revoked:
            return life.alive(person)
        return life.left(person, house.categories, house.runtime.clock(), died=True, died_on=command.died)

    return await _change(house, command.person_id, after, meta.named(command.command_id))


@router.command(MergePeople)
async def merge(house: Ledger, command: MergePeople, meta: Meta) -> RegistrationAnswer:
    """Two are one. Each step may be done again: after a crash in between, the same command does the rest."""
    cause = meta.named(command.command_id)
    if command.person_id == command.other:
        raise refusal("other", "same_person", "that is the same id twice")
    other = await _known(house, command.other)
    store = house.store
    while True:
        known = await _known(house, command.person_id)
        if known.facts.community != other.facts.community:
            raise refusal("other", "other_community", "they live in different communities", status=409)
        if known.merged_into is not None or other.merged_into not in (None, command.person_id):
            raise refusal("other", "merged", "one of them is known under another id already", status=409)
        sealer = await store.keys.sealer(command.person_id, make=True)
        assert sealer is not None
        portrait = rules.combined(await opened(house, other), portrait_of(known, sealer))
        after = _redrawn(house, known, known.facts.grid, portrait, sealer)
        await _hold(house, after, known.marks() | other.marks())
        try:
            outcome = await store.people.update(
                command.person_id,
                lambda now, known=known, after=after: life.absorb(now, known, after, other),  # type: ignore[misc]
                cause,
            )
            break
        except Overtaken:
            continue
    await store.people.update(command.other, lambda now: life.vanish(now, command.person_id), cause)
    await store.register.pass_on(await store.register.held(command.other), command.other, command.person_id)
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.person_id)


@router.command(UnmergePeople)
async def unmerge(house: Ledger, command: UnmergePeople, meta: Meta) -> RegistrationAnswer:
    """They are two after all."""
    cause = meta.named(command.command_id)
    other = await _known(house, command.other)
    store = house.store
    outcome = await store.people.update(command.person_id, lambda now: life.release(now, other), cause)
    await store.people.update(command.other, lambda now: life.reappear(now, command.person_id), cause)
    theirs = (*other.told_by(), *other.marks())
    await store.register.pass_on(theirs, command.person_id, command.other)
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=command.person_id)


@router.command(ErasePerson)
async def erase(house: Ledger, command: ErasePerson, meta: Meta) -> RegistrationAnswer:
    """Forget somebody. The document goes first, which says what else is to go: after a crash in between, `forget` ends
    it.
    """
    return await _erase(house, command.person_id, meta.named(command.command_id), command.reason)


async def forget(house: Ledger) -> int:
    """Erase those whose time is over by now, and end what was cut short; how many were looked at."""
    now = house.runtime.clock()
    due = [
        Meta(f"forget:{one}:{now.isoformat()}", "", "ledger", now, one)
        for one in await house.store.register.to_forget(now, FORGET_AT_ONCE)
    ]
    outcomes = await asyncio.gather(
        *(
            house.store.people.update(one.subject, lambda known: life.put_off(known, house.categories, now), one)
            for one in due
        )
    )
    for one, outcome in zip(due, outcomes, strict=True):
        if not outcome.changed:
            await _erase(house, one.subject, one)
    return len(due)


async def follow_buildings(house: Ledger) -> int:
    """Whoever lives where the grid is another one now belongs to that one; how many these were, at least one."""
    building = await house.store.looking()
    if building is None:
        return 0
    place = (building.community, building.building, building.grid)
    others = await house.store.register.of_other_grids(*place, TOGETHER)
    runtime, building_id = house.runtime, "/".join(place[:2])
    cause = Meta(runtime.new_id(), "", "ledger", runtime.clock(), building_id)
    people = house.store.people
    await asyncio.gather(*(people.update(one, lambda known: life.regrid(known, *place[1:]), cause) for one in others))
    if not others:
        await house.store.buildings.update(building_id, lambda known: looked_through(known, building.grid), cause)
    return len(others) or 1


async def move_up(house: Ledger) -> int:
    """Whoever lives alone and reached the age this year stands in the first line; how many these were.

    No birthday rests in the clear: they are found by the blind index of the year of birth.
    """
    blind, communities = house.runtime.lookup.blind, await house.store.communities()
    years = range(rules.EARLIEST.year, today(house).year - FIRST_LINE_AGE + 1)
    born = {blind("born", community, str(year)) for community in communities for year in years}
    old = await house.store.register.not_in_first_line(born, TOGETHER)
    now = house.runtime.clock()
    cause = Meta(f"first-line:{now.isoformat()}", "", "ledger", now, "")
    await asyncio.gather(
        *(house.store.people.update(one, lambda known: life.move_up(known, born), cause) for one in old)
    )
    return len(old)


async def _erase(house: Ledger, person_id: str, cause: Meta, reason: str | None = None) -> RegistrationAnswer:
    store = house.store
    known = rules.registered(await store.people.get(person_id))
    if known.merged_into is not None:
        raise refusal("person_id", "merged", f"known as {known.merged_into}; erase that person", status=409)
    ids = await store.register.ids_of(person_id)

    def gone(known: Person | None) -> tuple[Person, Sequence[Event]] | None:
        return life.erase(known, ids, reason)

    outcome = await store.people.update(person_id, gone, cause)
    everybody = outcome.state.erasing if outcome.state else ()
    await asyncio.gather(*(store.people.update(one, gone, cause) for one in everybody))
    await store.keys.destroy(everybody)
    for aggregates, name in ((store.follow_ups, "state.person_id"), (store.needs, "state.told.person_id")):
        await aggregates.throw_away({name: {"$in": list(everybody)}})
    await asyncio.gather(*(store.register.let_go(one) for one in everybody))
    # Whoever was writing of them at that moment has made a key anew.
    await store.keys.destroy(everybody)
    done = replace(cause, id="")
    await asyncio.gather(*(store.people.update(one, life.all_erased, done) for one in everybody))
    return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=person_id)


async def _known(house: Ledger, person_id: str) -> Person:
    return rules.known_person(await house.store.people.get(person_id))


async def _current(house: Ledger, person_id: str) -> Person:
    """Somebody, under whichever id he is known by now."""
    return rules.known_person(await house.store.register.current(person_id))


async def _change(
    house: Ledger, person_id: str, after: Callable[[Person, Portrait, Sealer], Person], cause: Meta
) -> RegistrationAnswer:
    """Make something else of what is known, and hold the aliases that come of it."""
    while True:
        known = await _current(house, person_id)
        person_id = known.facts.person_id
        sealer = await house.store.keys.sealer(person_id, make=True)
        assert sealer is not None
        told = after(known, portrait_of(known, sealer), sealer)
        # Before the change: after a crash in between, the same command does the rest.
        if gone := known.marks() - told.marks():
            await house.store.register.let_go(person_id, sorted(gone))
        await _hold(house, told, known.marks())
        try:
            outcome = await house.store.people.update(
                person_id,
                lambda now, known=known, told=told: life.change(now, known, told),  # type: ignore[misc]
                cause,
            )
        except Overtaken:
            continue
        return RegistrationAnswer(status="accepted" if outcome.changed else "duplicate", id=person_id)


async def _hold(house: Ledger, told: Person, held: AbstractSet[str]) -> None:
    """Be known by all marks there are now, where nobody else is; these are held."""
    claim, person_id = house.store.register.claim, told.facts.person_id
    await asyncio.gather(*(claim(one, person_id, told.identities) for one in sorted(told.marks() - held)))


def _redrawn(house: Ledger, person: Person, grid: str | None, known: Portrait, sealer: Sealer) -> Person:
    """With what is known now; all else as it was."""
    told = drawn(house, person.facts.person_id, grid, known, sealer, person.told_by())
    facts = told.facts.model_copy(update={"here": person.facts.here})
    update = {name: getattr(told, name) for name in ("stairwell", "floor", "identities", "listed")}
    return life.remembered(person.model_copy(update={**update, "facts": facts}), house.categories)
