"""What is written of people in cases, rounds, at gates, with money: it goes with who is erased, or has its time."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from services.ledger import keeping
from services.ledger.app import furnished
from services.ledger.domain.registers import NAMES
from services.ledger.house import Ledger
from services.ledger.key_store import Keys
from shared.documents import Document
from shared.identity import new_id
from shared.sealing import CannotOpen, Sealer
from tests import world
from tests.component.test_ledger_rounds import opened
from tests.component.test_queries import MANY, profiled, wasteful
from tests.running import Clock, Service, Town, eventually, problems

SEAL = re.compile(r"\b(?:own|kept|k\d+)\.[A-Za-z0-9+/]{20,}=*")
CASE = {"case_id": "c1", "community": world.TIEBEI, "kind": "medical", "owner": world.SUN}
DOOR = {"building": "3", "unit": "1", "room": "101"}
CONTEXTS = ("case:c1", "round:r1", "presence:guest", "agreement:bus", "gate-check:k1", "money:m1")


@dataclass(frozen=True, slots=True)
class Office:
    """The ledger, on a clock that stands still; Mr. Wang is on its books."""

    ledger: Service
    house: Ledger
    clock: Clock
    wang: str

    async def do(self, path: str, **body: Any) -> None:
        """Something that must be taken."""
        answer = await self.ledger.post(path, body)
        assert answer.is_success, f"{path}: {answer.text}"

    async def act(self, path: str, **body: Any) -> None:
        """A command with an id of its own."""
        await self.do(path, command_id=new_id(), **body)

    async def texts(self, *contexts: str) -> set[str]:
        """All that rests anywhere, entries and documents, and can be opened with any key that there is."""
        names = [one["_id"] for one in await self.ledger.stored("person_keys")]
        sealers = [self.ledger.runtime.sealer, *(await self.house.store.keys.sealers(names)).values()]
        database = self.ledger.runtime.database.collection("entries").raw.database
        stored = [str(one) for name in await database.list_collection_names() for one in await self.ledger.stored(name)]
        seals = {seal for one in stored for seal in SEAL.findall(one)}
        return {text for seal in seals for one in sealers for text in _tried(one, seal, (*CONTEXTS, *contexts))}

    async def can_open(self, text: str, *contexts: str) -> bool:
        """Whether anything that opens says this."""
        return any(text in one for one in await self.texts(*contexts))

    async def later(self, **units: float) -> None:
        """The clock is put forward, and what is over is forgotten."""
        self.clock.forward(**units)
        while await keeping.forget(self.house):
            pass

    async def is_whole(self) -> bool:
        """Whether the chain is, and every register is what its entries say."""
        assert (await self.ledger.get("/chain"))["broken"] == []
        counts: list[dict[str, int]] = [
            (await self.ledger.get(f"/registers/{name}/rebuilt", limit=200))["counts"] for name in NAMES
        ]
        return all(one.keys() <= {"equal"} for one in counts)


def _tried(sealer: Sealer, seal: str, contexts: Sequence[str]) -> list[str]:
    found = []
    for context in contexts:
        try:
            found.append(sealer.open(seal, context))
        except CannotOpen:
            continue
    return found


@pytest.fixture
async def office(town: Town) -> AsyncIterator[Office]:
    """Building 3 is in grid g2."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at:
        await world.tell_ledger_of_workers(at.ledger)
        await world.accepted(at.ledger, "/buildings", {"community": world.TIEBEI, "building": "3", "grid": "g2"})
        answer = await at.ledger.post("/people", {**world.MR_WANG, "address": DOOR})
        yield Office(at.ledger, furnished(at.ledger.runtime), clock, answer.json()["id"])


async def test_who_is_erased_takes_along_what_was_written_of_him_in_cases_rounds_and_with_money(office: Office) -> None:
    """It opens until then; afterwards it is shown as nothing, and what is written then is under the case's own key."""
    ledger, wang = office.ledger, office.wang
    await office.do("/cases", **CASE, title="复查", text="王先生发烧", person_id=wang)
    await office.act("/cases/c1/step", step_id="s1", text="陪王先生")
    await office.act("/cases/c1/answer", text="已告诉王先生")
    await opened(ledger, "r1")
    at = office.clock().isoformat()
    await office.act(
        "/rounds/r1/records", records=[{"at": at, "member_id": wang, "outcome": "refused", "note": "王不肯"}]
    )
    paid = {"community": world.TIEBEI, "worker": world.SUN, "what": "receipt", "amount": 100}
    await office.do("/money", **paid, posting_id="p1", matter_id="m1", person_id=wang, note="王的药")
    await office.do("/money", **paid, posting_id="p2", matter_id="m1", note="王的米")
    case = await ledger.get("/cases/c1")
    assert (case["details"]["text"], case["steps"][-1]["text"]) == ("王先生发烧", "陪王先生")
    assert await _notes(ledger) == ["王不肯"]
    said = ("王先生发烧", "陪王先生", "已告诉王先生", "王不肯", "王的药", "王的米")
    assert [await office.can_open(one) for one in said] == [True] * len(said)
    assert {one["_id"] for one in await ledger.stored("person_keys")} == {wang}, "none but his own is needed"

    await office.act(f"/people/{wang}/erase", reason="asked for it")
    assert [await office.can_open(one) for one in said] == [False] * len(said)
    case = await ledger.get("/cases/c1")
    assert (case["details"], [one["text"] for one in case["said"]]) == (None, [None])
    assert {one["text"] for one in case["steps"]} == {None}
    assert await _notes(ledger) == [None]
    await office.act("/cases/c1/close", outcome="无法联系", drop_steps=True)
    case = await ledger.get("/cases/c1")
    assert (case["details"], [one["text"] for one in case["said"]]) == (None, [None, "无法联系"])
    assert {one["_id"] for one in await ledger.stored("person_keys")} == {"case:c1"}
    await eventually(office.is_whole)


async def _notes(ledger: Service) -> list[str | None]:
    members = await ledger.items("/rounds/r1/members", names=True)
    return [one["note"] for member in members for one in member["records"]]


async def write_of_nobody_on_the_books(office: Office) -> None:
    """In every way there is; nothing of it is over yet but the day at the gate, once it ends."""
    at = office.clock().isoformat()
    here = {"community": world.TIEBEI, "building": "3", "unit": "1", "room": "102"}
    await office.do("/presences", presence_id="guest", name="李师傅", **here)
    await office.do("/cases", **CASE, title="车队", text="找刘老板")
    terms = [{"place": "南门", "times": ["17:00"]}]
    agreed = {"agreement_id": "bus", "partner": "孙经理", "terms": terms, "begins": "2026-11-24"}
    await office.do("/cases/c1/agreements", **agreed, ends="2026-11-24")
    check = {"check_id": "k1", "community": world.TIEBEI, "gate": "南门", "at": at, "pass_shown": True}
    await office.do("/gate-checks", **check, text="黑A12345")
    await opened(office.ledger, "r1", roster={"buildings": ["3"]}, present=True)
    records = [
        {"at": at, "member_id": "guest", "outcome": "refused", "note": "师傅不肯"},
        {"at": at, "name": "陌生人", "note": "路过", "address": {"building": "9", "room": "1"}},
    ]
    await office.act("/rounds/r1/records", records=records)
    paid = {"community": world.TIEBEI, "worker": world.SUN, "amount": 100, "matter_id": "m1"}
    await office.do("/money", **paid, posting_id="p1", what="receipt", note="替赵买药")


async def shown(ledger: Service) -> dict[str, list[Any]]:
    """What the API shows of it to whoever may see all, by kind."""
    case, guest = await ledger.get("/cases/c1"), await ledger.get("/presences/guest")
    (agreement,) = await ledger.items("/agreements", on="2026-11-24")
    members = {one["member_id"]: one for one in await ledger.items("/rounds/r1/members", names=True)}
    (stranger,) = await ledger.items("/rounds/r1/strangers", names=True)
    partners = [agreement["partner"], *(one["partner"] for one in case["agreements"])]
    notes = [one["note"] for who in (members["guest"], stranger) for one in who["records"]]
    return {
        "case": [case["details"], *(one["text"] for one in case["said"])],
        "presence": [guest["details"], members["guest"]["details"]],
        "agreement": partners,
        "round": [stranger["details"], *notes],
    }


async def test_what_is_about_nobody_on_the_books_can_be_opened_as_long_as_the_catalogue_says(office: Office) -> None:
    """The day before its end, and not the day after; the entries and the registers are whole all the time."""
    ledger, clock, began = office.ledger, office.clock, office.clock()
    keeps: dict[str, int] = dict(office.house.categories.keep_days_of)
    await write_of_nobody_on_the_books(office)
    await office.act("/cases/c1/close", outcome="已协商", drop_steps=True)
    await office.act("/presences/guest/end")
    paid = {"community": world.TIEBEI, "worker": world.SUN, "amount": 100, "matter_id": "m1"}
    await office.do("/money", **paid, posting_id="p2", what="settlement")
    clock.forward(hours=5)
    await eventually(lambda: is_closed(ledger, "r1"))

    texts = {
        "presence": ["李师傅"],
        "case": ["找刘老板", "已协商"],
        "agreement": ["孙经理"],
        "gate": ["黑A12345"],
        "round": ["师傅不肯", "陌生人", "路过"],
        "money": ["替赵买药"],
    }
    for days in sorted(set(keeps.values())):
        for passed in (days - 1, days + 1):
            clock.now = began + timedelta(days=passed)
            await office.later()
            found = await office.texts()
            for kind, words in texts.items():
                stays = passed < keeps[kind]
                assert [any(one in text for text in found) for one in words] == [stays] * len(words), (kind, passed)
            for kind, seen in (await shown(ledger)).items():
                assert [one is not None for one in seen] == [passed < keeps[kind]] * len(seen), (kind, passed, seen)
    assert await ledger.stored("person_keys", {"ends": {"$type": "date"}}) == []
    await eventually(office.is_whole)


async def is_closed(ledger: Service, round_id: str) -> bool:
    return (await ledger.get(f"/rounds/{round_id}"))["state"] in ("closed", "settled")


async def test_what_is_still_open_is_not_over_and_what_is_opened_again_is_open(office: Office) -> None:
    """However long it takes; its days begin with its end. The sweeper finds what is over."""
    ledger = office.ledger
    await write_of_nobody_on_the_books(office)
    days = office.house.categories.keep_days_of["case"]
    await office.later(days=days + 30)
    assert (await shown(ledger))["case"][0]["text"] == "找刘老板"
    assert (await ledger.get("/presences/guest"))["details"]["name"] == "李师傅"
    assert await office.can_open("替赵买药"), "somebody still owes it"
    await office.act("/cases/c1/close", outcome="已协商", drop_steps=True)
    await office.later(days=days - 1)
    await office.act("/cases/c1/reopen", reason="又来了")
    await office.later(days=days)
    assert (await shown(ledger))["case"][1:] == ["已协商", "又来了"]
    await office.act("/cases/c1/close", outcome="走了", drop_steps=True)
    office.clock.forward(days=days)
    await eventually(lambda: _gone(ledger))


async def _gone(ledger: Service) -> bool:
    return (await ledger.get("/cases/c1"))["details"] is None


async def test_a_case_that_is_opened_again_after_its_time_shows_what_is_new(office: Office) -> None:
    """Under a new key; what was before stays as it is."""
    days = office.house.categories.keep_days_of["case"]
    await office.do("/cases", **CASE, title="车队", text="找刘老板")
    await office.act("/cases/c1/close", outcome="已协商", drop_steps=True)
    await office.later(days=days)
    await office.act("/cases/c1/reopen", reason="又来了")
    assert (await office.ledger.get("/cases/c1"))["details"] is None
    assert [one["text"] for one in (await office.ledger.get("/cases/c1"))["said"]] == [None, "又来了"]


async def test_what_was_sealed_before_there_were_such_keys_opens(office: Office) -> None:
    """Under the service's key, as everything was."""
    ledger = office.ledger
    await write_of_nobody_on_the_books(office)
    seal = ledger.runtime.sealer.seal
    details = seal('{"name": "老李"}', "presence:guest")
    told = seal('{"at": "2026-11-24T09:00:00Z", "name": "老陌", "phone": "13800000009"}', "round:r1")
    before: dict[str, Document] = {
        "cases": {"sealed": seal('{"title": "旧", "text": "旧事"}', "case:c1")},
        "presences": {"sealed": details},
        "agreements": {"sealed": seal("老孙", "agreement:bus")},
        "strangers": {"sealed": told},
    }
    for name, state in before.items():
        raw = ledger.runtime.database.collection(name).raw
        set_ = {f"state.{field}": value for field, value in state.items()}
        assert (await raw.update_many({}, {"$set": set_, "$inc": {"v": 1}})).modified_count == 1
    seen = await shown(ledger)
    assert (seen["case"][0]["text"], seen["agreement"]) == ("旧事", ["老孙"] * 2)
    assert (seen["presence"][0]["name"], seen["round"][0]["name"]) == ("老李", "老陌")
    await ledger.runtime.database.collection("person_keys").delete({"ends": {"$type": "date"}})
    seen = await shown(ledger)
    assert (seen["case"][0]["text"], seen["presence"][1]["name"], seen["round"][1:]) == ("旧事", "老李", [None, None])


async def test_somebody_on_the_books_from_before_gets_a_key_with_the_first_note(office: Office) -> None:
    """So that erasing him reaches it."""
    await office.ledger.runtime.database.collection("person_keys").delete({})
    await office.do("/cases", **CASE, title="复查", text="王先生发烧", person_id=office.wang)
    assert [one["_id"] for one in await office.ledger.stored("person_keys")] == [office.wang]
    await office.act(f"/people/{office.wang}/erase", reason="asked for it")
    assert not await office.can_open("王先生发烧")


async def test_keys_that_are_over_are_found_through_an_index_and_notes_ask_for_keys_once(
    town: Town, office: Office
) -> None:
    """However many people and cases have keys, and however many notes a list has."""
    ledger = office.ledger
    raw = ledger.runtime.database.collection("person_keys").raw
    now = office.clock()
    kept = [
        {"_id": f"case:x{number}", "v": 1, "key": "k1.x", "ends": now + timedelta(days=number)}
        for number in range(MANY)
    ]
    await raw.insert_many([*kept, *({"_id": f"p{number}", "v": 1, "key": "k1.x"} for number in range(MANY))])
    await opened(ledger, "r1")
    async with profiled(town, "ledger") as queries:
        assert len(await Keys(ledger.runtime).over(now + timedelta(days=6), 5)) == 5
        told = {"at": now.isoformat(), "outcome": "refused", "note": "不肯"}
        records = [{**told, "member_id": f"m{number}"} for number in range(50)]
        await office.act(
            "/rounds/r1/records", records=[{**told, "member_id": office.wang, "outcome": "done"}, *records]
        )
    asked = [one for one in queries if one["ns"].endswith(".person_keys")]
    assert not wasteful(queries, "person_keys")
    assert max(one.get("docsExamined", 0) for one in asked) <= 52
    assert len(asked) <= 8, [one["command"] for one in asked]


async def test_what_was_heard_of_somebody_present_goes_with_what_is_known_of_him(office: Office) -> None:
    """He was missing in a round and looked for; who would call him afterwards is told that it was erased."""
    ledger = office.ledger
    here = {"community": world.TIEBEI, "building": "3", "unit": "1", "room": "102"}
    await office.do("/presences", presence_id="guest", name="李师傅", **here)
    await opened(ledger, "r1", roster={"buildings": ["3"]}, present=True)
    await office.act("/rounds/r1/close")
    due = await eventually(lambda: ledger.items("/follow-ups", state="due", person_id="guest"))
    path, said = f"/follow-ups/{due[0]['follow_up_id']}", f"follow-up-said:{due[0]['follow_up_id']}"
    await office.act(f"{path}/record", outcome="reached", note="他说没事")
    shown = await ledger.get(path)
    assert (shown["whom"]["name"], [one["note"] for one in shown["records"]]) == ("李师傅", ["他说没事"])
    assert [await office.can_open(one, said) for one in ("李师傅", "他说没事")] == [True, True]
    await office.act("/presences/guest/end")
    await office.later(days=office.house.categories.keep_days_of["presence"])
    assert [await office.can_open(one, said) for one in ("李师傅", "他说没事")] == [False, False]
    gone = await ledger.call("GET", path)
    assert (gone.status_code, problems(gone)) == (410, [("presence_id", "erased")])
