"""HTTP in: registers beside their entries, for operators."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query

from services.ledger.domain.registers import NAMES, SHEETS
from services.ledger.house import Ledger
from services.ledger.rebuilding import comparing as rebuilding
from services.ledger.rebuilding import sheets
from services.ledger.rebuilding.comparing import Looked
from services.ledger.rebuilding.store import Registers
from shared.contracts.refusal import refusal
from shared.pages import decode_cursor, encode_cursor
from shared.web import After, Somebody

PREFIX = "/api/ledger"
Name = Annotated[str, Path(pattern=r"^[a-z_]{1,32}$")]
Many = Annotated[int, Query(ge=1, le=500, description="Documents on a page.")]
MORE = 2_000
"""Entries looked at in one go."""


def add_rebuilding_routes(app: FastAPI, house: Ledger) -> None:
    """Put the routes of registers on the application."""
    registers = Registers(house.store)

    @app.get(f"{PREFIX}/registers", tags=["operation"])
    async def names(who: Somebody) -> dict[str, Any]:
        """The registers that can be made again of their entries, and how many documents each holds, nearly."""
        who.require("operator")
        counts = await registers.counts()
        return {"items": [{"name": name, "documents": counts[name]} for name in NAMES], "next": None}

    @app.post(f"{PREFIX}/entries:name", tags=["operation"])
    async def name_older(who: Somebody, after: After = None) -> dict[str, Any]:
        """Look at some entries, and say of those of before what they are about, so that they can be found by it."""
        who.require("operator")
        named, last = await registers.name_older(_after(after), MORE)
        return {"named": named, "next": None if last is None else encode_cursor((last,))}

    @app.get(f"{PREFIX}/registers/{{name}}/rebuilt", tags=["operation"])
    async def compare(who: Somebody, name: Name, limit: Many = 200, after: After = None) -> dict[str, Any]:
        """What some documents of a register are beside what their entries say: only those that are not equal."""
        who.require("operator")
        _known(name)
        found, end = await _compared(registers, name, _after(after), limit)
        return _page(found, end)

    @app.post(f"{PREFIX}/registers/{{name}}/rebuilt", tags=["operation"])
    async def put_right(who: Somebody, name: Name, limit: Many = 200, after: After = None) -> dict[str, Any]:
        """The same, and put right what is missing or differs; each is entered as `RecordRestored`."""
        who.require("operator")
        _known(name)
        found, end = await _compared(registers, name, _after(after), limit)
        asked = who.worker or who.name
        if name == SHEETS:
            restored = await sheets.put_right(house, found, asked)
        else:
            restored = await rebuilding.put_right(house, registers, name, found, asked)
        return _page(found, end, restored)


async def _compared(registers: Registers, name: str, after: str, limit: int) -> tuple[list[Looked], str | None]:
    if name == SHEETS:
        return await sheets.compared(registers, after, limit)
    return await rebuilding.compared(registers, name, after, limit)


def _known(name: str) -> None:
    if name not in NAMES:
        raise refusal("name", "unknown_register", f"no register is called {name}", status=404)


def _after(cursor: str | None) -> str:
    place = decode_cursor(cursor, (str,))
    return place[0] if place else ""


def _page(found: Sequence[Looked], end: str | None, restored: Collection[str] = ()) -> dict[str, Any]:
    return {
        "counts": dict(Counter(one.verdict for one in found)),
        "items": [
            {"id": one.record, "verdict": one.verdict, "fields": one.fields, "restored": one.record in restored}
            for one in found
            if one.verdict != "equal"
        ],
        "next": None if end is None else encode_cursor((end,)),
    }
