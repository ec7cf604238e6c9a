"""The demonstration's clients send again what was not answered, and read streams as the standard says."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deploy.demo.access import NotRunning, operator_amqp, read_access, with_user
from deploy.demo.day import Lying
from deploy.demo.evidence import Task
from deploy.demo.gateway import Gateway, NoAnswer, Refusal
from deploy.demo.patience import Patience, longer
from deploy.demo.record import AT_FIRST, Record, Submission
from deploy.demo.stream import ServerEvent, server_events

TOKENS = {"source": "s3", "coordinator": "c3"}


class Service:
    """Answers with what it is told to, in turn, and keeps what it was asked."""

    def __init__(self, *replies: httpx.Response | httpx.TransportError) -> None:
        self.replies = list(replies)
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        reply = self.replies.pop(0)
        if isinstance(reply, httpx.TransportError):
            raise reply
        return reply

    def gateway(self, *, patience: float = 5.0) -> Gateway:
        return Gateway("http://door.invalid", TOKENS, patience=patience, transport=httpx.MockTransport(self))


async def test_a_call_is_sent_again_with_the_same_key_until_it_is_answered() -> None:
    service = Service(
        httpx.Response(503),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(202, json={"a": 1}),
    )
    async with service.gateway() as gateway:
        answer = await gateway.call("POST", "/x", role="source", content="{}", headers={"idempotency-key": "k"})
    assert (answer.status, answer.tries, answer.good, dict(answer.body)) == (202, 4, True, {"a": 1})
    assert [request.headers["idempotency-key"] for request in service.asked] == ["k"] * 4
    assert service.asked[0].headers["authorization"] == "Bearer s3"


async def test_a_refusal_is_an_answer() -> None:
    service = Service(httpx.Response(409, json={"code": "taken", "problems": []}))
    async with service.gateway() as gateway:
        answer = await gateway.send("POST", "/x", {}, role="coordinator")
    assert (answer.good, answer.code, answer.tries) == (False, "taken", 1)


async def test_patience_ends() -> None:
    service = Service(*(httpx.Response(503, text="not yet") for _ in range(20)))
    async with service.gateway(patience=0.3) as gateway:
        with pytest.raises(NoAnswer, match=r"GET /x.*503 not yet"):
            await gateway.call("GET", "/x", role="source")


async def test_every_page_of_a_list_is_read() -> None:
    service = Service(
        httpx.Response(200, json={"items": [1, 2], "next": "p2"}),
        httpx.Response(200, json={"items": [3], "next": None}),
    )
    async with service.gateway() as gateway:
        assert [item async for item in gateway.pages("/x", role="coordinator", params={"state": "offered"})] == [
            1,
            2,
            3,
        ]
    assert [dict(request.url.params) for request in service.asked] == [
        {"limit": "500", "state": "offered"},
        {"limit": "500", "state": "offered", "after": "p2"},
    ]


async def test_a_list_that_is_not_given_is_said() -> None:
    service = Service(httpx.Response(403, json={"code": "forbidden"}))
    async with service.gateway() as gateway:
        with pytest.raises(Refusal, match="403 forbidden"):
            await anext(gateway.pages("/x", role="coordinator"))


async def read(text: str) -> list[ServerEvent]:
    async def lines() -> AsyncIterator[str]:
        for line in text.split("\n"):
            yield line

    return [event async for event in server_events(lines())]


async def test_a_stream_is_read_as_the_standard_says() -> None:
    """Comments and unknown fields are passed over, data lines joined, ids kept, an unfinished event dropped."""
    text = ": hello\n\nid: 7\ndata: {\ndata: }\n\nevent: x\ndata:no space\n\nid: 8\n\ndata: cut off"
    assert await read(text) == [ServerEvent("7", "{\n}"), ServerEvent("7", "no space")]


def test_access_is_read_from_the_data_folder(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="make run"):
        read_access(tmp_path)
    path = tmp_path / "access.json"
    path.write_text("{}")
    with pytest.raises(NotRunning, match="http, tokens, amqp"):
        read_access(tmp_path)
    path.write_text(
        json.dumps({"http": "http://h", "tokens": TOKENS, "amqp": {"source": "amqp://source:p@h:1/doorstep"}})
    )
    access = read_access(tmp_path)
    with pytest.raises(NotRunning, match="rabbit-operator"):
        operator_amqp(tmp_path, access)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "rabbit-operator").write_text("p/w\n")
    assert operator_amqp(tmp_path, access) == "amqp://operator:p%2Fw@h:1/doorstep"


def test_a_user_is_put_into_an_address_without_one() -> None:
    assert with_user("amqp://h:1/v", "u", "p") == "amqp://u:p@h:1/v"


def test_a_task_is_named_when_it_lay_untouched_long_enough() -> None:
    lying = Lying(idle=4)
    task = Task(id="t", request_id="r", kind="parcel", grid="g1", state="assigned", worker="w")
    moved = task.model_copy(update={"state": "under_way"})
    assert lying.too_long([task], 0) == []
    assert lying.too_long([task], 3) == []
    assert lying.too_long([task], 4) == [task]
    assert lying.too_long([task], 5) == []
    assert lying.too_long([moved], 8) == []
    assert lying.too_long([moved], 12) == [moved]


async def test_a_request_of_somebody_else_is_known_once_all_orders_are_answered() -> None:
    record = Record(2)
    record.submitted("k1", Submission("http", AT_FIRST, 1, "accepted", "r1"))
    assert await record.ours("r1")
    record.submitted("k2", Submission("http", AT_FIRST, 1, "refused"))
    assert not await record.ours("r-of-another")


def test_patience_lasts_as_long_as_the_number_goes_down() -> None:
    patience = Patience(10)
    assert [patience.ended(number, now) for number, now in ((5, 0), (5, 9), (4, 11), (4, 20), (6, 21), (4, 22))] == [
        False,
        False,
        False,
        False,
        False,
        True,
    ]


def test_each_try_may_take_longer_than_the_one_before() -> None:
    assert [longer(5, tries) for tries in (1, 2, 3, 9)] == [5, 7.5, 11.25, 30]
