"""S18: volunteers everywhere. One register over testing, gates, notices, supplies and help; every hour counts once."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import world
from tests.running import Amqp, Clock, Ear, Running, Town, eventually, problems

ALL = ("intake", "dispatch", "notification", "ledger")
KINDS = ("testing", "gate_duty", "notice", "groceries", "company")
"""Testing, gates, notices, supplies, help."""
DAYS = 7
VOLUNTEERS = tuple(f"tiebei-v{number:02}" for number in range(1, 61))
"""The first is Sun, whose token is `volunteer`."""
FIRST_DAY = datetime(2026, 11, 25, tzinfo=UTC)
"""Eight in the morning in Tiebei."""
HOUR = timedelta(hours=1)
MINUTES = 180
LATE = 15
"""Minutes by which every tenth is late on every day."""


def wants(number: int) -> tuple[str, str]:
    """What a volunteer would like to do: both are at the same time of each day."""
    return KINDS[number % 5], KINDS[(number + 1) % 5]


@dataclass(frozen=True, slots=True)
class Week:
    """The whole system, and the desk at which volunteers and the coordinator are served."""

    at: Running
    desk: Amqp
    staff: Ear
    clock: Clock

    async def sign_up(self) -> None:
        """Sixty offer to help; each is approved."""
        bodies = [
            {
                "worker_id": name,
                "community": world.TIEBEI,
                "name": f"志愿者{number}",
                "phone": f"+86 100 0000 {number:04}",
                "kinds": KINDS,
                "skills": ["medical"] if "testing" in wants(number) else [],
            }
            for number, name in enumerate(VOLUNTEERS)
        ]
        answers = await asyncio.gather(*(self.desk.ask("worker.sign-up", body) for body in bodies))
        assert Counter(one["status"] for one in answers) == {"accepted": 60}
        too_early = await self.book(VOLUNTEERS[0], "gate_duty-0")
        assert problems(too_early) == [("worker", "not_approved")]
        await eventually(lambda: self.heard("WorkerSignedUp", 60))
        approvals = ({"worker_id": name, "command_id": f"yes-{name}"} for name in VOLUNTEERS)
        answers = await asyncio.gather(*(self.desk.ask("worker.approve", one) for one in approvals))
        assert Counter(one["status"] for one in answers) == {"accepted": 60}

    async def post_the_week(self) -> dict[str, dict[str, Any]]:
        """Five duties a day, of which nobody can do two; by id."""
        duties = {
            f"{kind}-{day}": {
                "duty_id": f"{kind}-{day}",
                "community": world.TIEBEI,
                "kind": kind,
                "place": f"{kind} 集合点",
                "begins": (FIRST_DAY + 24 * day * HOUR + number % 2 * HOUR).isoformat(),
                "ends": (FIRST_DAY + 24 * day * HOUR + number % 2 * HOUR + 3 * HOUR).isoformat(),
                "places": 24,
                "skills": ["medical"] if kind == "testing" else [],
            }
            for day in range(DAYS)
            for number, kind in enumerate(KINDS)
        }
        for body in duties.values():
            answer = await self.at.dispatch.post("/duties", body, who="coordinator")
            assert answer.status_code == 202, answer.text
        return duties

    async def book(self, worker: str, duty_id: str) -> dict[str, Any]:
        """Somebody's program asks for a place."""
        return await self.desk.ask(
            "duty.book", {"duty_id": duty_id, "worker": worker, "command_id": f"{worker}-{duty_id}"}
        )

    async def booked(self, duty_id: str) -> list[str]:
        """Who has a place."""
        names: list[str] = (await self.at.dispatch.get(f"/duties/{duty_id}", who="coordinator"))["booked"]
        return names

    async def attest(self, body: dict[str, Any]) -> None:
        """The coordinator says that everybody came, and who was late."""
        attended = [
            {
                "worker": name,
                "begins": (datetime.fromisoformat(body["begins"]) + timedelta(minutes=late(name))).isoformat(),
                "ends": body["ends"],
            }
            for name in await self.booked(body["duty_id"])
        ]
        answer = await self.at.dispatch.post(
            f"/duties/{body['duty_id']}/attest", {"command_id": "attest", "attended": attended}, who="coordinator"
        )
        assert answer.status_code == 200, answer.text

    def heard(self, event: str, count: int) -> bool:
        """Whether staff heard so often of it."""
        return Counter(json.loads(message.body)["event"] for message in self.staff.heard)[event] == count

    async def entered(self, event: str, count: int) -> bool:
        """Whether the ledger has so many entries of it."""
        return len(await self.at.ledger.stored("entries", {"type": event})) == count


def late(worker: str) -> int:
    """Minutes by which he comes late."""
    return LATE if worker.endswith("0") else 0


@pytest.fixture
async def week(town: Town) -> AsyncIterator[Week]:
    """Everything runs, five duties are posted for each of seven days."""
    clock = Clock()
    async with (
        town.up(*ALL, clock=clock) as at,
        town.amqp("operator") as desk,
        town.staff() as staff,
    ):
        yield Week(at, desk, staff, clock)


@pytest.mark.timeout(300)
async def test_sixty_volunteers_do_five_kinds_of_duty_for_a_week_and_every_hour_counts_once(week: Week) -> None:
    """Nobody is in two places, each certificate is the sum of its rows, and the ledger has everything once."""
    duties = await week.post_the_week()
    await week.sign_up()
    for day in range(DAYS):
        # Each asks for two duties of the same time at once, from two devices.
        tries = [(name, f"{kind}-{day}") for number, name in enumerate(VOLUNTEERS) for kind in wants(number)]
        answers = await asyncio.gather(*(week.book(*one) for one in tries))
        assert Counter(one["status"] for one in answers) == {"accepted": 60, "refused": 60}
        assert {code for one in answers if one["status"] == "refused" for code in problems(one)} == {
            ("worker", "overlaps")
        }
        has = Counter(dict.fromkeys(VOLUNTEERS, 0))
        for kind in KINDS:
            has.update(await week.booked(f"{kind}-{day}"))
        assert set(has.values()) == {1}
        week.clock.now = FIRST_DAY + (24 * day + 5) * HOUR
        for kind in KINDS:
            if (day, kind) != (DAYS - 1, "notice"):
                await week.attest(duties[f"{kind}-{day}"])

    # One was forgotten: the coordinator is told.
    forgotten = f"notice-{DAYS - 1}"
    await eventually(lambda: reminded(week, forgotten))
    waiting = await week.at.dispatch.items("/duties", who="coordinator", over=True)
    assert [one["duty_id"] for one in waiting] == [forgotten]
    await week.attest(duties[forgotten])

    by_kind: Counter[str] = Counter()
    for name in VOLUNTEERS:
        hours = await week.at.dispatch.get(f"/workers/{name}/hours", who="coordinator")
        assert hours["minutes"] == DAYS * (MINUTES - late(name)), name
        assert sum(hours["by_kind"].values()) == hours["minutes"]
        assert len(hours["duties"]) == DAYS
        by_kind.update(hours["by_kind"])
        sheet = (await week.at.dispatch.call("GET", f"/workers/{name}/certificate", who="coordinator")).text
        rows = [int(found) for found in re.findall(r'<td class="number">(\d+)</td>', sheet)]
        (total,) = re.findall(r'<tfoot>.*<th class="number">(\d+)</tr>', sheet)
        assert sum(rows) == int(total) == hours["minutes"]
    assert by_kind.keys() == set(KINDS)
    assert by_kind.total() == 60 * DAYS * MINUTES - 6 * DAYS * LATE
    own = await week.at.dispatch.get(f"/workers/{world.SUN}/hours", who="volunteer")
    assert own["minutes"] == DAYS * MINUTES

    counts = {
        "WorkerSignedUp": 60,
        "WorkerRegistered": 60,
        "DutyPosted": 5 * DAYS,
        "DutyBooked": 60 * DAYS,
        "DutyAttested": 5 * DAYS,
        "PersonalDataOpened": 60,
    }
    for event, count in counts.items():
        await eventually(lambda event=event, count=count: week.entered(event, count))  # type: ignore[misc]
        if event.startswith("Duty"):
            await eventually(lambda event=event, count=count: week.heard(event, count))  # type: ignore[misc]
    line = next(one for one in map(json.loads, (m.body for m in week.staff.heard)) if one["event"] == "DutyBooked")
    assert line["text"]["en"].startswith(f"{line['worker']} has a place: ")
    assert "志愿者" not in str(await week.at.ledger.stored("entries", {"type": "DutyAttested"}))


async def reminded(week: Week, duty_id: str) -> bool:
    """Whether the ledger says so, and staff heard of such a thing."""
    entries = await week.at.ledger.stored("entries", {"type": "DutyUnattested"})
    told = [json.loads(one["data"])["duty_id"] for one in entries]
    return told.count(duty_id) == 1 and week.heard("DutyUnattested", len(told))
