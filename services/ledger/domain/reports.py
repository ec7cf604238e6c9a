"""A report: how it went with some on a roster, as one list that came in.

It is kept, and told, before it is applied to the sheets: what was accepted is there, and after a crash it is applied
again.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from services.ledger.domain.rebuilding import Told, but
from services.ledger.domain.sheets import Met, RoundFacts, met_at
from shared.contracts.envelope import BODY_LIMIT, Event
from shared.contracts.rounds import Recorded, RoundRecorded

PART = BODY_LIMIT // 2
"""Bytes of the records that one event tells, nearly: replicas of the version before take no larger body."""


class Line(BaseModel):
    """One record, and on which sheet it belongs."""

    model_config = ConfigDict(frozen=True)

    sheet_id: str
    member_id: str
    met: Met


class Report(BaseModel):
    """A list as it came in."""

    report_id: str
    round_id: str
    lines: tuple[Line, ...]
    due_at: datetime | None
    """When it is applied again; None: that is done."""

    def by_sheet(self) -> dict[str, list[tuple[str, Met]]]:
        """What is to be put on which sheet."""
        found: dict[str, list[tuple[str, Met]]] = {}
        for line in self.lines:
            found.setdefault(line.sheet_id, []).append((line.member_id, line.met))
        return found


def keep(known: Report | None, told: Report, facts: RoundFacts) -> tuple[Report, Sequence[Event]] | None:
    """A list came in; None if it had."""
    if known is not None:
        return None
    place = f"{facts.round_id}/"
    records = [
        Recorded(member_id=line.member_id, sheet=line.sheet_id.removeprefix(place), **line.met.model_dump())
        for line in told.lines
    ]
    return told, [
        RoundRecorded(
            community=facts.community,
            round_id=facts.round_id,
            kind=facts.kind,
            report_id=told.report_id,
            records=part,
        )
        for part in _parts(records)
    ]


def _parts(records: Iterable[Recorded]) -> Iterator[tuple[Recorded, ...]]:
    """As many at once as an event can hold: what was noted of each may be long. At least one, of none."""
    part, size = list[Recorded](), 0
    for one in records:
        length = len(one.model_dump_json().encode())
        if part and size + length > PART:
            yield tuple(part)
            part, size = [], 0
        part.append(one)
        size += length
    yield tuple(part)


def applied(known: Report | None) -> tuple[Report, Sequence[Event]] | None:
    """It is on the sheets; None if that was so."""
    if known is None or known.due_at is None:
        return None
    return known.model_copy(update={"due_at": None}), []


def retold(known: Told, event: Event) -> Told:
    """What is told of a list. It is put on the sheets again, which does no harm."""
    if not isinstance(event, RoundRecorded):
        return known
    told: Told = {"report_id": event.report_id, "round_id": event.round_id, "due_at": None, "lines": (), **known}
    if any(one.sheet is None for one in event.records):
        return but(told, "lines")
    lines = (
        Line(sheet_id=f"{event.round_id}/{one.sheet}", member_id=one.member_id, met=met_at(one))
        for one in event.records
    )
    return {**told, "lines": (*told["lines"], *lines)}


def going_on(report: Report, now: datetime) -> Report:
    """It is put on the sheets again."""
    return report.model_copy(update={"due_at": now})
