"""Every list is read through an index, in the order of the index: the database's own profile says so."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.dispatch.domain.looks import parts_of
from services.dispatch.photos import forget
from services.dispatch.store import Store
from services.intake.store import Store as IntakeStore
from services.ledger.app import furnished
from services.ledger.domain.follow_ups import FollowUp
from services.ledger.follow_ups import handlers as follow_ups
from services.ledger.imports.store import ImportStore
from services.ledger.people.store import among
from services.ledger.store import Store as LedgerStore
from shared.contracts.people import PersonErased
from tests import world
from tests.rounds import opened, record
from tests.running import Clock, Running, Service, Town, eventually

MANY = 600
"""Documents of each kind: enough that an index is worth it."""


@asynccontextmanager
async def profiled(town: Town, service: str) -> AsyncIterator[list[dict[str, Any]]]:
    """What the database says of each query in the block: collection, plan, whether it sorted in memory."""
    found: list[dict[str, Any]] = []
    with town.engines.mongo.client() as client:
        database = client[f"doorstep_{service}"]
        database.command("profile", 2)
        try:
            yield found
        finally:
            database.command("profile", 0)
            found += database["system.profile"].find(
                {"op": {"$in": ["query", "command", "remove"]}, "planSummary": {"$exists": 1}}
            )
            database.drop_collection("system.profile")


def wasteful(queries: list[dict[str, Any]], collection: str) -> list[str]:
    """Queries that read a whole collection, or sort more than a handful in memory."""
    return [
        f"{one['planSummary']} sorted={one.get('hasSortStage', False)}: {one['command'].get('filter', one['command'])}"
        for one in queries
        if one["ns"].endswith(f".{collection}")
        and ("COLLSCAN" in one["planSummary"] or (one.get("hasSortStage", False) and one["keysExamined"] > 10))
    ]


async def one_request(town: Town, at: Running) -> str:
    """One request that is offered, told and entered."""
    await world.settle(*at.services.values())
    answer = await at.intake.post("/requests", world.groceries("1"))
    request_id: str = answer.json()["request_id"]
    await eventually(lambda: at.ledger.items("/entries", request_id=request_id, type="DeliveryOffered"))
    await eventually(lambda: at.notification.items("/messages", unread=True))
    return request_id


async def both_pages(service: Service, path: str, who: str, **params: Any) -> None:
    """A first page and the one after it."""
    first = await service.get(path, who=who, limit=5, **params)
    if first["next"]:
        await service.get(path, who=who, limit=5, after=first["next"], **params)


@pytest.fixture
async def at(town: Town) -> AsyncIterator[Running]:
    """All four services on a clock that stands still, with many documents of each kind."""
    async with town.up("intake", "dispatch", "notification", "ledger", clock=Clock()) as running:
        request_id = await one_request(town, running)

        def place(state: dict[str, Any], number: int) -> None:
            state["community"] = ("tiebei", "other")[number % 7 == 0]
            state["grid"] = f"g{number % 6 + 1}"
            state["person"] = f"p{number % 100}"

        def task(copy: dict[str, Any], number: int) -> None:
            state = copy["state"]
            place(state["facts"], number)
            state.update(
                request_id=f"{request_id}-{number}",
                priority=number % 50,
                created_at=state["created_at"] + timedelta(seconds=number % 97),
                open=number % 3 == 0,
                state="offered" if number % 3 == 0 else "completed",
                due_at=state["due_at"] if number % 3 == 0 else None,
                worker=(world.ZHAO, world.QIAN, None)[number % 3],
            )

        def request(copy: dict[str, Any], number: int) -> None:
            place(copy["state"]["facts"], number)
            copy["state"]["created_at"] += timedelta(seconds=number % 97)
            if number % 20 == 0:
                copy["state"]["facts"]["needs_review"] = ["unknown_building"]

        def known(copy: dict[str, Any], number: int) -> None:
            copy.update(person=f"p{number}", lookups=[f"l{number}"])

        def resident(copy: dict[str, Any], number: int) -> None:
            place(copy["state"]["facts"], number)
            copy["state"]["facts"]["household"] = f"h{number // 3:04d}"

        def message(copy: dict[str, Any], number: int) -> None:
            place(copy["state"], number)
            copy["state"]["created_at"] += timedelta(seconds=number % 97)
            copy["state"]["unread"] = number % 9 == 0

        def worker(copy: dict[str, Any], number: int) -> None:
            copy["state"].update(
                worker_id=copy["_id"], community=f"c{number % 50}", role="volunteer", cap=3, away=number % 9 == 0
            )
            copy["state"]["away_until"] = copy["changed"] + timedelta(days=1) if number % 9 == 0 else None

        def duty(copy: dict[str, Any], number: int) -> None:
            state = copy["state"]
            begins = state["begins"] + timedelta(hours=number % 200 - 100)
            worker = f"w{number % 60}"
            state.update(
                duty_id=copy["_id"],
                community=("tiebei", "other")[number % 7 == 0],
                begins=begins,
                ends=begins + timedelta(hours=1),
                state=("open", "attested", "cancelled")[number % 3],
                booked=[worker],
                taken=[f"{worker}/{number}"],
                due_at=state["due_at"] if number % 9 == 0 else None,
            )

        begins = running.dispatch.runtime.clock() + timedelta(hours=1)
        posted = {"duty_id": "gate", "community": world.TIEBEI, "kind": "gate_duty", "place": "南门"}
        times = {"begins": begins.isoformat(), "ends": (begins + timedelta(hours=1)).isoformat()}
        await world.accepted(running.dispatch, "/duties", {**posted, **times})

        await multiply_one(running.dispatch, "tasks", task)
        await multiply_one(running.dispatch, "duties", duty)
        await multiply_one(running.dispatch, "workers", worker)
        await multiply_one(running.dispatch, "grids", lambda copy, number: copy["state"].update(until=None))
        await multiply_one(running.intake, "requests", request)
        await multiply_one(running.intake, "people", known)
        await multiply_one(running.notification, "messages", message)
        await multiply_one(running.ledger, "people", resident)
        await multiply_entries(running.ledger)
        yield running


async def multiply_one(service: Service, collection: str, change: Any) -> None:
    """Make many documents out of a real one."""
    sample, *_ = await service.stored(collection)
    copies = []
    for number in range(MANY):
        copy = deepcopy(sample)
        copy["_id"] = f"{sample['_id']}-{number:05d}"
        copy["unsent"] = []
        change(copy, number)
        copies.append(copy)
    await service.runtime.database.collection(collection).raw.insert_many(copies)


async def multiply_entries(ledger: Service) -> None:
    """Entries stand in a chain, so each copy has a place of its own; the hashes are not looked at here."""
    sample, *_ = await ledger.stored("entries")
    copies = []
    for number in range(MANY):
        copy = deepcopy(sample)
        copy.update(
            _id=f"copy-{number:05d}",
            sequence=10_000 + number,
            at=sample["at"] + timedelta(seconds=number % 97),
            type=("RequestCreated", "DeliveryOffered", "DeliveryCompleted")[number % 3],
            request_id=f"r{number % 100}",
        )
        copies.append(copy)
    await ledger.runtime.database.collection("entries").raw.insert_many(copies)


async def test_every_list_is_read_in_the_order_of_an_index(town: Town, at: Running) -> None:
    """All routes, all filters, first page and next: no whole collection, no sorting in memory."""
    found: list[str] = []
    async with profiled(town, "dispatch") as queries:
        for who in ("operator", "coordinator", "grid_worker", "volunteer"):
            for params in (
                {},
                {"open": True},
                {"open": False},
                {"community": "tiebei"},
                {"community": "tiebei", "grid": "g1"},
                {"community": "tiebei", "open": True},
                {"grid": "g1", "open": True},
                {"worker": world.ZHAO},
                {"worker": world.ZHAO, "open": True},
                {"state": "offered"},
                {"state": "offered", "community": "tiebei"},
                {"state": "completed", "worker": world.ZHAO},
                {"request_id": "r1"},
            ):
                await both_pages(at.dispatch, "/tasks", who, **params)
        await both_pages(at.dispatch, "/tasks", "volunteer", claimable=True)
        await both_pages(at.dispatch, "/tasks", "coordinator", check=True)
        for who in ("operator", "coordinator"):
            await both_pages(at.dispatch, "/workers", who)
        for who in ("operator", "coordinator", "volunteer"):
            await both_pages(at.dispatch, "/duties", who)
            await both_pages(at.dispatch, "/duties", who, over=True)
        await both_pages(at.dispatch, "/duties", "volunteer", mine=True)
        await at.dispatch.get(f"/workers/{world.ZHAO}/hours", who="grid_worker")
        for who in ("coordinator", "grid_worker"):
            await at.dispatch.get("/walks", who=who)
        assert await Store(at.dispatch.runtime).tasks.throw_away({"state.facts.person": "p7"})
        await both_pages(at.dispatch, "/reconciliation", "operator")
        await both_pages(at.dispatch, "/dead-letters", "operator")
    for collection in ("tasks", "workers", "duties", "dead_letters"):
        found += wasteful(queries, collection)
    assert [one for one in queries if one["ns"].endswith(".duties")]
    assert [one for one in queries if one["ns"].endswith(".tasks")]

    async with profiled(town, "intake") as queries:
        for who in ("operator", "coordinator", "grid_worker"):
            for params in (
                {},
                {"community": "tiebei"},
                {"community": "tiebei", "grid": "g1"},
                {"grid": "g1"},
                {"needs_review": True},
                {"needs_review": True, "community": "tiebei"},
            ):
                await both_pages(at.intake, "/requests", who, **params)
        assert await IntakeStore(at.intake.runtime).requests.throw_away({"state.facts.person": "p7"})
        await both_pages(at.intake, "/reconciliation", "operator")
        assert await IntakeStore(at.intake.runtime).person(["l7"])
        await IntakeStore(at.intake.runtime).forget_person(PersonErased(person_id="p7"), 2)
    assert [one for one in queries if one["ns"].endswith(".people")]
    found += wasteful(queries, "requests") + wasteful(queries, "people")

    async with profiled(town, "notification") as queries:
        for who in ("operator", "coordinator", "grid_worker"):
            for unread in (False, True):
                await both_pages(at.notification, "/messages", who, unread=unread)
    found += wasteful(queries, "messages")

    async with profiled(town, "ledger") as queries:
        for who in ("operator", "coordinator"):
            for params in (
                {},
                {"community": "tiebei"},
                {"type": "DeliveryOffered"},
                {"community": "tiebei", "type": "DeliveryOffered"},
                {"request_id": "r7"},
                {"request_id": "r7", "type": "DeliveryOffered"},
                {"actor": "zhou", "type": "DeliveryOffered", "since": "2020-01-01T00:00:00Z"},
                {"actor": "zhou", "type": "PersonalDataOpened"},
                {"record": "person:p7"},
                {"record": "person:p7", "actor": "zhou", "until": "2100-01-01T00:00:00Z"},
            ):
                await both_pages(at.ledger, "/entries", who, **params)
        for who in ("operator", "coordinator", "grid_worker"):
            for params in (
                {},
                {"community": "tiebei"},
                {"first_line": True},
                {"community": "tiebei", "first_line": True},
                {"building": "2"},
                {"category": "chronic_illness"},
                {"community": "tiebei", "category": "chronic_illness", "building": "2"},
                {"list": "found_by_community"},
            ):
                await both_pages(at.ledger, "/people", who, **params)
        for who in ("operator", "coordinator", "grid_worker"):
            await both_pages(at.ledger, "/buildings", who, community="tiebei")
            for params in ({}, {"building": "2"}, {"grid": "g1"}, {"building": "2", "grid": "g1"}):
                await both_pages(at.ledger, "/households", who, community="tiebei", **params)
        assert await LedgerStore(at.ledger.runtime).looking() is None
        for sought in ({"phone": "+86 100 0000 0003"}, {"id_number": "110101194105010017"}):
            await at.ledger.post("/people:find", {"community": "tiebei", **sought})
        register = LedgerStore(at.ledger.runtime).register
        assert await register.to_forget(at.ledger.runtime.clock(), 10) == []
        assert await register.not_in_first_line({"nobody"}, 10) == []
        assert await register.held("nobody") == []
        assert await register.counting(["nobody"]) == {}
        lists = ImportStore(at.ledger.runtime, LedgerStore(at.ledger.runtime))
        assert await lists.next_open() is None
        assert await LedgerStore(at.ledger.runtime).grids_of("tiebei") == world.GRID_OF
        assert await lists.holders(["nothing"]) == {}
        assert await lists.people(["nobody"]) == {}
        assert await register.of_other_grids("tiebei", "2", "g9", 10)
        for building in (None, "2"):
            query = among(community="tiebei", building=building)
            assert await register.count(query)
            assert [some async for some in register.walk(query)]
        counted = await at.ledger.get("/numbers", who="coordinator", since="2026-11-20", until="2026-11-24")
        assert counted["total"]["needs"] == 1
        for who in ("operator", "coordinator"):
            assert (await at.ledger.get("/statistics", who=who))["people"]
        report = await at.ledger.call("GET", "/day-reports/2026-11-24.xlsx", who="coordinator")
        assert report.status_code == 200
        await both_pages(at.ledger, "/reconciliation", "operator")
        await at.ledger.get("/chain")
        await LedgerStore(at.ledger.runtime).heads.go_on()
        for name in ("people", "buildings"):
            await both_pages(at.ledger, f"/registers/{name}/rebuilt", "operator")
        await at.ledger.get("/registers")
        assert (await at.ledger.post("/entries:name")).json()["named"] == 0
    ends = [one for one in queries if "'_id': '$community'" in str(one["command"].get("pipeline"))]
    assert max(one["docsExamined"] for one in ends) < 10, "each chain's last entry alone is read"
    found += wasteful(queries, "entries") + wasteful(queries, "people") + wasteful(queries, "aliases")
    found += (
        wasteful(queries, "buildings")
        + wasteful(queries, "imports")
        + wasteful(queries, "person_keys")
        + wasteful(queries, "days")
    )
    assert not found, "\n".join(found)


async def test_who_can_be_asked_is_found_through_an_index(town: Town, at: Running) -> None:
    """Those of one community, the places under their caps, and whose absence is over."""
    async with profiled(town, "dispatch") as queries:
        answer = await at.intake.post("/requests", world.groceries("2"))
        request_id = answer.json()["request_id"]
        await eventually(lambda: at.dispatch.items("/tasks", request_id=request_id))
        store = Store(at.dispatch.runtime)
        helpers = [store.workers.state(one) for one in await store.page_of_workers("c1", 10, None)]
        assert await store.free_slots(helpers)
        now = at.dispatch.runtime.clock()
        assert await store.returning(now, 10) == []
        assert await store.to_hand_back(now, 10) == []
        assert await store.to_choose(10) == []
        assert await store.unwanted(["household-2-1-502"]) == {}
        work = await store.work_of([world.ZHAO, world.QIAN], now - timedelta(days=7))
        assert work[world.ZHAO].load > 0
    found = [one for collection in ("tasks", "workers", "grids", "doors") for one in wasteful(queries, collection)]
    assert not found, "\n".join(found)
    asked = [one for one in queries if one["ns"].endswith(".workers")]
    assert asked
    assert max(one["docsExamined"] for one in asked) <= MANY // 50 + 10


async def test_who_is_on_duty_and_which_duty_is_over_is_found_through_an_index(town: Town, at: Running) -> None:
    """And which duty is in the way of another, and what somebody did."""
    store = Store(at.dispatch.runtime)
    now = at.dispatch.runtime.clock()
    gate = await store.duties.all.get("gate")
    assert gate is not None
    async with profiled(town, "dispatch") as queries:
        assert await store.duties.on_duty(["tiebei"], now)
        assert await store.duties.in_the_way("w1", gate) is None
        assert await store.duties.due(now, 10) == []
        assert await store.duties.attested("w1", now - timedelta(days=30), now + timedelta(days=30))
        assert await store.duties.page(now, worker="w3", limit=10)
        assert await store.done_by_kind(world.QIAN, now - timedelta(days=30), now + timedelta(days=30))
    found = wasteful(queries, "duties") + wasteful(queries, "tasks")
    assert not found, "\n".join(found)
    asked = [one for one in queries if one["ns"].endswith(".duties")]
    assert len(asked) >= 5
    assert max(one["docsExamined"] for one in asked) <= MANY // 60 + 10


async def test_proof_warnings_and_closed_buildings_are_found_through_an_index(town: Town, at: Running) -> None:
    """Photos that look alike, those whose time is over, who will be late, what is open in one building."""
    now = at.dispatch.runtime.clock()
    photos = at.dispatch.runtime.database.collection("photos").raw
    await photos.insert_many([{"_id": f"p{number}", "at": now + timedelta(days=number + 1)} for number in range(100)])
    async with profiled(town, "dispatch") as queries:
        store = Store(at.dispatch.runtime)
        assert await store.to_warn(now, 10) == []
        assert await store.pictured(parts_of("0f" * 8)) == []
        assert await store.behind("tiebei", "99") == []
        assert await forget(store, now) == 0
    found = [one for collection in ("tasks", "photos") for one in wasteful(queries, collection)]
    assert not found, "\n".join(found)
    assert {one["ns"].rpartition(".")[2] for one in queries} >= {"tasks", "photos"}


async def test_rounds_and_follow_ups_are_read_through_an_index(town: Town, at: Running) -> None:
    """Lists, who is missing, on which sheet somebody stands, what is due, whom a list means."""
    ledger, now = at.ledger, at.ledger.runtime.clock()
    closes = (now + timedelta(hours=4)).isoformat()
    told = {"round_id": "round", "community": world.TIEBEI, "kind": "testing", "title": "核酸", "closes": closes}
    teams = [{"name": "A", "buildings": ["2", "3"]}]
    person = (await ledger.items("/people", community=world.TIEBEI))[0]["id"]
    plan = {"plan_id": "p", "kind": "care_call", "begins": "2026-11-24T10:30"}
    await ledger.post(f"/people/{person}/plans", plan)
    everybody = {"community": world.TIEBEI, "everybody": {"building": "2"}}
    times = {"kind": "care_call", "begins": "2026-11-24T23:30"}
    await world.accepted(ledger, "/programmes", {"programme_id": "p", **everybody, **times})
    async with profiled(town, "ledger") as queries:
        await world.accepted(ledger, "/rounds", {**told, "teams": teams})
        await eventually(lambda: ledger.stored("rounds", {"_id": "round", "state.state": "open"}))
    found = [one for name in ("people", "sheets", "rounds", "tallies") for one in wasteful(queries, name)]
    await multiply_one(ledger, "rounds", lambda copy, number: copy["state"].update(due_at=None))
    await multiply_one(ledger, "sheets", sheet)
    await multiply_one(ledger, "plans", lambda copy, number: None)
    await multiply_one(ledger, "programmes", lambda copy, number: None)
    await follow_ups.begin(furnished(ledger.runtime), call(person, now))
    await multiply_one(ledger, "follow_ups", call_of_before)
    store = LedgerStore(ledger.runtime)
    standing = await ledger.stored("sheets", {"state.round_id": "round", "state.building": "3"})
    # As the version before kept it, so that the whole building is read.
    older = {"$unset": {"sheets": 1}, "$inc": {"v": 1}}
    await ledger.runtime.database.collection("tallies").raw.update_one({"_id": "round/3"}, older)
    async with profiled(town, "ledger") as queries:
        for who in ("operator", "coordinator"):
            await both_pages(ledger, "/rounds", who)
            await both_pages(ledger, "/rounds/round/missing", who)
            await both_pages(ledger, "/rounds/round/missing", who, building="3")
            await both_pages(ledger, "/rounds/round/missing", who, team="A")
            await both_pages(ledger, "/rounds/round/members", who)
            await both_pages(ledger, "/rounds/round/members", who, state="refused")
            await ledger.get("/rounds/round/numbers", who=who)
            await both_pages(ledger, "/rounds/round/strangers", who)
        await both_pages(ledger, "/rounds/round/missing", "grid_worker")
        assert await store.rounds.due(now, 10) == []
        assert await store.rounds.not_applied(now, 10) == []
        assert await store.rounds.sheets_of("round", [person])
        assert await store.rounds.of_members(world.TIEBEI, [person])
        assert await store.register.about([person])
        await store.rounds.cards.hand_out("round", "K-1", person, "list")
        assert (await store.rounds.cards.holder("round", "K-1") or {})["person_id"] == person
        assert await store.rounds.sheets_after("round", "", 10)
        await store.rounds.tallies.add_up([store.rounds.sheets.state(one) for one in standing])
        assert await store.rounds.unsettled_with(world.TIEBEI, (person, "nobody"))
        assert await store.found_by("nobody") == []
        assert await store.due_plans(now, 10) == []
        assert await store.programmes.due(now, 10) == []
        await both_pages(ledger, "/programmes", "coordinator")
        assert await store.register.after(among(community="tiebei", building="2"), "", 10)
        assert await store.due_follow_ups(now, 10) == []
        assert len(await store.due_of([person])) == 1
        for who in ("operator", "coordinator", "grid_worker"):
            await both_pages(ledger, "/follow-ups", who, state="missed")
            await both_pages(ledger, "/follow-ups", who, since="2026-11-24", until="2026-11-24")
        await both_pages(ledger, "/follow-ups", "coordinator", person_id=person)
        await both_pages(ledger, f"/people/{person}/plans", "coordinator")
    names = (
        "people",
        "sheets",
        "rounds",
        "reports",
        "tallies",
        "strangers",
        "plans",
        "programmes",
        "follow_ups",
        "cards",
    )
    found += [one for name in names for one in wasteful(queries, name)]
    of_grid = [one for one in queries if "state.grid" in one["command"].get("filter", {})]
    others = [one for one in of_grid if one["ns"].endswith(".follow_ups") and one["docsExamined"] > one["nreturned"]]
    found += [f"reads those of other grids: {one['planSummary']}" for one in others]
    assert not found, "\n".join(found)
    assert {one["ns"].rpartition(".")[2] for one in queries} >= {"sheets", "rounds", "reports", "tallies"}


def call(person: str, at: datetime) -> FollowUp:
    place = {"community": world.TIEBEI, "grid": "g1", "building": "1"}
    return FollowUp(follow_up_id="f", plan_id="p", person_id=person, kind="care_call", at=at, **place)


def call_of_before(copy: dict[str, Any], number: int) -> None:
    """Of another, on a day of the last weeks."""
    state = copy["state"]
    state.update(
        person_id=f"p{number % 100}",
        community=(world.TIEBEI, "other")[number % 7 == 0],
        grid=f"g{number % 6 + 1}",
        at=state["at"] - timedelta(days=number % 30),
        due_at=None,
        state=("reached", "missed", "due")[number % 3],
    )


def sheet(copy: dict[str, Any], number: int) -> None:
    """Of another round, and with another's name on it."""
    state = copy["state"]
    state.update(round_id=f"round-{number % 9}", order=f"{number:06d}")
    for one in state["members"]:
        one["member_id"] = f"{one['member_id']}-{number}"


async def test_rounds_are_made_again_of_their_entries_through_an_index(town: Town, at: Running) -> None:
    """Rosters, lists and strangers of one round are found among those of many."""
    ledger, now = at.ledger, at.ledger.runtime.clock()
    await opened(ledger, "round", closes=(now + timedelta(hours=4)).isoformat())
    (member, *_) = await ledger.items("/rounds/round/members")
    stranger = {"name": "路人", "address": {"building": "9", "unit": "1", "room": "1"}}
    await record(ledger, {"member_id": member["member_id"], "card": "K-1"}, stranger, round_id="round")
    for event in ("StrangerRecorded", "RoundRecorded"):
        await eventually(lambda event=event: ledger.items("/entries", type=event))  # type: ignore[misc]
    kept = ("rounds", "rosters", "reports", "strangers", "sheets")
    for name in kept:
        await multiply_one(ledger, name, sheet if name == "sheets" else of_another_round)
    store = LedgerStore(ledger.runtime)
    async with profiled(town, "ledger") as queries:
        for name in kept:
            await both_pages(ledger, f"/registers/{name}/rebuilt", "operator")
        assert await store.rounds.frozen_after("round", "")
        assert [one async for one in store.rounds.histories("round", ["2", "3"])]
    found = [one for name in (*kept, "entries", "cards") for one in wasteful(queries, name)]
    assert not found, "\n".join(found)
    assert {one["ns"].rpartition(".")[2] for one in queries} >= {*kept, "entries", "cards"}


def of_another_round(copy: dict[str, Any], number: int) -> None:
    """A document of one of nine rounds."""
    if "round_id" in copy["state"]:
        copy["state"].update(round_id=f"round-{number % 9}")


async def test_what_is_due_and_what_is_unsent_is_found_through_an_index(town: Town, at: Running) -> None:
    """Two questions that are asked all day long."""
    async with profiled(town, "dispatch") as queries:
        assert (await at.dispatch.get("/status"))["timers_due"] == 0
        await at.dispatch.runtime.outbox.sweep()
    asked = {str(one["command"]): one["planSummary"] for one in queries if one["ns"].endswith(".tasks")}
    for field in ("state.due_at", "unsent.at"):
        plans = [plan for command, plan in asked.items() if field in command]
        assert plans
        assert not [plan for plan in plans if "COLLSCAN" in plan]


async def test_whoever_scrapes_reads_no_whole_collection(town: Town, at: Running) -> None:
    """The oldest of hundreds of unsent events is found at once; what is done is not read to count what is open."""
    raised = at.dispatch.runtime.clock() - timedelta(seconds=3)
    tasks = at.dispatch.runtime.database.collection("tasks").raw
    await tasks.update_many({"state.open": True}, {"$set": {"unsent": [{"n": 1, "at": raised}]}})
    async with profiled(town, "dispatch") as queries:
        text = (await at.dispatch.call("GET", "/metrics", who=None)).text
    assert f'doorstep_tasks_open{{state="offered",urgency="normal"}} {MANY // 3 + 1}.0' in text
    assert f"doorstep_unsent_documents {MANY // 3 + 1}.0" in text
    assert "doorstep_unsent_oldest_seconds 3.0" in text
    found = wasteful(queries, "tasks") + wasteful(queries, "dead_letters")
    assert not found, "\n".join(found)
    examined = [one.get("docsExamined", 0) for one in queries if one["ns"].endswith(".tasks")]
    assert max(examined) <= MANY // 3 + 1
    assert [one for one in queries if one["ns"].endswith(".dead_letters")]
