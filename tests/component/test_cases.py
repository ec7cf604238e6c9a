"""Cases on a real broker and database: who may see and do what, and what happens once however often it is said."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.ledger.store import Store
from shared.access import fingerprint
from shared.contracts.gates import GateChecked
from shared.contracts.workers import WorkerRegistered
from shared.identity import derived_id, new_id
from tests import world
from tests.running import Amqp, Clock, Ear, Service, Town, eventually, problems

LI = derived_id("person", world.MRS_LI["source"], world.MRS_LI["source_id"])
PROPERTY = "ds_property"
DEVELOPER = "ds_developer"
CASE = {
    "case_id": "roof",
    "community": world.TIEBEI,
    "building": "3",
    "kind": "repair_dispute",
    "title": "顶层漏水三年",
    "text": "王先生家",
    "owner": world.SUN,
    "parties": ["property"],
}


@dataclass(frozen=True, slots=True)
class Desk:
    """The ledger, on a clock that stands still."""

    ledger: Service
    operator: Amqp
    events: Ear
    clock: Clock

    async def act(self, verb: str, token: str, **more: Any) -> Any:
        """Somebody does something with the case."""
        return await self.ledger.post(f"/cases/roof/{verb}", {"command_id": new_id(), **more}, who=token)

    def raised(self, event: str) -> list[dict[str, Any]]:
        """What was told of it."""
        return self.events.bodies(f"doorstep.case.{event}.v1")


@pytest.fixture
async def desk(town: Town) -> AsyncIterator[Desk]:
    """Building 3 is in grid g2; a property company and a developer have tokens."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at, town.amqp("operator") as operator, town.ear() as events:
        await world.settle(at.ledger)
        for token, name in ((PROPERTY, "property"), (DEVELOPER, "developer")):
            granted = {"token_hash": fingerprint(token), "name": name, "worker": name, "role": "partner"}
            body = {"command_id": f"grant-{name}", "community": world.TIEBEI, **granted}
            await world.accepted(at.ledger, "/access", body)
        await eventually(lambda: known(at.ledger, DEVELOPER))
        await eventually(lambda: known(at.ledger, PROPERTY))
        for worker, role in ((world.SUN, "volunteer"), (world.ZHAO, "grid_worker")):
            told = WorkerRegistered(community=world.TIEBEI, worker_id=worker, role=role, sealed="k1.AAAA")
            await operator.happen(told)
        await eventually(lambda: at.ledger.stored("coordinators", {"_id": world.ZHAO}))
        await eventually(lambda: at.ledger.stored("coordinators", {"_id": world.SUN}))
        yield Desk(at.ledger, operator, events, clock)


async def known(ledger: Service, token: str) -> bool:
    return (await ledger.call("GET", "/cases", who=token)).status_code == 200


async def test_of_twenty_who_open_one_topic_one_does(desk: Desk) -> None:
    """Each under an id of his own; all are told the one that counts. It is the same when it comes a month later."""
    bodies = [{**CASE, "case_id": f"roof-{n}", "source": "wecom", "source_id": "t1"} for n in range(20)]
    answers = await asyncio.gather(*(desk.operator.ask("case.open", body) for body in bodies))
    assert Counter(one["status"] for one in answers) == {"accepted": 1, "duplicate": 19}
    (one,) = {one["case_id"] for one in answers}
    desk.clock.forward(days=30)
    late = await desk.operator.ask("case.open", bodies[3])
    assert (late["status"], late["case_id"]) == ("duplicate", one)
    (told,) = await eventually(lambda: desk.raised("opened"))
    assert (told["grid"], told["worker"], told["asked"]) == ("g2", world.SUN, ["property"])
    assert "漏水" not in str([message.body.decode() for message in desk.events.heard])
    assert "漏水" not in str(await desk.ledger.stored("cases"))


async def test_who_may_see_what_of_a_case(desk: Desk) -> None:
    """Owner and coordinator all; a party its own step; who does not take part, nothing, not even that there is one."""
    await world.accepted(desk.ledger, "/cases", CASE)
    for step, who in (("look", "property"), ("visit", world.SUN)):
        answer = await desk.act("step", "volunteer", step_id=step, who=who, text=f"{who}上门查看")
        assert answer.status_code == 200, answer.text
    for who in ("coordinator", "volunteer"):
        shown = await desk.ledger.get("/cases/roof", who=who)
        assert (shown["details"]["title"], len([one for one in shown["steps"] if "text" in one])) == ("顶层漏水三年", 2)
    theirs = await desk.ledger.get("/cases/roof", who=PROPERTY)
    assert "details" not in theirs
    assert {one["step_id"]: "text" in one for one in theirs["steps"]} == {"look": True, "visit": False}
    for who in (DEVELOPER, "grid_worker"):
        answer = await desk.ledger.call("GET", "/cases/roof", who=who)
        assert (answer.status_code, problems(answer)) == (404, [("case_id", "unknown_case")]), who
    seen = {
        who: len(await desk.ledger.items("/cases", who=who))
        for who in ("coordinator", "volunteer", PROPERTY, DEVELOPER, "grid_worker")
    }
    assert seen == {"coordinator": 1, "volunteer": 1, PROPERTY: 1, DEVELOPER: 0, "grid_worker": 0}
    await eventually(lambda: len(desk.events.bodies("doorstep.personal-data.opened.v1")) == 3)
    readers = {one["reader"] for one in desk.events.bodies("doorstep.personal-data.opened.v1")}
    assert readers == {world.ZHOU, world.SUN, "property"}


async def test_who_may_do_what_with_a_case(desk: Desk) -> None:
    """A party says when its own step is done, and nothing else; nobody acts in another's name."""
    await world.accepted(desk.ledger, "/cases", CASE)
    for step, who in (("look", "property"), ("visit", world.SUN)):
        await desk.act("step", "volunteer", step_id=step, who=who, text="上门查看")
    refused = [
        await desk.act("done", PROPERTY, step_id="visit"),
        await desk.act("answer", PROPERTY, text="好了"),
        await desk.act("close", PROPERTY, outcome="好了"),
        await desk.act("assign", PROPERTY, owner="property"),
    ]
    assert {(one.status_code, one.json()["code"]) for one in refused} == {(403, "forbidden")}
    assert (await desk.act("done", DEVELOPER, step_id="look")).status_code == 404
    forged = await desk.act("done", PROPERTY, step_id="look", worker=world.SUN)
    assert (forged.status_code, problems(forged)) == (422, [("worker", "not_allowed")])
    assert (await desk.act("done", PROPERTY, step_id="look")).json()["status"] == "accepted"
    assert (await desk.act("assign", "volunteer", owner=world.ZHAO)).status_code == 200
    assert (await desk.act("answer", "volunteer", text="不再是我的")).status_code == 404
    assert (await desk.act("answer", "grid_worker", text="已修好")).status_code == 200
    elsewhere = {**CASE, "case_id": "other", "community": "other"}
    assert (await desk.ledger.post("/cases", elsewhere, who="coordinator")).status_code == 403


async def test_a_command_said_twice_is_done_once_over_both_ways(desk: Desk) -> None:
    """An answer is not given twice because it was sent twice."""
    await world.accepted(desk.ledger, "/cases", CASE)
    body = {"command_id": "a1", "case_id": "roof", "worker": world.SUN, "text": "已约维修"}
    answers = [await desk.operator.ask("case.answer", body) for _ in range(3)]
    over_http = await desk.ledger.post("/cases/roof/answer", {"command_id": "a1", "text": "已约维修"}, who="volunteer")
    statuses = [*(one["status"] for one in answers), over_http.json()["status"]]
    assert statuses == ["accepted", "duplicate", "duplicate", "duplicate"]
    assert len((await desk.ledger.get("/cases/roof"))["said"]) == 1


async def test_late_steps_of_many_cases_are_told_once_each_by_two_replicas(town: Town, desk: Desk) -> None:
    """Time is data: whichever replica looks first."""
    async with town.up("ledger", clock=desk.clock):
        for number in range(30):
            body = {**CASE, "case_id": f"c{number}"}
            await world.accepted(desk.ledger, "/cases", body)
            step = {"command_id": "s", "step_id": "s1", "text": "查看"}
            assert (await desk.ledger.post(f"/cases/c{number}/step", step)).status_code == 200
        desk.clock.forward(days=8)
        await eventually(lambda: len(desk.raised("step-late")) >= 30)
        desk.clock.forward(days=8)
        await desk.act("answer", "operator", text="x")
        assert Counter(one["case_id"] for one in desk.raised("step-late")) == {f"c{n}": 1 for n in range(30)}


async def test_cases_are_found_by_owner_kind_person_building_and_whether_they_are_open(desk: Desk) -> None:
    """Page by page, newest first; a person's case has the person's place."""
    (li,) = [one["id"] for one in await desk.ledger.items("/people") if one["first_line"]]
    for number in range(6):
        desk.clock.forward(minutes=1)
        kind, owner = ("medical", world.ZHAO) if number % 2 else ("complaint", world.SUN)
        more = {"person_id": li, "building": None} if number == 1 else {}
        await world.accepted(
            desk.ledger, "/cases", {**CASE, "case_id": f"c{number}", "kind": kind, "owner": owner, **more}
        )
    closing = {"command_id": "x", "outcome": "好了"}
    assert (await desk.ledger.post("/cases/c5/close", closing)).status_code == 200

    async def found(**params: Any) -> list[str]:
        return [one["case_id"] for one in await desk.ledger.items("/cases", who="coordinator", limit=2, **params)]

    assert await found() == ["c5", "c4", "c3", "c2", "c1", "c0"]
    assert await found(owner=world.ZHAO, open=True) == ["c3", "c1"]
    assert await found(open=False) == ["c5"]
    assert await found(kind="complaint") == ["c4", "c2", "c0"]
    assert await found(person_id=li) == await found(building="1") == ["c1"]
    assert [one["case_id"] for one in await desk.ledger.items("/cases", who="grid_worker")] == ["c1"]
    mine = await desk.ledger.items("/cases", who="grid_worker", owner=world.ZHAO)
    assert [one["case_id"] for one in mine] == ["c5", "c3", "c1"], "his own, wherever they are"


@pytest.mark.parametrize(
    ("changes", "problem", "status"),
    [
        ({"owner": "nobody"}, ("owner", "unknown_worker"), 422),
        ({"kind": "gossip"}, ("kind", "unknown_kind"), 422),
        ({"person_id": "nobody"}, ("person_id", "unknown_person"), 404),
        ({"person_id": LI, "community": "other"}, ("person_id", "unknown_person"), 404),
        ({"source": "wecom"}, ("", "not_allowed"), 422),
        ({"owner": None}, ("owner", "wrong_type"), 422),
    ],
)
async def test_a_case_that_cannot_be_is_refused(
    desk: Desk, changes: dict[str, Any], problem: tuple[str, str], status: int
) -> None:
    """And nothing is made."""
    answer = await desk.ledger.post("/cases", {**CASE, **changes})
    assert (answer.status_code, problems(answer)) == (status, [problem])
    assert await desk.ledger.stored("cases") == []


async def test_news_of_a_fever_makes_one_case_however_often_it_comes(desk: Desk) -> None:
    """Nobody coordinates here yet: whoever looked answers for it."""
    now = desk.clock()
    body = {
        "check_id": "k1",
        "community": world.TIEBEI,
        "gate": "南门",
        "at": (now - timedelta(minutes=5)).isoformat(),
        "temperature": 38,
        "pass_shown": False,
    }
    answer = (await desk.ledger.post("/gate-checks", body, who="volunteer")).json()
    assert answer["applies"] == "no_agreement"
    (told,) = await eventually(lambda: desk.events.bodies("doorstep.gate.checked.v1"))
    for _ in range(3):
        await desk.operator.happen(GateChecked.model_validate(told, strict=False))
    (opened,) = await eventually(lambda: desk.raised("opened"))
    assert (opened["case_id"], opened["worker"], opened["kind"]) == (answer["case_id"], world.SUN, "fever")
    await eventually(lambda: entered(desk, 4))
    assert len(desk.raised("opened")) == 1
    changed = await desk.ledger.post("/gate-checks", {**body, "temperature": 36.5}, who="volunteer")
    assert (changed.status_code, problems(changed)) == (409, [("check_id", "known_check")])
    unknown = await desk.ledger.post("/gate-checks", {**body, "check_id": "k2", "case_id": "none"}, who="volunteer")
    assert (unknown.status_code, problems(unknown)) == (404, [("case_id", "unknown_case")])


async def entered(desk: Desk, count: int) -> bool:
    return len(await desk.ledger.items("/entries", type="GateChecked")) == count


async def test_who_coordinates_is_as_the_newest_news_says(desk: Desk) -> None:
    """By the grid before the community; whoever does something else since does not; old news changes nothing."""
    store = Store(desk.ledger.runtime).cases
    for worker, role, grids, sequence in (
        ("anywhere", "coordinator", (), 1),
        ("of-g1", "coordinator", ("g1",), 2),
        ("of-g1", "volunteer", (), 1),
        ("retired", "coordinator", (), 1),
        ("retired", "volunteer", (), 3),
        ("retired", "coordinator", (), 2),
    ):
        told = WorkerRegistered(community=world.TIEBEI, worker_id=worker, role=role, grids=grids, sealed="k1.AAAA")
        await desk.operator.happen(told, sequence=sequence)
    await eventually(lambda: registered(desk, 8))
    assert await store.coordinator(world.TIEBEI, "g1") == "of-g1"
    assert await store.coordinator(world.TIEBEI, "g2") == "anywhere"
    assert await store.coordinator("other", "g1") is None


async def registered(desk: Desk, count: int) -> bool:
    """Whether the ledger has dealt with so many of them."""
    noted = {one["_id"]: one["sequence"] for one in await desk.ledger.stored("coordinators")}
    assert noted.keys() >= {world.SUN, world.ZHAO}
    entered = await desk.ledger.items("/entries", type="WorkerRegistered")
    return len(entered) == count and noted.items() >= {"anywhere": 1, "of-g1": 2, "retired": 3}.items()
