"""The ledger on a real broker and database: what happened is entered once, in a chain, and cannot be changed unseen."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from services.ledger.domain.entry import Link, chain
from services.ledger.store import Store as LedgerStore
from services.ledger.store import fact_of
from shared.access import fingerprint
from shared.contracts.intake import RequestCancelled, RequestCreated
from shared.runtime import utc_now
from tests import world
from tests.running import Amqp, Ear, Service, Town, eventually, problems


@dataclass(frozen=True, slots=True)
class Archive:
    """The ledger, and who tells it what happens."""

    ledger: Service
    operator: Amqp
    events: Ear

    async def happen(self, request_id: str, **more: Any) -> str:
        """Something happens."""
        return await self.operator.happen(RequestCreated(**world.created(request_id)), **more)

    async def entered(self, count: int, **params: Any) -> list[dict[str, Any]]:
        """The entries, once there are so many."""
        return await eventually(lambda: self._entries(count, params))

    async def _entries(self, count: int, params: dict[str, Any]) -> list[dict[str, Any]] | None:
        found = await self.ledger.items("/entries", **params)
        return found if len(found) >= count else None


@pytest.fixture
async def archive(town: Town) -> AsyncIterator[Archive]:
    """The ledger runs."""
    async with town.up("ledger") as at, town.amqp("operator") as operator, town.ear() as events:
        yield Archive(at.ledger, operator, events)


# Entries


async def test_what_happens_is_entered_with_its_cause_and_its_place_in_the_chain(archive: Archive) -> None:
    """One after the other, from nothing on."""
    for number in range(3):
        await archive.happen(f"r{number}")
        await archive.entered(number + 1)
    first, second, third = reversed(await archive.ledger.items("/entries"))
    assert [one["sequence"] for one in (first, second, third)] == [1, 2, 3]
    assert first["previous"] == "0" * 64
    assert (second["previous"], third["previous"]) == (first["hash"], second["hash"])
    assert (first["type"], first["request_id"], first["grid"]) == ("RequestCreated", "r0", "g1")
    assert (await archive.ledger.get("/chain")) == {"entries": 3, "broken": []}


async def test_an_entry_says_whose_command_it_was_through_however_many_events(town: Town) -> None:
    """Of a token or an account that the broker checked; what somebody says of himself counts for nothing."""
    senders: list[tuple[str, dict[str, Any]]] = [
        ("1", {"user_id": "source"}),
        ("2", {}),
        ("3", {"headers": {"ce-actor": "coordinator"}}),
    ]
    async with town.up("intake", "dispatch", "ledger") as at, town.amqp("source") as source:
        await world.settle(*at.services.values())
        ids = [(await at.intake.post("/requests", world.groceries("0"), who="coordinator")).json()["request_id"]]
        for building, sender in senders:
            body = world.groceries(building, address={"building": building, "unit": "1", "room": "101"})
            ids.append((await source.ask("request.submit", body, **sender))["request_id"])
        for request_id, actor in zip(ids, ("demo-coordinator", "source", None, None), strict=True):
            await eventually(partial(at.ledger.items, "/entries", request_id=request_id, type="DeliveryOffered"))
            entries = await at.ledger.items("/entries", request_id=request_id)
            assert {one["type"]: one["actor"] for one in entries} == {"RequestCreated": actor, "DeliveryOffered": actor}
        assert (await at.ledger.get("/chain"))["broken"] == []


async def test_twenty_identical_deliveries_at_once_are_one_entry(archive: Archive) -> None:
    """Among others, in one chain without a gap."""
    ids = [f"e{number}" for number in range(20)]
    await asyncio.gather(*(archive.happen("r1", identity=one) for one in ids for _ in range(20)))
    await archive.happen("last")
    await archive.entered(1, request_id="last")
    assert await archive.ledger.get("/chain") == {"entries": 21, "broken": []}


async def test_the_same_event_with_another_body_is_kept_aside_and_reported(archive: Archive) -> None:
    """The first stays; the second is shown to an operator, once."""
    await archive.happen("r1", identity="e1")
    await archive.entered(1)
    for _ in range(2):
        await archive.operator.happen(RequestCreated(**world.created("r1", priority=99)), identity="e1")
    (kept,) = await eventually(lambda: archive.ledger.items("/dead-letters"))
    assert (kept["reason"], kept["problems"][0]["code"], kept["message_id"]) == ("refused", "other_body", "e1")
    await archive.happen("r2")
    await archive.entered(2)
    (entry,) = await archive.ledger.stored("entries", {"_id": "e1"})
    assert json.loads(entry["data"])["priority"] == 10
    assert len(await archive.ledger.items("/dead-letters")) == 1


async def test_a_changed_entry_is_found(archive: Archive) -> None:
    """And so is one that was taken out."""
    for number in range(5):
        await archive.happen(f"r{number}")
    await archive.entered(5)
    raw = archive.ledger.runtime.database.collection("entries").raw
    await raw.update_one({"sequence": 2}, {"$set": {"grid": "g9"}})
    broken = (await archive.ledger.get("/chain"))["broken"]
    assert [one["sequence"] for one in broken] == [2]
    await raw.delete_one({"sequence": 4})
    broken = (await archive.ledger.get("/chain"))["broken"]
    assert [one["sequence"] for one in broken] == [2, 5]
    # What cannot even be read is named, too.
    await raw.update_one({"sequence": 5}, {"$set": {"sequence": "five"}, "$unset": {"hash": 1}})
    await raw.update_one({"sequence": 1}, {"$unset": {"community": 1, "wire": 1, "data": 1, "at": 1}})
    assert len(await archive.ledger.items("/entries")) == 4
    broken = (await archive.ledger.get("/chain"))["broken"]
    assert [(one["community"], one["sequence"]) for one in broken if one["id"]] == [
        ("None", 1),
        ("tiebei", 2),
        ("tiebei", None),
    ]


async def test_entries_that_were_cut_off_the_end_are_missed(archive: Archive) -> None:
    """Also when others were entered in their place since, and when somebody changed what says how far the chain was."""
    for number in range(5):
        await archive.happen(f"r{number}")
    await archive.entered(5)
    heads = LedgerStore(archive.ledger.runtime).heads
    await eventually(lambda: archive.ledger.stored("heads", {"sequence": 5}))
    database = archive.ledger.runtime.database
    await database.collection("entries").raw.delete_many({"sequence": {"$gte": 4}})
    missed = [{"id": None, "community": "tiebei", "sequence": 5}]
    assert (await archive.ledger.get("/chain"))["broken"] == missed
    *_, third = sorted(await archive.ledger.stored("entries"), key=lambda one: one["sequence"])
    link = Link(sequence=third["sequence"], hash=third["hash"])
    for number in range(4, 7):
        fact = fact_of({**third, "_id": f"e{number}"})
        before, link = link, chain(fact, link)
        forged = {**fact.model_dump(exclude={"id", "about", "turn"}), **link.model_dump(), "previous": before.hash}
        await database.collection("entries").raw.insert_one({"_id": fact.id, **forged})
    assert await heads.go_on() == 0
    assert (await archive.ledger.get("/chain"))["broken"] == missed
    # A head is not raised to what does not follow from the entry before it, but to what does.
    await database.collection("entries").raw.update_one({"sequence": 6}, {"$set": {"previous": "0"}})
    await database.collection("heads").delete({})
    assert (await heads.go_on(), await archive.ledger.stored("heads")) == (0, [])
    await database.collection("entries").raw.delete_one({"sequence": 6})
    await eventually(lambda: archive.ledger.stored("heads", {"sequence": 5}))
    await database.collection("heads").raw.update_one({}, {"$inc": {"sequence": -1}})
    assert await heads.go_on() == 0
    assert (await archive.ledger.get("/chain"))["broken"] == [{"id": None, "community": "tiebei", "sequence": 0}]


async def test_two_replicas_write_one_chain(town: Town, archive: Archive) -> None:
    """Whoever finds his place taken looks again: no gap, no fork."""
    async with town.up("ledger"):
        await asyncio.gather(*(archive.happen(f"r{number}") for number in range(200)))
        await archive.entered(200)
    assert await archive.ledger.get("/chain") == {"entries": 200, "broken": []}
    sequences = sorted(one["sequence"] for one in await archive.ledger.stored("entries"))
    assert sequences == list(range(1, 201))


async def test_every_community_has_a_chain_of_its_own(archive: Archive) -> None:
    """And what belongs to none has one, too."""
    await archive.happen("r1")
    await archive.operator.happen(RequestCreated(**world.created("r2", community="other")))
    await archive.operator.happen(RequestCancelled(request_id="r3"))
    entries = await archive.entered(3)
    assert {(one["community"], one["sequence"]) for one in entries} == {("tiebei", 1), ("other", 1), (None, 1)}


async def test_one_requests_entries_are_read_from_their_beginning(archive: Archive) -> None:
    """And all others newest first."""
    at = utc_now()
    for number, identity in enumerate(("e1", "e2", "e3")):
        event = RequestCreated(**world.created("r1", priority=number))
        body = event.model_dump_json().encode()
        time = (at + timedelta(seconds=number)).isoformat()
        headers = {"ce-id": identity, "ce-type": event.wire, "ce-source": "/doorstep/intake", "ce-time": time}
        await archive.operator.tell(event.routing_key(), body, exchange="doorstep.events", headers=headers)
    await archive.entered(3)
    assert [one["id"] for one in await archive.ledger.items("/entries", request_id="r1")] == ["e1", "e2", "e3"]
    assert [one["id"] for one in await archive.ledger.items("/entries")] == ["e3", "e2", "e1"]
    pages = await archive.ledger.pages("/entries", limit=2, request_id="r1")
    assert [[one["id"] for one in page] for page in pages] == [["e1", "e2"], ["e3"]]


async def test_an_event_in_structured_mode_with_a_time_of_another_zone_is_entered_alike(archive: Archive) -> None:
    """And its hash holds."""
    event = {
        "specversion": "1.0",
        "id": "e1",
        "type": RequestCreated.wire,
        "source": "/doorstep/intake",
        "time": "2026-11-24T17:00:00.123456+08:00",
        "data": world.created("r1"),
    }
    await archive.operator.tell(
        "request.created.tiebei.g1", event, exchange="doorstep.events", content_type="application/cloudevents+json"
    )
    (entry,) = await archive.entered(1)
    assert (entry["id"], entry["at"], entry["source"]) == ("e1", "2026-11-24T09:00:00.123000Z", "intake")
    assert (await archive.ledger.get("/chain"))["broken"] == []


async def test_what_is_entered_is_listed_by_request_for_reconciliation(archive: Archive) -> None:
    """Every request once, with its events, page by page."""
    for number in range(7):
        for _ in range(3):
            await archive.happen(f"r{number}")
    await archive.entered(21)
    pages = await archive.ledger.pages("/reconciliation", limit=3)
    assert [[one["request_id"] for one in page] for page in pages] == [["r0", "r1", "r2"], ["r3", "r4", "r5"], ["r6"]]
    assert {len(one["events"]) for page in pages for one in page} == {3}


# People and buildings


async def test_a_person_is_registered_once_over_both_ways_and_updated_when_something_changed(archive: Archive) -> None:
    """Told with flags and blind indexes, and nothing personal."""
    await archive.ledger.post("/buildings", {"community": "tiebei", "building": "1", "grid": "g1"})
    first = await archive.operator.ask("person.register", world.MRS_LI)
    again = await archive.ledger.post("/people", world.MRS_LI)
    changed = await archive.ledger.post("/people", {**world.MRS_LI, "needs": ["deaf"]})
    assert [first["status"], again.json()["status"], changed.json()["status"]] == ["accepted", "duplicate", "accepted"]
    (registered,) = await eventually(lambda: archive.events.bodies("doorstep.person.registered.v1"))
    assert (registered["grid"], registered["first_line"], len(registered["lookups"])) == ("g1", True, 2)
    (updated,) = await eventually(lambda: archive.events.bodies("doorstep.person.updated.v1"))
    assert updated["needs"] == ["deaf"]
    for told in archive.events.heard:
        for personal in ("李", "101", "0000 0001", "1937"):
            assert personal not in told.body.decode()


async def test_of_twenty_registrations_at_once_one_is_told(archive: Archive) -> None:
    """The others are duplicates."""
    asks = (archive.operator.ask("person.register", world.MRS_LI) for _ in range(20))
    assert Counter(one["status"] for one in await asyncio.gather(*asks)) == {"accepted": 1, "duplicate": 19}
    await archive.ledger.post("/people", world.MR_WANG)
    await eventually(lambda: len(archive.events.bodies("doorstep.person.registered.v1")) == 2)
    assert (await archive.ledger.get("/statistics"))["people"] == 2


async def test_who_leads_opens_a_persons_entry_and_the_opening_is_entered(archive: Archive) -> None:
    """With whom to call; the grid's worker sees name and phone in part, nobody else may."""
    answer = await archive.ledger.post("/people", world.MRS_LI)
    path = f"/people/{answer.json()['id']}"
    shown = await archive.ledger.get(path, who="coordinator")
    assert shown["details"]["contacts"][0]["relation"] == "daughter"
    for who in ("volunteer", "source"):
        assert (await archive.ledger.call("GET", path, who=who)).status_code == 403
    (entry,) = await archive.entered(1, type="PersonalDataOpened")
    data = entry["data"]
    assert (data["record"], data["reader"]) == (f"person:{answer.json()['id']}", world.ZHOU)


async def test_who_looked_at_somebody_and_what_for_is_listed_for_who_leads_there(archive: Archive) -> None:
    """By what was opened, by whom and when; who leads some grids sees what was opened there."""
    for building, grid in world.GRID_OF.items():
        await archive.ledger.post("/buildings", {"community": "tiebei", "building": building, "grid": grid})
    neighbour = {**world.MR_WANG, "address": {"building": "3"}}
    people = [(await archive.ledger.post("/people", one)).json()["id"] for one in (world.MRS_LI, neighbour)]
    for person_id in people:
        await archive.ledger.get(f"/people/{person_id}", who="operator")
        await archive.ledger.get(f"/people/{person_id}/emergency-card", who="coordinator")
    await archive.entered(4, type="PersonalDataOpened")

    async def found(who: str = "operator", **asked: Any) -> list[tuple[str, str, str]]:
        listed = [one for page in await archive.ledger.pages("/entries", who=who, limit=1, **asked) for one in page]
        return [(one["data"]["record"], one["actor"], one["data"]["purpose"]) for one in listed]

    li, wang = (f"person:{one}" for one in people)
    assert await found(record=li) == [(li, "demo-coordinator", "emergency"), (li, "demo-operator", "people")]
    mine = {"type": "PersonalDataOpened", "actor": "demo-operator"}
    assert await found(**mine) == [(wang, "demo-operator", "people"), (li, "demo-operator", "people")]
    noon = (utc_now() + timedelta(hours=1)).isoformat()
    assert (len(await found(until=noon, **mine)), await found(since=noon, **mine)) == (2, [])
    answer = await archive.ledger.call("GET", "/entries", params={"since": "now"})
    assert (answer.status_code, problems(answer)[0][0]) == (422, "since")

    chen = await world.leader_of(archive.ledger, "g1")
    assert {record for record, _, _ in await found(chen, type="PersonalDataOpened")} == {li}


async def test_people_are_counted_by_household_and_listed_by_place(archive: Archive) -> None:
    """The first line apart."""
    for building, grid in world.GRID_OF.items():
        await archive.ledger.post("/buildings", {"community": "tiebei", "building": building, "grid": grid})
    husband = {**world.MR_WANG, "source_id": "p-wang-2", "name": "王太太", "phone": None}
    elsewhere = {**world.MR_WANG, "source_id": "p-9", "address": {"building": "3"}, "name": "吴"}
    for person in (world.MRS_LI, world.MR_WANG, husband, elsewhere):
        assert (await archive.ledger.post("/people", person)).status_code == 202
    assert await _counts(archive, "operator") == await _counts(archive, "coordinator") == (4, 3, 3, 1)
    assert len(await archive.ledger.items("/people", who="coordinator")) == 4
    assert len(await archive.ledger.items("/people", who="grid_worker")) == 3
    assert [one["first_line"] for one in await archive.ledger.items("/people", first_line=True)] == [True]
    assert [len(page) for page in await archive.ledger.pages("/people", limit=3)] == [3, 1]
    # Whoever left, was erased or lives elsewhere is not counted.
    (li,) = await archive.ledger.items("/people", building="1")
    (gone,) = await archive.ledger.items("/people", building="3")
    await world.accepted(archive.ledger, f"/people/{li['id']}/move", {"command_id": "m", "here": False})
    await world.accepted(archive.ledger, f"/people/{gone['id']}/erase", {"command_id": "e", "reason": "asked for it"})
    await world.accepted(archive.ledger, "/buildings", {"community": "other", "building": "1", "grid": "g1"})
    await world.accepted(archive.ledger, "/people", {**world.MRS_LI, "source_id": "o", "community": "other"})
    assert await _counts(archive, "operator") == (3, 2, 4, 1)
    assert await _counts(archive, "coordinator") == (2, 1, 3, 0)


async def _counts(archive: Archive, who: str) -> tuple[int, ...]:
    found = await archive.ledger.get("/statistics", who=who)
    return tuple(found[name] for name in ("people", "households", "buildings", "first_line"))


async def test_a_registration_outside_ones_place_is_refused(archive: Archive) -> None:
    """403, and nothing is made."""
    answer = await archive.ledger.post("/people", {**world.MRS_LI, "community": "other"}, who="coordinator")
    assert (answer.status_code, problems(answer)) == (403, [("community", "forbidden")])
    assert await archive.ledger.stored("people") == []


# Access


def granted(token: str, **changes: Any) -> dict[str, Any]:
    """A volunteer's token."""
    return {
        "command_id": f"grant-{token}",
        "token_hash": fingerprint(token),
        "name": "wu",
        "role": "volunteer",
        "community": "tiebei",
        "worker": world.WU,
        **changes,
    }


async def test_a_granted_token_opens_every_service_until_it_is_revoked_for_ever(town: Town) -> None:
    """Late news of the grant does not bring it back."""
    async with town.up("ledger", "dispatch") as at, town.amqp("operator") as operator, town.ear() as events:
        assert (await at.dispatch.call("GET", "/tasks", who="ds_wu")).status_code == 401
        assert (await at.ledger.post("/access", granted("ds_wu"))).status_code == 202
        for service, path in ((at.dispatch, "/tasks"), (at.ledger, "/people")):
            await eventually(lambda service=service, path=path: opens(service, path, "ds_wu"))  # type: ignore[misc]
        assert (await at.dispatch.call("GET", "/reconciliation", who="ds_wu")).status_code == 403
        path = f"/access/{fingerprint('ds_wu')}/revoke"
        assert (await at.ledger.post(path, {"command_id": "r1"})).status_code == 202
        for service, path in ((at.dispatch, "/tasks"), (at.ledger, "/people")):
            await eventually(lambda service=service, path=path: shut(service, path, "ds_wu"))  # type: ignore[misc]
        (told,) = [one for one in events.heard if one.type == "doorstep.access.granted.v1"]
        await operator.tell(
            told.routing_key, told.body, exchange="doorstep.events", type=told.type, headers=dict(told.headers)
        )
        await at.ledger.post("/access", granted("ds_other"))
        await eventually(lambda: opens(at.dispatch, "/tasks", "ds_other"))
        assert await shut(at.dispatch, "/tasks", "ds_wu")


async def opens(service: Service, path: str, token: str) -> bool:
    return (await service.call("GET", path, who=token)).status_code == 200


async def shut(service: Service, path: str, token: str) -> bool:
    return (await service.call("GET", path, who=token)).status_code == 401


async def test_a_token_that_ran_out_does_not_count(archive: Archive) -> None:
    """By our clock."""
    past = (utc_now() - timedelta(seconds=1)).isoformat()
    await archive.ledger.post("/access", granted("ds_old", expires=past))
    await archive.ledger.post("/access", granted("ds_new"))
    await eventually(lambda: opens(archive.ledger, "/people", "ds_new"))
    assert await shut(archive.ledger, "/people", "ds_old")


async def test_only_an_operator_grants_and_only_what_was_granted_is_revoked(archive: Archive) -> None:
    """And the token itself is never told."""
    for who in ("coordinator", "grid_worker", "volunteer", "source"):
        assert (await archive.ledger.post("/access", granted("ds_x"), who=who)).status_code == 403
    unknown = await archive.ledger.post(f"/access/{'0' * 64}/revoke", {"command_id": "c1"})
    assert (unknown.status_code, problems(unknown)) == (404, [("token_hash", "unknown_token")])
    await archive.ledger.post("/access", granted("ds_secret"))
    await eventually(lambda: archive.events.bodies("doorstep.access.granted.v1"))
    assert "ds_secret" not in str([one.body for one in archive.events.heard])
