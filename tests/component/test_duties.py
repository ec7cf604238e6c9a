"""Duties on a real broker and database: places, nobody in two of them, hours that add up."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests import world
from tests.component.conftest import Room
from tests.running import Service, Town, eventually, problems

HOUR = timedelta(hours=1)


def duty(room: Room, duty_id: str, /, after: float = 1, hours: float = 4, **changes: Any) -> dict[str, Any]:
    """So many hours from now, a volunteer at the south gate; `changes` replace fields."""
    begins = room.clock.now + after * HOUR
    told = {
        "duty_id": duty_id,
        "community": world.TIEBEI,
        "kind": "gate_duty",
        "place": "南门",
        "begins": begins.isoformat(),
        "ends": (begins + hours * HOUR).isoformat(),
    }
    return {**told, **changes}


async def post(room: Room, duty_id: str, /, **changes: Any) -> dict[str, Any]:
    """It is posted."""
    body = duty(room, duty_id, **changes)
    answer = await room.dispatch.post("/duties", body, who="operator")
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted"), answer.text
    return body


async def book(
    at: Service, duty_id: str, worker: str, command_id: str | None = None, verb: str = "book"
) -> httpx.Response:
    """A coordinator's desk books for somebody."""
    body = {"command_id": command_id or f"{verb}-{worker}", "worker": worker}
    return await at.post(f"/duties/{duty_id}/{verb}", body, who="coordinator")


async def stored(room: Room, duty_id: str) -> dict[str, Any]:
    (document,) = await room.dispatch.stored("duties", {"_id": duty_id})
    state: dict[str, Any] = document["state"]
    return state


def said(room: Room, event: str) -> list[dict[str, Any]]:
    return room.events.bodies(f"doorstep.duty.{event}.v1")


def attendance(body: dict[str, Any], worker: str, late: int = 0) -> dict[str, str]:
    """He came so many minutes late, and stayed to the end."""
    begins = datetime.fromisoformat(body["begins"]) + timedelta(minutes=late)
    return {"worker": worker, "begins": begins.isoformat(), "ends": body["ends"]}


# Places


async def test_of_two_who_want_the_last_place_at_once_one_has_it_and_the_other_learns_who(
    town: Town, room: Room
) -> None:
    """Ten times, over two replicas."""
    names = [f"gate-{number}" for number in range(10)]
    for number, name in enumerate(names):
        await post(room, name, after=1 + number, hours=1)
    async with town.up("dispatch", clock=room.clock) as second:
        for name in names:
            answers = await asyncio.gather(book(room.dispatch, name, world.SUN), book(second.dispatch, name, world.WU))
            assert sorted(one.status_code for one in answers) == [200, 409], name
            (lost,) = (one for one in answers if one.status_code == 409)
            (winner,) = (await stored(room, name))["booked"]
            assert problems(lost) == [("duty_id", "full")]
            assert winner in lost.text
    await eventually(lambda: len(said(room, "booked")) == len(names))


async def test_who_books_two_duties_of_one_time_at_once_from_two_devices_has_one_of_them(
    town: Town, room: Room
) -> None:
    """Ten times, over two replicas; the other answer names the duty that he has."""
    async with town.up("dispatch", clock=room.clock) as second:
        for number in range(10):
            pair = (f"early-{number}", f"late-{number}")
            for name, later in zip(pair, (0, 1.75), strict=True):
                await post(room, name, after=1 + 4 * number + later, hours=2, places=5)
            answers = await asyncio.gather(
                book(room.dispatch, pair[0], world.SUN), book(second.dispatch, pair[1], world.SUN)
            )
            assert sorted(one.status_code for one in answers) == [200, 409], number
            won, lost = sorted(zip(answers, pair, strict=True), key=lambda one: one[0].status_code)
            assert problems(lost[0]) == [("worker", "overlaps")]
            assert won[1] in lost[0].text
            assert [(await stored(room, name))["booked"] for name in (won[1], lost[1])] == [[world.SUN], []]


async def test_fifty_who_want_twenty_places_at_once_fill_them_and_no_more(room: Room) -> None:
    """One of them twice; those who stand elsewhere then have none."""
    workers = [f"v{number:02}" for number in range(50)]
    for name in workers:
        await world.accepted(room.dispatch, "/workers", {**world.WORKERS[2], "worker_id": name})
    await post(room, "elsewhere", places=10)
    await post(room, "testing", kind="testing", after=2, hours=1, places=20)
    busy = workers[:10]
    assert {(await book(room.dispatch, "elsewhere", name)).status_code for name in busy} == {200}
    wanting = [*workers, workers[-1]]
    answers = await asyncio.gather(*(book(room.dispatch, "testing", name) for name in wanting))
    codes = Counter(one.json()["status"] if one.status_code == 200 else problems(one)[0][1] for one in answers)
    state = await stored(room, "testing")
    assert len(state["booked"]) == len(set(state["booked"])) == 20
    assert not set(busy) & set(state["booked"])
    # Whoever is elsewhere hears of that, or that all places are taken: whichever was so first.
    assert codes["accepted"] == 20
    assert codes.keys() <= {"accepted", "full", "overlaps", "duplicate"}
    assert len(state["taken"]) == 20 * 4


async def test_what_follows_without_a_gap_does_not_overlap(room: Room) -> None:
    """Nor what was given back."""
    for name, after in (("first", 1), ("second", 2), ("both", 1.5)):
        await post(room, name, after=after, hours=1)
    assert [(await book(room.dispatch, name, world.SUN)).status_code for name in ("first", "second")] == [200, 200]
    assert problems(await book(room.dispatch, "both", world.SUN)) == [("worker", "overlaps")]
    for name in ("first", "second"):
        assert (await book(room.dispatch, name, world.SUN, verb="withdraw")).status_code == 200
    assert (await book(room.dispatch, "both", world.SUN)).status_code == 200
    assert [one["left"] for one in said(room, "withdrawn")] == [1, 1]


async def test_a_command_sent_again_is_a_duplicate_and_nothing_happens_twice(room: Room) -> None:
    """Twenty at once; and who has a place has it, under whatever command."""
    body = await post(room, "gate", places=3)
    again = await room.dispatch.post("/duties", body, who="coordinator")
    assert (again.status_code, again.json()) == (
        202,
        {"status": "duplicate", "duty_id": "gate", "state": "open", "left": 3},
    )
    answers = await asyncio.gather(*(book(room.dispatch, "gate", world.SUN, "c1") for _ in range(20)))
    assert Counter(one.json()["status"] for one in answers) == {"accepted": 1, "duplicate": 19}
    assert (await book(room.dispatch, "gate", world.SUN, "c2")).json()["status"] == "duplicate"
    for status in ("accepted", "duplicate"):
        answer = await book(room.dispatch, "gate", world.SUN, "w1", verb="withdraw")
        assert (answer.json()["status"], answer.json()["left"]) == (status, 3)
    # What was done before is not done again, though he has no place now.
    assert (await book(room.dispatch, "gate", world.SUN, "c1")).json()["status"] == "duplicate"
    for command_id, status in (("x1", "accepted"), ("x1", "duplicate"), ("x2", "duplicate")):
        answer = await room.dispatch.post("/duties/gate/cancel", {"command_id": command_id}, who="coordinator")
        assert answer.json()["status"] == status
    await eventually(lambda: said(room, "cancelled"))
    assert [len(said(room, event)) for event in ("posted", "booked", "withdrawn", "cancelled")] == [1, 1, 1, 1]


# Refusals: each by its code, over HTTP and AMQP, and nothing is changed


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "levitation"}, ("kind", "unknown_kind")),
        ({"skills": ["lifting", "levitation"]}, ("skills.1", "unknown_skill")),
        ({"places": 0}, ("places", "greater_than_equal")),
        ({"begins": "2026-11-24T10:07:00Z"}, ("begins", "not_on_quarter")),
        ({"ends": "2026-11-24T10:00:00Z"}, ("ends", "not_allowed")),
        ({"ends": "2026-11-25T10:00:00Z"}, ("ends", "too_long")),
        ({"begins": "2026-11-24T07:00:00Z", "ends": "2026-11-24T09:00:00Z"}, ("ends", "over")),
        ({"begins": "2026-11-24T10:00:00"}, ("begins", "timezone_aware")),
        ({"surprise": 1}, ("surprise", "unknown_field")),
    ],
)
async def test_a_duty_that_cannot_be_is_refused_by_field(
    room: Room, change: dict[str, Any], problem: tuple[str, str]
) -> None:
    body = duty(room, "gate", **change)
    answer = await room.dispatch.post("/duties", body, who="coordinator")
    assert (answer.status_code, problems(answer)) == (422, [problem])
    assert problems(await room.operator.ask("duty.post", body)) == [problem]
    assert not await room.dispatch.stored("duties")


async def test_who_cannot_have_a_place_is_told_why_and_nothing_is_changed(room: Room) -> None:
    """Full, not able, not there, elsewhere, too late."""
    sun = {**world.WORKERS[2], "worker_id": "", "skills": ["medical"]}
    asks = {name: sun[name] for name in ("community", "name")} | {"worker_id": "waiting", "phone": "+86 100 0000 0009"}
    for worker in (
        {**sun, "worker_id": "medic"},
        {**sun, "worker_id": "choosy", "kinds": ["groceries"]},
        {**sun, "worker_id": "away"},
        {**sun, "worker_id": "stranger", "community": "elsewhere"},
    ):
        await world.accepted(room.dispatch, "/workers", worker)
    await world.accepted(room.dispatch, "/volunteers", {**asks, "skills": ["medical"]})
    await room.dispatch.post("/workers/away/absence", {"command_id": "ill"}, who="coordinator")
    await post(room, "gone")
    await room.dispatch.post("/duties/gone/cancel", {"command_id": "x"}, who="coordinator")
    await post(room, "brief", after=0, hours=0.25)
    for name in ("taken", "medical", "same-time"):
        await post(room, name, skills=["medical"] if name == "medical" else [])
    assert (await book(room.dispatch, "taken", "medic")).status_code == 200
    room.clock.forward(minutes=15)
    await eventually(lambda: stored_due(room, "brief"))
    before = await states(room)
    cases = (
        ("nothing", "medic", 404, ("duty_id", "unknown_duty")),
        ("gone", "medic", 409, ("duty_id", "cancelled")),
        ("brief", "medic", 409, ("duty_id", "over")),
        ("taken", world.SUN, 409, ("duty_id", "full")),
        ("medical", world.SUN, 409, ("worker", "lacks_skill")),
        ("medical", "choosy", 409, ("worker", "not_agreed")),
        ("medical", "waiting", 409, ("worker", "not_approved")),
        ("medical", "away", 409, ("worker", "absent")),
        ("medical", "stranger", 422, ("worker", "unknown_worker")),
        ("medical", "nobody", 422, ("worker", "unknown_worker")),
        ("same-time", "medic", 409, ("worker", "overlaps")),
    )
    for number, (name, who, status, problem) in enumerate(cases):
        answer = await book(room.dispatch, name, who, f"c{number}")
        assert (answer.status_code, problems(answer)) == (status, [problem]), (name, who)
        command = {"duty_id": name, "worker": who, "command_id": f"c{number}"}
        assert problems(await room.operator.ask("duty.book", command)) == [problem], (name, who)
    given_back = await book(room.dispatch, "taken", world.SUN, verb="withdraw")
    assert (given_back.status_code, problems(given_back)) == (409, [("worker", "not_booked")])
    assert await states(room) == before


async def stored_due(room: Room, duty_id: str) -> bool:
    """Whether its time was noticed, so that nothing else will change it."""
    return (await stored(room, duty_id))["due_at"] is None


async def states(room: Room) -> dict[str, tuple[int, dict[str, Any]]]:
    """Of every duty: how often it was written, and what it is."""
    return {one["_id"]: (one["v"], one["state"]) for one in await room.dispatch.stored("duties")}


async def test_nobody_acts_for_another_but_who_leads_and_nobody_beyond_his_place(room: Room) -> None:
    """A volunteer books for himself; a duty of another community is not there for a coordinator of this one."""
    await post(room, "gate", places=2)
    await post(room, "far", community="elsewhere")
    forged = await room.dispatch.post("/duties/gate/book", {"command_id": "c", "worker": world.WU}, who="volunteer")
    assert (forged.status_code, problems(forged)) == (422, [("worker", "not_allowed")])
    own = await room.dispatch.post("/duties/gate/book", {"command_id": "c"}, who="volunteer")
    assert (own.json()["status"], (await stored(room, "gate"))["booked"]) == ("accepted", [world.SUN])
    nameless = await room.dispatch.post("/duties/gate/book", {"command_id": "c"}, who="operator")
    assert (nameless.status_code, problems(nameless)) == (422, [("worker", "required")])
    elsewhere = await room.dispatch.post("/duties", duty(room, "x", community="elsewhere"), who="coordinator")
    assert (elsewhere.status_code, problems(elsewhere)) == (403, [("community", "forbidden")])
    for verb in ("book", "withdraw", "cancel", "attest"):
        body = {"command_id": "c", **({"attended": []} if verb == "attest" else {})}
        answer = await room.dispatch.post(f"/duties/far/{verb}", body, who="coordinator")
        assert (answer.status_code, problems(answer)) == (404, [("duty_id", "unknown_duty")]), verb
    assert (await room.dispatch.call("GET", "/duties/far", who="volunteer")).status_code == 404


# Lists


async def test_the_list_shows_what_is_to_come_with_places_left_and_ones_own(room: Room) -> None:
    """Page by page, the first to begin first; who has a place is for those who lead."""
    for number in range(7):
        await post(room, f"d{number}", after=7 - number, hours=1, places=2)
    await post(room, "far", community="elsewhere")
    await book(room.dispatch, "d3", world.SUN)
    pages = await room.dispatch.pages("/duties", who="volunteer", limit=3)
    assert [[one["duty_id"] for one in page] for page in pages] == [["d6", "d5", "d4"], ["d3", "d2", "d1"], ["d0"]]
    assert {one["duty_id"]: (one["left"], one["mine"]) for one in pages[1]} == {
        "d3": (1, True),
        "d2": (2, False),
        "d1": (2, False),
    }
    assert not any("booked" in one for page in pages for one in page)
    assert [one["duty_id"] for one in await room.dispatch.items("/duties", who="volunteer", mine=True)] == ["d3"]
    assert (await room.dispatch.get("/duties/d3", who="coordinator"))["booked"] == [world.SUN]
    assert len(await room.dispatch.items("/duties", who="operator")) == 8
    room.clock.forward(hours=3)
    assert [one["duty_id"] for one in await room.dispatch.items("/duties", who="volunteer", limit=2)][:1] == ["d4"]


# Away, cancelled, on duty


async def test_who_is_away_gives_his_places_back_until_he_returns(room: Room) -> None:
    """Coordinators are told which; what comes later he keeps."""
    for name, after in (("soon", 1), ("later", 30)):
        await post(room, name, after=after)
        await book(room.dispatch, name, world.SUN)
    until = (room.clock.now + 24 * HOUR).isoformat()
    await room.dispatch.post(f"/workers/{world.SUN}/absence", {"command_id": "ill", "until": until}, who="coordinator")
    (told,) = await eventually(lambda: said(room, "withdrawn"))
    assert (told["duty_id"], told["worker"]) == ("soon", world.SUN)
    assert [(await stored(room, name))["booked"] for name in ("soon", "later")] == [[], [world.SUN]]


async def test_a_cancelled_duty_names_who_was_booked_and_gives_them_their_time_back(room: Room) -> None:
    """They can be elsewhere then."""
    await post(room, "gate", places=2)
    for worker in (world.SUN, world.WU):
        await book(room.dispatch, "gate", worker)
    answer = await room.dispatch.post("/duties/gate/cancel", {"command_id": "x"}, who="coordinator")
    assert answer.json()["state"] == "cancelled"
    (told,) = await eventually(lambda: said(room, "cancelled"))
    assert told["asked"] == [world.SUN, world.WU]
    await post(room, "instead")
    assert (await book(room.dispatch, "instead", world.SUN)).status_code == 200


async def test_who_stands_at_a_gate_is_not_asked_for_tasks_meanwhile(room: Room) -> None:
    """Before and after, he is."""
    await post(room, "gate", after=1, hours=1)
    await book(room.dispatch, "gate", world.SUN)
    asked = []
    for number in range(3):
        task_id = await room.offered(f"r{number}")
        await room.act(task_id, "decline", "grid_worker", f"no{number}")
        await eventually(lambda number=number: room.told(f"r{number}").count("offered") == 2)  # type: ignore[misc]
        offers = room.events.bodies("doorstep.delivery.offered.v1")
        asked += [one["asked"] for one in offers if one["request_id"] == f"r{number}"][-1:]
        room.clock.forward(hours=1)
    assert asked == [[world.SUN, world.WU], [world.WU], [world.SUN, world.WU]]


# Attesting, hours, the certificate


async def test_a_duty_that_nobody_attests_is_told_of_once_and_stands_on_a_list(room: Room) -> None:
    """Until somebody says who was there."""
    bodies = [await post(room, name, after=after) for name, after in (("gate", 1), ("empty", 1))]
    await book(room.dispatch, "gate", world.SUN)
    room.clock.forward(hours=5)
    (told,) = await eventually(lambda: said(room, "unattested"))
    assert (told["duty_id"], told["booked"]) == ("gate", 1)
    await eventually(lambda: due_none(room))
    assert [one["duty_id"] for one in await room.dispatch.items("/duties", who="coordinator", over=True)] == ["gate"]
    attest = {"command_id": "a1", "attended": [attendance(bodies[0], world.SUN)]}
    for status in ("accepted", "duplicate"):
        answer = await room.dispatch.post("/duties/gate/attest", attest, who="coordinator")
        assert (answer.json()["status"], answer.json()["state"]) == (status, "attested")
    assert await room.dispatch.items("/duties", who="coordinator", over=True) == []
    assert len(said(room, "unattested")) == 1


async def due_none(room: Room) -> bool:
    return not await room.dispatch.stored("duties", {"state.due_at": {"$ne": None}})


async def test_hours_are_what_was_attested_and_the_newest_word_counts(room: Room) -> None:
    """Minutes by kind, duty by duty, and tasks completed; attesting what cannot be changes nothing."""
    task_id = await room.offered("r1")
    for verb in ("claim", "start", "complete"):
        await room.act(task_id, verb, "grid_worker", verb)
    bodies = {}
    for name, kind, after in (("gate", "gate_duty", 1), ("test", "testing", 6)):
        bodies[name] = await post(room, name, kind=kind, after=after)
        await book(room.dispatch, name, world.ZHAO)
    early = {"command_id": "a0", "attended": []}
    refused = await room.dispatch.post("/duties/gate/attest", early, who="coordinator")
    assert (refused.status_code, problems(refused)) == (409, [("duty_id", "not_over")])
    room.clock.forward(hours=12)
    wrong = {"command_id": "a0", "attended": [attendance(bodies["gate"], world.SUN)]}
    refused = await room.dispatch.post("/duties/gate/attest", wrong, who="coordinator")
    assert (refused.status_code, problems(refused)) == (422, [("attended.0.worker", "not_booked")])
    for number, (name, late) in enumerate((("gate", 0), ("test", 0), ("test", 30))):
        attest = {"command_id": f"a{number}", "attended": [attendance(bodies[name], world.ZHAO, late)]}
        answer = await room.dispatch.post(f"/duties/{name}/attest", attest, who="coordinator")
        assert answer.json()["status"] == "accepted", answer.text
    told = await eventually(lambda: len(said(room, "attested")) == 3 and said(room, "attested"))
    assert sorted(one["minutes"] for one in told) == [210, 240, 240]
    for who in ("grid_worker", "coordinator", "operator"):
        hours = await room.dispatch.get(f"/workers/{world.ZHAO}/hours", who=who)
        assert (hours["minutes"], hours["by_kind"]) == (450, {"gate_duty": 240, "testing": 210})
        assert [(one["duty_id"], one["minutes"]) for one in hours["duties"]] == [("gate", 240), ("test", 210)]
        assert hours["tasks"] == {"groceries": 1}
    later = await room.dispatch.get(
        f"/workers/{world.ZHAO}/hours", who="grid_worker", **{"from": bodies["test"]["begins"]}
    )
    assert (later["minutes"], later["tasks"]) == (210, {})
    for path in ("hours", "certificate"):
        other = await room.dispatch.call("GET", f"/workers/{world.ZHAO}/{path}", who="volunteer")
        assert (other.status_code, problems(other)) == (404, [("worker_id", "unknown_worker")])
    wide = {"from": "2024-01-01T00:00:00Z"}
    refused = await room.dispatch.call("GET", f"/workers/{world.ZHAO}/hours", who="coordinator", params=wide)
    assert (refused.status_code, problems(refused)) == (422, [("from", "not_allowed")])


async def test_a_certificate_bears_the_name_and_its_opening_is_noted(room: Room) -> None:
    """The name rests sealed; the sheet says who has it and what it adds up to."""
    body = await post(room, "gate")
    await book(room.dispatch, "gate", world.SUN)
    room.clock.forward(hours=6)
    attest = {"command_id": "a1", "attended": [attendance(body, world.SUN, late=15)]}
    await room.dispatch.post("/duties/gate/attest", attest, who="coordinator")
    assert not room.events.bodies("doorstep.personal-data.opened.v1")
    answer = await room.dispatch.call("GET", f"/workers/{world.SUN}/certificate", who="volunteer")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for words in ("孙", "守门值班 Gate duty", "18:15–22:00", ">225<", "3:45", "南门"):
        assert words in answer.text, words
    (opened,) = await eventually(lambda: room.events.bodies("doorstep.personal-data.opened.v1"))
    assert (opened["record"], opened["reader"], opened["purpose"], opened["community"]) == (
        f"worker:{world.SUN}",
        world.SUN,
        "certificate",
        world.TIEBEI,
    )
    assert "孙" not in str(await room.dispatch.stored("duties"))
