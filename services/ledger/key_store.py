"""Keys of people, and of what is about nobody on the books: what was sealed with one is gone with it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from shared.documents import Document, Index, Write
from shared.runtime import Runtime
from shared.sealing import KEPT, OWN, Sealer

ENDS = Index((("ends", 1),), where={"ends": {"$type": "date"}})


def key_context(name: str) -> str:
    """What the seal of a key belongs to."""
    return f"person-key:{name}"


class Keys:
    """Each rests sealed under the service's key, by the id of a person or the name of a subject, such as `case:1`."""

    def __init__(self, runtime: Runtime) -> None:
        self.all = runtime.collection("person_keys", [ENDS])
        self._sealer = runtime.sealer

    async def sealer(self, person_id: str, *, make: bool = False) -> Sealer | None:
        """What opens and seals what is known of a person; None: the key was destroyed, or there never was one.

        Args:
            person_id: who.
            make: make a key if there is none. Whoever is first has made it.
        """
        known = await self.all.get(person_id)
        if known is None and make:
            fresh = self._sealer.own_key(key_context(person_id))

            def decide(known: Document | None) -> tuple[Write | None, Document]:
                return (None, known) if known else (Write(set={"key": fresh}), {"key": fresh})

            known = await self.all.update(person_id, decide, new=True)
        return None if known is None else self._sealer.under(known["key"], key_context(person_id))

    async def of(self, names: Iterable[str]) -> dict[str, str]:
        """The keys of these, of those that have one, in one question."""
        wanted = list(names)
        found = await self.all.find({"_id": {"$in": wanted}}) if wanted else []
        return {one["_id"]: one["key"] for one in found}

    async def make(self, names: Mapping[str, datetime | None]) -> dict[str, str]:
        """The keys of these, made where there is none, with the day on which they end."""
        fresh = {name: self._sealer.own_key(key_context(name)) for name in names}
        had = await self.all.insert_new(
            [{"_id": name, "v": 1, "key": key, "ends": names[name]} for name, key in fresh.items()]
        )
        return {**fresh, **await self.of(had)}

    async def sealers(self, names: Iterable[str]) -> dict[str, Sealer]:
        """What opens what is about each of these, in one question; the service's key, where there is no other."""
        wanted = set(names)
        found = await self.of(wanted)
        return {name: self.under(name, found[name]) if name in found else self._sealer for name in wanted}

    def under(self, name: str, key: str, beside: Sealer | None = None) -> Sealer:
        """Seals with this key; opens that, what was sealed before there were such, and what another opens beside it."""
        return (beside or self._sealer).under(key, key_context(name), KEPT if ":" in name else OWN)

    async def destroy(self, names: Sequence[str]) -> None:
        """Nothing that was sealed with them can be opened any more."""
        await self.all.delete({"_id": {"$in": list(names)}})

    async def over(self, now: datetime, limit: int) -> list[str]:
        """Names of those whose day has come, longest first."""
        query = {"ends": {"$type": "date", "$lte": now}}
        found = await self.all.find(query, sort=[("ends", 1)], limit=limit, fields={"_id": 1})
        return [one["_id"] for one in found]

    async def keep(self, name: str, ends: datetime) -> None:
        """It ends on a later day."""

        def decide(known: Document | None) -> tuple[Write | None, None]:
            return (Write(set={"ends": ends}) if known else None), None

        await self.all.update(name, decide)
