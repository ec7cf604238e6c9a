"""Messages that cannot be handled: poison, rubbish, sizes: faults 20 to 22."""

import asyncio
import json
from typing import Any

import httpx
import pytest

import shared.consumer
from shared.contracts.envelope import BODY_LIMIT, EVENTS_EXCHANGE
from tests.faults.crashing import POISON
from tests.faults.world import World, eventually, keys
from tests.running import Town, problems
from tests.world import groceries

INNOCENTS = 60
MOST_TRIES = 5
CRASHED = 3


async def test_poison_in_a_crash_loop_is_set_aside_alone(world: World) -> None:
    """Fault 20: its handling ends the process; it is kept in at most five tries, and no innocent with it."""
    await world.start()
    await world.settle()
    await world.stop("dispatch")
    names = keys("innocent", INNOCENTS)
    innocents = await world.submit_all(names[: INNOCENTS // 2])
    poison = await world.submit("p-1", source=POISON)
    innocents |= await world.submit_all(names[INNOCENTS // 2 :])

    crashes = 0
    while await dies_again(world, innocents):
        crashes += 1
        assert crashes < MOST_TRIES, "the process went on dying of it"
    assert crashes >= 1, "nothing was poisonous: the fault was not hit"

    await world.start("dispatch")
    (kept,) = await world.services["dispatch"].items("/dead-letters")
    assert (kept["reason"], kept["correlation_id"]) == ("crashed", poison)
    assert kept["tries"] <= MOST_TRIES
    # Once its handling is mended it can be played again, and then nothing at all is missing.
    answer = await world.post("dispatch", f"/dead-letters/{kept['id']}:replay", {})
    assert answer.status_code == httpx.codes.ACCEPTED
    await world.engines.settled(innocents | {poison})


async def dies_again(world: World, innocents: set[str]) -> bool:
    """Run the service that the poison kills until it died of it, or has set it aside and done everything else."""
    process = world.process("dispatch", "poison")
    ended = asyncio.ensure_future(process.ended())

    async def settled() -> bool:
        books = await world.engines.books()
        return len(books.tasks) == len(innocents) and len(books.aside) == 1

    try:
        await eventually(
            lambda: _either(ended, settled), what="the process died of the poison, or is done with everything"
        )
        died = ended.done() and not await settled()
        assert not ended.done() or ended.result() == CRASHED, process.program.log.read_text()[-3000:]
    finally:
        await asyncio.to_thread(process.program.child.kill)
        await ended
    return died


async def test_a_message_whose_handler_fails_is_tried_again_and_then_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Growing pauses, a bounded number of tries, the reason kept; meanwhile the others go through."""
    monkeypatch.setattr(shared.consumer, "RETRY_PAUSES", (1, 1, 1))
    await world.start()
    await world.settle()
    dispatch = world.services["dispatch"]
    tries = 0

    def fails_once_there(*_: Any) -> Any:
        nonlocal tries
        tries += 1
        raise ZeroDivisionError("a mistake in a handler")

    kinds = shared.consumer.Consumer._handle

    async def handle(self: Any, incoming: Any) -> str:
        if incoming.correlation_id == mistaken and self._tools.bus.service == "dispatch":
            routes = {wire: (contract, fails_once_there) for wire, (contract, _) in self._routes.items()}
            self = type(self)(self._house, routes, self._tools)
        return await kinds(self, incoming)

    mistaken = ""
    await world.stop("dispatch")
    mistaken = await world.submit("mistaken")
    innocents = await world.submit_all(keys("beside", 10))
    monkeypatch.setattr(shared.consumer.Consumer, "_handle", handle)
    await world.start("dispatch")
    dispatch = world.services["dispatch"]
    (kept,) = await eventually(lambda: dispatch.items("/dead-letters"), what="the message is set aside")
    assert (kept["reason"], kept["tries"], tries) == ("failed", 4, 4)
    assert "a mistake in a handler" in kept["message"]
    monkeypatch.setattr(shared.consumer.Consumer, "_handle", kinds)
    await world.post("dispatch", f"/dead-letters/{kept['id']}:replay", {})
    await world.engines.settled(innocents | {mistaken})


RUBBISH: dict[str, tuple[bytes, str]] = {
    "not JSON": (b'{"source": ', "not_json"),
    "not text": (b"\xff\xfe\x00", "not_json"),
    "nothing": (b"", "not_json"),
    "a list": (b"[]", ""),
    "a number": (b"7", ""),
    "nested deeply": (b"[" * 30_000 + b"]" * 30_000, ""),
    "nested deeply in a field": (b'{"note": ' + b'{"a":' * 9_000 + b"1" + b"}" * 9_000 + b"}", ""),
    "a number that is none": (json.dumps(groceries("r", items=[{"name": "a", "quantity": float("nan")}])).encode(), ""),
    "an endless number": (json.dumps(groceries("r", items=[{"name": "a", "quantity": float("inf")}])).encode(), ""),
    "a wrong type": (json.dumps(groceries("r", contactless="yes")).encode(), ""),
    "a query": (json.dumps(groceries("r", source_id={"$ne": None})).encode(), ""),
    "an unknown field": (json.dumps(groceries("r", colour="red")).encode(), ""),
    "no address": (json.dumps(groceries("r", address=None)).encode(), ""),
    "an unknown kind": (json.dumps(groceries("r", kind="unicorn")).encode(), "unknown_kind"),
}


async def test_rubbish_is_refused_or_kept_aside_once_and_the_consumer_lives(world: World) -> None:
    """Fault 21: over HTTP and with `reply_to` refused with field and code, else kept where an operator sees it."""
    await world.start()
    await world.settle()
    intake = world.services["intake"]
    async with Town(world.engines).amqp() as client:
        for name, (body, code) in RUBBISH.items():
            over_http = await intake.call("POST", "/requests", who="source", content=body)
            assert 400 <= over_http.status_code < 500, f"{name}: {over_http.status_code} {over_http.text}"
            assert over_http.headers["content-type"] == "application/problem+json"
            refused = await client.ask("request.submit", body)
            assert refused["status"] == "refused", f"{name}: {refused}"
            for answer in (over_http, refused):
                assert problems(answer), f"{name}: no problem is named"
                assert not code or problems(answer)[0][1] == code, f"{name}: {problems(answer)}"
            # Nobody waits for an answer, and the broker delivers it twice.
            for _ in range(2):
                await client.tell("request.submit", body, message_id=f"m {name}")
        answer = await client.ask("request.submit", groceries("good"))
    assert answer["status"] == "accepted"
    await world.engines.settled({answer["request_id"]}, aside=len(RUBBISH))
    kept = await intake.items("/dead-letters")
    assert {one["message_id"] for one in kept} == {f"m {name}" for name in RUBBISH}
    assert {one["reason"] for one in kept} <= {"unreadable", "refused"}
    assert all(one["problems"] for one in kept)


async def test_unknown_versions_and_types_are_kept_aside_once_and_consumers_live(world: World) -> None:
    """Fault 21: a newer version of an event, a type that nobody knows, headers of a wrong type."""
    await world.start()
    await world.settle()
    strange: list[dict[str, Any]] = [
        {"type": "doorstep.request.created.v9", "headers": {"ce-type": "doorstep.request.created.v9"}},
        {"type": "doorstep.request.danced.v1"},
        {"headers": {"ce-type": 7}},
        {"type": "doorstep.request.created.v1", "content_type": "application/cloudevents+json"},
    ]
    async with Town(world.engines).amqp("operator") as client:
        for number, properties in enumerate(strange):
            for _ in range(2):
                await client.tell(
                    "request.created.tiebei.g1",
                    {"a": 1},
                    exchange=EVENTS_EXCHANGE,
                    message_id=f"e-{number}",
                    **properties,
                )
        answer = await client.ask("request.submit", groceries("v"), type="doorstep.request.submit.v2")
        assert problems(answer)[0][1] == "unknown_type"
    request = await world.submit("good")
    # Three services hear of requests: dispatch, notification, ledger.
    await world.engines.settled({request}, aside=3 * len(strange))


@pytest.mark.parametrize(("over", "taken"), [(-1, True), (0, True), (1, False)])
async def test_a_body_is_taken_up_to_the_limit(world: World, over: int, taken: bool) -> None:
    """Fault 22: the limit less one byte, the limit, the limit and one byte; over HTTP and AMQP."""
    await world.start()
    await world.settle()
    requests = set()
    for key in ("http", "amqp"):
        bare = json.dumps(groceries(f"{key}{over}")).encode()
        body = bare + b" " * (BODY_LIMIT + over - len(bare))
        if key == "http":
            answer = await world.services["intake"].call("POST", "/requests", who="source", content=body)
            assert answer.status_code == (202 if taken else 413)
            told = answer.json()
        else:
            async with Town(world.engines).amqp() as client:
                told = await client.ask("request.submit", body)
        if taken:
            assert told["status"] == "accepted"
            requests.add(told["request_id"])
        else:
            assert problems(told) == [("", "too_large")]
    await world.engines.settled(requests)


async def _either(ended: "asyncio.Future[int]", settled: Any) -> bool:
    return ended.done() or await settled()
