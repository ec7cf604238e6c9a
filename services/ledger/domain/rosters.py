"""A roster: those of one building in a round, as they stood when it was frozen.

Its sheets are written before it: where it is, they are, and its events tell what stood on them.
"""

from collections.abc import Sequence

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told
from services.ledger.domain.sheets import RoundFacts, Sheet
from shared.contracts.envelope import Event
from shared.contracts.rounds import RosterExtended, RosterFrozen, SheetFrozen

SHEETS = 20
"""Told in one event at most: those of five hundred members."""


class Roster(BaseModel):
    """How many of one building stand on it."""

    round_id: str
    community: str
    building: str
    members: int
    added: tuple[str, ...] = ()
    """Places of the sheets of those who were put on it later."""


def freeze(
    known: Roster | None, facts: RoundFacts, building: str, cut: Sequence[Sheet]
) -> tuple[Roster, Sequence[Event]] | None:
    """These stand on the roster; None if that was said."""
    if known is not None:
        return None
    roster = Roster(
        round_id=facts.round_id,
        community=facts.community,
        building=building,
        members=sum(one.counts.members for one in cut),
    )
    parts = (cut[start : start + SHEETS] for start in range(0, len(cut), SHEETS))
    return roster, [RosterFrozen(**_of(roster, facts), sheets=tuple(map(_frozen, part))) for part in parts]


def extend(known: Roster | None, facts: RoundFacts, sheet: Sheet) -> tuple[Roster, Sequence[Event]] | None:
    """So do those on this sheet now; None if that was said."""
    roster = known or Roster(round_id=facts.round_id, community=facts.community, building=sheet.building, members=0)
    if sheet.place in roster.added:
        return None
    members = roster.members + len(sheet.members)
    after = roster.model_copy(update={"members": members, "added": (*roster.added, sheet.place)})
    return after, [RosterExtended(**_of(roster, facts), sheet=_frozen(sheet))]


def retold(known: Told, event: Event) -> Told:
    """What is told of a roster after one more event."""
    if not isinstance(event, RosterFrozen | RosterExtended):
        return known
    told: Told = {**event.model_dump(include={"round_id", "community", "building"}), "members": 0, "added": (), **known}
    if isinstance(event, RosterExtended):
        told = {**told, "added": (*told["added"], event.sheet.place)}
    return {**told, "members": told["members"] + sum(len(one.members) for one in sheets_of(event))}


def sheets_of(event: RosterFrozen | RosterExtended) -> Sequence[SheetFrozen]:
    """The sheets that it tells."""
    return event.sheets if isinstance(event, RosterFrozen) else (event.sheet,)


def _of(roster: Roster, facts: RoundFacts) -> dict[str, str]:
    return {**roster.model_dump(include={"community", "round_id", "building"}), "kind": facts.kind}


def _frozen(sheet: Sheet) -> SheetFrozen:
    members = list(sheet.members)
    of_persons = all(one.person_id == one.member_id for one in members)
    return SheetFrozen(
        place=sheet.place,
        grid=sheet.grid,
        members=tuple(one.member_id for one in members),
        persons=() if of_persons else tuple(one.person_id for one in members),
        visited=tuple(one.member_id for one in members if not one.hears),
        present=tuple(one.member_id for one in members if one.presence),
    )
