"""Money between a worker and a resident: double entry, and open until both sides are even.

A balance is what one owes: above zero he owes, below zero he is owed. Each posting raises one side by what it lowers
the other.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, cast

from pydantic import BaseModel, model_validator

from services.ledger.domain.rebuilding import Told
from shared.contracts.envelope import Event
from shared.contracts.money import MoneyRecorded, What
from shared.contracts.refusal import refusal

MOST_POSTINGS = 200
"""In one matter."""
Account = tuple[Literal["worker", "resident"], str]
"""Whose it is: a worker; a resident, or the matter of one whom nobody registered."""


class Line(BaseModel):
    """One side of a posting."""

    worker: str | None
    """None: the resident of the matter."""
    amount: int
    """What this side owes more, in fen."""


class Posting(BaseModel):
    """Money that went from one to the other."""

    posting_id: str
    what: What
    at: datetime
    lines: list[Line]
    sealed: str | None = None
    corrects: str | None = None
    """The posting whose sides it turns round."""

    @model_validator(mode="after")
    def _even(self) -> "Posting":
        if sum(line.amount for line in self.lines) != 0:
            raise ValueError("both sides of a posting are equal")
        return self


class Matter(BaseModel):
    """What money is about, mostly one request: a resident, and whoever helps."""

    matter_id: str
    community: str
    grid: str | None
    person_id: str | None
    postings: list[Posting] = []
    is_open: bool = False
    """Whether anybody owes anything; made anew with each posting, in the same write."""
    changed_at: datetime

    def owed(self) -> int:
        """Fen that the resident owes; below zero: is owed."""
        return sum(line.amount for one in self.postings for line in one.lines if line.worker is None)


def posting(
    posting_id: str,
    what: What,
    worker: str,
    amount: int,
    at: datetime,
    to: str | None = None,
    corrects: str | None = None,
) -> Posting:
    """Both sides of it; where it corrects another, both turned round.

    Raises:
        Refusal: it was handed on to nobody, or to himself.
    """
    if what == "handed_on":
        if to is None or to == worker:
            raise refusal("to", "required", "say which other worker got it")
        sides: tuple[str | None, str | None] = (to, worker)
    elif what in ("advance", "settlement"):
        sides = (worker, None)
    else:
        sides = (None, worker)
    first = amount if corrects is None else -amount
    lines = [Line(worker=sides[0], amount=first), Line(worker=sides[1], amount=-first)]
    return Posting(posting_id=posting_id, what=what, at=at, lines=lines, corrects=corrects)


def post(known: Matter | None, told: Matter, new: Posting) -> tuple[Matter, Sequence[Event]] | None:
    """Enter a posting; None if it is entered.

    Raises:
        Refusal: its id is used for another posting, the matter is another resident's, or has too many; or it corrects
            what cannot be corrected.
    """
    matter = known or told
    same = next((one for one in matter.postings if one.posting_id == new.posting_id), None)
    if same is not None:
        if (same.what, same.lines, same.corrects) == (new.what, new.lines, new.corrects):
            return None
        raise refusal("posting_id", "known_posting", "another posting has this id; take a new one", status=409)
    if None not in (matter.person_id, told.person_id) and matter.person_id != told.person_id:
        raise refusal("person_id", "other_person", "this matter is somebody else's", status=409)
    if matter.community != told.community:
        raise refusal("community", "other_community", "this matter is another community's", status=409)
    if len(matter.postings) >= MOST_POSTINGS:
        raise refusal("matter_id", "too_many", f"at most {MOST_POSTINGS} postings in one matter", status=409)
    _correctable(matter, new)
    update = {
        "postings": [*matter.postings, new],
        "person_id": matter.person_id or told.person_id,
        "grid": matter.grid or told.grid,
        "changed_at": new.at,
    }
    entered = matter.model_copy(update=update)
    after = entered.model_copy(update={"is_open": any(balances([entered]).values())})
    return after, [_event(after, new)]


def _correctable(matter: Matter, new: Posting) -> None:
    if new.corrects is None:
        return
    wrong = next((one for one in matter.postings if one.posting_id == new.corrects), None)
    if wrong is None:
        raise refusal("corrects", "unknown_posting", "this matter has no posting of this id", status=404)
    if wrong.corrects is not None:
        raise refusal("corrects", "is_correction", "a correction is not corrected; record what is right", status=409)
    if any(one.corrects == new.corrects for one in matter.postings):
        raise refusal("corrects", "corrected", "this posting was corrected already", status=409)
    turned = [Line(worker=line.worker, amount=-line.amount) for line in wrong.lines]
    if (new.what, new.lines) != (wrong.what, turned):
        raise refusal("corrects", "other_posting", "what, worker, amount and to are those of the posting", status=409)


def of_whom(matter: Matter, counting: Mapping[str, str]) -> Matter:
    """A matter under the id by which its resident is known now, where that is another."""
    person_id = matter.person_id
    return matter if person_id is None else matter.model_copy(update={"person_id": counting.get(person_id, person_id)})


def balances(matters: Iterable[Matter]) -> dict[Account, int]:
    """What each owes over all postings, in fen."""
    found: dict[Account, int] = {}
    for matter in matters:
        resident: Account = ("resident", matter.person_id or matter.matter_id)
        for line in (line for one in matter.postings for line in one.lines):
            account: Account = resident if line.worker is None else ("worker", line.worker)
            found[account] = found.get(account, 0) + line.amount
    return found


def _event(matter: Matter, new: Posting) -> MoneyRecorded:
    return MoneyRecorded(
        community=matter.community,
        grid=matter.grid,
        posting_id=new.posting_id,
        matter_id=matter.matter_id,
        worker=next(line.worker for line in reversed(new.lines) if line.worker is not None),
        person_id=matter.person_id,
        what=new.what,
        amount=new.lines[0].amount,
        owed=matter.owed(),
        to=new.lines[0].worker if new.what == "handed_on" else None,
        at=new.at,
        sealed=new.sealed,
        corrects=new.corrects,
    )


def retold(known: Told, event: Event) -> Told:
    """What is told of a matter after one more posting."""
    if not isinstance(event, MoneyRecorded):
        return known
    facts = event.model_dump(include={"matter_id", "community", "grid", "person_id"})
    if event.at is None or (known and "postings" not in known):
        return facts
    what, amount = cast(What, event.what), abs(event.amount)
    entered = posting(event.posting_id, what, event.worker, amount, event.at, event.to, event.corrects)
    postings = [*known.get("postings", ()), entered.model_copy(update={"sealed": event.sealed})]
    matter = Matter(**facts, postings=postings, changed_at=event.at)
    return {**dict(matter), "is_open": any(balances([matter]).values())}
