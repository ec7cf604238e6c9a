"""S7: the gate is watched by shift. Two want one place, somebody cannot come after all, a shift is called off."""

import asyncio
from datetime import timedelta
from typing import Any

from tests import world
from tests.running import Amqp, Clock, Running, Town, eventually, listening, problems

ALL = ("intake", "dispatch", "notification", "ledger")
SHIFTS = ("morning", "afternoon", "night")


async def post_shifts(at: Running, clock: Clock) -> None:
    """One gate, three shifts of eight hours, one place each."""
    for number, name in enumerate(SHIFTS):
        begins = clock.now + timedelta(hours=1 + 8 * number)
        body = {
            "duty_id": name,
            "community": world.TIEBEI,
            "kind": "gate_duty",
            "place": "南门",
            "begins": begins.isoformat(),
            "ends": (begins + timedelta(hours=8)).isoformat(),
        }
        await world.accepted(at.dispatch, "/duties", body)


async def move(desk: Amqp, verb: str, duty_id: str, worker: str) -> dict[str, Any]:
    """A volunteer's program sends a command."""
    command = {"duty_id": duty_id, "worker": worker, "command_id": f"{verb}-{worker}-{duty_id}"}
    return await desk.ask(f"duty.{verb}", command)


async def test_volunteers_stand_at_the_gate_by_shift_and_everybody_knows_who_does(town: Town) -> None:
    """One has the place and the other learns who; who is booked hears by name what becomes of it."""
    clock = Clock()
    async with (
        town.up(*ALL, clock=clock) as at,
        town.amqp("operator") as desk,
        listening(at.notification, "volunteer") as sun,
        listening(at.notification, "coordinator") as zhou,
    ):
        await world.settle(*at.services.values())
        await post_shifts(at, clock)
        await eventually(lambda: {one["duty_id"] for one in sun.events if one["event"] == "DutyPosted"} == {*SHIFTS})

        answers = await asyncio.gather(*(move(desk, "book", "morning", name) for name in (world.SUN, world.WU)))
        won = {one["status"]: name for one, name in zip(answers, (world.SUN, world.WU), strict=True)}
        (lost,) = (one for one in answers if one["status"] == "refused")
        assert problems(lost) == [("duty_id", "full")]
        assert won["accepted"] in lost["problems"][0]["message"]

        # Whoever has it cannot come after all; the other steps in.
        assert (await move(desk, "withdraw", "morning", won["accepted"]))["left"] == 1
        await eventually(lambda: [one for one in zhou.events if one["event"] == "DutyWithdrawn"])
        unread = await at.notification.items("/messages", who="coordinator", unread=True)
        assert [one["text"]["zh"] for one in unread] == [
            f"{won['accepted']}已退出：守门值班，南门，11-24 18:00–02:00，请补人"
        ]
        again = {"duty_id": "morning", "worker": won["refused"], "command_id": "steps-in"}
        assert (await desk.ask("duty.book", again))["status"] == "accepted"

        # The night is called off: who was booked hears of it by name.
        assert (await move(desk, "book", "night", world.SUN))["status"] == "accepted"
        called_off = await at.dispatch.post("/duties/night/cancel", {"command_id": "off"}, who="coordinator")
        assert called_off.status_code == 200
        await eventually(lambda: [one["duty_id"] for one in sun.events if one["event"] == "DutyCancelled"] == ["night"])
        assert [one["duty_id"] for one in await at.dispatch.items("/duties", who="volunteer")] == [*SHIFTS[:2]]

        for event, count in (("DutyPosted", 3), ("DutyBooked", 3), ("DutyWithdrawn", 1), ("DutyCancelled", 1)):
            await eventually(lambda event=event, count=count: entered(at, event, count))  # type: ignore[misc]


async def entered(at: Running, event: str, count: int) -> bool:
    return len(await at.ledger.stored("entries", {"type": event})) == count
