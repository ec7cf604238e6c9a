"""Cursors: a place in a list, opaque, and refused when it is not one of ours."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.refusal import Refusal
from shared.pages import decode_cursor, encode_cursor, page

KINDS = (int, datetime, str)


@given(
    st.integers(-(2**31), 2**31),
    st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis adds the zone
    st.text(st.characters(codec="utf-8"), max_size=50),
)
def test_a_cursor_comes_back_as_it_was_given(number: int, at: datetime, text: str) -> None:
    """To the microsecond."""
    assert decode_cursor(encode_cursor((number, at, text)), KINDS) == [number, at, text]


def test_without_a_cursor_a_list_begins_at_its_beginning() -> None:
    """None is no place."""
    assert decode_cursor(None, KINDS) is None


def of(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "!",
        "nonsense",
        "AAAA",
        of("{}"),
        of("[1]"),
        of('[1, "2026-11-24T09:00:00Z", "t1", 4]'),
        of('["1", "2026-11-24T09:00:00Z", "t1"]'),
        of('[1, "yesterday", "t1"]'),
        of('[1, 2, "t1"]'),
        of('[1, "0001-01-01T00:00:00+08:00", "t1"]'),
        of('[1, "9999-12-31T23:59:59-08:00", "t1"]'),
        of('[9223372036854775808, "2026-11-24T09:00:00Z", "t1"]'),
        of('[1, "2026-11-24T09:00:00Z", {"$ne": null}]'),
        "é" * 10,
    ],
)
def test_what_is_no_cursor_of_the_list_is_refused(cursor: str) -> None:
    """With the field's name, and never as an error of ours."""
    with pytest.raises(Refusal) as excinfo:
        decode_cursor(cursor, KINDS)
    assert (excinfo.value.problems[0].field, excinfo.value.problems[0].code) == ("after", "bad_cursor")


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_is_refused(cursor: str) -> None:
    """Nothing else happens."""
    try:
        decode_cursor(cursor, KINDS)
    except Refusal as refusal:
        assert refusal.status == 422  # noqa: PT017  # both outcomes are fine


def test_the_one_too_many_says_that_there_is_more() -> None:
    """It is not shown, and the cursor is that of the last one shown."""
    items = [{"n": number} for number in range(4)]
    shown = page(items, 3, lambda one: (one["n"],), lambda one: one["n"])
    assert shown["items"] == [0, 1, 2]
    assert decode_cursor(shown["next"], (int,)) == [2]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_last_page_has_no_next(count: int) -> None:
    """Also when it is exactly full, or empty."""
    items = [{"n": number} for number in range(count)]
    assert page(items, 3, lambda one: (one["n"],), lambda one: one["n"]) == {"items": list(range(count)), "next": None}
