"""Sheets, made again of what the events of their rosters, of lists and of strangers say."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from services.ledger.domain.rosters import sheets_of
from services.ledger.domain.sheets import (
    MOST,
    Member,
    Members,
    Met,
    Sheet,
    count,
    is_same,
    met_at,
    order_of,
    record,
    state_of,
)
from shared.contracts.rounds import RosterExtended, RosterFrozen, RoundRecorded, SheetFrozen

_FROZEN = ("round_id", "community", "grid", "building", "order")


@dataclass(slots=True)
class ToldSheet:
    """What is told of a sheet: who stood on it, and how it went with them."""

    frozen: Sheet
    met: dict[str, list[Met]] = field(default_factory=dict[str, list[Met]])
    """By member."""
    untold: set[str] = field(default_factory=set[str])
    """Members of whom an event of before says that something was recorded, and not all of it."""

    def made(self, stored: Sheet | None, *, closed: bool) -> Sheet | None:
        """The sheet with all that was told, what was recorded first before the rest.

        Args:
            stored: where those are as they are of whom not all was told; None: there is none.
            closed: whether it is.

        Returns:
            None where what was told is not enough.
        """
        kept = [] if stored is None else [(one.member_id, one.met) for one in stored.members]
        met = {**self.met, **{name: known for name, known in kept if name in self.untold}}
        if not met.keys() >= self.untold:
            return None
        told = sorted(((name, one) for name, each in met.items() for one in each), key=lambda each: each[1].at)
        after = record(self.frozen, told)
        return (self.frozen if after is None else after[0]).model_copy(update={"closed": closed})


def frozen(event: RosterFrozen | RosterExtended) -> Iterator[ToldSheet]:
    """The sheets that a roster's event tells, before anything was recorded."""
    for one in sheets_of(event):
        members = Members.of(_members(one))
        yield ToldSheet(
            Sheet(
                sheet_id=f"{event.round_id}/{event.building}/{one.place}",
                round_id=event.round_id,
                community=event.community or "",
                grid=one.grid,
                building=event.building,
                order=order_of(event.building, one.place),
                members=members,
                counts=count(members),
                closed=False,
            )
        )


def recorded(sheet_of: dict[str, ToldSheet], event: RoundRecorded) -> None:
    """Note what a list tells on the sheets of its members, as far as these are among them."""
    for one in event.records:
        sheet = sheet_of.get(one.member_id)
        if sheet is None:
            continue
        if one.sheet is None:
            sheet.untold.add(one.member_id)
        else:
            sheet.met.setdefault(one.member_id, []).append(met_at(one))


def differing(stored: Sheet, told: ToldSheet, *, closed: bool | None) -> tuple[str, ...]:
    """Names of the fields in which a stored sheet is not what was told.

    Args:
        stored: as it rests.
        told: of it.
        closed: whether it is closed, as its round is told; None: nobody can say.
    """
    members = list(stored.members)
    wrong = [name for name in _FROZEN if getattr(stored, name) != getattr(told.frozen, name)]
    if list(map(_who, members)) != list(map(_who, told.frozen.members)) or not all(
        one.member_id in told.untold or _as_told(one, told.met.get(one.member_id, ())) for one in members
    ):
        wrong.append("members")
    if stored.counts != count(members):
        wrong.append("counts")
    if closed is not None and stored.closed != closed:
        wrong.append("closed")
    return tuple(wrong)


def _members(told: SheetFrozen) -> Iterable[Member]:
    for name, person in zip(told.members, told.persons or told.members, strict=True):
        yield Member(member_id=name, person_id=person, presence=name in told.present, hears=name not in told.visited)


def _who(member: Member) -> tuple[str, str, bool, bool]:
    return member.member_id, member.person_id, member.presence, member.hears


def _as_told(member: Member, told: Iterable[Met]) -> bool:
    """Whether all that rests of him was told, all that was told rests as far as there is room, and the state follows.

    Records are a set: they rest in the order in which they came, and of two that say the same the first.
    """
    every = list(told)
    return (
        all(one in every for one in member.met)
        and (len(member.met) >= MOST or all(any(is_same(one, other) for other in member.met) for one in every))
        and member.state == state_of(member.met)
    )
