"""Cases, agreements, gate checks and observations are read through an index, in the order of the index."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.ledger.store import Store
from tests import world
from tests.component.test_queries import MANY, both_pages, multiply_one, profiled, wasteful
from tests.running import Clock, Service, Town, eventually

CASE = {"case_id": "c", "community": world.TIEBEI, "kind": "medical", "title": "复查", "owner": world.ZHAO}
TERMS = [{"place": "南门", "times": ["07:00"]}]


@pytest.fixture
async def ledger(town: Town) -> AsyncIterator[Service]:
    """The ledger with many documents of each kind."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at:
        step = {"command_id": "s", "step_id": "s1", "text": "复查"}
        agreement = {"agreement_id": "a", "partner": "x", "terms": TERMS, "begins": "2026-11-24"}
        check = {"check_id": "k", "community": world.TIEBEI, "gate": "南门", "at": clock().isoformat()}
        await Store(at.ledger.runtime).cases.note_worker(world.ZHAO, None, (), 1)
        topic = {"topic_id": "t", "title": "x", "owner": world.ZHAO}
        await world.accepted(at.ledger, "/cases", CASE)
        assert (await at.ledger.post("/cases/c/step", step)).status_code == 200
        await world.accepted(at.ledger, "/cases/c/agreements", agreement)
        await world.accepted(at.ledger, "/gate-checks", {**check, "pass_shown": True})
        await multiply_one(at.ledger, "cases", case)
        await world.accepted(at.ledger, "/councils", {"council_id": "w1", "community": world.TIEBEI, "topics": [topic]})
        await multiply_one(
            at.ledger, "agreements", lambda copy, number: copy["state"].update(case_id=f"c{number % 50}")
        )
        await multiply_one(at.ledger, "gate_checks", gate_check)
        told = {"observation_id": "o", "listing": "assigned_by_city", "category": "other", "starts": "2026-11-24"}
        person = (await at.ledger.post("/people", world.MR_WANG)).json()["id"]
        await world.accepted(at.ledger, f"/people/{person}/observation", {**told, "owner": world.ZHAO})
        await multiply_one(at.ledger, "observations", observation)
        await world.accepted(at.ledger, "/buildings", {"community": world.TIEBEI, "building": "7", "grid": "g1"})
        here = {"presence_id": "h", "community": world.TIEBEI, "building": "7", "name": "x"}
        await world.accepted(at.ledger, "/presences", here)
        await world.accepted(at.ledger, "/needs", {"need_id": "n", "kind": "groceries", "presence_id": "h"})
        for name in ("presences", "needs", "people"):
            await multiply_one(at.ledger, name, inside)
        owed = {"owing_id": "w", "community": world.TIEBEI, "partner": "property", "places": ["gate"]}
        times = {"reminded": "18:00", "named": "21:00", "begins": "2026-11-24"}
        await world.accepted(at.ledger, "/evidence/owed", {**owed, **times})
        await eventually(lambda: at.ledger.stored("evidence_days"))
        await multiply_one(at.ledger, "owing", lambda copy, number: copy["state"].update(next_at=None))
        await multiply_one(at.ledger, "evidence_days", evidence_day)
        posting = {"posting_id": "p", "matter_id": "m", "what": "receipt", "amount": 100, "worker": world.ZHAO}
        await world.accepted(at.ledger, "/money", {"community": world.TIEBEI, **posting})
        await multiply_one(at.ledger, "money", matter)
        lift = {"facility_id": "l", "community": world.TIEBEI, "kind": "lift", "name": "x", "building": "7"}
        await world.accepted(at.ledger, "/facilities", lift)
        await multiply_one(at.ledger, "facilities", facility)
        yield at.ledger


def place(state: dict[str, Any], number: int) -> None:
    state.update(community=("tiebei", "other")[number % 7 == 0], grid=f"g{number % 6 + 1}")


def case(copy: dict[str, Any], number: int) -> None:
    state = copy["state"]
    place(state, number)
    state.update(
        opened_at=state["opened_at"] + timedelta(seconds=number % 97),
        state=("open", "closed")[number % 3 == 0],
        owner=(world.ZHAO, world.SUN, world.QIAN)[number % 3],
        kind=("medical", "complaint")[number % 2],
        building=f"{number % 40}",
        person_id=f"p{number % 50}" if number % 2 else None,
        parties=["property"] if number % 5 == 0 else [],
        due_at=state["due_at"] if number % 9 == 0 else None,
    )


def gate_check(copy: dict[str, Any], number: int) -> None:
    state = copy["state"]
    place(state, number)
    state.update(
        at=state["at"] + timedelta(seconds=number % 97),
        agreement_id=f"a{number % 20}" if number % 2 else None,
        case_id=f"c{number % 20}",
    )


def observation(copy: dict[str, Any], number: int) -> None:
    state, observed = copy["state"], number % 5 == 0
    place(state, number)
    state.update(
        observation_id=copy["_id"],
        person_id=f"p{number}",
        under=f"p{number}" if observed else None,
        state="observed" if observed else "released",
        starts=f"2026-11-{number % 28 + 1:02d}",
        building=f"{number % 40}",
        due_at=state["due_at"] if observed else None,
        entries=[{**state["entries"][0], "observation_id": copy["_id"]}],
    )


def inside(copy: dict[str, Any], number: int) -> None:
    facts = next((copy["state"][name] for name in ("told", "facts") if name in copy["state"]), copy["state"])
    facts["building"] = f"{number % 40}"
    if "here" in facts:
        facts["here"] = number % 3 > 0
        facts["lookups"] = [f"mark-{number % 40}"]


def evidence_day(copy: dict[str, Any], number: int) -> None:
    copy["state"].update(
        community=("tiebei", "other")[number % 7 == 0],
        partner=f"property-{number % 20}",
        owing_id=f"o{number % 20}",
        day=f"2026-10-{number % 28 + 1:02d}",
        due_at=copy["state"]["due_at"] if number % 9 == 0 else None,
    )


def matter(copy: dict[str, Any], number: int) -> None:
    state = copy["state"]
    place(state, number)
    state.update(
        matter_id=copy["_id"],
        person_id=f"p{number % 50}",
        is_open=number % 5 == 0,
        changed_at=state["changed_at"] + timedelta(seconds=number % 97),
    )
    for line in state["postings"][0]["lines"]:
        line["worker"] = f"w{number % 20}" if line["worker"] else None


def facility(copy: dict[str, Any], number: int) -> None:
    copy["state"].update(
        community=("tiebei", "other")[number % 7 == 0],
        kind=("lift", "gate", "meter")[number % 3],
        building=f"{number % 40}",
    )


async def test_cases_and_checks_are_read_in_the_order_of_an_index(town: Town, ledger: Service) -> None:
    """All filters, first page and next."""
    async with profiled(town, "ledger") as queries:
        for who in ("operator", "coordinator", "grid_worker", "volunteer"):
            for params in (
                {},
                {"open": True},
                {"open": False},
                {"owner": world.ZHAO},
                {"owner": world.ZHAO, "open": True},
                {"kind": "medical"},
                {"kind": "medical", "open": True},
                {"person_id": "p7"},
                {"building": "7", "open": True},
            ):
                await both_pages(ledger, "/cases", who, **params)
            for params in ({}, {"agreement_id": "a7"}, {"case_id": "c7"}):
                await both_pages(ledger, "/gate-checks", who, **params)
    found = [one for name in ("cases", "gate_checks") for one in wasteful(queries, name)]
    assert not found, "\n".join(found)
    assert {one["ns"].rpartition(".")[2] for one in queries} >= {"cases", "gate_checks"}


async def test_what_is_late_and_what_belongs_to_a_case_is_found_through_an_index(town: Town, ledger: Service) -> None:
    """And the case of a topic, a party's cases, who coordinates."""
    store = Store(ledger.runtime).cases
    now = ledger.runtime.clock()
    async with profiled(town, "ledger") as queries:
        assert await store.due(now, 10) == []
        assert await store.due(now + timedelta(days=9), 10)
        assert await store.of_topic("wecom/none") is None
        assert await store.agreements_of("c7")
        for community in (None, "tiebei"):
            assert await store.in_force(community, "2026-11-25", 5, "")
        assert (await store.counts(["a7", "a9"]))["a7"]["checks"]
        for name in ("property", world.SUN):
            first = await store.page(community="tiebei", grids=(), limit=5, after=None, party=name)
            last = first[-1]["state"]["opened_at"], first[-1]["_id"]
            assert await store.page(community="tiebei", grids=(), limit=5, after=last, party=name, state="open")
        assert len(await store.of_source("council", "tiebei/w1/")) == 1
        assert await store.known_workers([world.ZHAO, "nobody"]) == {world.ZHAO}
        assert await store.coordinator("tiebei", "g1") is None
    found = [one for name in ("cases", "agreements", "gate_checks", "coordinators") for one in wasteful(queries, name)]
    assert not found, "\n".join(found)
    assert max(one["docsExamined"] for one in queries if one["ns"].endswith(".gate_checks")) <= 100


async def test_who_is_observed_is_found_through_an_index(town: Town, ledger: Service) -> None:
    """By place, building and person, by what was told, by the last day; and counted without the others."""
    store = Store(ledger.runtime).observations
    now = ledger.runtime.clock()
    async with profiled(town, "ledger") as queries:
        for who in ("operator", "coordinator", "grid_worker"):
            for params in ({}, {"state": "released"}, {"building": "7"}, {"person_id": "p7"}):
                await both_pages(ledger, "/observation", who, **params)
            assert (await ledger.get("/observation/counts", who=who))["people"]
        assert await store.told("o-00007")
        assert await store.of_person(["p10"])
        assert await store.due(now, 10) == []
        assert await store.due(now + timedelta(days=9), 10)
    found = wasteful(queries, "observations")
    assert not found, "\n".join(found)
    asked = [one for one in queries if one["ns"].endswith(".observations")]
    for one in asked:
        assert one.get("docsExamined", 0) <= MANY // 5 + 2, (one["planSummary"], one["command"])


async def test_who_is_inside_a_building_is_found_through_an_index(town: Town, ledger: Service) -> None:
    """Those who live there, those who are there, and what they need; nobody of another building is looked at."""
    async with profiled(town, "ledger") as queries:
        found = await ledger.get("/buildings/tiebei/7/inside", who="grid_worker")
        assert len(await Store(ledger.runtime).presences.found_by(["mark-7"])) >= 5
    assert min(found["residents"]["count"], found["present"]["count"], len(found["needs"])) >= 5
    names = ("people", "presences", "needs")
    wasted = [one for name in names for one in wasteful(queries, name)]
    assert not wasted, "\n".join(wasted)
    asked = [one for one in queries if one["ns"].endswith(names)]
    assert len(asked) >= 3
    assert max(one.get("docsExamined", 0) for one in asked) <= MANY // 40 + 2


async def test_what_is_owed_is_found_through_an_index(town: Town, ledger: Service) -> None:
    """By day, by partner, by what is owed; what begins, what is to be named, the pictures of the days before."""
    store = Store(ledger.runtime).evidence
    now = ledger.runtime.clock()
    async with profiled(town, "ledger") as queries:
        for who in ("operator", "coordinator", "volunteer"):
            for params in ({}, {"day": "2026-10-07"}, {"partner": "property-3"}, {"owing_id": "o3"}):
                await both_pages(ledger, "/evidence", who, **params)
        assert await store.about("tiebei", "2026-11-01")
        assert await store.due(now, 10) == []
        assert await store.due(now + timedelta(days=9), 10)
        assert await store.beginning(now, 10) == []
    found = [one for name in ("owing", "evidence_days") for one in wasteful(queries, name)]
    assert not found, "\n".join(found)
    assert {one["ns"].rpartition(".")[2] for one in queries} >= {"owing", "evidence_days"}


async def test_who_owes_whom_is_found_through_an_index(town: Town, ledger: Service) -> None:
    """By worker, by resident, what is open; what is settled is not read to add up what is owed."""
    async with profiled(town, "ledger") as queries:
        for who in ("operator", "coordinator", "grid_worker"):
            for params in ({}, {"open": True}, {"open": False}, {"worker": "w3"}, {"person": "p7"}):
                await both_pages(ledger, "/money", who, **params)
            for params in ({}, {"worker": "w5"}, {"person": "p5"}):
                assert (await ledger.get("/money/balances", who=who, **params))["total"] == 0
    found = wasteful(queries, "money")
    assert not found, "\n".join(found)
    owed = [one for one in queries if one["ns"].endswith(".money") and "sort" not in one["command"]]
    assert owed
    assert max(one.get("docsExamined", 0) for one in owed) <= MANY // 5 + 2


async def test_what_stands_in_a_community_is_found_through_an_index(town: Town, ledger: Service) -> None:
    """By kind and by building; of a building, nothing of the others is looked at."""
    async with profiled(town, "ledger") as queries:
        for who in ("operator", "volunteer"):
            for params in ({}, {"kind": "lift"}, {"kind": "lift", "building": "7"}, {"building": "7"}):
                await both_pages(ledger, "/facilities", who, **params)
        assert await ledger.items("/facilities", who="volunteer", building="7")
    found = wasteful(queries, "facilities")
    assert not found, "\n".join(found)
    within = [one for one in queries if one["ns"].endswith(".facilities") and "state.community" in str(one["command"])]
    assert within
    assert max(one.get("docsExamined", 0) for one in within if "state.building" in str(one["command"])) <= MANY // 20
