"""Lists of a round as a desk keeps them: a row is what is known of one person or household."""

from collections.abc import Container, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from services.ledger.domain.cells import Wrong, numbers, plain
from services.ledger.domain.headings import Columns
from services.ledger.domain.imports import Imports, RecordField
from services.ledger.domain.rows import address_of, cell_of, texts_of, wrong_fields
from shared.contracts.rounds import Ending, RoundRecord

_TIMES = ("%H:%M", "%H:%M:%S")
_MOMENTS = tuple(f"{day} {clock}" for day in ("%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日", "%Y.%m.%d") for clock in _TIMES)
_TEXTS = ("name", "point", "card", "note")
LISTED: tuple[RecordField, ...] = (
    "name",
    "building",
    "unit",
    "room",
    "phone",
    "at",
    "point",
    "outcome",
    "card",
    "note",
)
"""The columns of a list that is given out."""
_HAPPENED = ("at", "point", "outcome", "card", "note")


def outcomes(imports: Imports) -> Mapping[str, Ending]:
    """What a word means, by the word."""
    named = imports.records.outcomes
    return {plain(name).casefold(): outcome for outcome, names in named.items() for name in (outcome, *names)}


def record_of(
    row: Sequence[Any],
    at: Columns,
    meaning: Mapping[str, Ending],
    buildings: Container[str],
    day: date,
    zone: ZoneInfo,
) -> RoundRecord | None:
    """What a row says; None: nothing happened yet.

    A building's number is as it stands among these. `day` holds where it tells a time of day only.

    Raises:
        Wrong: a cell says nothing that can be.
    """
    texts = texts_of(row, at)
    if not any(name in texts for name in _HAPPENED):
        return None
    told: dict[str, Any] = {name: texts[name] for name in _TEXTS if name in texts}
    if "phone" in texts:
        told["phone"] = numbers(texts["phone"])[0]
    if "building" in texts or "address" in texts:
        told["address"] = address_of(texts, buildings)
    told["at"] = _moment(cell_of(row, at, "at"), day).replace(tzinfo=zone).astimezone(UTC)
    if (word := texts.get("outcome")) is not None:
        if word.casefold() not in meaning:
            raise Wrong("outcome", "unknown_outcome")
        told["outcome"] = meaning[word.casefold()]
    try:
        return RoundRecord.model_validate(told, strict=False)
    except ValidationError as error:
        field, code = next(iter(wrong_fields(error)))
        raise Wrong(field, code) from None


def _moment(cell: Any, day: date) -> datetime:
    """By the clock on the wall."""
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=None)
    if isinstance(cell, time):
        return datetime.combine(day, cell)
    if isinstance(cell, timedelta):
        return datetime.combine(day, time()) + cell
    text = plain(cell)
    for form in (*_TIMES, *_MOMENTS):
        try:
            found = datetime.strptime(text, form)  # noqa: DTZ007  # the caller knows the zone
        except ValueError:
            continue
        return datetime.combine(day, found.time()) if form in _TIMES else found
    raise Wrong("at", "bad_time" if text else "required")
