"""A round: one roster to be worked through by a time."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told, but
from services.ledger.domain.sheets import RoundFacts
from shared.contracts.envelope import Event
from shared.contracts.refusal import refusal
from shared.contracts.rounds import (
    Counts,
    OpenRound,
    Roster,
    RoundClosed,
    RoundOpened,
    RoundPlanned,
    RoundSettled,
    RoundState,
    RoundUnsettled,
)

Decision = tuple["Round", Sequence[Event]] | None
_AT_REST: Told = {"reached": "", "walking": False}
"""Before anything is done with it."""


class Round(BaseModel):
    """Its state. The roster itself is on sheets."""

    told: OpenRound
    state: RoundState = "planned"
    reached: str = ""
    """While it opens: the last building whose sheets are made. While it closes: the last sheet that is closed."""
    walking: bool = False
    """Not every sheet is somebody's walk yet."""
    members: int = 0
    created_at: datetime
    due_at: datetime | None
    """When something is to be done with it."""

    def buildings(self, building: str | None, team: str | None) -> list[str] | None:
        """Which buildings are asked for; None: all.

        Raises:
            Refusal: there is no such team.
        """
        if team is None:
            return None if building is None else [building]
        of_team = next((one.buildings for one in self.told.teams if one.name == team), None)
        if of_team is None:
            names = ", ".join(one.name for one in self.told.teams) or "none"
            raise refusal("team", "unknown_team", f"the teams of this round: {names}", status=404)
        return [one for one in of_team if building in (None, one)]

    def by_team(self, buildings: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
        """The counts of each team, of those of its buildings."""
        found = {one["building"]: one for one in buildings}
        return {
            team.name: {
                count: sum(found[one].get(count, 0) for one in team.buildings if one in found)
                for count in Counts.model_fields
            }
            for team in self.told.teams
        }

    @property
    def facts(self) -> RoundFacts:
        """What its sheets must know."""
        told = self.told
        return RoundFacts(
            round_id=told.round_id, community=told.community, kind=told.kind, title=told.title, of=told.of
        )


def open_round(known: Round | None, told: OpenRound, now: datetime) -> Decision:
    """Plan a round; None if that was said before.

    Raises:
        Refusal: its id is another's, its time is over, or those present cannot be told by what it says of residents.
    """
    if known is not None:
        if known.told == told:
            return None
        raise refusal("round_id", "known_round", "another round has this id; take a new one", status=409)
    if told.closes <= now:
        raise refusal("closes", "in_the_past", "the round would be over already")
    if told.present and (told.of != "person" or not told.roster.buildings or _of_residents(told.roster)):
        message = "a round for those present, too, is of the persons in certain buildings, and of all of them"
        raise refusal("present", "not_allowed", message)
    planned = Round(told=told, created_at=now, due_at=told.opens or now)
    return planned, [RoundPlanned(**_of(planned), told=told, at=now)]


def can_follow(before: Round | None, told: OpenRound) -> None:
    """Nothing, where a roster can be of those who are done in that round.

    Raises:
        Refusal: there is no such round in this community, or it is of others.
    """
    if before is None or before.told.community != told.community:
        raise refusal("roster.after", "unknown_round", "there is no round of this id in this community")
    if before.told.of != told.of:
        raise refusal("of", "other_members", f"that round is of each {before.told.of}, and so must be one after it")


def knows_buildings(told: OpenRound, buildings: Container[str]) -> None:
    """Nothing, where each building that is named is one of these.

    Raises:
        Refusal: somebody would look for nobody there.
    """
    named = {"roster.buildings": told.roster.buildings, "teams": [one for team in told.teams for one in team.buildings]}
    for field, those in named.items():
        if strange := [one for one in those if one not in buildings]:
            raise refusal(field, "unknown_building", f"no such building in {told.community}: {', '.join(strange[:20])}")


def begin(known: Round | None, now: datetime) -> Decision:
    """Its time has come: the roster is taken down."""
    if known is None or known.state != "planned" or known.due_at is None or known.due_at > now:
        return None
    return known.model_copy(update={"state": "opening"}), []


def took_down(known: Round | None, before: str, building: str, members: int) -> Decision:
    """So many more members stand on sheets, up to this building; None if another did that."""
    if known is None or known.state != "opening" or known.reached != before:
        return None
    return known.model_copy(update={"reached": building, "members": known.members + members}), []


def opened(known: Round | None) -> Decision:
    """The whole roster is on sheets."""
    if known is None or known.state != "opening":
        return None
    told = known.told
    event = RoundOpened(**_of(known), of=told.of, members=known.members, closes=told.closes)
    due_at = known.due_at if told.walks else told.closes
    return known.model_copy(update={"state": "open", "reached": "", "walking": told.walks, "due_at": due_at}), [event]


def sent_up_to(known: Round | None, before: str, sheet: str) -> Decision:
    """The sheets up to this one are somebody's walks; None if another did that, or it is not open any more."""
    if known is None or known.state != "open" or not known.walking or known.reached != before:
        return None
    return known.model_copy(update={"reached": sheet}), []


def sent(known: Round | None) -> Decision:
    """Every sheet is somebody's walk; None if that was said, or it is not open any more."""
    if known is None or known.state != "open" or not known.walking:
        return None
    return known.model_copy(update={"walking": False, "reached": "", "due_at": known.told.closes}), []


def close(known: Round | None, now: datetime, *, early: bool = False) -> Decision:
    """Look for those who are missing; None if that is so.

    Raises:
        Refusal: there is no such round, or it is not open yet.
    """
    if known is None:
        raise refusal("round_id", "unknown_round", "there is no round of this id", status=404)
    if known.state in ("planned", "opening"):
        raise refusal("round_id", "not_open_yet", f"the round is {known.state}", status=409)
    if known.state != "open" or (not early and known.told.closes > now):
        return None
    return known.model_copy(update={"state": "closing", "reached": "", "due_at": now}), []


def closed_up_to(known: Round | None, before: str, sheet: str) -> Decision:
    """Those missing on the sheets up to this one are looked for; None if another did that."""
    if known is None or known.state != "closing" or known.reached != before:
        return None
    return known.model_copy(update={"reached": sheet}), []


def closed(known: Round | None, counts: Counts) -> Decision:
    """Everybody missing is looked for."""
    if known is None or known.state != "closing":
        return None
    over = known.model_copy(update={"state": "closed", "reached": "", "due_at": None})
    event = RoundClosed(**_of(known), counts=counts)
    settled = settle(over, counts)
    return (settled[0], [event, *settled[1]]) if settled else (over, [event])


def settle(known: Round | None, counts: Counts) -> Decision:
    """Nobody is missing any more; None if somebody is, or that was said."""
    if known is None or known.state != "closed" or counts.missing:
        return None
    return known.model_copy(update={"state": "settled"}), [RoundSettled(**_of(known), counts=counts)]


def unsettle(known: Round | None) -> Decision:
    """Somebody was added after all were dealt with."""
    if known is None or known.state != "settled":
        return None
    return known.model_copy(update={"state": "closed"}), [RoundUnsettled(**_of(known))]


def retold(known: Told, event: Event) -> Told:
    """What is told of a round after one more event."""
    match event:
        case RoundPlanned():
            due_at = event.told.opens or event.at
            return {
                "told": event.told,
                "state": "planned",
                "created_at": event.at,
                "due_at": due_at,
                "members": 0,
                **_AT_REST,
            }
        case RoundOpened():
            walking = "told" in known and known["told"].walks
            due_at = known["created_at"] if walking else event.closes
            opened = {"state": "open", "members": event.members, "due_at": due_at}
            return {**known, **_AT_REST, **opened, "walking": walking}
        case RoundClosed() | RoundUnsettled():
            return {**known, **_AT_REST, "state": "closed", "due_at": None}
        case RoundSettled() if "told" not in known:
            # Of a round of before, nobody said when it was not settled any more.
            return but(known, "state")
        case RoundSettled():
            return {**known, "state": "settled"}
        case _:
            return known


def as_told(known: Round) -> Round:
    """As events speak of it: of what is under way, they tell the beginning and the end."""
    match known.state:
        case "opening":
            # How many these are is told when all stand on it.
            return known.model_copy(update={"state": "planned", "members": 0})
        case "closing":
            return known.model_copy(update={"state": "open"})
        case _:
            return known


def _of_residents(roster: Roster) -> bool:
    """Whether it asks for what is known of those alone who live here."""
    asked = (roster.categories, roster.lists, roster.needs, roster.after)
    return any(asked) or roster.lives_alone is not None or roster.first_line is not None


def _of(known: Round) -> dict[str, str]:
    told = known.told
    return {"community": told.community, "round_id": told.round_id, "kind": told.kind, "title": told.title}
