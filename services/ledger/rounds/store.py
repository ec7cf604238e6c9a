"""Documents of rounds: the rounds, the sheets of their rosters, the lists that came in, and strangers."""

from collections.abc import AsyncGenerator, Sequence
from collections.abc import Collection as Names
from contextlib import aclosing
from datetime import datetime
from functools import lru_cache
from typing import Any

from services.ledger.domain.follow_ups import hears
from services.ledger.domain.reports import Report
from services.ledger.domain.rosters import Roster
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import Entrance, Member, Members, Sheet
from services.ledger.domain.sheets_retold import frozen
from services.ledger.domain.strangers import Stranger
from services.ledger.people.store import LIVING
from services.ledger.rounds.cards import Cards
from services.ledger.rounds.tallies import Tallies
from shared.contracts.rounds import OpenRound, RosterFrozen
from shared.documents import Collection, Document, Index
from shared.runtime import Runtime

_DOOR = ("state.facts.community", "state.facts.building", "state.stairwell", "state.floor", "state.facts.household")
DOORS = Index((*((name, 1) for name in _DOOR), ("_id", 1)))
"""Of people, for rosters."""
WORK = Index((("state.due_at", 1),), where={"state.due_at": {"$type": "date"}})
LATEST = Index((("state.told.community", 1), ("state.told.closes", -1), ("_id", 1)))
UNDER_WAY = Index((("state.told.community", 1), ("state.state", 1)))
LATEST_OF_ALL = Index((("state.told.closes", -1), ("_id", 1)))
PLACE = Index((("state.round_id", 1), ("state.members.member_id", 1)), unique=True)
"""Nobody stands on a roster twice."""
MISSING = Index((("state.round_id", 1), ("state.order", 1)), where={"state.counts.missing": {"$gt": 0}})
MISSING_OF_GRID = Index(
    (("state.round_id", 1), ("state.grid", 1), ("state.order", 1)), where={"state.counts.missing": {"$gt": 0}}
)
ORDER = Index((("state.round_id", 1), ("state.order", 1)))
RARE = tuple(
    Index((("state.round_id", 1), ("state.order", 1)), where={f"state.counts.{state}": {"$gt": 0}})
    for state in ("elsewhere", "moved", "refused", "excused")
)
"""Sheets with somebody of whom this is so: few."""
OF_BUILDING = Index((("state.round_id", 1), ("state.building", 1), ("state.order", 1)))
OF_ROUND = Index((("state.round_id", 1), ("_id", 1)))
OF_PERSON = Index((("state.person_id", 1), ("_id", 1)))
"""Of strangers."""
ROSTERS = Index((("state.round_id", 1), ("state.building", 1)))

_entrance = lru_cache(maxsize=256)(Entrance)
_DONE_AT = {"$and": [{"$eq": ["$$this.outcome", "done"]}, {"$gt": ["$$this.point", None]}]}
_MET = {"$ifNull": ["$state.members.met", []]}
_POINTS = {"$map": {"input": {"$filter": {"input": _MET, "cond": _DONE_AT}}, "in": "$$this.point"}}
_SHEETS_AT_ONCE = 10
"""Sheets read at once for a page of members: each has one of those wanted at least, most have more."""


class Rounds:
    """What the ledger keeps of rounds.

    Args:
        runtime: of the service.
        people: where those who live here rest.
    """

    def __init__(self, runtime: Runtime, people: Collection) -> None:
        self.all = runtime.aggregates(
            "rounds", Round, lambda one: one.told.round_id, [WORK, LATEST, LATEST_OF_ALL, UNDER_WAY]
        )
        self.sheets = runtime.aggregates(
            "sheets",
            Sheet,
            lambda one: one.round_id,
            [PLACE, MISSING, MISSING_OF_GRID, ORDER, *RARE, OF_ROUND, OF_BUILDING],
            brief=True,
        )
        self.rosters = runtime.aggregates("rosters", Roster, lambda one: one.round_id, [ROSTERS])
        self.strangers = runtime.aggregates("strangers", Stranger, lambda one: one.round_id, [OF_ROUND, OF_PERSON])
        self._walks = runtime.collection("walks")
        self.cards = Cards(runtime, self.sheets)
        self.tallies = Tallies(runtime, self.sheets)
        self.reports = runtime.aggregates("reports", Report, lambda one: one.round_id, [WORK])
        self._people = people

    async def due(self, now: datetime, limit: int) -> list[str]:
        """Rounds with which something is to be done, longest first."""
        query = {"state.due_at": {"$type": "date", "$lte": now}}
        found = await self.all.collection.find(query, sort=[("state.due_at", 1)], limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def not_applied(self, now: datetime, limit: int) -> list[Report]:
        """Lists that came in and are not on the sheets, though there was time, longest first."""
        query = {"state.due_at": {"$type": "date", "$lte": now}}
        found = await self.reports.collection.find(
            query, sort=[("state.due_at", 1)], limit=limit, fields={"history": 0}
        )
        return [self.reports.state(one) for one in found]

    async def page(self, community: str | None, limit: int, after: tuple[datetime, str] | None) -> list[Document]:
        """Rounds, those that close last before the others."""
        query: dict[str, Any] = {} if community is None else {"state.told.community": community}
        if after is not None:
            closes, name = after
            query["$or"] = [{"state.told.closes": {"$lt": closes}}, {"state.told.closes": closes, "_id": {"$gt": name}}]
        return await self.all.collection.find(
            query, sort=[("state.told.closes", -1), ("_id", 1)], limit=limit, fields={"history": 0}
        )

    async def buildings_after(self, told: OpenRound, building: str, limit: int) -> list[str]:
        """The next buildings of the roster, or of the community, in their order."""
        if named := told.roster.buildings:
            return sorted(one for one in set(named) if one > building)[:limit]
        following = {"state.facts.community": told.community, "state.facts.building": {"$gt": building}}
        found = await self._people.aggregate([{"$match": following}, {"$group": {"_id": "$state.facts.building"}}])
        return sorted(one["_id"] for one in found)[:limit]

    async def living(self, told: OpenRound, building: str) -> list[tuple[Entrance, Member]]:
        """Those of one building for whom the roster is, in the order of doors: persons, or one of each household."""
        query = {"state.facts.community": told.community, "state.facts.building": building, **_asked(told)}
        fields = ("facts.grid", "facts.household", "facts.needs", "stairwell", "absorbed")
        found = await self._people.find(
            query,
            sort=[("state.stairwell", 1), ("state.floor", 1), ("state.facts.household", 1), ("_id", 1)],
            fields={f"state.{name}": 1 for name in fields},
        )
        known_as = {one["_id"]: _names(one, told) for one in found}
        done = None
        if told.roster.after is not None:
            done = await self._done(told.roster.after, {name for names in known_as.values() for name in names})
        members: dict[str, tuple[Entrance, Member]] = {}
        for one in found:
            state, (name, *others) = one["state"], known_as[one["_id"]]
            facts = state["facts"]
            if done is not None and done.isdisjoint((name, *others)):
                continue
            entrance = _entrance(grid=facts["grid"], building=building, stairwell=state.get("stairwell"))
            member = Member(member_id=name, person_id=one["_id"], hears=hears(facts["needs"]))
            # Of a household that has somebody who hears, it is he who is called.
            if name not in members or (member.hears and not members[name][1].hears):
                members[name] = (entrance, member)
        return list(members.values())

    async def _done(self, round_id: str, names: Names[str]) -> set[str]:
        """Members of another round who are done, and are among these: some may have moved since."""
        found = await self.sheets.collection.find(
            {"state.round_id": round_id, "state.members.member_id": {"$in": [*names]}}, fields={"state.members": 1}
        )
        members = (member for one in found for member in one["state"]["members"])
        return {member["member_id"] for member in members if member.get("state") == "done"}

    async def frozen_after(self, round_id: str, building: str) -> set[str]:
        """Of which buildings after that one the roster is told already."""
        following = {"state.round_id": round_id, "state.building": {"$gt": building}}
        found = await self.rosters.collection.find(following, fields={"state.building": 1})
        return {one["state"]["building"] for one in found}

    async def frozen_sheets(self, round_id: str, building: str) -> list[Sheet]:
        """The sheets of a building whose roster is told, as they were told."""
        known = await self.rosters.collection.get(f"{round_id}/{building}")
        bodies = [] if known is None else [one["body"] for one in known["history"] if one["type"] == RosterFrozen.wire]
        return [one.frozen for body in bodies for one in frozen(RosterFrozen.model_validate_json(body))]

    async def forget_after(self, round_id: str, building: str, frozen: Names[str]) -> int:
        """Delete the sheets of buildings after that one whose roster is not told, and their sums; how many."""
        after = {"$gt": building, "$nin": list(frozen)}
        await self.tallies.forget_after(round_id, after)
        return await self.sheets.collection.delete({"state.round_id": round_id, "state.building": after})

    async def buildings_on_sheets(self, round_id: str, after: str, limit: int) -> list[str]:
        """The next buildings in which anybody stands on the roster, in their order."""
        following = {"state.round_id": round_id, "state.building": {"$gt": after}}
        found = await self.sheets.collection.aggregate([{"$match": following}, {"$group": {"_id": "$state.building"}}])
        return sorted(one["_id"] for one in found)[:limit]

    async def sheets_in(self, round_id: str, buildings: Names[str]) -> list[str]:
        """Ids of the sheets of some buildings."""
        query = {"state.round_id": round_id, "state.building": {"$in": [*buildings]}}
        return [one["_id"] for one in await self.sheets.collection.find(query, fields={"_id": 1})]

    async def whole_sheets(self, round_id: str, buildings: Names[str]) -> list[Document]:
        """The sheets of some buildings, with all that is kept of them."""
        return await self.sheets.collection.find({"state.round_id": round_id, "state.building": {"$in": [*buildings]}})

    async def histories(self, round_id: str, buildings: Names[str]) -> AsyncGenerator[Document]:
        """Ids of the events of all lists and strangers of a round, and of rosters of some buildings."""
        fields = {"history.id": 1, "state.due_at": 1}
        of_round: Document = {"state.round_id": round_id}
        for kept, query in (
            (self.rosters, {**of_round, "state.building": {"$in": [*buildings]}}),
            (self.strangers, of_round),
            (self.reports, {"_id": {"$gt": f"{round_id}/", "$lt": f"{round_id}0"}, **of_round}),
        ):
            async with aclosing(kept.collection.stream(query, fields=fields)) as found:
                async for one in found:
                    yield one

    async def sheets_of(self, round_id: str, members: Names[str]) -> dict[str, str]:
        """On which sheet each of these stands, of those who stand on one; the sheets are most likely written next."""
        found = await self.sheets.collection.find_to_write(
            {"state.round_id": round_id, "state.members.member_id": {"$in": list(members)}}
        )
        wanted = set(members)
        return {
            name: one["_id"]
            for one in found
            for member in one["state"]["members"]
            if (name := member["member_id"]) in wanted
        }

    async def of_members(self, community: str | None, members: Names[str]) -> list[tuple[Round, Document]]:
        """How it went with these in every round on whose roster they stand, the last to close before the others."""
        rounds = await self.all.collection.find(
            {"state.told.community": community}, sort=[("state.told.closes", -1), ("_id", 1)], fields={"history": 0}
        )
        of_them = {"state.members.member_id": {"$in": list(members)}}
        sheets = await self.sheets.collection.find(
            {"state.round_id": {"$in": [one["_id"] for one in rounds]}, **of_them},
            fields={"state.round_id": 1, "state.members": 1},
        )
        here: dict[str, list[Document]] = {}
        for one in sheets:
            found = (member for member in Members(one["state"]["members"]) if member.member_id in members)
            here.setdefault(one["state"]["round_id"], []).extend(member.model_dump() for member in found)
        return [(self.all.state(one), member) for one in rounds for member in here.get(one["_id"], ())]

    async def unsettled_with(self, community: str, members: Names[str]) -> dict[str, dict[str, str]]:
        """On which rosters of rounds under way any of these stands, and how it went with each, by round."""
        rounds = await self.all.collection.find(
            {"state.told.community": community, "state.state": {"$in": ["open", "closing", "closed"]}},
            fields={"_id": 1},
        )
        found: dict[str, dict[str, str]] = {}
        for one in await self.sheets.collection.find(
            {"state.round_id": {"$in": [one["_id"] for one in rounds]}, "state.members.member_id": {"$in": [*members]}},
            fields={"state.round_id": 1, "state.members.member_id": 1, "state.members.state": 1},
        ):
            for member in one["state"]["members"]:
                if (name := member["member_id"]) in members:
                    found.setdefault(one["state"]["round_id"], {})[name] = member.get("state", "missing")
        return found

    async def sheets_after(self, round_id: str, after: str, limit: int) -> list[str]:
        """Sheets of a round by id, closed ones too: of one that is, a crash may have left something to be done."""
        query = {"state.round_id": round_id, "_id": {"$gt": after}}
        found = await self.sheets.collection.find(query, sort=[("_id", 1)], limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def members(
        self,
        round_id: str,
        state: str | None,
        grids: Sequence[str],
        limit: int,
        after: tuple[str, int] | None,
        buildings: Sequence[str] | None = None,
    ) -> list[Document]:
        """Who is missing or whatever else, or all, in the order of doors, with the place on the sheet."""
        order, place = after or ("", -1)
        query: dict[str, Any] = {"state.round_id": round_id}
        if state is not None:
            query[f"state.counts.{state}"] = {"$gt": 0}
        if grids:
            query["state.grid"] = {"$in": list(grids)}
        if buildings is not None:
            query["state.building"] = {"$in": list(buildings)}
        rows: list[Document] = []
        fields = {f"state.{name}": 1 for name in ("order", "grid", "building", "members")}
        while len(rows) < limit:
            found = await self.sheets.collection.find(
                {**query, "state.order": {"$gte": order}},
                sort=[("state.order", 1)],
                limit=_SHEETS_AT_ONCE,
                fields=fields,
            )
            rows += [
                {
                    "place": number,
                    "order": sheet["order"],
                    "grid": sheet["grid"],
                    "building": sheet["building"],
                    **member.model_dump(),
                }
                for sheet in (one["state"] for one in found)
                for number, member in enumerate(Members(sheet["members"]))
                if state in (None, member.state) and (sheet["order"], number) > (order, place)
            ]
            if len(found) < _SHEETS_AT_ONCE:
                break
            order, place = found[-1]["state"]["order"], len(found[-1]["state"]["members"])
        return rows[:limit]

    async def points(self, round_id: str) -> dict[str, int]:
        """How many members were met at each point."""
        found = await self.sheets.collection.aggregate(
            [
                {"$match": {"state.round_id": round_id, "state.counts.done": {"$gt": 0}}},
                {"$project": {"state.members.met": 1}},
                {"$unwind": "$state.members"},
                {"$project": {"points": {"$setUnion": [_POINTS]}}},
                {"$unwind": "$points"},
                {"$group": {"_id": "$points", "n": {"$sum": 1}}},
            ]
        )
        return {one["_id"]: one["n"] for one in sorted(found, key=lambda one: str(one["_id"]))}

    async def put_walk(self, request_id: str, round_id: str, sheet_id: str, number: int) -> None:
        """Remember which sheet a request is the walk of."""
        await self._walks.put(request_id, {"round": round_id, "sheet": sheet_id, "number": number})

    async def walk(self, request_id: str) -> Document | None:
        """The `round`, `sheet` and `number` of a walk; None: the request is none."""
        return await self._walks.get(request_id)

    async def strangers_page(self, round_id: str, limit: int, after: str) -> list[Document]:
        """Those who are not on the roster, by id."""
        return await self.strangers.collection.find(
            {"state.round_id": round_id, "_id": {"$gt": after}}, sort=[("_id", 1)], limit=limit, fields={"history": 0}
        )


def _names(person: Document, told: OpenRound) -> tuple[str, ...]:
    """The member as whom somebody stands on a roster, and as whom he may stand on one of before."""
    if told.of == "household":
        return (person["state"]["facts"]["household"],)
    return (person["_id"], *person["state"].get("absorbed", ()))


def _asked(told: OpenRound) -> Document:
    roster = told.roster
    query: Document = {**LIVING}
    for field, values in (
        ("grid", roster.grids),
        ("categories", roster.categories),
        ("lists", roster.lists),
        ("needs", roster.needs),
    ):
        if values:
            query[f"state.facts.{field}"] = {"$in": list(values)}
    for field, value in (("lives_alone", roster.lives_alone), ("first_line", roster.first_line)):
        if value is not None:
            query[f"state.facts.{field}"] = value
    return query
