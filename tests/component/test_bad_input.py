"""Bad input names field and reason, over HTTP and AMQP alike, and changes nothing."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from shared.contracts.envelope import BODY_LIMIT
from shared.contracts.intake import RequestCreated
from tests import world
from tests.running import Service, Town, eventually, problems

GOOD = world.groceries("good")
DEEP = b'{"source":' + b"[" * 20_000 + b"]" * 20_000 + b"}"


def body(**changes: Any) -> bytes:
    """Mr Wang's groceries with something wrong."""
    return json.dumps(world.groceries("bad", **changes), ensure_ascii=False).encode()


BODIES: dict[str, tuple[bytes, tuple[str, str], int]] = {
    "an unknown kind": (body(kind="rocket"), ("kind", "unknown_kind"), 422),
    "no kind": (body(kind=None), ("kind", "required"), 422),
    "no address": (body(address=None), ("address", "required"), 422),
    "no building": (body(address={"unit": "1"}), ("address.building", "required"), 422),
    "a building that would be a routing key": (
        body(address={"building": "3.#"}),
        ("address.building", "bad_format"),
        422,
    ),
    "one byte too many": (body().ljust(BODY_LIMIT + 1), ("", "too_large"), 413),
    "far too many bytes": (b"[" * (BODY_LIMIT * 4), ("", "too_large"), 413),
    "a quantity that is no number": (
        body(items=[{"name": "x", "quantity": float("nan")}]),
        ("items.0.quantity", "not_finite"),
        422,
    ),
    "an endless quantity": (
        body(items=[{"name": "x", "quantity": float("-inf")}]),
        ("items.0.quantity", "not_finite"),
        422,
    ),
    "nesting deeper than anything of ours": (DEEP, ("", "not_json"), 422),
    "a number for text": (body(kind=7), ("kind", "wrong_type"), 422),
    "text for a flag": (body(contactless="yes"), ("contactless", "wrong_type"), 422),
    "one thing for a list": (body(items={"name": "x"}), ("items", "wrong_type"), 422),
    "an unknown field": (body(colour="red"), ("colour", "unknown_field"), 422),
    "an unknown field within": (body(resident={"name": "x", "age": 7}), ("resident.age", "unknown_field"), 422),
    "a forged state": (body(state="completed"), ("state", "unknown_field"), 422),
    "a forged sender": (body(submitted_by="operator"), ("submitted_by", "unknown_field"), 422),
    "a query for an id": (body(source_id={"$ne": None}), ("source_id", "wrong_type"), 422),
    "a query for a place": (body(community={"$gt": ""}), ("community", "wrong_type"), 422),
    "a query for a building": (body(address={"building": {"$ne": None}}), ("address.building", "wrong_type"), 422),
    "a query in a field": (body(**{"$where": "1"}), ("$where", "unknown_field"), 422),
    "half of it": (body()[:40], ("", "not_json"), 422),
    "nothing": (b"", ("", "not_json"), 422),
    "no text": (b"\xff\xfe\x00", ("", "not_json"), 422),
    "a list": (b"[]", ("", "wrong_type"), 422),
    "a window that closes before it opens": (
        body(window={"from": "2026-11-24T10:00:00Z", "until": "2026-11-24T09:00:00Z"}),
        ("window", "not_allowed"),
        422,
    ),
}
"""What is wrong, the body, the problem that names it, and the status over HTTP."""


@asynccontextmanager
async def unchanged(intake: Service, town: Town) -> AsyncIterator[None]:
    """One good request is there; at the end of the block it is as it was, alone, and no event was told."""
    assert (await intake.post("/requests", GOOD)).status_code == 202
    (before,) = await eventually(lambda: sent(intake))
    async with town.ear() as events:
        yield
        assert (await intake.post("/requests", world.groceries("last"))).status_code == 202
        await eventually(lambda: events.heard)
        assert [one.type for one in events.heard] == ["doorstep.request.created.v1"]
    after = {one["_id"]: one for one in await intake.stored("requests")}
    assert len(after) == 2
    assert after[before["_id"]] == before


async def sent(intake: Service) -> list[dict[str, Any]]:
    return [one for one in await intake.stored("requests") if not one["unsent"]]


async def test_bad_bodies_over_http_are_refused_by_field_and_reason(town: Town) -> None:
    """As problem+json, each with its status."""
    async with town.up("intake") as at, town.amqp("operator") as operator, town.ear():
        await world.tell_intake_of_places(at.intake, operator)
        async with unchanged(at.intake, town):
            for name, (content, problem, status) in BODIES.items():
                answer = await at.intake.call("POST", "/requests", who="source", content=content)
                assert answer.headers["content-type"] == "application/problem+json", name
                assert (answer.status_code, problems(answer)) == (status, [problem]), name
                assert "王先生" not in answer.text, name


async def test_bad_bodies_over_amqp_are_refused_by_field_and_reason(town: Town) -> None:
    """To `reply_to`; without one they are kept where an operator sees them, once each."""
    async with town.up("intake") as at, town.amqp("operator") as operator, town.amqp() as source, town.ear():
        await world.tell_intake_of_places(at.intake, operator)
        async with unchanged(at.intake, town):
            for name, (content, problem, _) in BODIES.items():
                answer = await source.ask("request.submit", content)
                assert (answer["status"], problems(answer)) == ("refused", [problem]), name
            assert await at.intake.items("/dead-letters") == [], "who was answered is not kept aside"
            for content, _, _ in BODIES.values():
                for _ in range(2):
                    await source.tell("request.submit", content, message_id="m1")
            kept = await eventually(lambda: dead_letters(at.intake, len(BODIES)))
            assert {tuple(one["problems"][0][part] for part in ("field", "code")) for one in kept} == {
                problem for _, problem, _ in BODIES.values()
            }
            assert {one["reason"] for one in kept} == {"unreadable", "refused"}


async def dead_letters(service: Service, count: int) -> list[dict[str, Any]] | None:
    found = await service.items("/dead-letters")
    return found if len(found) >= count else None


async def test_a_body_exactly_at_the_limit_is_taken_over_both_ways(town: Town) -> None:
    """64 KiB, to the byte."""
    async with town.up("intake") as at, town.amqp() as source, town.ear():
        first, second = (json.dumps(world.groceries(name)).encode().ljust(BODY_LIMIT) for name in ("1", "2"))
        assert (await at.intake.call("POST", "/requests", who="source", content=first)).status_code == 202
        assert (await source.ask("request.submit", second))["status"] == "needs_review"


async def test_bad_task_commands_are_refused_alike_over_both_ways(town: Town) -> None:
    """And the task stays as it was."""
    async with town.up("dispatch") as at, town.amqp("operator") as operator, town.ear() as events:
        await world.settle(at.dispatch)
        await operator.happen(RequestCreated(**world.created("r1")))
        await eventually(lambda: events.bodies("doorstep.delivery.offered.v1"))
        (before,) = await eventually(lambda: at.dispatch.stored("tasks", {"unsent": []}))
        task_id = before["_id"]
        good = {"command_id": "c1", "worker": world.ZHAO}
        for change, problem in (
            ({"command_id": None}, ("command_id", "required")),
            ({"command_id": {"$ne": None}}, ("command_id", "wrong_type")),
            ({"command_id": "with blank"}, ("command_id", "bad_format")),
            ({"worker": {"$ne": None}}, ("worker", "wrong_type")),
            ({"at": 1669251600}, ("at", "wrong_type")),
            ({"at": "2026-11-24"}, ("at", "datetime_from_date_parsing")),
            ({"state": "completed"}, ("state", "unknown_field")),
            ({"leads": True}, ("leads", "unknown_field")),
        ):
            fields = {name: value for name, value in {**good, **change}.items() if value is not None}
            over_http = await at.dispatch.post(f"/tasks/{task_id}/accept", fields)
            over_amqp = await operator.ask("task.accept", {**fields, "task_id": task_id})
            assert over_http.status_code == 422, change
            assert [field for field, _ in problems(over_http)] == [problem[0]], change
            assert problems(over_http) == problems(over_amqp), change
        other = await at.dispatch.post(f"/tasks/{task_id}/accept", {**good, "task_id": "another"})
        assert (other.status_code, problems(other)) == (422, [("task_id", "not_allowed")])
        (after,) = await at.dispatch.stored("tasks")
        assert after == before


async def test_bad_parameters_are_problems_too(town: Town) -> None:
    """Lists, headers and paths: 4xx with a code, never an error of ours."""
    async with town.up("dispatch", "notification") as at:
        for service, path in (
            (at.dispatch, "/tasks?limit=0"),
            (at.dispatch, "/tasks?limit=501"),
            (at.dispatch, "/tasks?limit=many"),
            (at.dispatch, "/tasks?after=nonsense"),
            (at.dispatch, "/tasks?after[$ne]=1&limit=0"),
            (at.dispatch, "/tasks?state=flying"),
            (at.dispatch, f"/tasks?worker={'w' * 129}"),
            (at.notification, "/messages?unread=perhaps"),
            (at.notification, f"/messages?after={'A' * 1025}"),
            (at.dispatch, "/tasks/nothing"),
            (at.dispatch, "/tasks/$ne"),
            (at.dispatch, "/tasks/%00"),
            (at.dispatch, "/nothing"),
        ):
            answer = await service.call("GET", path)
            assert answer.status_code in (404, 422), path
            assert answer.headers["content-type"] == "application/problem+json", path
            assert answer.json()["code"], path
        for header in ("-2", "x", "1.5", "NaN"):
            answer = await at.notification.call("GET", "/stream", headers={"Last-Event-ID": header})
            assert (answer.status_code, answer.json()["code"]) == (422, "not_valid"), header
        wrong_method = await at.dispatch.call("DELETE", "/tasks")
        assert (wrong_method.status_code, wrong_method.json()["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("reply_to", ["doorstep.dispatch.commands", "amq.topic", "", "doorstep.notifications.log"])
async def test_an_answer_never_goes_to_a_queue_that_is_not_the_senders_own(town: Town, reply_to: str) -> None:
    """A forged `reply_to` gets nothing; what was good is done all the same."""
    async with town.up("intake", "dispatch") as at, town.amqp() as source, town.ear():
        await source.tell("request.submit", GOOD, reply_to=reply_to or None, correlation_id="c1")
        await source.tell("request.submit", body(kind="rocket"), reply_to=reply_to or None, correlation_id="c2")
        await eventually(lambda: dead_letters(at.intake, 1))
        await eventually(lambda: at.intake.stored("requests"))
        assert await at.dispatch.items("/dead-letters") == []
