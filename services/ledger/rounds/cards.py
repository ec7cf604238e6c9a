"""Documents of cards: who was given each, by its round and its number."""

import asyncio
from collections.abc import Collection as Names
from collections.abc import Iterable

from services.ledger.domain.sheets import Members, Sheet
from shared.aggregates import Aggregates
from shared.documents import Document, Index, Write
from shared.runtime import Runtime

LISTS_OF_CARD = 20
"""Lists that say of one card who has it, the latest of them."""
_BEFORE = "before"
"""Stands for the list that said so, where that is not known."""


class Cards:
    """What is handed out has a number, and each is given once.

    Args:
        runtime: of the service.
        sheets: on which those stand who have them.
    """

    def __init__(self, runtime: Runtime, sheets: Aggregates[Sheet]) -> None:
        self._all = runtime.collection("cards", [Index((("reports", 1),))])
        self._sheets = sheets

    async def hand_out(self, round_id: str, card: str, member_id: str, report_id: str) -> str:
        """Who has this card: this member, unless another was given it before. One conditional write."""

        def decide(known: Document | None) -> tuple[Write | None, str]:
            # What was handed out before lists were counted stays with whom it was given to.
            said = [] if known is None else known.get("reports", [_BEFORE])
            # The same list again, though somebody of it may be known under another name by now.
            if report_id in said:
                return None, member_id
            if known is not None and known["member"] != member_id:
                return None, known["member"]
            # Each list that says so holds it, whatever becomes of the others.
            return Write(set={"member": member_id, "reports": [*said, report_id][-LISTS_OF_CARD:]}), member_id

        return await self._all.update(f"{round_id}/{card}", decide, new=True)

    async def holder(self, round_id: str, card: str) -> Document | None:
        """Who has this card, as on the roster; of somebody who is not on it, `member_id` alone. None: nobody has it."""
        known = await self._all.get(f"{round_id}/{card}")
        if known is None:
            return None
        name = known["member"]
        fields = {f"state.{name}": 1 for name in ("grid", "building", "members")}
        found = await self._sheets.collection.find(
            {"state.round_id": round_id, "state.members.member_id": name}, fields=fields
        )
        rows = [
            {"grid": sheet["grid"], "building": sheet["building"], **member.model_dump()}
            for sheet in (one["state"] for one in found)
            for member in Members(sheet["members"])
            if member.member_id == name
        ]
        return rows[0] if rows else {"member_id": name}

    async def holders(self, cards: Iterable[str]) -> dict[str, str]:
        """As whom those stand who have these cards, each named with its round: `<round>/<card>`."""
        if not (wanted := list(cards)):
            return {}
        found = await self._all.find({"_id": {"$in": wanted}}, fields={"member": 1})
        return {one["_id"]: one["member"] for one in found}

    async def give(self, card: str, member_id: str) -> None:
        """Whoever had a card, which is named with its round, this member has it."""

        def decide(known: Document | None) -> tuple[Write | None, None]:
            if known is not None and known["member"] == member_id:
                return None, None
            # One that no list names would be forgotten with the next that is refused.
            said = (known or {}).get("reports") or [_BEFORE]
            return Write(set={"member": member_id, "reports": said}), None

        await self._all.update(card, decide)

    async def pass_on(self, round_id: str, cards: Iterable[str], names: Names[str], member_id: str) -> None:
        """What was given to somebody under one of these names is this member's."""

        def decide(known: Document | None) -> tuple[Write | None, None]:
            return (Write(set={"member": member_id}) if known and known["member"] in names else None), None

        await asyncio.gather(*(self._all.update(f"{round_id}/{card}", decide) for card in cards))

    async def take_back(self, report_id: str) -> int:
        """Forget what was handed out by a list that is refused, and by no other; how many."""

        def decide(known: Document | None) -> tuple[Write | None, None]:
            if known is None or report_id not in known["reports"]:
                return None, None
            return Write(set={"reports": [one for one in known["reports"] if one != report_id]}), None

        held = [one["_id"] for one in await self._all.find({"reports": report_id}, fields={"_id": 1})]
        await asyncio.gather(*(self._all.update(one, decide) for one in held))
        return await self._all.delete({"_id": {"$in": held}, "reports": []})
