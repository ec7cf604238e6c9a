"""A report: how it went with some on a roster, as one list that came in.

It is kept, and told, before it is applied to the sheets: what was accepted is there, and after a crash it is applied
again.
"""

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from services.ledger.domain.sheets import Met, RoundFacts
from shared.contracts.envelope import Event
from shared.contracts.rounds import Recorded, RoundRecorded


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
    event = RoundRecorded(
        community=facts.community,
        round_id=facts.round_id,
        kind=facts.kind,
        report_id=told.report_id,
        records=tuple(
            Recorded(member_id=line.member_id, **line.met.model_dump(exclude={"card", "sealed"})) for line in told.lines
        ),
    )
    return told, [event]


def applied(known: Report | None) -> tuple[Report, Sequence[Event]] | None:
    """It is on the sheets; None if that was so."""
    if known is None or known.due_at is None:
        return None
    return known.model_copy(update={"due_at": None}), []
