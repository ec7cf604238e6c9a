"""Why a body is refused: each reason with field and code, and never with the value that was sent."""

import json
from typing import Any

import pytest

from shared.contracts.envelope import BODY_LIMIT, EVENT_LIMIT
from shared.contracts.intake import SubmitRequest
from shared.contracts.refusal import Refusal
from shared.contracts.rounds import OpenRound, RoundPlanned
from shared.problems import parse
from tests import world

DEEP = b'{"source":' + b"[" * 5_000 + b"]" * 5_000 + b"}"


def refused(body: bytes | dict[str, Any]) -> list[tuple[str, str]]:
    """Field and code of each problem."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(Refusal) as excinfo:
        parse(SubmitRequest, raw)
    assert "王先生" not in str(excinfo.value)
    return [(problem.field, problem.code) for problem in excinfo.value.problems]


def test_a_good_body_is_taken() -> None:
    """With a decimal quantity as it was written."""
    assert str(parse(SubmitRequest, json.dumps(world.groceries("1")).encode()).items[0].quantity) == "2"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": None}, ("kind", "required")),
        ({"address": None}, ("address", "required")),
        ({"address": {}}, ("address.building", "required")),
        ({"address": {"building": ""}}, ("address.building", "bad_format")),
        ({"address": {"building": "1", "floor": 3}}, ("address.floor", "unknown_field")),
        ({"colour": "red"}, ("colour", "unknown_field")),
        ({"kind": 7}, ("kind", "wrong_type")),
        ({"kind": ["groceries"]}, ("kind", "wrong_type")),
        ({"kind": {"$ne": None}}, ("kind", "wrong_type")),
        ({"source_id": {"$gt": ""}}, ("source_id", "wrong_type")),
        ({"source_id": 20221124}, ("source_id", "wrong_type")),
        ({"source_id": "with blank"}, ("source_id", "bad_format")),
        ({"source_id": "x" * 129}, ("source_id", "bad_format")),
        ({"source": "Wecom"}, ("source", "bad_format")),
        ({"community": "tiebei.#"}, ("community", "bad_format")),
        ({"contactless": "yes"}, ("contactless", "wrong_type")),
        ({"contactless": 1}, ("contactless", "wrong_type")),
        ({"urgency": "now"}, ("urgency", "not_allowed")),
        ({"note": "x" * 2_001}, ("note", "too_long")),
        ({"resident": {"phone": "call me"}}, ("resident.phone", "bad_format")),
        ({"resident": {"needs": ["deaf"] * 17}}, ("resident.needs", "too_many")),
        ({"items": [{"name": "x"}] * 51}, ("items", "too_many")),
        ({"items": [{"name": "x", "quantity": float("nan")}]}, ("items.0.quantity", "not_finite")),
        ({"items": [{"name": "x", "quantity": float("inf")}]}, ("items.0.quantity", "not_finite")),
        ({"items": [{"name": "x", "quantity": 0}]}, ("items.0.quantity", "greater_than")),
        ({"items": {"name": "x"}}, ("items", "wrong_type")),
        (
            {"window": {"from": "2026-11-24T09:00:00Z", "until": "2026-11-24T09:00:00Z"}},
            ("window", "not_allowed"),
        ),
        (
            {"window": {"from": "2026-11-24T09:00:00", "until": "2026-11-24T10:00:00Z"}},
            ("window.from", "timezone_aware"),
        ),
    ],
)
def test_each_mistake_is_named_by_field_and_code(change: dict[str, Any], problem: tuple[str, str]) -> None:
    """One mistake, one problem."""
    assert refused(world.groceries("1", **change)) == [problem]


@pytest.mark.parametrize("body", [b"", b"{", b"not json", b"\xff\xfe\x00", DEEP, b'{"kind": "a"} {}'])
def test_what_is_not_json_is_said_to_be_so(body: bytes) -> None:
    """Also when it is nested deeper than anything of ours."""
    assert refused(body) == [("", "not_json")]


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b'"text"', b"true", b"NaN"])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    """As the wrong type of the whole."""
    assert refused(body) == [("", "wrong_type")]


def test_all_mistakes_are_told_at_once_but_no_more_than_twenty() -> None:
    """A sender mends them in one go, and an attacker gets no long answer."""
    assert len(refused({"kind": 1, "note": 2})) == 6
    assert len(refused({f"field{number}": number for number in range(500)})) == 20


def test_the_limit_of_a_body_is_64_kib_and_not_a_byte_more() -> None:
    """Exactly at the limit it is taken."""
    text = json.dumps(world.groceries("1")).encode()
    parse(SubmitRequest, text.ljust(BODY_LIMIT))
    assert refused(text.ljust(BODY_LIMIT + 1)) == [("", "too_large")]


def test_a_key_that_comes_twice_in_one_body_has_one_meaning() -> None:
    """The last: what is checked is what is used."""
    raw = json.dumps(world.groceries("1")).encode()[:-1] + b', "kind": "medicine"}'
    assert parse(SubmitRequest, raw).kind == "medicine"


def test_an_event_may_be_longer_than_a_command_and_may_say_more_than_is_known() -> None:
    """It says what a command said, sealed; what a newer publisher added is passed over, also deep within."""
    told = {
        "round_id": "r",
        "community": "tiebei",
        "kind": "testing",
        "title": "核酸",
        "closes": "2026-11-24T12:00:00Z",
    }
    planned = {**told, "told": {**told, "roster": {"newer": 1}, "newer": 1}, "at": "2026-11-24T08:00:00Z"}
    body = json.dumps(planned).encode()
    assert parse(RoundPlanned, body.ljust(EVENT_LIMIT)).told.title == "核酸"
    with pytest.raises(Refusal) as longer:
        parse(RoundPlanned, body.ljust(EVENT_LIMIT + 1))
    assert [one.code for one in longer.value.problems] == ["too_large"]
    with pytest.raises(Refusal) as command:
        parse(OpenRound, json.dumps(planned["told"]).encode())
    assert {one.code for one in command.value.problems} == {"unknown_field"}
