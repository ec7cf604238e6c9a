"""Messages as they travel: what we write others read, and what others write is not believed before it is read."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.rabbitmq import RabbitMQMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from hypothesis import example, given
from hypothesis import strategies as st

from shared.contracts.envelope import Meta
from shared.contracts.refusal import Refusal
from shared.messages import SENT_LIMIT, Incoming, Outgoing, read
from tests import world
from tests.unit.tasks import NINE

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
META = Meta("e1", "doorstep.request.created.v1", "intake", NINE, "r1", 3, "c1", traceparent=TRACE)
BODY = json.dumps(world.created("r1")).encode()


def incoming(**changes: Any) -> Incoming:
    """As a plain program sends it: a body and a routing key."""
    plain = Incoming(
        queue="doorstep.intake.commands",
        exchange="doorstep.commands",
        key="request.submit",
        body=b"{}",
        headers={},
        content_type=None,
        type=None,
        message_id=None,
        correlation_id=None,
        reply_to=None,
        app_id=None,
        user_id=None,
        timestamp=None,
    )
    return replace(plain, **changes)


def structured(**attributes: Any) -> Incoming:
    """One CloudEvent in one body."""
    event = {"specversion": "1.0", "id": "e1", "type": META.type, "source": "/doorstep/intake", **attributes}
    return incoming(content_type="application/cloudevents+json; charset=utf-8", body=json.dumps(event).encode())


def test_what_we_send_is_read_as_it_was_meant() -> None:
    """Every attribute of the envelope, and the bare body."""
    meta = replace(META, actor="coordinator")
    sent = Outgoing("doorstep.events", "request.created.tiebei.g1", BODY, meta, "r1")
    assert read(incoming(exchange=sent.exchange, headers=sent.all_headers(), body=sent.body), NINE) == (meta, BODY)


def test_what_we_send_is_a_cloudevent_for_others_too() -> None:
    """As the CloudEvents project's own library reads the AMQP binding."""
    sent = Outgoing("doorstep.events", "request.created.tiebei.g1", BODY, META, "r1")
    other = RabbitMQMessage(headers=sent.all_headers(), content_type=sent.content_type, body=sent.body)
    event = from_binary(other, JSONFormat())
    assert (event.get_id(), event.get_type(), event.get_subject()) == ("e1", META.type, "r1")


def test_structured_mode_says_the_same_as_binary() -> None:
    """Attributes and data in one body."""
    message = structured(subject="r1", time="2026-11-24T09:00:00Z", sequence="3", cause="c1", data=world.created("r1"))
    meta, body = read(replace(message, headers={"traceparent": TRACE}), NINE)
    assert meta == META
    assert json.loads(body) == world.created("r1")


def test_a_plain_message_gets_its_type_from_the_routing_key() -> None:
    """And its id from the message."""
    meta, _ = read(incoming(message_id="m1", correlation_id="c9", app_id="wecom-bridge"), NINE)
    assert meta == Meta("m1", "doorstep.request.submit.v1", "wecom-bridge", NINE, "c9")


def test_the_brokers_word_for_the_sender_stands_where_the_sender_says_nothing() -> None:
    """`user_id` is checked by the broker."""
    assert read(incoming(user_id="source"), NINE)[0].source == "source"


def test_who_sent_a_command_is_what_the_broker_checked() -> None:
    """Whatever the sender says himself."""
    said = {"ce-actor": "coordinator"}
    assert read(incoming(headers=said), NINE)[0].actor == ""
    assert read(incoming(headers=said, user_id="source.shop"), NINE)[0].actor == "source.shop"
    assert read(structured(actor="coordinator", data={}), NINE)[0].actor == ""


def test_who_set_an_event_off_is_what_the_service_says_that_raised_it() -> None:
    """Only services publish events, and bring back what was set aside."""
    said = {"ce-actor": "coordinator"}
    assert read(incoming(exchange="doorstep.events", headers=said, user_id="dispatch"), NINE)[0].actor == "coordinator"
    assert read(incoming(exchange="", headers=said), NINE)[0].actor == "coordinator"


def test_a_time_is_utc_whatever_zone_it_was_written_in() -> None:
    """So that what is hashed is what is stored."""
    headers = {"ce-time": "2026-11-24T17:00:00+08:00"}
    assert read(incoming(headers=headers), datetime(2000, 1, 1, tzinfo=UTC))[0].time.isoformat() == NINE.isoformat()


@pytest.mark.parametrize("time", ["yesterday", "0001-01-01T00:00:00+08:00", 7, None, b"x", ["2026"], True])
def test_a_time_that_is_none_is_now(time: Any) -> None:
    """A sender's wrong clock stops no message."""
    assert read(incoming(headers={"ce-time": time}), NINE)[0].time == NINE


@pytest.mark.parametrize("sequence", ["many", None, [], {}, b"\xff"])
def test_a_sequence_that_is_none_is_zero(sequence: Any) -> None:
    """Which is older than everything."""
    assert read(incoming(headers={"ce-sequence": sequence}), NINE)[0].sequence == 0


@pytest.mark.parametrize(
    ("headers", "field"),
    [
        ({"ce-type": 7}, "ce-type"),
        ({"ce-type": {"$ne": None}}, "ce-type"),
        ({"ce-type": "t" * 257}, "ce-type"),
        ({"ce-id": ["e1"]}, "ce-id"),
        ({"ce-id": {"$ne": None}}, "ce-id"),
        ({"ce-id": "e" * 257}, "ce-id"),
        ({"ce-id": True}, "ce-id"),
    ],
)
def test_forged_attributes_are_refused_by_name(headers: dict[str, Any], field: str) -> None:
    """Nothing that is not text reaches a query."""
    with pytest.raises(Refusal) as excinfo:
        read(incoming(headers=headers), NINE)
    assert (excinfo.value.problems[0].field, excinfo.value.problems[0].code) == (field, "wrong_type")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"{}",
        b'{"specversion":"1.0"}',
        b'{"specversion":"1.0","id":"e1","type":"t","source":7}',
        b'{"specversion":"9.9","id":"e1","type":"t","source":"s"}',
        b'{"specversion":"1.0","id":null,"type":"t","source":"s"}',
        b"\xff\xfe",
        b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    ],
)
def test_what_only_claims_to_be_a_cloudevent_is_refused(body: bytes) -> None:
    """As a refusal, whatever is wrong with it."""
    with pytest.raises(Refusal):
        read(incoming(content_type="application/cloudevents+json", body=body), NINE)


@given(
    st.dictionaries(
        st.sampled_from(["ce-id", "ce-type", "ce-source", "ce-time", "ce-subject", "ce-sequence", "traceparent"]),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.binary(max_size=9)),
    ),
    st.sampled_from([None, "application/json", "application/cloudevents+json"]),
    st.binary(max_size=40),
)
@example({"ce-sequence": float("inf")}, None, b"")
def test_any_message_is_read_or_refused(headers: dict[str, Any], content_type: str | None, body: bytes) -> None:
    """Nothing else happens, and what is read is text."""
    try:
        meta, _ = read(incoming(headers=headers, content_type=content_type, body=body), NINE)
    except Refusal:
        return
    assert all(isinstance(value, str) for value in (meta.id, meta.type, meta.source, meta.subject, meta.traceparent))


def test_a_body_that_the_broker_would_not_take_is_never_sent() -> None:
    """It would close the channel for all others."""
    Outgoing("", "queue", b"x" * SENT_LIMIT, META, None)
    with pytest.raises(ValueError, match="limit 1048576"):
        Outgoing("", "queue", b"x" * (SENT_LIMIT + 1), META, None)
