"""Who lives where, and who may come in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told
from shared.contracts.envelope import Event
from shared.contracts.ledger import (
    AccessGranted,
    AccessRevoked,
    BuildingClosed,
    BuildingOpened,
    BuildingRegistered,
    GrantAccess,
    PersonKept,
    PersonRegistered,
    PersonUpdated,
)
from shared.contracts.refusal import refusal

FIRST_LINE_AGE = 65
"""Years from which somebody who lives alone stands in the first line."""


class Building(BaseModel):
    """A building and its grid."""

    community: str
    building: str
    grid: str
    closed: bool = False
    looks: bool = False
    """Its people are still looked through for those who belong to another grid."""


class Person(BaseModel):
    """Somebody on the books."""

    facts: PersonRegistered
    fingerprint: str
    """Keyed hash of all that was said, to tell a repetition from a change."""
    sources: dict[str, str] = {}
    """By the id that a source's own id stands for: the fingerprint of what that source said last."""
    stairwell: str | None = None
    floor: int | None = None
    """None if the room does not tell it."""
    identities: dict[str, str] = {}
    """Blind indexes of what makes this person the same one elsewhere: `id_number`, `phone`, `door`, `born`."""
    listed: dict[str, str] = {}
    """By source list: for which category."""
    merged_into: str | None = None
    """Known under this id instead."""
    absorbed: dict[str, "Absorbed"] = {}
    """Who is known under this id, too, and what was known here before."""
    left_at: datetime | None = None
    died: bool = False
    died_on: str | None = None
    """The day, where it is known."""
    forget_at: datetime | None = None
    """When all that is personal will be erased."""
    erased: bool = False
    erasing: tuple[str, ...] = ()
    """Of somebody erased: the ids under which there may still be something to erase."""

    def told_by(self) -> dict[str, str]:
        """`sources`; whoever was entered before there were several has one."""
        return self.sources or {self.facts.person_id: self.fingerprint}

    def marks(self) -> set[str]:
        """The blind indexes that are this person's alone: many were born in one year."""
        return {one for name, one in self.identities.items() if name != "born"}

    @property
    def living(self) -> bool:
        """Is here, and not erased."""
        return self.facts.here and not self.erased


class Absorbed(BaseModel):
    """What was known of a person before another was found to be the same one."""

    before: PersonRegistered
    listed: dict[str, str] = {}
    identities: dict[str, str] = {}
    stairwell: str | None = None
    floor: int | None = None
    after: str
    """The seal that the merge made: while it stands, nothing has changed since."""


class Overtaken(Exception):
    """What the decision rests on has changed meanwhile; read it again."""


class Access(BaseModel):
    """A token that lets somebody in."""

    token_hash: str
    name: str
    revoked: bool = False


def register_building(
    known: Building | None, community: str, building: str, grid: str
) -> tuple[Building, Sequence[Event]] | None:
    """Enter a building, or move it to another grid; None if nothing changes."""
    if known is not None and known.grid == grid:
        return None
    event = BuildingRegistered(community=community, grid=grid, building=building)
    closed = known is not None and known.closed
    return Building(community=community, building=building, grid=grid, closed=closed, looks=True), [event]


def looked_through(known: Building | None, grid: str) -> tuple[Building, Sequence[Event]] | None:
    """All its people belong to its grid; None if it belongs to another one by now."""
    if known is None or known.grid != grid:
        return None
    return known.model_copy(update={"looks": False}), []


def close_building(known: Building | None, *, closed: bool) -> tuple[Building, Sequence[Event]] | None:
    """Close a building, or open it again; None if it is so.

    Raises:
        Refusal: there is no such building.
    """
    if known is None:
        raise refusal("building", "unknown_building", "no building of this number is entered", status=404)
    if known.closed == closed:
        return None
    kind = BuildingClosed if closed else BuildingOpened
    event = kind(community=known.community, grid=known.grid, building=known.building)
    return known.model_copy(update={"closed": closed}), [event]


def register_person(
    known: Person | None, told: Person, before: Person | None = None
) -> tuple[Person, Sequence[Event]] | None:
    """Enter somebody, or change what is known; None if nothing changes.

    Args:
        known: as it is now.
        told: as it shall be.
        before: as it was when `told` was made of it.

    Raises:
        Overtaken: it changed in between.
    """
    if known is not None and known.told_by() == told.told_by():
        return None
    if known != before:
        raise Overtaken
    return told, [said_of(told, PersonRegistered if known is None else PersonUpdated)]


def said_of(person: Person, kind: type[PersonRegistered] = PersonUpdated) -> PersonRegistered:
    """All that is known of a person, as an event: the facts, and what the register keeps beside them."""
    kept = PersonKept.model_construct(
        sources=person.sources,
        fingerprint=person.fingerprint,
        stairwell=person.stairwell,
        identities=person.identities,
        listed=person.listed,
        left_at=person.left_at,
        died=person.died,
        died_on=person.died_on,
        forget_at=person.forget_at,
        merged_into=person.merged_into,
    )
    facts: dict[str, Any] = {**dict(person.facts), "kept": kept}
    return kind.model_construct(**facts)


def first_line(year: int, birth_year: int | None, *, lives_alone: bool) -> bool:
    """Old and living alone: answered first."""
    return lives_alone and birth_year is not None and year - birth_year >= FIRST_LINE_AGE


def grant(known: Access | None, command: GrantAccess) -> tuple[Access, Sequence[Event]] | None:
    """Let the bearer of a token in; None if he is."""
    if known is not None:
        return None
    event = AccessGranted(
        community=command.community,
        token_hash=command.token_hash,
        name=command.name,
        role=command.role,
        grids=command.grids,
        worker=command.worker,
        expires=command.expires,
    )
    return Access(token_hash=command.token_hash, name=command.name), [event]


def revoke(known: Access | None) -> tuple[Access, Sequence[Event]] | None:
    """Let the bearer in no more; None if that is so already.

    Raises:
        Refusal: no such token was granted.
    """
    if known is None:
        raise refusal("token_hash", "unknown_token", "no token with this hash was granted", status=404)
    if known.revoked:
        return None
    return known.model_copy(update={"revoked": True}), [AccessRevoked(token_hash=known.token_hash)]


def retold_building(known: Told, event: Event) -> Told:
    """What is told of a building after one more event."""
    match event:
        case BuildingRegistered():
            place = {"community": event.community, "building": event.building, "grid": event.grid}
            return {"closed": False, **known, **place}
        case BuildingClosed() | BuildingOpened():
            return {**known, "closed": isinstance(event, BuildingClosed)}
        case _:
            return known


def retold_access(known: Told, event: Event) -> Told:
    """What is told of a token after one more event."""
    match event:
        case AccessGranted():
            return {"token_hash": event.token_hash, "name": event.name, "revoked": False}
        case AccessRevoked():
            return {**known, "revoked": True}
        case _:
            return known
