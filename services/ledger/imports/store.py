"""Documents of imports: the rows that wait, sealed, and what many lookups at once find."""

from collections.abc import Iterable, Mapping, Sequence

from services.ledger.domain.imports import Import
from services.ledger.domain.register import Person
from services.ledger.key_store import key_context
from services.ledger.people.store import claim_of
from services.ledger.store import Store
from shared.documents import Document, Index
from shared.runtime import Runtime

ROWS_END = Index((("at", 1),), seconds=30 * 86_400)
"""Rows of a file that nobody sent again after a crash."""
OPEN = Index((("state.open", 1), ("_id", 1)), where={"state.open": True})


class ImportStore:
    """What the ledger keeps of files on their way into the register."""

    def __init__(self, runtime: Runtime, store: Store) -> None:
        self.imports = runtime.aggregates("imports", Import, lambda one: one.import_id, [OPEN])
        self.rows = runtime.collection("import_rows", [ROWS_END])
        self._clock = runtime.clock
        self._store = store
        self._sealer = runtime.sealer

    async def keep(self, import_id: str, chunk: int, sealed: str) -> None:
        """Keep the rows of a chunk; kept before, they stay as they are."""
        await self.rows.insert_new([{"_id": row_id(import_id, chunk), "v": 1, "sealed": sealed, "at": self._clock()}])

    async def chunk(self, import_id: str, chunk: int) -> str | None:
        """The rows of a chunk, sealed; None once they are entered."""
        found = await self.rows.get(row_id(import_id, chunk))
        return None if found is None else str(found["sealed"])

    async def drop(self, import_id: str, chunks: Iterable[int]) -> None:
        """Their rows are entered."""
        await self.rows.delete({"_id": {"$in": [row_id(import_id, one) for one in chunks]}})

    async def next_open(self) -> Import | None:
        """One that is not through."""
        found = await self.imports.collection.find({"state.open": True}, sort=[("_id", 1)], limit=1)
        return self.imports.state(found[0]) if found else None

    async def holders(self, aliases: Iterable[str]) -> dict[str, Document]:
        """Who holds which of many aliases, in one question."""
        found = await self._store.register.aliases.find({"_id": {"$in": list(aliases)}})
        return {one["_id"]: one for one in found}

    async def people(self, ids: Iterable[str]) -> dict[str, Person]:
        """Many people, in one question."""
        people = self._store.people
        found = await people.collection.find({"_id": {"$in": list(ids)}}, fields={"state": 1})
        return {one["_id"]: people.state(one) for one in found}

    async def claim(self, claims: Sequence[tuple[str, str, Mapping[str, str]]]) -> set[str]:
        """Let people hold aliases, where nobody does; the aliases that somebody held."""
        return await self._store.register.aliases.insert_new(
            [{"_id": alias, "v": 1, **claim_of(person, identities)} for alias, person, identities in claims]
        )

    async def make_keys(self, people: Sequence[str]) -> tuple[dict[str, str], set[str]]:
        """A key for each; by person, and who had one."""
        keys = {one: self._sealer.own_key(key_context(one)) for one in people}
        had = await self._store.keys.all.insert_new([{"_id": one, "v": 1, "key": key} for one, key in keys.items()])
        return keys, had


def row_id(import_id: str, chunk: int) -> str:
    """The id of a chunk's rows."""
    return f"{import_id}/{chunk:06d}"


def rows_context(import_id: str, chunk: int) -> str:
    """What the seal of a chunk's rows belongs to."""
    return f"import:{row_id(import_id, chunk)}"
