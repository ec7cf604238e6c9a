"""Registers on a real broker and database: each is what its entries say, and what somebody changed is named."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from services.ledger.domain.entry import Link, chain
from services.ledger.domain.registers import NAMES, REGISTERS, SHEETS
from services.ledger.store import fact_of
from shared.access import fingerprint
from shared.contracts import rounds
from shared.contracts.ledger import PersonRegistered
from shared.sealing import without_seals
from tests import world
from tests.lists import number_of
from tests.rounds import opened
from tests.running import Clock, Service, Town, eventually, problems

SEAL = re.compile(r"gone\.|\.[A-Za-z0-9+/]{38,}")
"""Or what stands for one."""
SECRET = re.compile(SEAL.pattern + r"|\b[0-9a-f]{32}\b|\b[0-9a-f]{64}\b")
"""A seal, what stands for one, or a hash."""
DAUGHTER = {"name": "李萍", "phone": "+86 100 0000 0002", "relation": "daughter"}
AGREED = {
    "agreement_id": "bus-1",
    "partner": "客运公司",
    "terms": [{"place": "south gate", "times": ["17:00"]}],
    "begins": "2026-11-24",
}
CHECK = {
    "check_id": "k1",
    "community": world.TIEBEI,
    "gate": "south gate",
    "at": "2026-11-24T08:59:30.123456+00:00",
    "agreement_id": "bus-1",
    "temperature": 36.5,
    "pass_shown": True,
    "text": "黑A 12345",
}


@dataclass(slots=True)
class Records:
    """The ledger, on a clock that stands still, and everything that can happen in it."""

    ledger: Service
    clock: Clock
    people: dict[str, str] = field(default_factory=dict)
    said: int = 0

    async def do(self, path: str, **body: Any) -> dict[str, Any]:
        """Something that must be taken."""
        self.said += 1
        answer = await self.ledger.post(path, body)
        assert answer.is_success, f"{path}: {answer.text}"
        return dict(answer.json())

    async def act(self, path: str, **body: Any) -> dict[str, Any]:
        """A command with an id of its own."""
        return await self.do(path, command_id=f"c{self.said}", **body)

    async def enter(self, name: str, **changes: Any) -> None:
        """Somebody is entered."""
        told = {**world.MRS_LI, "source_id": name, "name": name, "phone": None, "contacts": [], **changes}
        self.people[name] = (await self.do("/people", **told))["id"]

    async def looked(self, name: str, *, limit: int = 2, put_right: bool = False) -> tuple[Counter[str], list[Any]]:
        """All pages of one register: how many there are of each kind, and what is not equal."""
        counts: Counter[str] = Counter()
        items, after = [], {}
        while True:
            path, params = f"/registers/{name}/rebuilt", {"limit": limit, **after}
            answer = await self.ledger.call("POST" if put_right else "GET", path, params=params)
            assert answer.status_code == 200, answer.text
            shown = answer.json()
            counts.update(shown["counts"])
            items += shown["items"]
            if shown["next"] is None:
                return counts, items
            after = {"after": shown["next"]}

    async def mend(self, *names: str) -> None:
        """In each of these registers something is wrong, and all of it is put right."""
        for name in names:
            _, items = await self.looked(name, put_right=True)
            assert items
            assert all(one["restored"] for one in items)

    def id_of(self, record: str) -> str:
        """Where a person's name stands, his id."""
        *place, name = record.split("/")
        return "/".join([*place, self.people.get(name, name)])

    async def entered(self) -> bool:
        """Whether all that happened is entered, also what is about no register."""
        database = self.ledger.runtime.database.collection("entries").raw.database
        told = 0
        for name in await database.list_collection_names():
            told += sum([len(one.get("history", ())) async for one in database[name].find({}, {"history": 1})])
        return len(await self.ledger.stored("entries")) == told

    async def equal(self) -> bool:
        """Whether every document of every register is what its entries say."""
        wrong = {name: items for name in NAMES if (items := (await self.looked(name))[1])}
        return not wrong

    async def change(self, collection: str, record: str, **changes: Any) -> None:
        """Somebody writes into the database who should not."""
        raw = self.ledger.runtime.database.collection(collection).raw
        set_ = {f"state.{name}": value for name, value in changes.items()}
        assert (await raw.update_one({"_id": record}, {"$set": set_, "$inc": {"v": 1}})).modified_count == 1

    async def remove(self, collection: str, record: str) -> None:
        """The same, with a document."""
        await self.ledger.runtime.database.collection(collection).delete({"_id": record})

    async def document(self, collection: str, record: str) -> dict[str, Any]:
        """As it is stored."""
        (found,) = await self.ledger.stored(collection, {"_id": record})
        return found


def events_of(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All that rests of each event but its trace and the request in it, which are not entered, and when it was sent."""
    return [
        {key: value for key, value in one.items() if key not in ("trace", "sent")}
        | {"body": without_seals(json.loads(one["body"]))}
        for one in history
    ]


@pytest.fixture
async def records(town: Town) -> AsyncIterator[Records]:
    """A great deal has happened, in each of the registers."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at:
        kept = Records(at.ledger, clock)
        await world.settle(at.ledger)
        await live(kept)
        # The last that comes by itself: who owes evidence by five is reminded, a step promised by then is late.
        for event in ("EvidenceReminded", "CaseStepLate"):
            await eventually(lambda event=event: at.ledger.items("/entries", type=event))  # type: ignore[misc]
        await eventually(kept.equal)
        await eventually(kept.entered)
        yield kept


async def live(kept: Records) -> None:
    """What happened."""
    token = {"token_hash": fingerprint("ds_shop"), "name": "shop", "worker": "shop", "role": "partner"}
    await kept.act("/access", community=world.TIEBEI, **token)
    await kept.act(f"/access/{token['token_hash']}/revoke")
    await kept.act(f"/buildings/{world.TIEBEI}/3/close")
    await kept.act(f"/buildings/{world.TIEBEI}/3/open")
    await kept.act(f"/buildings/{world.TIEBEI}/2/close")
    await live_people(kept)
    await live_cases(kept)
    li = kept.people["li"]
    await kept.do(f"/people/{li}/plans", plan_id="calls", kind="care_call", begins="2026-11-24T17:30")
    await kept.do(f"/people/{li}/plans", plan_id="over", kind="care_call", begins="2026-11-24T17:30")
    await kept.act("/plans/over/end")
    everybody = {"community": world.TIEBEI, "everybody": {"building": "2"}, "kind": "care_call"}
    for name in ("all", "no-more"):
        await kept.do("/programmes", programme_id=name, begins="2026-11-25T09:30", **everybody)
    await kept.act("/programmes/no-more/end")
    kept.clock.forward(minutes=31)
    (due,) = await eventually(lambda: kept.ledger.items("/follow-ups", state="due"))
    need = {"kind": "medicine", "note": "降压药"}
    await kept.act(
        f"/follow-ups/{due['follow_up_id']}/record", outcome="reached", temperature=36.4, need=need, worker=world.ZHAO
    )
    observed = {"listing": "assigned_by_city", "category": "returned", "starts": "2026-11-24", "owner": world.ZHAO}
    await kept.do(f"/people/{li}/observation", observation_id="o1", **observed)
    other = {**observed, "listing": "found_by_community", "starts": "2026-11-23", "category": "other"}
    await kept.do(f"/people/{li}/observation", observation_id="o2", **other)
    await kept.act("/observation/o1/release", on="2026-11-28", reason="negative_test")
    here = {"community": world.TIEBEI, "building": "3", "room": "502", "name": "瓦工", "home": "外县"}
    await kept.do("/presences", presence_id="b1", at="2026-11-24T08:00:00.123456+08:00", **here)
    await kept.do("/presences", presence_id="b2", **here)
    await kept.act("/presences/b2/end")
    await kept.do("/needs", need_id="n1", presence_id="b1", kind="groceries", text="被子")
    money = {"community": world.TIEBEI, "matter_id": "m1", "worker": world.ZHAO}
    await kept.do("/money", posting_id="p1", what="receipt", amount=3_180, person_id=li, note="白菜", **money)
    await kept.do("/money", posting_id="p2", what="handed_on", amount=3_180, to=world.QIAN, **money)
    await kept.do("/money", posting_id="p3", what="handed_on", amount=3_180, to=world.QIAN, corrects="p2", **money)
    lift = {"facility_id": "lift-3", "community": world.TIEBEI, "kind": "lift", "name": "3号楼电梯", "building": "3"}
    await kept.do("/facilities", **lift)
    await kept.do("/facilities", **lift, partner="lifts", phone="+86 100 0000 0009", until="2026-12-31")
    owed = {
        "partner": "cleaners",
        "places": ["yard", "gate"],
        "reminded": "17:00",
        "named": "20:00",
        "begins": "2026-11-24",
    }
    await kept.do("/evidence/owed", owing_id="e1", community=world.TIEBEI, **owed)
    await kept.do("/evidence/owed", owing_id="e2", community=world.TIEBEI, **owed)
    await kept.act("/evidence/owed/e2/forgive")
    picture = {"look": "0f0e1c3c7870e0c1"}
    await kept.do("/evidence/owed/e1/reports", report_id="yard-1", place="yard", day="2026-11-24", pictures=[picture])
    await live_rounds(kept)


async def live_people(kept: Records) -> None:
    """Entered, told of again, moved, died, merged, parted, erased."""
    numbered = {"id_number": number_of("1937-05-01", 2), "birth_year": None}
    await kept.enter("li", categories=["newcomer"], lists=["found_by_community"], contacts=[DAUGHTER], **numbered)
    await kept.enter("li", illnesses=["高血压"], **numbered)
    for name in ("moved", "away", "back", "dead", "one", "two", "three", "erased"):
        await kept.enter(name)
    person = kept.people
    await kept.act(f"/people/{person['moved']}/move", address={"building": "3", "unit": "2", "room": "1203"})
    await kept.act(f"/people/{person['away']}/move", here=False)
    await kept.act(f"/people/{person['back']}/move", here=False)
    await kept.act(f"/people/{person['back']}/move")
    await kept.act(f"/people/{person['dead']}/death", died="2026-11-20")
    await kept.act(f"/people/{person['one']}/merge", other=person["two"])
    await kept.act(f"/people/{person['one']}/merge", other=person["three"])
    await kept.act(f"/people/{person['one']}/unmerge", other=person["three"])
    await kept.act(f"/people/{person['erased']}/erase", reason="asked for it")


async def live_rounds(kept: Records) -> None:
    """A roster worked through: done, refused, strangers, one of them put on it, closed; another, of households."""
    for name, of in (("r1", "person"), ("doors", "household")):
        await opened(kept.ledger, name, of=of)
    person, address = kept.people, {"building": "9", "unit": "1", "room": "101"}
    await kept.enter("late")
    before, at = ((kept.clock() - timedelta(minutes=minutes)).isoformat() for minutes in (2, 0))
    note = {"outcome": "refused", "note": "不要"}
    lists = [
        [
            {"member_id": person["li"], "at": before, "point": "南门", "card": "K-1"},
            {"member_id": person["one"], "at": at, **note},
            {"name": "路人", "address": address, "at": at, "card": "K-2", "note": "路过"},
        ],
        [
            {"member_id": person["late"], "at": at, "card": "K-3"},
            {"member_id": person["li"], "at": at, "point": "北门"},
        ],
    ]
    for records in lists:
        await kept.act("/rounds/r1/records", records=records)
    await kept.act("/rounds/r1/members", person_id=person["late"])
    await kept.act("/rounds/r1/close")
    await eventually(lambda: kept.ledger.stored("rounds", {"_id": "r1", "state.state": "closed"}))


async def live_cases(kept: Records) -> None:
    """Worked on, closed, opened again; an outsider agreed to something, and came through the gate."""
    case = {"community": world.TIEBEI, "kind": "repair_dispute", "title": "漏水", "owner": world.SUN, "text": "三年"}
    await kept.do("/cases", case_id="roof", building="3", parties=["property"], source="wecom", source_id="7", **case)
    await kept.do("/cases", case_id="bus", **{**case, "kind": "outside_company"})
    await kept.act("/cases/roof/assign", owner=world.ZHAO)
    await kept.act("/cases/roof/step", step_id="s1", text="看一看", due="2026-11-24T17:10:00+08:00")
    await kept.act("/cases/roof/step", step_id="s2", text="修一修", who="property")
    await kept.act("/cases/roof/done", step_id="s2")
    await kept.act("/cases/roof/answer", text="在修")
    await kept.act("/cases/roof/close", outcome="修好了", drop_steps=True)
    await kept.act("/cases/roof/reopen", reason="又漏了")
    await kept.act("/cases/roof/step", step_id="s3", text="再修", due="2026-11-24T17:10:00+08:00")
    await kept.do("/cases/bus/agreements", **AGREED)
    await kept.do("/gate-checks", **CHECK)
    await kept.act("/agreements/bus-1/end")


async def test_every_register_is_what_its_entries_say(records: Records) -> None:
    """After all that can happen to its documents, page by page, and each is counted once."""
    for name in NAMES:
        counts, items = await records.looked(name, limit=1)
        stored = len(await records.ledger.stored(name))
        assert (counts, items) == (Counter(equal=stored), []), name
        assert stored, f"nothing happened in {name}"
    shown = await records.ledger.items("/entries")
    assert shown
    # Households and lists of a round are named by hashes.
    of_rounds = {one.__name__ for one in rounds.EVENTS}
    told = [(SEAL if one["type"] in of_rounds else SECRET, one["data"]) for one in shown]
    assert not [data for secret, data in told if data is None or secret.search(json.dumps(data))]
    listed = await records.ledger.items("/registers")
    assert {one["name"]: one["documents"] for one in listed}.keys() == set(NAMES)
    assert (await records.ledger.get("/chain"))["broken"] == []


CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("buildings", f"{world.TIEBEI}/2", {"closed": False}),
    ("people", "dead", {"died": False, "facts.here": True}),
    ("plans", "over", {"ended": False}),
    ("cases", "roof", {"owner": "nobody"}),
    ("agreements", "bus-1", {"ends": "2027-01-01"}),
    ("gate_checks", "k1", {"pass_shown": False}),
    ("observations", "o1", {"last_day": "2026-12-24"}),
    ("presences", "b1", {"here": False}),
    ("money", "m1", {"is_open": False}),
    ("facilities", "lift-3", {"until": None}),
    ("owing", "e2", {"forgiven": False}),
    ("evidence_days", "e1/2026-11-24", {"reports": []}),
    ("rounds", "r1", {"members": 9, "told.title": "别的"}),
    ("rosters", "doors/1", {"members": 9}),
    ("strangers", "r1/late", {"added": False}),
    ("sheets", "r1/1/0000", {"closed": False, "counts.done": 9}),
]


async def test_what_somebody_changed_is_named_and_put_right(records: Records) -> None:
    """By register, id and field, with nothing of what stands there; each that is put right is entered."""
    for name, record, changes in CHANGES:
        await records.change(name, records.id_of(record), **changes)
    for name, record, changes in CHANGES:
        _, items = await records.looked(name)
        (wrong,) = items
        fields = {field.partition(".")[0] for field in changes}
        assert (wrong["id"], wrong["verdict"]) == (records.id_of(record), "differing")
        assert (set(wrong["fields"]), wrong["restored"]) == (fields, False)
    for name in NAMES:
        _, items = await records.looked(name, put_right=True)
        assert all(one["restored"] for one in items)
    await eventually(records.equal)
    entered = await records.ledger.items("/entries", type="RecordRestored")
    assert len(entered) == len(CHANGES)
    assert (await records.looked("people", put_right=True))[1] == []
    assert len(await records.ledger.items("/entries", type="RecordRestored")) == len(CHANGES)


GONE = [
    ("buildings", f"{world.TIEBEI}/2"),
    ("people", "li"),
    ("people", "one"),
    ("people", "two"),
    ("people", "erased"),
    ("plans", "calls"),
    ("cases", "roof"),
    ("agreements", "bus-1"),
    ("gate_checks", "k1"),
    ("observations", "o1"),
    ("presences", "b2"),
    ("needs", "n1"),
    ("money", "m1"),
    ("facilities", "lift-3"),
    ("owing", "e1"),
    ("evidence_days", "e1/2026-11-24"),
    ("rounds", "r1"),
    ("rosters", "r1/1"),
    ("strangers", "r1/late"),
]


async def test_what_is_gone_is_missed_and_put_back_with_its_history(records: Records) -> None:
    """State and history are as they were, but for what no event says."""
    before = {}
    for name, record in GONE:
        record = records.id_of(record)
        before[name, record] = await records.document(name, record)
        await records.remove(name, record)
    gone = [(name, one["id"]) for name in REGISTERS for one in (await records.looked(name))[1]]
    assert sorted(gone) == sorted(before)
    for name in REGISTERS:
        counts, items = await records.looked(name, put_right=True)
        assert {one["verdict"] for one in items} <= {"missing"}
        assert all(one["restored"] for one in items)
        assert counts["missing"] == len(items)
    await eventually(records.equal)
    for (name, record), was in before.items():
        now = await records.document(name, record)
        told, untold = now["state"], REGISTERS[name].working - {"floor"}
        assert {key for key in told if told[key] != was["state"][key]} <= untold, name
        *history, restored = now["history"]
        assert events_of(history) == events_of(was["history"])
        assert (restored["type"], restored["n"]) == ("doorstep.record.restored.v1", len(history) + 1)


async def shown_of(records: Records) -> list[Any]:
    """All that is known of a round."""
    ledger = records.ledger
    return [
        *[await ledger.get(f"/rounds/r1{what}") for what in ("", "/numbers", "/cards/K-1", "/cards/K-2", "/cards/K-3")],
        *[await ledger.items(f"/rounds/r1/{what}", names="true") for what in ("members", "missing", "strangers")],
    ]


async def test_a_roster_that_is_gone_is_put_back_with_all_that_was_recorded(records: Records) -> None:
    """Its sheets, from the lists, from what was known of strangers and from who was put on it; sums and cards, too."""
    before = await shown_of(records)
    sheets = await records.ledger.stored(SHEETS, {"state.round_id": "r1"})
    for name, query in ((SHEETS, {"state.round_id": "r1"}), ("tallies", {"round_id": "r1"}), ("cards", {})):
        await records.ledger.runtime.database.collection(name).delete(query)
    counts, items = await records.looked(SHEETS)
    assert [(one["id"], one["verdict"]) for one in items] == [(one["_id"], "missing") for one in sheets]
    assert counts["equal"] == len(await records.ledger.stored(SHEETS))
    await records.mend("strangers", SHEETS)
    await eventually(records.equal)
    assert await shown_of(records) == before
    assert len(await records.ledger.items("/entries", type="PersonMissing")) > 0
    again = {"member_id": records.people["li"], "at": records.clock().isoformat(), "point": "北门"}
    await records.act("/rounds/r1/records", records=[again])
    assert await shown_of(records) == before


async def test_a_list_that_is_gone_is_put_back_and_put_on_the_sheets(records: Records) -> None:
    """So is the sheet itself; while a list is not on the sheets, nobody can tell what these should be."""
    before = await shown_of(records)
    for name in ("reports", SHEETS):
        await records.ledger.runtime.database.collection(name).delete({"state.round_id": "r1"})
    _, items = await records.looked("reports", put_right=True)
    assert [one["verdict"] for one in items] == ["missing", "missing"]

    async def put_back() -> bool:
        _, items = await records.looked(SHEETS, put_right=True)
        return not items

    await eventually(put_back)
    await eventually(records.equal)
    assert await shown_of(records) == before


async def test_a_card_that_is_known_as_another_s_is_given_back(records: Records) -> None:
    """Or as nobody's; and a sheet that nobody told is left alone."""
    raw = records.ledger.runtime.database.collection("cards").raw
    # As it was before lists were counted.
    await raw.update_one({"_id": "r1/K-1"}, {"$set": {"member": "nobody"}, "$unset": {"reports": 1}})
    await raw.delete_one({"_id": "r1/K-3"})
    (sample,) = await records.ledger.stored(SHEETS, {"_id": "r1/1/0000"})
    sample["state"]["members"] = [{"member_id": "forged", "person_id": "forged"}]
    forged = {**sample, "_id": "r1/1/0009", "history": [], "unsent": []}
    await records.ledger.runtime.database.collection(SHEETS).raw.insert_one(forged)
    _, items = await records.looked(SHEETS, put_right=True)
    late = records.id_of("r1/1/late/late")
    found = {one["id"]: (one["verdict"], tuple(one["fields"]), one["restored"]) for one in items}
    assert found == {
        "r1/1/0000": ("differing", ("cards",), True),
        late: ("differing", ("cards",), True),
        "r1/1/0009": ("unfounded", (), False),
    }
    assert (await records.ledger.get("/rounds/r1/cards/K-3"))["member_id"] == records.people["late"]


async def test_sheets_can_be_put_right_after_the_roster_was(records: Records) -> None:
    """While that is not entered, nobody can tell what they should be."""
    await records.change("rosters", "r1/1", members=99)
    await records.looked("rosters", put_right=True)
    await eventually(records.equal)
    await records.change(SHEETS, "r1/1/0000", grid="g9", closed=False)
    _, (wrong,) = await records.looked(SHEETS, put_right=True)
    assert (set(wrong["fields"]), wrong["restored"]) == ({"grid", "closed"}, True)
    await eventually(records.equal)


async def test_a_forged_record_makes_nobody_settled(records: Records) -> None:
    """Who is missing after all is missing, and the sums say so."""
    before = await shown_of(records)
    raw = records.ledger.runtime.database.collection(SHEETS).raw
    forged = {"outcome": "done", "at": records.clock(), "worker": "forged"}
    change = {"state.members.$[].state": "done", "state.members.$[].met": [forged]}
    await raw.update_many({"state.round_id": "r1"}, {"$set": change, "$inc": {"v": 1}})
    await raw.database["rounds"].update_one({"_id": "r1"}, {"$set": {"state.state": "settled"}, "$inc": {"v": 1}})
    await records.mend("rounds", SHEETS)
    await eventually(records.equal)
    assert await shown_of(records) == before


async def test_life_goes_on_in_what_was_put_back(records: Records) -> None:
    """A command of before is known again, a new one is taken, and a person is recognised by name and phone."""
    li = records.people["li"]
    await records.act("/observation/o1/release", reason="negative_test")
    again = {"command_id": "again", "address": {"building": "3", "unit": "1", "room": "801"}}
    assert (await records.ledger.post(f"/people/{li}/move", again)).json()["status"] == "accepted"
    await eventually(records.equal)
    for name, record in (("people", li), ("plans", "calls")):
        await records.remove(name, record)
        await records.looked(name, put_right=True)
    assert (await records.ledger.post(f"/people/{li}/move", again)).json()["status"] == "duplicate"
    assert (await records.ledger.get(f"/people/{li}"))["details"]["illnesses"] == ["高血压"]
    await records.act(f"/people/{li}/move", address={**again["address"], "room": "802"})
    records.clock.forward(days=1)
    await eventually(lambda: records.ledger.items("/follow-ups", state="due", person_id=li))
    await eventually(records.equal)


async def test_whoever_was_erased_stays_erased(records: Records) -> None:
    """The key is not in the entries, so nothing that is put back can be opened, and the person is not recognised."""
    erased = records.people["erased"]
    await records.remove("people", erased)
    await records.looked("people", put_right=True)
    assert (await records.document("people", erased))["state"]["erased"]
    assert await records.ledger.stored("person_keys", {"_id": erased}) == []
    assert await records.ledger.stored("aliases", {"person": erased}) == []
    answer = await records.ledger.call("GET", f"/people/{erased}")
    assert (answer.status_code, problems(answer)) == (410, [("person_id", "erased")])


async def test_a_document_restored_from_an_old_backup_catches_up(records: Records) -> None:
    """It lacks the newest events; state and history are completed."""
    raw = records.ledger.runtime.database.collection("people").raw
    moved = records.people["moved"]
    old = await records.document("people", moved)
    facts = PersonRegistered.model_validate_json(old["history"][0]["body"])
    sealed = facts.model_dump(mode="json", exclude={"kept"})
    await raw.update_one({"_id": moved}, {"$set": {"state.facts": sealed, "history": old["history"][:1]}})
    _, (wrong,) = await records.looked("people")
    assert (wrong["id"], set(wrong["fields"])) == (moved, {"facts", "history"})
    await records.looked("people", put_right=True)
    now = await records.document("people", moved)
    assert now["state"]["facts"] == old["state"]["facts"]
    assert events_of(now["history"][:-1]) == events_of(old["history"])


async def test_what_nobody_entered_is_told_and_left_alone(records: Records) -> None:
    """A document that no event ever spoke of; and one whose newest event has not come yet."""
    raw = records.ledger.runtime.database.collection("presences").raw
    sample = await records.document("presences", "b1")
    await raw.insert_one({**sample, "_id": "forged", "history": [], "unsent": []})
    newer = {**sample["history"][0], "id": "not-yet", "n": 2}
    await raw.update_one({"_id": "b1"}, {"$push": {"history": newer}, "$set": {"state.here": False}})
    counts, items = await records.looked("presences", put_right=True)
    assert counts == Counter(equal=1, unfounded=1, under_way=1)
    assert {one["id"]: one["restored"] for one in items} == {"forged": False, "b1": False}
    assert not (await records.document("presences", "b1"))["state"]["here"]


async def test_entries_of_before_are_found_once_they_are_named(records: Records) -> None:
    """An older version did not say what they are about; the chain stays as it was."""
    named = await chain_as_before(records.ledger)
    assert (await records.looked("people"))[0].keys() == {"under_way"}
    answer = await records.ledger.post("/entries:name")
    assert answer.json() == {"named": named, "next": None}
    assert await records.equal()
    assert (await records.ledger.get("/chain"))["broken"] == []
    assert (await records.ledger.post("/entries:name")).json()["named"] == 0


async def chain_as_before(ledger: Service) -> int:
    """Chain the entries as an older version did; how many are about a document."""
    entries = ledger.runtime.database.collection("entries")
    named, links = 0, defaultdict(Link)
    for document in sorted(await ledger.stored("entries"), key=lambda one: one["sequence"]):
        before, fact = links[document["community"]], fact_of(document)
        named += fact.about is not None
        link = links[document["community"]] = chain(fact.model_copy(update={"about": None, "turn": None}), before)
        await entries.raw.update_one(
            {"_id": document["_id"]},
            {"$set": {"hash": link.hash, "previous": before.hash}, "$unset": {"about": 1, "turn": 1}},
        )
    await ledger.runtime.database.collection("heads").delete({})
    return named


async def test_an_entry_that_somebody_moved_or_broke_harms_no_other_document(records: Records) -> None:
    """It is passed over where it does not belong, and missed where it does; half of the news puts nothing right."""
    entries = records.ledger.runtime.database.collection("entries").raw
    moved, away = records.people["moved"], records.people["away"]
    (_, last) = await records.ledger.stored("entries", {"about": f"people/{moved}"})
    await entries.update_one({"_id": last["_id"]}, {"$set": {"about": f"people/{away}"}})
    await entries.update_one({"about": f"buildings/{world.TIEBEI}/2"}, {"$set": {"data": "{"}})
    _, people = await records.looked("people", put_right=True)
    _, buildings = await records.looked("buildings", put_right=True)
    found = {one["id"]: (one["verdict"], one["restored"]) for one in [*people, *buildings]}
    assert found == {moved: ("under_way", False), f"{world.TIEBEI}/2": ("under_way", False)}
    broken = {one["id"] for one in (await records.ledger.get("/chain"))["broken"]}
    assert broken >= {last["_id"], *(one["_id"] for one in await records.ledger.stored("entries", {"data": "{"}))}


async def test_the_order_of_the_news_is_chained(records: Records) -> None:
    """Whoever turns it round makes another past of it, and is found."""
    entries = records.ledger.runtime.database.collection("entries").raw
    (first, _) = await records.ledger.stored("entries", {"about": f"people/{records.people['moved']}"})
    await entries.update_one({"_id": first["_id"]}, {"$set": {"turn": 3}})
    assert [one["id"] for one in (await records.ledger.get("/chain"))["broken"]] == [first["_id"]]


async def test_a_register_that_there_is_not_is_refused(records: Records) -> None:
    """Nor is a page that nobody gave."""
    answer = await records.ledger.call("GET", "/registers/nothing/rebuilt")
    assert (answer.status_code, problems(answer)) == (404, [("name", "unknown_register")])
    answer = await records.ledger.call("GET", "/registers/people/rebuilt", params={"after": "x"})
    assert problems(answer) == [("after", "bad_cursor")]
