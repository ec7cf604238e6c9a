"""Whole lists of people: tried, taken in, and entered some at a time."""

import asyncio
import base64
import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import structlog

from services.ledger.domain import headings
from services.ledger.domain import imports as rules
from services.ledger.domain.imports import Import, Imports
from services.ledger.domain.people import Portrait, portrait
from services.ledger.domain.register import Person, said_of
from services.ledger.house import Ledger, today
from services.ledger.imports.reading import Reading
from services.ledger.imports.store import ImportStore, rows_context
from services.ledger.key_store import key_context
from services.ledger.people import handlers as people
from services.ledger.people.portraits import drawn
from services.ledger.people.recognition import Aliases, aliases_of, fingerprint_of
from shared.contracts.envelope import Meta, Problem
from shared.contracts.ledger import PersonRegistered, RegisterPerson
from shared.contracts.refusal import Refusal, refusal
from shared.identity import derived_id

log = structlog.get_logger(__name__)

TOGETHER = 4
"""Chunks entered at once: while the database writes one, the next is made."""
WRITING = 5.0
"""Seconds that a round takes at most on a busy machine; news of these people are sent after the last one."""
ADDED = {"categories", "lists"}
"""What a list says of these is added: that somebody is on one list, for one reason, says nothing of the others."""
SHOWN = 100
"""Mistakes that a refusal tells."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants taken in, and how it is to be read."""

    community: str
    content: bytes
    mapping: str = "usual"
    source: str = "import"
    lists: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    skip_wrong: bool = False
    by: str = ""

    def import_id(self, read_by: str) -> str:
        """The same for the same file, sent to the same place and read the same way."""
        digest = hashlib.sha256(self.content).hexdigest()
        return derived_id("import", digest, self.community, read_by, self.source, *self.lists, *self.categories)


@dataclass(frozen=True, slots=True)
class Row:
    """A registration, and by what its person may be known."""

    command: RegisterPerson
    news: Portrait
    aliases: Aliases
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Sorted:
    """Rows by what they mean."""

    new: Sequence[Row]
    changed: Sequence[Row]
    same: Sequence[Row]

    def counts(self) -> Counter[str]:
        """How many of each."""
        return Counter(new=len(self.new), changed=len(self.changed), same=len(self.same))


@dataclass(frozen=True, slots=True)
class Importing:
    """What takes lists in."""

    house: Ledger
    store: ImportStore
    catalogue: Imports

    async def reading(self, order: Order) -> Reading:
        """How this order's file is to be read.

        Raises:
            Refusal: `unknown_mapping`, `unknown_community`.
        """
        if order.mapping not in self.catalogue.mappings:
            raise refusal("mapping", "unknown_mapping", f"imports.yaml has no mapping {order.mapping}")
        buildings = await self.house.store.grids_of(order.community)
        if not buildings:
            raise refusal("community", "unknown_community", "no building of this community is entered")
        house = self.house
        return Reading(
            community=order.community,
            source=order.source,
            words=headings.words(self.catalogue, house.categories, order.mapping),
            people=house.categories,
            buildings=buildings,
            today=today(house),
            lookup=house.runtime.lookup,
            lists=order.lists,
            categories=order.categories,
        )

    async def try_out(self, order: Order) -> tuple[Reading, Counter[str]]:
        """What would come of it; nothing is changed."""
        reading = await self.reading(order)
        counts: Counter[str] = Counter()
        chunks = reading.chunks(order.content)
        while some := await asyncio.to_thread(_next, chunks):
            counts += (await self.sort(some)).counts()
        return reading, counts

    async def take_in(self, order: Order) -> Import:
        """Keep the rows, sealed, and have them entered; the same file again goes on where it was.

        Raises:
            Refusal: the file cannot be read; a row is wrong, and wrong ones are not to be skipped.
        """
        reading = await self.reading(order)
        import_id = order.import_id(headings.read_by(self.catalogue, order.mapping))
        now: Reading | None = None
        while (known := await self.store.imports.get(import_id)) is not None:
            if known.open or not known.wrong:
                return known
            now = now or await self._read(order)
            if (now.wrong, now.problems) == (known.wrong, known.problems):
                return known
            # What was wrong with it is right by now, such as a building that was not entered then.
            import_id = derived_id("import", import_id, "again")
        chunks, number = reading.chunks(order.content), 0
        sealed: list[str] = []
        while some := await asyncio.to_thread(_next, chunks):
            sealed.append(self._seal(import_id, number, some))
            number += 1
        if reading.wrong and not order.skip_wrong:
            raise Refusal(*map(_problem, reading.problems[:SHOWN]))
        for number, one in enumerate(sealed):
            await self.store.keep(import_id, number, one)
        begun = Import(
            import_id=import_id,
            community=order.community,
            rows=reading.rows,
            chunks=len(sealed),
            wrong=reading.wrong,
            problems=reading.problems,
            open=bool(sealed),
            by=order.by,
        )
        meta = Meta("", "", "http", self.house.runtime.clock(), import_id)
        outcome = await self.store.imports.update(
            import_id, lambda known: None if known else (begun, ()), meta, new=True
        )
        return outcome.state or begun

    async def _read(self, order: Order) -> Reading:
        """A file as it is read by now."""
        reading = await self.reading(order)
        chunks = reading.chunks(order.content)
        while await asyncio.to_thread(_next, chunks):
            pass
        return reading

    async def go_on(self) -> int:
        """Enter the next rows of a file that is not through; how many these were."""
        known = await self.store.next_open()
        if known is None:
            return 0
        now = self.house.runtime.clock()
        self.house.runtime.outbox.rest(self.house.store.people.collection, WRITING)
        numbers = range(known.done, min(known.done + TOGETHER, known.chunks))
        counts = sum(await asyncio.gather(*(self._enter_chunk(known, one) for one in numbers)), Counter[str]())
        meta = Meta("", "", "ledger", now, known.import_id)
        await self.store.imports.update(
            known.import_id, lambda then: rules.go_on(then, known.done, len(numbers), counts), meta
        )
        await self.store.drop(known.import_id, numbers)
        return max(counts.total(), 1)

    async def _enter_chunk(self, known: Import, number: int) -> Counter[str]:
        sealed = await self.store.chunk(known.import_id, number)
        if sealed is None:
            return Counter()
        return await self.enter(known, self._open(known.import_id, number, sealed))

    async def sort(self, commands: Sequence[RegisterPerson]) -> Sorted:
        """Who of these is new, of whom something new is told, and of whom nothing."""
        day = today(self.house)
        rows = [self._row(command, day) for command in commands]
        holders = await self.store.holders(alias for row in rows for alias in row.aliases.all())
        ids = {row.aliases.source for row in rows} | {one["person"] for one in holders.values()}
        known = await self.store.people(ids)
        found = Sorted([], [], [])
        for row in rows:
            held = [holders[alias]["person"] for alias in row.aliases.all() if alias in holders]
            candidates = [known[one] for one in (row.aliases.source, *held) if one in known]
            kind: list[Row]
            if any(one.told_by().get(row.aliases.source) == row.fingerprint for one in candidates):
                kind = found.same  # type: ignore[assignment]
            elif held or candidates:
                kind = found.changed  # type: ignore[assignment]
            else:
                kind = found.new  # type: ignore[assignment]
            kind.append(row)
        return found

    async def enter(self, known: Import, commands: Sequence[RegisterPerson]) -> Counter[str]:
        """Enter rows: those of new people all together, the others one by one as any registration."""
        found = await self.sort(commands)
        now = self.house.runtime.clock()
        cause = Meta(f"import:{known.import_id}", "", "import", now, known.import_id, actor=known.by)
        left = await self._enter_new(known.community, found.new, cause)
        others = [row.command for row in (*left, *found.changed)]
        entered = await asyncio.gather(*(self._enter_one(one, cause) for one in others))
        refused = entered.count(False)
        return found.counts() + Counter(wrong=refused) - Counter(changed=refused)

    async def _enter_one(self, command: RegisterPerson, cause: Meta) -> bool:
        """Whether it was taken: one that cannot be, such as of somebody whose key is gone, stops no other."""
        try:
            await people.enter(self.house, command, cause, command.model_fields_set - ADDED)
        except Refusal as refused:
            log.warning("row left out", import_id=cause.subject, reason=str(refused))
            return False
        return True

    async def _enter_new(self, community: str, rows: Sequence[Row], cause: Meta) -> list[Row]:
        """Enter people of whom nobody has heard; those rows of whom somebody has by now."""
        if not rows:
            return []
        claims = [(alias, row.aliases.source, row.aliases.identities) for row in rows for alias in row.aliases.others]
        (keys, had), held, buildings = await asyncio.gather(
            self.store.make_keys([row.aliases.source for row in rows]),
            self.store.claim(claims),
            self.house.store.grids_of(community),
        )
        own = [row for row in rows if row.aliases.source not in had and not held.intersection(row.aliases.others)]
        left = [row for row in rows if row.aliases.source in had or held.intersection(row.aliases.others)]
        told = [self._drawn(row, buildings, keys[row.aliases.source]) for row in own]
        there = await self.house.store.people.insert(
            [(one.facts.person_id, one, [said_of(one, PersonRegistered)]) for one in told], cause
        )
        return left + [row for row in own if row.aliases.source in there]

    def _drawn(self, row: Row, buildings: dict[str, str], key: str) -> Person:
        person_id = row.aliases.source
        sealer = self.house.runtime.sealer.under(key, key_context(person_id))
        grid = buildings.get(row.command.address.building)
        sources = {person_id: row.fingerprint}
        return drawn(self.house, person_id, grid, row.news, sealer, sources, row.aliases.identities)

    def _row(self, command: RegisterPerson, today: date) -> Row:
        house, lookup = self.house, self.house.runtime.lookup
        news = portrait(command, house.categories, today)
        aliases = aliases_of(lookup, news, derived_id("person", command.source, command.source_id))
        return Row(command, news, aliases, fingerprint_of(lookup, command))

    def _seal(self, import_id: str, chunk: int, commands: Sequence[RegisterPerson]) -> str:
        lines = b"\n".join(one.model_dump_json(exclude_unset=True).encode() for one in commands)
        packed = base64.b85encode(zlib.compress(lines, 1)).decode()
        return self.house.runtime.sealer.seal(packed, rows_context(import_id, chunk))

    def _open(self, import_id: str, chunk: int, sealed: str) -> list[RegisterPerson]:
        packed = self.house.runtime.sealer.open(sealed, rows_context(import_id, chunk))
        lines = zlib.decompress(base64.b85decode(packed)).split(b"\n")
        return [RegisterPerson.model_validate_json(line) for line in lines]


def _next(chunks: Iterator[list[RegisterPerson]]) -> list[RegisterPerson] | None:
    return next(chunks, None)


def _problem(wrong: rules.RowProblem) -> Problem:
    where = [str(wrong.row), *([wrong.sheet] if wrong.sheet else []), wrong.column]
    return Problem(field=".".join(where), code=wrong.code, message=f"row {', '.join(where)}")
