"""What happens to somebody on the books: gone, back, found to be another, found not to be, erased."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from services.ledger.domain.people import PeopleCatalogue, agree, known_person, registered
from services.ledger.domain.register import Absorbed, Overtaken, Person, said_of
from shared.contracts.envelope import Event
from shared.contracts.ledger import PersonRegistered
from shared.contracts.people import PersonErased, PersonMerged, PersonUnmerged
from shared.contracts.refusal import refusal


def change(known: Person | None, before: Person, after: Person) -> tuple[Person, Sequence[Event]] | None:
    """Put what was made of `before` in its place; None if it is the same.

    Raises:
        Overtaken: it changed in between.
        Refusal: there is no such person, or no more.
    """
    if known_person(known) != before:
        raise Overtaken
    if after == before:
        return None
    return after, [said_of(after)]


def left(
    person: Person, catalogue: PeopleCatalogue, now: datetime, *, died: bool, died_on: date | None = None
) -> Person:
    """Gone, and to be forgotten some day."""
    gone = person.model_copy(
        update={
            "facts": person.facts.model_copy(update={"here": False}),
            "left_at": person.left_at or now,
            "died": died or person.died,
            "died_on": person.died_on if died_on is None else died_on.isoformat(),
        }
    )
    return remembered(gone, catalogue)


def remembered(person: Person, catalogue: PeopleCatalogue) -> Person:
    """Whoever is gone is remembered for as long as the categories say by now; whoever is here stays as he is."""
    if person.left_at is None:
        return person
    return person.model_copy(update={"forget_at": person.left_at + catalogue.kept(person.facts.categories)})


def put_off(known: Person | None, catalogue: PeopleCatalogue, now: datetime) -> tuple[Person, Sequence[Event]] | None:
    """Remembered for longer than was said before; None if the time is over."""
    if known is None or known.erased:
        return None
    after = remembered(known, catalogue)
    if after.forget_at is None or after.forget_at <= now:
        return None
    return after, [said_of(after)]


def back(person: Person) -> Person:
    """Here again.

    Raises:
        Refusal: the dead do not come back.
    """
    if person.died:
        raise refusal("here", "died", "this person died", status=409)
    facts = person.facts.model_copy(update={"here": True})
    return person.model_copy(update={"facts": facts, "left_at": None, "forget_at": None})


def alive(person: Person) -> Person:
    """Not dead after all, and here; who did not die stays as he is."""
    return back(person.model_copy(update={"died": False, "died_on": None})) if person.died else person


def regrid(known: Person | None, building: str, grid: str) -> tuple[Person, Sequence[Event]] | None:
    """The building belongs to this grid, and so does whoever lives there; None if that is so, or nobody does by now."""
    if known is None or known.erased or known.facts.building != building or known.facts.grid == grid:
        return None
    state = known.model_copy(update={"facts": known.facts.model_copy(update={"grid": grid})})
    return state, [said_of(state)]


def move_up(known: Person | None, born: Collection[str]) -> tuple[Person, Sequence[Event]] | None:
    """Old by now and living alone: answered first; None if that is so, or was never so or is no more.

    Args:
        known: who that is.
        born: the blind indexes of the years in which those were born who are old.
    """
    if known is None or known.facts.first_line or not known.facts.lives_alone:
        return None
    if known.identities.get("born") not in born:
        return None
    state = known.model_copy(update={"facts": known.facts.model_copy(update={"first_line": True})})
    return state, [said_of(state)]


def absorb(known: Person | None, before: Person, after: Person, other: Person) -> tuple[Person, Sequence[Event]] | None:
    """Another is this person, too; None if that is so already.

    Raises:
        Overtaken: what `after` was made of has changed.
    """
    current = known_person(known)
    other_id = other.facts.person_id
    if other_id in current.absorbed:
        return None
    if current != before:
        raise Overtaken
    if not agree(before.identities, other.identities):
        raise refusal("other", "differ", "their identity numbers or years of birth are not the same", status=409)
    kept = Absorbed(
        before=before.facts,
        listed=before.listed,
        identities=before.identities,
        stairwell=before.stairwell,
        floor=before.floor,
        after=after.facts.sealed,
    )
    told = {"absorbed": {**current.absorbed, other_id: kept}, "sources": {**other.told_by(), **current.told_by()}}
    state = after.model_copy(update=told)
    facts = after.facts
    merged = PersonMerged(community=facts.community, grid=facts.grid, person_id=facts.person_id, other=other_id)
    return state, [merged, said_of(state)]


def vanish(known: Person | None, into: str) -> tuple[Person, Sequence[Event]] | None:
    """Known as `into` from now on; None if that is so.

    Raises:
        Refusal: known as somebody else already.
    """
    current = known_person(known)
    if current.merged_into == into:
        return None
    if current.merged_into is not None:
        raise refusal("other", "merged", "this person is known under another id already", status=409)
    facts = current.facts.model_copy(update={"here": False})
    state = current.model_copy(update={"facts": facts, "merged_into": into})
    return state, [said_of(state)]


def release(known: Person | None, other: Person) -> tuple[Person, Sequence[Event]] | None:
    """Another is somebody else after all. What was known before is so again, unless something new came since.

    Raises:
        Refusal: they were never one.
    """
    current, other_id = known_person(known), other.facts.person_id
    kept = current.absorbed.get(other_id)
    if kept is None:
        raise refusal("other", "not_merged", "these two were not one", status=409)
    absorbed = {name: one for name, one in current.absorbed.items() if name != other_id}
    sources = {name: one for name, one in current.told_by().items() if name not in other.told_by()}
    update: dict[str, object] = {"absorbed": absorbed, "sources": sources}
    if current.facts.sealed == kept.after:
        there = kept.before.building == current.facts.building
        now = {"here": current.facts.here, **({"grid": current.facts.grid} if there else {})}
        update |= {**dict(kept), "facts": kept.before.model_copy(update=now)}
        del update["before"], update["after"]
    state = current.model_copy(update=update)
    facts = state.facts
    parted = PersonUnmerged(community=facts.community, grid=facts.grid, person_id=facts.person_id, other=other_id)
    return state, [parted, said_of(state)]


def reappear(known: Person | None, out_of: str) -> tuple[Person, Sequence[Event]] | None:
    """Known by the own id again; None if that is so."""
    current = known_person(known)
    if current.merged_into != out_of:
        return None
    facts = current.facts.model_copy(update={"here": current.left_at is None})
    state = current.model_copy(update={"facts": facts, "merged_into": None})
    return state, [said_of(state)]


def erase(
    known: Person | None, ids: Sequence[str] = (), reason: str | None = None
) -> tuple[Person, Sequence[Event]] | None:
    """Nothing is left but that there was somebody, and under which ids there is still something beside the document;
    None if that is so.
    """
    known = registered(known)
    if known.erased:
        return None
    facts = known.facts
    event = PersonErased(
        community=facts.community, grid=facts.grid, person_id=facts.person_id, lookups=facts.lookups, reason=reason
    )
    there_was = Person(facts=blank(event), fingerprint="", left_at=known.left_at, died=known.died, erased=True)
    return there_was.model_copy(update={"erasing": tuple(dict.fromkeys((*ids, *known.absorbed)))}), [event]


def all_erased(known: Person | None) -> tuple[Person, Sequence[Event]] | None:
    """There is nothing beside the document either; None if that is known."""
    if known is None or not known.erasing:
        return None
    return known.model_copy(update={"erasing": ()}), []


def blank(erased: PersonErased) -> PersonRegistered:
    """What is left of the facts."""
    return PersonRegistered(
        community=erased.community, grid=erased.grid, person_id=erased.person_id, building="", household="", sealed="",
        here=False,
    )  # fmt: skip
