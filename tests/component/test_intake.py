"""Intake on a real broker and database: a need comes in once, whoever sends it and however often."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from services.intake.store import Store
from shared.contracts.dispatch import DeliveryAssigned, DeliveryCompleted, DeliveryOffered
from shared.contracts.ledger import BuildingRegistered, PersonUpdated
from shared.contracts.people import PersonErased
from shared.identity import derived_id
from shared.runtime import utc_now
from tests import world
from tests.running import Amqp, Ear, Service, Town, eventually, problems


@dataclass(frozen=True, slots=True)
class Desk:
    """Intake, and those around it."""

    intake: Service
    source: Amqp
    operator: Amqp
    events: Ear

    def told(self, wire: str, request_id: str) -> list[dict[str, object]]:
        """The events of one type about one request."""
        return [one for one in self.events.bodies(f"doorstep.{wire}.v1") if one.get("request_id") == request_id]

    async def state(self, request_id: str) -> str:
        """As staff see it."""
        state: str = (await self.intake.get(f"/requests/{request_id}"))["state"]
        return state


@asynccontextmanager
async def open_desk(town: Town) -> AsyncIterator[Desk]:
    async with (
        town.up("intake") as at,
        town.amqp() as source,
        town.amqp("operator") as operator,
        town.ear() as events,
    ):
        await world.tell_intake_of_places(at.intake, operator)
        yield Desk(at.intake, source, operator, events)


@pytest.fixture
async def desk(town: Town) -> AsyncIterator[Desk]:
    """Intake runs, and knows buildings and residents."""
    async with open_desk(town) as one:
        yield one


FACTS = {
    "task_id": "t1",
    "kind": "groceries",
    "building": "2",
    "urgency": "normal",
    "priority": 10,
    "community": world.TIEBEI,
    "grid": "g1",
}


# In


async def test_a_request_over_amqp_is_answered_and_told(desk: Desk) -> None:
    """With its grid, and nothing personal in the clear."""
    answer = await desk.source.ask("request.submit", world.groceries("1"))
    assert answer["status"] == "accepted"
    assert len(answer["tracking_code"]) == 10
    (created,) = await eventually(lambda: desk.told("request.created", answer["request_id"]))
    assert (created["grid"], created["kind"], created["first_line"]) == ("g1", "groceries", False)
    (message,) = [one for one in desk.events.heard if one.type == "doorstep.request.created.v1"]
    assert message.routing_key == "request.created.tiebei.g1"
    assert (message.correlation_id, message.app_id) == (answer["request_id"], "intake")
    for personal in ("王先生", "room-5O2", "0000 0003", "白菜"):
        assert personal not in message.body.decode()
        assert personal not in str(message.headers)


async def test_a_request_over_http_is_answered_with_where_to_look(desk: Desk) -> None:
    """202, and a Location that shows its state."""
    answer = await desk.intake.post("/requests", world.groceries("1"), who="source")
    assert answer.status_code == 202
    place = answer.headers["Location"].removeprefix("/api/intake")
    shown = await desk.intake.get(place, who="source")
    assert shown["state"] == "created"
    assert [one["event"] for one in shown["history"]] == ["RequestCreated"]


async def test_one_request_over_both_ways_is_one_request(desk: Desk) -> None:
    """The second answer names the first."""
    first = await desk.source.ask("request.submit", world.groceries("1"))
    second = await desk.intake.post("/requests", world.groceries("1"), who="source")
    assert second.json() == {**first, "status": "duplicate"}
    assert await desk.source.ask("request.submit", world.groceries("1")) == second.json()
    assert len(await desk.intake.stored("requests")) == 1


async def test_twenty_identical_deliveries_at_once_have_one_effect(desk: Desk) -> None:
    """One is accepted, nineteen are told that it was."""
    asks = (desk.source.ask("request.submit", world.groceries("1"), message_id="m1") for _ in range(20))
    answers = await asyncio.gather(*asks)
    assert sorted(answer["status"] for answer in answers) == ["accepted", *["duplicate"] * 19]
    assert len({(answer["request_id"], answer["tracking_code"]) for answer in answers}) == 1
    await eventually(lambda: desk.told("request.created", answers[0]["request_id"]))
    last = await desk.source.ask("request.submit", world.groceries("2"))
    await eventually(lambda: desk.told("request.created", last["request_id"]))
    assert len(desk.told("request.created", answers[0]["request_id"])) == 1


@pytest.mark.parametrize("message_id", ["same", None])
async def test_a_used_key_with_another_body_is_refused_over_both_ways(desk: Desk, message_id: str | None) -> None:
    """Also when the message has an id that was seen. Nothing is told, and the first stays as it was."""
    answer = await desk.source.ask("request.submit", world.groceries("1"), message_id=message_id)
    before = await desk.intake.stored("requests")
    other = world.groceries("1", note="ring twice")
    refused = await desk.source.ask("request.submit", other, message_id=message_id)
    assert (refused["status"], problems(refused)) == ("refused", [("source_id", "key_used")])
    over_http = await desk.intake.post("/requests", other, who="source")
    assert (over_http.status_code, problems(over_http)) == (409, [("source_id", "key_used")])
    await eventually(lambda: desk.told("request.created", answer["request_id"]))
    assert len(desk.told("request.created", answer["request_id"])) == 1
    (after,) = await desk.intake.stored("requests")
    assert after["state"] == before[0]["state"]


async def test_a_used_key_with_another_body_is_refused_when_both_came_over_http(desk: Desk) -> None:
    """409, as a problem."""
    assert (await desk.intake.post("/requests", world.groceries("1"))).status_code == 202
    again = await desk.intake.post("/requests", world.groceries("1", urgency="urgent"))
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    assert again.json()["code"] == "key_used"


async def test_an_idempotency_key_stands_for_one_request(desk: Desk) -> None:
    """The same again is a duplicate, another is refused and not made."""
    key = {"Idempotency-Key": "k1"}
    first = await desk.intake.post("/requests", world.groceries("1"), who="source", headers=key)
    again = await desk.intake.post("/requests", world.groceries("1"), who="source", headers=key)
    other = await desk.intake.post("/requests", world.groceries("2"), who="source", headers=key)
    assert (first.json()["status"], again.json()["status"]) == ("accepted", "duplicate")
    assert (other.status_code, problems(other)) == (422, [("Idempotency-Key", "key_used")])
    elsewhere = await desk.intake.post("/requests", world.groceries("2"), who="coordinator", headers=key)
    assert elsewhere.status_code == 202, "a key is its sender's own"


async def test_of_ten_requests_with_one_idempotency_key_at_once_one_is_made(desk: Desk) -> None:
    """However they race."""
    posts = (
        desk.intake.post("/requests", world.groceries(f"r{n}"), who="source", headers={"Idempotency-Key": "k1"})
        for n in range(10)
    )
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*posts))
    assert statuses == [202, *[422] * 9]
    assert len(await desk.intake.stored("requests")) == 1


async def test_without_a_token_only_the_form_may_submit(desk: Desk) -> None:
    """And who filled it in sees its state with the tracking code."""
    refused = await desk.intake.post("/requests", world.groceries("1"), who=None)
    assert (refused.status_code, problems(refused)) == (401, [("source", "token_required")])
    answer = (await desk.intake.post("/requests", world.groceries("1", source="form"), who=None)).json()
    path, code = f"/requests/{answer['request_id']}", {"X-Tracking-Code": answer["tracking_code"]}
    assert (await desk.intake.call("GET", path, who=None, headers=code)).json()["state"] == "created"
    for headers in ({}, {"X-Tracking-Code": "WRONG"}):
        hidden = await desk.intake.call("GET", path, who=None, headers=headers)
        assert (hidden.status_code, problems(hidden)) == (404, [("request_id", "unknown_request")])


# What is not known


async def test_an_unknown_building_waits_for_a_coordinator_who_puts_it_right(desk: Desk) -> None:
    """A person waits behind it: kept, told, amended, and then in the right grid."""
    answer = await desk.source.ask("request.submit", world.groceries("1", address={"building": world.NO_BUILDING}))
    assert answer["status"] == "needs_review"
    listed = await desk.intake.items("/requests", who="coordinator", needs_review=True)
    assert [(one["id"], one["needs_review"]) for one in listed] == [(answer["request_id"], ["unknown_building"])]
    (created,) = await eventually(lambda: desk.told("request.created", answer["request_id"]))
    assert (created["grid"], created["needs_review"]) == (None, ["unknown_building"])
    change = {"command_id": "c1", "address": {"building": "3", "unit": "1", "room": "101"}}
    amended = await desk.intake.call("PATCH", f"/requests/{answer['request_id']}", who="coordinator", json=change)
    assert (amended.status_code, amended.json()["status"]) == (202, "accepted")
    (told,) = await eventually(lambda: desk.told("request.amended", answer["request_id"]))
    assert (told["grid"], told["building"], told["needs_review"]) == ("g2", "3", [])
    assert await desk.intake.items("/requests", who="coordinator", needs_review=True) == []


async def test_an_unknown_community_is_kept_for_review_and_not_refused(desk: Desk) -> None:
    """Any coordinator may look at it, and nobody else."""
    answer = await desk.source.ask("request.submit", world.groceries("1", community="elsewhere"))
    assert answer["status"] == "needs_review"
    (created,) = await eventually(lambda: desk.told("request.created", answer["request_id"]))
    assert created["needs_review"] == ["unknown_community"]
    path = f"/requests/{answer['request_id']}"
    assert (await desk.intake.call("GET", path, who="coordinator")).status_code == 200
    assert (await desk.intake.call("GET", path, who="grid_worker")).status_code == 404


async def test_a_building_that_moved_is_remembered_as_it_was_told_last(desk: Desk) -> None:
    """Older news that comes late, or again, changes nothing."""
    moved = BuildingRegistered(community=world.TIEBEI, grid="g2", building="1")
    await desk.operator.happen(moved, sequence=2)
    await desk.operator.happen(BuildingRegistered(community=world.TIEBEI, grid="g1", building="1"), sequence=1)
    await desk.operator.happen(BuildingRegistered(community=world.TIEBEI, grid="g1", building="4"), sequence=1)
    await eventually(lambda: desk.intake.stored("buildings", {"_id": "tiebei/4"}))
    (known,) = await desk.intake.stored("buildings", {"_id": "tiebei/1"})
    assert known["grid"] == "g2"


async def test_somebody_is_recognised_by_what_was_told_last_and_once_erased_by_nothing(desk: Desk) -> None:
    """Older news that come late, or again, bring nothing back; what the version before kept goes with the next news."""
    store, people = Store(desk.intake.runtime), desk.intake.runtime.database.collection("people")
    before = {"first_line": False, "language": None, "needs": [], "sequence": 1, "v": 1}
    kept = {"right": "p", "wrong": "p", "other": "q", "gone": "r"}
    await people.raw.insert_many([{"_id": lookup, "person": one, **before} for lookup, one in kept.items()])

    async def recognised(*lookups: str) -> list[str | None]:
        return [(await store.person([one]) or {}).get("person") for one in lookups]

    def told(person_id: str, *lookups: str, first_line: bool = False) -> PersonUpdated:
        facts = {"person_id": person_id, "building": "1", "household": "h", "sealed": "own.x"}
        return PersonUpdated.model_validate({**facts, "lookups": lookups, "first_line": first_line})

    assert await recognised(*kept) == [*kept.values()]
    await store.put_person(told("p", "right", "new"), 3)
    await store.put_person(told("p", "right", "wrong"), 2)
    await store.forget_person(PersonErased(person_id="r"), 2)
    assert await recognised(*kept, "new") == ["p", None, "q", None, "p"]
    await store.put_person(told("z", "new", first_line=True), 1)
    assert await recognised("new") == ["z"]
    for _ in range(2):
        await store.forget_person(PersonErased(person_id="p", lookups=("right", "new")), 4)
        await store.put_person(told("p", "right", "wrong"), 2)
    assert await recognised(*kept, "new") == [None, None, "q", None, "z"]
    assert [one["lookups"] for one in await desk.intake.stored("people", {"person": "p"})] == [[]]


# Changes


async def test_a_cancelled_request_is_cancelled_once_and_told_once(desk: Desk) -> None:
    """The same command again, and another one later, change nothing."""
    answer = await desk.source.ask("request.submit", world.groceries("1"))
    command = {"request_id": answer["request_id"], "command_id": "c1", "reason": "nephew came"}
    first = await desk.source.ask("request.cancel", command)
    again = await desk.source.ask("request.cancel", command)
    other = await desk.source.ask("request.cancel", {**command, "command_id": "c2"})
    assert [one["status"] for one in (first, again, other)] == ["accepted", "duplicate", "duplicate"]
    assert await desk.state(answer["request_id"]) == "cancelled"
    await eventually(lambda: desk.told("request.cancelled", answer["request_id"]))
    assert len(desk.told("request.cancelled", answer["request_id"])) == 1


async def test_an_amendment_repeated_is_made_once(desk: Desk) -> None:
    """And a later one is another."""
    answer = await desk.source.ask("request.submit", world.groceries("1"))
    amend = {"request_id": answer["request_id"], "command_id": "c1", "urgency": "urgent"}
    statuses = [(await desk.source.ask("request.amend", amend))["status"] for _ in range(3)]
    assert statuses == ["accepted", "duplicate", "duplicate"]
    await desk.source.ask("request.amend", {**amend, "command_id": "c2", "urgency": "normal"})
    await eventually(lambda: len(desk.told("request.amended", answer["request_id"])) == 2)
    assert [one["priority"] for one in desk.told("request.amended", answer["request_id"])] == [40, 10]


async def test_what_is_closed_or_unknown_is_neither_amended_nor_cancelled(desk: Desk) -> None:
    """Refused with field and code, over both ways."""
    answer = await desk.source.ask("request.submit", world.groceries("1"))
    request_id = answer["request_id"]
    await desk.operator.happen(DeliveryCompleted(request_id=request_id, **FACTS), sequence=4)
    await eventually(lambda: is_state(desk, request_id, "completed"))
    for verb, extra in (("amend", {"note": "x"}), ("cancel", {})):
        command = {"request_id": request_id, "command_id": "c1", **extra}
        refused = await desk.source.ask(f"request.{verb}", command)
        assert problems(refused) == [("request_id", "closed")]
        unknown = await desk.source.ask(f"request.{verb}", {**command, "request_id": "nothing"})
        assert problems(unknown) == [("request_id", "unknown_request")]
    over_http = await desk.intake.post(f"/requests/{request_id}/cancel", {"command_id": "c1"})
    assert (over_http.status_code, problems(over_http)) == (409, [("request_id", "closed")])
    assert (await desk.intake.post("/requests/nothing/cancel", {"command_id": "c1"})).status_code == 404


async def is_state(desk: Desk, request_id: str, state: str) -> bool:
    return await desk.state(request_id) == state


# What dispatch tells


async def test_news_of_a_delivery_that_comes_before_its_request_is_applied_once_that_is_known(desk: Desk) -> None:
    """Completed, offered, assigned, and only then created."""
    probe = await desk.source.ask("request.submit", world.groceries("probe"))
    body = world.groceries("1")
    request_id = id_of(body)
    await desk.operator.happen(DeliveryCompleted(request_id=request_id, **FACTS), sequence=3)
    await desk.operator.happen(
        DeliveryOffered(request_id=request_id, step=0, role="grid_worker", until=utc_now(), **FACTS), sequence=1
    )
    await desk.operator.happen(DeliveryAssigned(request_id=request_id, until=utc_now(), **FACTS), sequence=2)
    await eventually(lambda: heard(desk, request_id, 3))
    assert (await desk.intake.call("GET", f"/requests/{request_id}")).status_code == 404
    answer = await desk.source.ask("request.submit", body)
    assert (answer["request_id"], answer["status"]) == (request_id, "accepted")
    shown = await desk.intake.get(f"/requests/{request_id}")
    assert shown["state"] == "completed"
    assert {one["event"] for one in shown["history"]} == {
        "RequestCreated",
        "DeliveryOffered",
        "DeliveryAssigned",
        "DeliveryCompleted",
    }
    assert await desk.state(probe["request_id"]) == "created"


def id_of(body: dict[str, object]) -> str:
    """The id that a body will have: source and source_id name it for ever."""
    return derived_id("request", str(body["source"]), str(body["source_id"]))


async def heard(desk: Desk, request_id: str, count: int) -> bool:
    documents = await desk.intake.stored("requests", {"_id": request_id})
    return bool(documents) and len(documents[0]["state"]["observed"]) == count


async def test_news_told_twenty_times_is_noted_once(desk: Desk) -> None:
    """Under one id, and under twenty."""
    answer = await desk.source.ask("request.submit", world.groceries("1"))
    request_id = answer["request_id"]
    news = DeliveryAssigned(request_id=request_id, until=utc_now(), **FACTS)
    await asyncio.gather(*(desk.operator.happen(news, identity="e1", sequence=2) for _ in range(20)))
    await asyncio.gather(*(desk.operator.happen(news, sequence=2) for _ in range(20)))
    await desk.operator.happen(DeliveryCompleted(request_id=request_id, **FACTS), sequence=3)
    await eventually(lambda: is_state(desk, request_id, "completed"))
    (document,) = await desk.intake.stored("requests")
    assert [one["sequence"] for one in document["state"]["observed"]] == [2, 3]


# Personal data


async def test_nothing_personal_rests_in_the_clear(desk: Desk) -> None:
    """Neither in the request nor in its history; the ledger of keys opens it again."""
    # A room that no id and no time can hold by chance.
    address = {"building": "2", "unit": "1", "room": "room-5O2"}
    answer = await desk.source.ask("request.submit", world.groceries("1", note="钥匙在邻居家", address=address))
    (document,) = await desk.intake.stored("requests")
    text = json.dumps(document, default=str, ensure_ascii=False)
    for personal in ("王先生", "room-5O2", "0000 0003", "白菜", "钥匙"):
        assert personal not in text
    sealed = document["state"]["facts"]["sealed"]
    opened = json.loads(desk.intake.runtime.sealer.open(sealed, f"request:{answer['request_id']}"))
    assert (opened["resident"]["name"], opened["note"]) == ("王先生", "钥匙在邻居家")
