"""The documents layer on a real database: as if each were alone, although many write at once."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import WriteConcern

from shared.contracts.refusal import Refusal, refusal
from shared.documents import Collection, Database, DuplicateAt, Index, Occupied, Patch, StorageUnavailable, Write
from tests.running import Town

Document = dict[str, Any]


@asynccontextmanager
async def database(town: Town) -> AsyncIterator[Database]:
    """A replica's own connection to dispatch's database."""
    settings = town.engines.settings()
    one = Database(
        settings.mongo_url, "doorstep_dispatch", user="dispatch", password=town.engines.secrets.mongo["dispatch"]
    )
    try:
        yield one
        await one.drain()
    finally:
        one.close()


@pytest.fixture
async def things(town: Town) -> AsyncIterator[Collection]:
    """An empty collection."""
    async with database(town) as one:
        yield one.collection("things")


@pytest.fixture
async def things_elsewhere(town: Town, things: Collection) -> AsyncIterator[Collection]:
    """The same collection, as another replica sees it."""
    async with database(town) as one:
        yield one.collection("things")


def add(amount: int = 1) -> Any:
    """Add to the number in the document, and answer what it then is."""

    def decide(document: Document | None) -> tuple[Write, int]:
        number = (document.get("number", 0) if document else 0) + amount
        return Write(set={"number": number}), number

    return decide


def claim(who: str) -> Any:
    """Take it, unless somebody has it."""

    def decide(document: Document | None) -> tuple[Write, str]:
        if document is not None and document["holder"] is not None:
            raise refusal("id", "taken", f"{document['holder']} has it", status=409)
        return Write(set={"holder": who}), who

    return decide


def grown(chance: random.Random, depth: int = 3) -> Any:
    """Something that a document may hold, often the same as before; also under names that cannot be in a path."""
    kind = chance.randrange(4 if depth else 2)
    if kind == 0:
        return chance.choice([None, True, 0, 1, 1.5, "", "a", datetime(2026, 11, 24, tzinfo=UTC)])
    if kind == 1:
        return chance.randrange(3)
    if kind == 2:
        return [grown(chance, depth - 1) for _ in range(chance.randrange(3))]
    names = chance.sample(["a", "b", "0", "a.b", "$set", ""], chance.randrange(4))
    return {name: grown(chance, depth - 1) for name in names}


class Counted:
    """A collection's driver calls, counted while they go through."""

    def __init__(self, collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
        self.finds = self.writes = 0
        find, write = collection.find, collection._write

        async def counted_find(*args: Any, **more: Any) -> Any:
            self.finds += 1
            return await find(*args, **more)

        async def counted_write(operations: Any) -> Any:
            self.writes += 1
            return await write(operations)

        monkeypatch.setattr(collection, "find", counted_find)
        monkeypatch.setattr(collection, "_write", counted_write)


async def test_of_300_claims_at_once_one_wins_and_the_others_are_told_who(things: Collection) -> None:
    """One conditional write decides."""
    await things.put("task", {"holder": None})
    outcomes = await asyncio.gather(
        *(things.update("task", claim(f"v{number}")) for number in range(300)), return_exceptions=True
    )
    winners = [one for one in outcomes if isinstance(one, str)]
    assert len(winners) == 1
    assert {str(one) for one in outcomes if isinstance(one, Refusal)} == {f"id: {winners[0]} has it"}
    document = await things.get("task")
    assert document is not None
    assert (document["holder"], document["v"]) == (winners[0], 2)


async def test_of_300_claims_over_two_replicas_one_wins(things: Collection, things_elsewhere: Collection) -> None:
    """Whichever of them each came through."""
    await things.put("task", {"holder": None})
    outcomes = await asyncio.gather(
        *((things, things_elsewhere)[number % 2].update("task", claim(f"v{number}")) for number in range(300)),
        return_exceptions=True,
    )
    winners = [one for one in outcomes if isinstance(one, str)]
    assert len(winners) == 1
    assert {str(one) for one in outcomes if isinstance(one, Refusal)} == {f"id: {winners[0]} has it"}


async def test_no_write_is_lost_when_two_replicas_change_one_document(
    things: Collection, things_elsewhere: Collection
) -> None:
    """Who loses a race decides again on what is there now; each sees a number of his own."""
    seen = await asyncio.gather(*((things, things_elsewhere)[n % 2].update("sum", add()) for n in range(200)))
    assert sorted(seen) == list(range(1, 201))
    document = await things.get("sum")
    assert document is not None
    assert document["number"] == 200


async def test_a_conflict_on_one_document_does_not_touch_its_neighbours(
    things: Collection, things_elsewhere: Collection
) -> None:
    """Fifty documents in one list, one of them contended: all end right."""
    names = [f"d{number}" for number in range(50)]
    for _ in range(4):
        await asyncio.gather(
            *(things.update(name, add()) for name in names), *(things_elsewhere.update("d7", add()) for _ in range(5))
        )
    found = {one["_id"]: one["number"] for one in await things.find({})}
    assert found == {**dict.fromkeys(names, 4), "d7": 24}


async def test_the_writes_of_one_moment_are_one_find_and_one_write(
    things: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred callers, two trips to the database."""
    counted = Counted(things, monkeypatch)
    await asyncio.gather(*(things.update(f"d{number}", add()) for number in range(100)))
    assert (counted.finds, counted.writes) == (1, 1)


async def test_many_changes_of_one_document_in_one_moment_are_one_write(
    things: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decided one after the other, in the order in which they came."""
    counted = Counted(things, monkeypatch)
    assert await asyncio.gather(*(things.update("sum", add()) for _ in range(100))) == list(range(1, 101))
    document = await things.get("sum")
    assert document is not None
    assert (document["v"], counted.writes) == (1, 1)


async def test_lists_grow_in_order_and_lose_nothing(things: Collection, things_elsewhere: Collection) -> None:
    """What is pushed by two replicas is all there, in one order for both."""

    def push(number: int) -> Any:
        return lambda document: (Write(push={"list": [number]}), len(document["list"]) if document else 0)

    places = await asyncio.gather(*((things, things_elsewhere)[n % 2].update("list", push(n)) for n in range(100)))
    document = await things.get("list")
    assert document is not None
    assert sorted(document["list"]) == list(range(100))
    assert [document["list"][place] for place in places] == list(range(100))


async def test_whatever_differs_is_written_as_it_shall_be(things: Collection, things_elsewhere: Collection) -> None:
    """From anything to anything, in one write or two at once, on what was read and on what is remembered."""
    chance = random.Random(11)
    steps = {str(number): [grown(chance) for _ in range(4)] for number in range(300)}
    for step in range(4):
        await asyncio.gather(
            *(
                things.update(name, lambda _, value=value: (Write(set={"state": value}), None))  # type: ignore[misc]
                for name, values in steps.items()
                for value in values[: step + 1]
            )
        )
        stored = {one["_id"]: one["state"] for one in await things_elsewhere.find({})}
        assert stored == {name: values[step] for name, values in steps.items()}
        if step:
            # From here on nothing is remembered, so what is changed is what was read.
            await things.delete({"_id": "nothing"})


async def test_only_what_differs_is_written(things: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was read just now: the indexes over all else are left alone."""
    members = [{"name": number, "met": []} for number in range(3)]
    await things.put("sheet", {"state": {"members": members, "counts": {"missing": 3, "done": 0}}})
    await things.delete({"_id": "nothing"})
    written: list[Any] = []
    write = things._write

    async def seen(operations: Any) -> Any:
        written.extend(operations)
        return await write(operations)

    monkeypatch.setattr(things, "_write", seen)
    after = {
        "members": (*members[:1], {"name": 1, "met": ["done"]}, members[2]),
        "counts": {"missing": 2, "done": 1},
    }
    await things.update("sheet", lambda _: (Write(set={"state": after}), None))
    (operation,) = written
    assert operation._doc == {
        "$set": {"state.members.1.met": ["done"], "state.counts.missing": 2, "state.counts.done": 1, "v": 2}
    }


async def test_a_rule_that_says_no_harms_only_its_caller(things: Collection) -> None:
    """A refusal, or a mistake, among many changes of one document."""

    def says_no(_: Document | None) -> Any:
        raise refusal("id", "no", "no")

    def mistaken(document: Document | None) -> Any:
        raise ZeroDivisionError

    outcomes = await asyncio.gather(
        things.update("sum", add()),
        things.update("sum", says_no),
        things.update("sum", mistaken),
        things.update("sum", add()),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [int, Refusal, ZeroDivisionError, int]
    document = await things.get("sum")
    assert document is not None
    assert document["number"] == 2


async def test_a_rule_that_wants_nothing_changed_writes_nothing(things: Collection) -> None:
    """The version stays."""
    await things.update("sum", add())
    assert await things.update("sum", lambda document: (None, document["number"])) == 1
    document = await things.get("sum")
    assert document is not None
    assert document["v"] == 1


async def test_a_wrong_guess_that_it_is_new_is_decided_again_on_what_is_there(things: Collection) -> None:
    """The caller notices nothing."""
    await things.update("sum", add(5))
    assert await things.update("sum", add(), new=True) == 6
    document = await things.get("sum")
    assert document is not None
    assert document["number"] == 6


async def test_a_right_guess_that_it_is_new_saves_the_look(things: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """One write, no find."""
    counted = Counted(things, monkeypatch)
    await asyncio.gather(*(things.update(f"d{number}", add(), new=True) for number in range(20)))
    assert (counted.finds, counted.writes) == (0, 1)


async def test_a_guess_that_would_write_nothing_is_checked_before_it_is_answered(things: Collection) -> None:
    """Something is there, and the rule must see it."""
    await things.put("one", {"number": 3})
    assert await things.update("one", lambda document: (None, document and document["number"]), new=True) == 3
    await things.put("task", {"holder": "v1"})
    with pytest.raises(Refusal):
        await things.update("task", claim("v2"), new=True)


async def test_two_guesses_of_one_moment_make_one_document(things: Collection, things_elsewhere: Collection) -> None:
    """Of two replicas that both take it for new, one finds the other's."""
    for number in range(20):
        both = (store.update(f"d{number}", add(), new=True) for store in (things, things_elsewhere))
        assert sorted(await asyncio.gather(*both)) == [1, 2]


async def test_what_is_remembered_gives_way_to_what_another_replica_wrote(
    things: Collection, things_elsewhere: Collection
) -> None:
    """Whether the rule then writes, refuses or wants nothing."""
    await things.put("task", {"holder": None})
    await things_elsewhere.update("task", claim("v1"))
    with pytest.raises(Refusal, match="v1 has it"):
        await things.update("task", claim("v2"))
    await things.update("sum", add())
    await things_elsewhere.update("sum", add())
    assert await things.update("sum", lambda document: (None, document["number"])) == 2
    assert await things.update("sum", add()) == 3


async def test_what_was_deleted_is_remembered_by_nobody(things: Collection) -> None:
    """The next write makes a whole document, as the first did."""
    await things.put("one", {"a": 1})
    await things.update("one", add())
    await things.delete({"_id": "one"})
    assert await things.update("one", add()) == 1
    assert await things.get("one") == {"_id": "one", "number": 1, "v": 1}


@pytest.mark.parametrize("remembered", [True, False])
async def test_what_somebody_else_deletes_meanwhile_is_decided_again_on_nothing(
    things: Collection, things_elsewhere: Collection, remembered: bool
) -> None:
    """Never half of a document: neither of what was read nor of what is remembered."""
    await things.put("one", {"a": 1, "b": 2})
    await things.put("other", {"number": 1})
    if not remembered:
        await things.delete({"_id": "nothing"})
    seen: list[Document | None] = []
    write = things._write

    async def too_late(operations: Any) -> Any:
        if len(seen) == 1:
            await things_elsewhere.delete({"_id": "one"})
        return await write(operations)

    def decide(document: Document | None) -> tuple[Write, int]:
        seen.append(document)
        return Write(set={"a": 3}), 3

    things._write = too_late  # type: ignore[method-assign]
    assert [*await asyncio.gather(things.update("one", decide), things.update("other", add()))] == [3, 2]
    assert seen == [{"_id": "one", "v": 1, "a": 1, "b": 2}, None]
    assert sorted(await things_elsewhere.find({}), key=lambda one: one["_id"]) == [
        {"_id": "one", "v": 1, "a": 3},
        {"_id": "other", "v": 2, "number": 2},
    ]


async def test_patches_need_no_version_and_are_written_together(things: Collection) -> None:
    """And a patch of what is not there makes nothing."""
    await things.put("one", {"number": 0})
    await things.update("one", lambda _: (Write(push={"list": [{"n": n} for n in range(1, 51)]}), None))
    await asyncio.gather(*(things.patch("one", Patch({f"m{n}": n}, {"list": [n]})) for n in range(1, 50)))
    await things.patch("none", Patch({"number": 1}, {}))
    (document,) = await things.find({})
    assert document["list"] == [{"n": 50}]
    assert [document[f"m{n}"] for n in range(1, 50)] == list(range(1, 50))
    assert document["v"] == 2


async def test_put_keeps_what_it_does_not_name(things: Collection) -> None:
    """And writes nothing when nothing changes."""
    await things.put("one", {"a": 1, "b": 1})
    await things.put("one", {"b": 2})
    await things.put("one", {"b": 2})
    assert await things.get("one") == {"_id": "one", "a": 1, "b": 2, "v": 2}


async def test_an_ordered_insert_stops_at_the_first_that_is_there(things: Collection) -> None:
    """What came before is in, what comes after is not."""
    await things.put("c", {})
    stopped = await things.insert_in_order([{"_id": one} for one in "abcde"])
    assert stopped == DuplicateAt(2, ("_id",))
    assert sorted(one["_id"] for one in await things.find({})) == ["a", "b", "c"]
    assert await things.insert_in_order([{"_id": "d"}]) is None


async def test_an_insert_that_too_few_members_have_is_none(things: Collection) -> None:
    """It may be taken back, whether it was new or not."""
    await things.put("a", {})
    things.raw = things.raw.with_options(write_concern=WriteConcern(w=7, wtimeout=1))
    for ids in ("bc", "ca"):
        with pytest.raises(StorageUnavailable):
            await things.insert_in_order([{"_id": one} for one in ids])


async def test_who_takes_a_document_first_has_it(things: Collection, things_elsewhere: Collection) -> None:
    """Also when there is none yet: one creates it, the others get nothing."""
    takes = (
        (things, things_elsewhere)[n % 2].take({"_id": "lease", "holder": f"h{n}"}, {"$set": {"at": n}}, upsert=True)
        for n in range(20)
    )
    taken = [one for one in await asyncio.gather(*takes) if one is not None]
    assert len(taken) == 1


async def test_a_stream_can_be_left_before_its_end(things: Collection) -> None:
    """Nothing stays open."""
    await asyncio.gather(*(things.put(f"d{number:04d}", {}) for number in range(2_500)))
    seen = []
    async with aclosing(things.stream({}, sort=[("_id", 1)])) as documents:
        async for one in documents:
            seen.append(one["_id"])
            if len(seen) == 1_200:
                break
    assert seen == [f"d{number:04d}" for number in range(1_200)]


async def test_times_come_back_with_their_zone_and_to_the_millisecond(things: Collection) -> None:
    """UTC, as they were handed in."""
    at = datetime(2026, 11, 24, 9, 0, 0, 123000, tzinfo=UTC)
    await things.put("one", {"at": at})
    document = await things.get("one")
    assert document is not None
    assert document["at"] == at
    assert document["at"].tzinfo is not None


async def test_indexes_are_made_once_and_made_again_without_harm(town: Town) -> None:
    """A partial index beside one of the same keys over all."""
    async with database(town) as one:
        many = one.collection(
            "indexed", [Index((("at", 1),)), Index((("at", 1),), where={"open": True}), Index((("n", 1),), unique=True)]
        )
        await one.prepare()
        await one.prepare()
        names = await many.raw.index_information()
        assert len(names) == 4


async def test_a_place_that_another_document_has_is_said_to_be_occupied_to_who_wanted_it_alone(town: Town) -> None:
    """Others who write the same document in the same moment are not held up by it."""
    only_one = Index((("seat", 1),), unique=True, where={"seat": {"$type": "string"}})
    async with database(town) as one:
        things = one.collection("seats", [only_one])
        await one.prepare()

        def sit(seat: str) -> Any:
            return lambda old: (Write(set={"seat": seat}), seat)

        assert await things.update("a", sit("1")) == "1"
        outcomes = await asyncio.gather(
            things.update("b", add()), things.update("b", sit("1")), things.update("b", add()), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [int, Occupied, int]
        assert isinstance(outcomes[1], Occupied)
        assert outcomes[1].fields == ("seat",)
        stored = await things.get("b")
        assert stored is not None
        assert "seat" not in stored
        assert await things.update("b", sit("2")) == "2"


async def test_a_database_that_is_not_there_is_said_to_be_unavailable(town: Town) -> None:
    """Soon, as one kind of error for reads and writes, in the words of an operator and not of the driver."""
    one = Database("mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200", "doorstep_dispatch")
    things = one.collection("things")
    try:
        calls = (things.get("x"), things.update("x", add()), things.find({}), things.count(), one.ping())
        outcomes = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * len(calls)
        assert {str(outcome) for outcome in outcomes} == {"127.0.0.1:1: [Errno 111] Connection refused"}
    finally:
        one.close()
