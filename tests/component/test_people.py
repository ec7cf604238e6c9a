"""People on a real broker and database: who is known by several lists is one person, who moves is found again."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from services.ledger.app import furnished
from services.ledger.people.handlers import correct, move_up
from services.ledger.people.store import Register
from shared.contracts.envelope import Meta
from shared.contracts.people import CorrectPerson
from tests import world
from tests.lists import number_of
from tests.running import Amqp, Clock, Ear, Service, Town, eventually, problems

LI = number_of("1937-05-01", 2)
BY_CITY = {
    **world.MRS_LI,
    "source": "city",
    "source_id": "c-1",
    "id_number": LI,
    "categories": ["home_observation"],
    "lists": ["assigned_by_city"],
}
BY_COMMUNITY = {
    **world.MRS_LI,
    "source": "community",
    "source_id": "k-7",
    "birth_year": None,
    "contacts": [],
    "categories": ["newcomer"],
    "lists": ["found_by_community"],
    "illnesses": ["高血压"],
}


@dataclass(frozen=True, slots=True)
class Office:
    """The ledger, and who works with it."""

    ledger: Service
    operator: Amqp
    events: Ear
    clock: Clock

    async def enter(self, person: dict[str, Any], **changes: Any) -> str:
        """Register somebody; the id."""
        answer = await self.ledger.post("/people", {**person, **changes})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    async def act(self, person_id: str, verb: str, command_id: str, **more: Any) -> httpx.Response:
        """Do something with somebody."""
        return await self.ledger.post(f"/people/{person_id}/{verb}", {"command_id": command_id, **more})

    async def details(self, person_id: str, **params: Any) -> Any:
        """What is sealed."""
        return (await self.ledger.get(f"/people/{person_id}", **params))["details"]


@pytest.fixture
async def office(town: Town) -> AsyncIterator[Office]:
    """The ledger runs on a clock that stands still, and knows three buildings."""
    clock = Clock()
    async with town.up("ledger", clock=clock) as at, town.amqp("operator") as operator, town.ear() as events:
        for building, grid in world.GRID_OF.items():
            body = {"community": world.TIEBEI, "building": building, "grid": grid}
            await world.accepted(at.ledger, "/buildings", body)
        yield Office(at.ledger, operator, events, clock)


# One person on several lists


async def test_somebody_on_two_lists_is_one_person_known_by_both(office: Office) -> None:
    """What the second does not speak of stays; said again, it is nothing."""
    first = await office.enter(BY_CITY)
    second = await office.ledger.post("/people", BY_COMMUNITY)
    assert second.json() == {"status": "accepted", "id": first}
    again = [(await office.ledger.post("/people", one)).json()["status"] for one in (BY_CITY, BY_COMMUNITY)]
    assert again == ["duplicate", "duplicate"]
    shown = await office.ledger.get(f"/people/{first}")
    assert shown["lists"] == ["assigned_by_city", "found_by_community"]
    assert shown["listed"] == {"assigned_by_city": "home_observation", "found_by_community": "newcomer"}
    assert (shown["details"]["birthday"], shown["details"]["illnesses"]) == ("1937-05-01", ["高血压"])
    assert shown["details"]["contacts"][0]["relation"] == "daughter"
    assert (await office.ledger.get("/statistics"))["people"] == 1


async def test_a_source_that_tells_again_replaces_what_it_names_and_nothing_else(office: Office) -> None:
    """To say that there is no phone is to name it."""
    person_id = await office.enter(BY_CITY, keys="门卫")
    bare = {name: BY_CITY[name] for name in ("source", "source_id", "community", "name")}
    narrow = {**bare, "address": {"building": "1"}, "id_number": LI, "illnesses": ["高血压"]}
    assert await office.enter(narrow) == person_id
    shown = await office.ledger.get(f"/people/{person_id}")
    assert (shown["details"]["keys"], shown["details"]["address"]["room"]) == ("门卫", "101")
    assert (shown["details"]["contacts"], shown["lives_alone"]) == (world.MRS_LI["contacts"], True)
    assert (shown["categories"], shown["lists"]) == (["home_observation"], ["assigned_by_city"])
    answer = await office.ledger.post("/people", {**narrow, "phone": None, "contacts": [], "lives_alone": False})
    assert answer.json() == {"status": "accepted", "id": person_id}
    shown = await office.ledger.get(f"/people/{person_id}")
    assert (shown["details"]["phone"], shown["details"]["contacts"], shown["lives_alone"]) == (None, [], False)
    assert (shown["details"]["keys"], shown["details"]["illnesses"]) == ("门卫", ["高血压"])


@pytest.mark.parametrize(
    "change",
    [
        {"name": "李桂兰", "phone": None, "address": {"building": "3"}, "id_number": LI},
        {"address": {"building": "3", "unit": "1", "room": "201"}},
        {"phone": "+86 100 0000 0009"},
    ],
    ids=["by identity number", "by phone and name", "by door and name"],
)
async def test_another_source_is_recognised(office: Office, change: dict[str, Any]) -> None:
    """Whichever of them it tells."""
    first = await office.enter(BY_CITY)
    assert await office.enter(BY_COMMUNITY, **change) == first


@pytest.mark.parametrize(
    "change",
    [
        {"id_number": number_of("1937-05-01", 4)},
        {"birth_year": 1965},
        {"name": "李兰", "phone": "+86 100 0000 0001"},
        {"phone": None, "address": {"building": "1"}},
    ],
    ids=["another identity number", "another year of birth", "another name", "no door"],
)
async def test_who_only_looks_alike_is_somebody_else(office: Office, change: dict[str, Any]) -> None:
    """A father and his son of one name share a door."""
    first = await office.enter(BY_CITY)
    assert await office.enter(BY_COMMUNITY, **change) != first
    assert (await office.ledger.get("/statistics"))["people"] == 2


async def test_twenty_sources_that_tell_of_somebody_new_at_once_are_one_person(town: Town, office: Office) -> None:
    """Over two replicas."""
    async with town.up("ledger", clock=office.clock) as other:
        lists = [{**BY_COMMUNITY, "source_id": f"k-{number}"} for number in range(20)]
        # Each tells something more or less, so that not all have the same aliases.
        told = [{**one, "id_number": LI} if number % 3 else one for number, one in enumerate(lists)]
        sides = (office.ledger, other.ledger)
        answers = await asyncio.gather(*(sides[n % 2].post("/people", one) for n, one in enumerate(told)))
        assert Counter(one.status_code for one in answers) == {202: 20}
        assert len({one.json()["id"] for one in answers}) == 1
        assert len(await office.ledger.stored("people")) == 1


async def test_the_ledgers_own_document_tells_the_order_of_doors(office: Office) -> None:
    """Entrance, by a keyed hash, and floor beside the facts; a room that tells no floor has none."""
    await office.enter(world.MR_WANG)
    await office.enter(world.MRS_LI, address={"building": "2", "room": "底商"})
    states = {one["state"]["floor"]: one["state"]["stairwell"] for one in await office.ledger.stored("people")}
    stairwell = office.ledger.runtime.lookup.stairwell
    assert states == {5: stairwell(world.TIEBEI, "2", "1"), None: stairwell(world.TIEBEI, "2", None)}


# Found again


async def test_people_are_listed_by_building_category_and_list_and_found_by_phone_or_number(office: Office) -> None:
    """Nothing personal is in an address or in a list."""
    li = await office.enter(BY_CITY, other_phones=["0451-5551234"])
    wang = await office.enter(world.MR_WANG)
    for params, expected in (
        ({"building": "2"}, [wang]),
        ({"category": "home_observation"}, [li]),
        ({"list": "assigned_by_city"}, [li]),
        ({"list": "found_by_community"}, []),
        ({"first_line": True}, [li]),
    ):
        found = await office.ledger.items("/people", **params)
        assert [one["id"] for one in found] == expected, params
        assert not [one for one in found if {"sealed", "lookups", "details"} & one.keys()]
    for sought in ({"phone": "+86 100 0000 0001"}, {"phone": "0451 5551234"}, {"id_number": LI.lower()}):
        answer = await office.ledger.post("/people:find", sought, who="grid_worker")
        assert [one["id"] for one in answer.json()["items"]] == [li]
    told = await eventually(lambda: office.events.bodies("doorstep.personal-data.opened.v1"))
    assert {(one["record"], one["purpose"], one["role"]) for one in told} == {(f"person:{li}", "find", "grid_worker")}
    where = {"id": li, "community": world.TIEBEI, "grid": "g1", "building": "1"}
    hers = await office.ledger.post("/people:find", {"id_number": LI}, who="volunteer")
    assert hers.json()["items"] == await office.ledger.items("/people", building="1", who="volunteer") == [where]
    for params in ({"category": "home_observation"}, {"list": "assigned_by_city"}, {"first_line": True}):
        assert (await office.ledger.call("GET", "/people", who="volunteer", params=params)).status_code == 403
    bad = await office.ledger.post("/people:find", {"id_number": "1"}, who="grid_worker")
    assert problems(bad) == [("id_number", "bad_id_number")]
    both = await office.ledger.post("/people:find", {"id_number": LI, "phone": "12345"}, who="grid_worker")
    assert problems(both) == [("phone", "one_of_two")]


async def test_households_are_listed_building_by_building_with_their_doors(office: Office) -> None:
    """In pages; a volunteer is not told the door, the worker of another grid nothing, and each page is noted once."""
    li, wang = await office.enter(world.MRS_LI), await office.enter(world.MR_WANG)
    son = await office.enter(world.MRS_LI, source_id="son", name="李强", phone=None, lives_alone=False, birth_year=1970)
    gone = await office.enter(world.MRS_LI, source_id="gone", name="李刚", phone=None, birth_year=1971)
    await office.act(gone, "move", "gone", here=False)
    everybody = {"community": world.TIEBEI}
    first, second = await office.ledger.items("/households", **everybody, limit=1)
    assert (first["building"], first["grid"], first["count"], first["first_line"]) == ("1", "g1", 2, 1)
    assert (sorted(first["people"]), second["people"]) == (sorted([li, son]), [wang])
    assert first["door"] == {"building": "1", "unit": "1", "room": "101"}
    for params, found in (
        ({"building": "2"}, [second]),
        ({"building": "2", "grid": second["grid"]}, [second]),
        ({"grid": "g9"}, []),
    ):
        assert await office.ledger.items("/households", **everybody, **params) == found
    hers = await office.ledger.items("/households", **everybody, who="volunteer")
    assert not [one for one in hers if "door" in one]
    told = await eventually(lambda: office.events.bodies("doorstep.personal-data.opened.v1"))
    assert {one["record"] for one in told} == {f"households:{world.TIEBEI}:1"}
    elsewhere = await office.ledger.items("/households", **everybody, grid="g1", who="grid_worker")
    assert [one["grid"] for one in elsewhere] == ["g1"] * len(elsewhere)
    nowhere = await office.ledger.call("GET", "/households", who="operator")
    assert problems(nowhere) == [("community", "required")]
    houses = await office.ledger.items("/buildings", **everybody, limit=2)
    assert {one["building"]: one["grid"] for one in houses} == world.GRID_OF
    grid = world.GRID_OF["1"]
    assert {one["grid"] for one in await office.ledger.items("/buildings", grid=grid)} == {grid}


# What happens to people


async def test_on_a_day_that_is_over_all_is_as_it_was(office: Office) -> None:
    """Lists, the floor, who was who, and who had died; also under an id that was merged."""
    stays = await office.enter(BY_CITY, id_number=None)
    goes = await office.enter(BY_COMMUNITY, name="李老太", phone="+86 100 0000 0008")
    told = {}
    for verb, more in (("merge", {"other": goes}), ("unmerge", {"other": goes}), ("death", {"died": "2026-11-26"})):
        told[verb] = [await _seen(office, one) for one in (stays, goes)]
        office.clock.forward(days=1)
        assert (await office.act(stays, verb, verb, **more)).status_code == 202
    told["now"] = [await _seen(office, one) for one in (stays, goes)]
    assert told["merge"][0]["listed"] == {"assigned_by_city": "home_observation"}
    assert (told["merge"][1]["id"], told["unmerge"][1]["id"], told["death"][1]["id"]) == (goes, stays, goes)
    assert (told["unmerge"][0]["merged"], told["death"][0]["merged"]) == ([goes], [])
    assert (told["now"][0]["died"], told["now"][0]["floor"]) == (True, 1)
    for day, verb in enumerate(told, start=24):
        then = [await _seen(office, one, on=f"2026-11-{day}") for one in (stays, goes)]
        assert then == told[verb], verb


async def _seen(office: Office, person_id: str, **params: Any) -> Any:
    return await office.ledger.get(f"/people/{person_id}", **params)


async def test_who_moves_belongs_to_the_new_grid_and_was_in_the_old_one_before(office: Office) -> None:
    """Asked for a day, the ledger answers as it was."""
    person_id = await office.enter(world.MRS_LI)
    office.clock.forward(days=2)
    there = {"address": {"building": "3", "unit": "2", "room": "1203"}}
    answers = [await office.act(person_id, "move", "m1", **there) for _ in range(2)]
    assert [one.json()["status"] for one in answers] == ["accepted", "duplicate"]
    now = await office.ledger.get(f"/people/{person_id}")
    assert (now["building"], now["grid"], now["floor"]) == ("3", "g2", 12)
    then = await office.ledger.get(f"/people/{person_id}", on="2026-11-24")
    assert (then["building"], then["grid"], then["details"]["address"]["room"]) == ("1", "g1", "101")
    assert not {"kept", "sealed", "lookups"} & (now.keys() | then.keys())
    before = await office.ledger.call("GET", f"/people/{person_id}", params={"on": "2026-11-23"})
    assert (before.status_code, problems(before)) == (404, [("on", "unknown_then")])
    assert await office.enter(BY_COMMUNITY, phone=None, **there) == person_id
    nowhere = await office.act(person_id, "move", "m2", address={"building": world.NO_BUILDING})
    assert problems(nowhere) == [("address.building", "unknown_building")]


async def test_what_two_sources_told_wrongly_is_corrected(office: Office) -> None:
    """Recognised by what is right from then on, not by what was wrong; and told to everybody."""
    person_id = await office.enter(BY_CITY)
    assert await office.enter(BY_COMMUNITY) == person_id
    right = {"name": "李秀英", "phone": "+86 100 0000 0077", "lives_alone": False, "illnesses": [], "lists": []}
    answers = [await office.act(person_id, "correct", "c1", **right) for _ in range(2)]
    assert [one.json() for one in answers] == [{"status": one, "id": person_id} for one in ("accepted", "duplicate")]
    shown = await office.ledger.get(f"/people/{person_id}")
    assert (shown["details"]["name"], shown["details"]["phone"], shown["details"]["illnesses"]) == (
        "李秀英",
        "+86 100 0000 0077",
        [],
    )
    assert (shown["lives_alone"], shown["first_line"], shown["lists"], shown["listed"]) == (False, False, [], {})
    assert (shown["categories"], shown["details"]["id_number"]) == (["home_observation", "newcomer"], LI)
    assert (await office.act(person_id, "correct", "c2", **right)).json()["status"] == "duplicate"
    assert (await office.act(person_id, "correct", "c3", keys="门卫")).json()["status"] == "accepted"
    elsewhere = {**BY_COMMUNITY, "source_id": "k-8", "address": {"building": "2"}}
    assert await office.enter(elsewhere, name="李秀英", phone=right["phone"]) == person_id
    assert await office.enter(elsewhere, source_id="k-9") != person_id
    told = await eventually(lambda: _told(office, 4))
    assert (told[1]["lives_alone"], told[1]["lists"]) == (False, [])


async def test_a_correction_that_a_crash_cut_short_is_made_whole_by_the_same_command(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was corrected is recognised by the new phone and no more by the old one."""
    person_id = await office.enter(BY_CITY)

    async def crash(*_: Any) -> None:
        raise ConnectionError

    command = CorrectPerson(command_id="c", person_id=person_id, phone="+86 100 0000 0007")
    meta = Meta("half", CorrectPerson.wire, "test", office.clock(), person_id)
    with monkeypatch.context() as broken:
        broken.setattr(Register, "claim", crash)
        with pytest.raises(ConnectionError):
            await correct(furnished(office.ledger.runtime), command, meta)
    assert (await office.act(person_id, "correct", "c", phone="+86 100 0000 0007")).status_code == 202
    (known,) = await office.ledger.stored("people")
    held = {one["_id"] for one in await office.ledger.stored("aliases")}
    marks = {one for name, one in known["state"]["identities"].items() if name != "born"}
    assert held == {person_id, *marks}


async def test_a_mark_that_no_source_told_alone_is_known(office: Office) -> None:
    """A phone from one list with the name that another has for the same identity number."""
    person_id = await office.enter(BY_CITY)
    assert await office.enter(BY_COMMUNITY, id_number=LI, name="李秀英", phone=None) == person_id
    (known,) = await office.ledger.stored("people")
    held = {one["_id"] for one in await office.ledger.stored("aliases")}
    assert {one for name, one in known["state"]["identities"].items() if name != "born"} <= held


async def test_whoever_lives_in_a_building_follows_it_to_another_grid(office: Office) -> None:
    """However many, also who is away or merged, and whoever asks for the old grid sees nobody; and back again."""
    people = [await office.enter(world.MRS_LI, source_id=f"p{n}", name=f"李{n}", phone=None) for n in range(4)]
    await office.act(people[1], "move", "away", here=False)
    await office.act(people[0], "merge", "one", other=people[2])
    here = {"community": world.TIEBEI, "building": "1", "unit": "1", "room": "101"}
    await world.accepted(office.ledger, "/presences", {"presence_id": "guest", "name": "李师傅", **here})
    for number, (grid, status) in enumerate((("g4", 404), ("g1", 200)), start=1):
        await world.accepted(office.ledger, "/buildings", {"community": world.TIEBEI, "building": "1", "grid": grid})
        await eventually(lambda grid=grid: _all_of(office, grid))  # type: ignore[misc]
        documents = await office.ledger.stored("people")
        moved = [[json.loads(one["body"])["grid"] for one in document["history"]].count(grid) for document in documents]
        assert all(moved), number
        assert await eventually(lambda: _looked_through(office))
        shown = await office.ledger.call("GET", "/presences/guest", who="grid_worker")
        assert shown.status_code == status
        assert "lookups" not in shown.json()
    told = await eventually(lambda: _told(office, 3 + 2 * len(people)))
    assert {one["grid"] for one in told[-len(people) :]} == {"g1"}
    await office.act(people[0], "unmerge", "two", other=people[2])
    assert {(await office.ledger.get(f"/people/{one}"))["grid"] for one in people} == {"g1"}


async def _all_of(office: Office, grid: str) -> bool:
    return {one["state"]["facts"]["grid"] for one in await office.ledger.stored("people")} == {grid}


async def _looked_through(office: Office) -> bool:
    return not await office.ledger.stored("buildings", {"state.looks": True})


async def test_whoever_grows_old_alone_moves_up_with_the_new_year(office: Office) -> None:
    """Where the community is, without being told of again; once, and nobody else."""
    young = {**world.MRS_LI, "source_id": "young", "name": "李强", "phone": None, "birth_year": 1962}
    soon = await office.enter(young)
    for number, change in enumerate(({"birth_year": 1963}, {"birth_year": None}, {"lives_alone": False})):
        await office.enter({**young, "source_id": f"other-{number}", "name": f"李{number}", **change})
    house = furnished(office.ledger.runtime)
    assert await move_up(house) == 0
    office.clock.forward(days=37, hours=8)
    assert office.ledger.runtime.clock().isoformat() == "2026-12-31T17:00:00+00:00"
    assert await move_up(house) == 1
    assert await move_up(house) == 0
    assert [one["id"] for one in await office.ledger.items("/people", first_line=True)] == [soon]
    (told,) = await eventually(lambda: _told(office, 1))
    assert (told["person_id"], told["first_line"]) == (soon, True)
    assert await office.enter({**young, "keys": "门卫"}) == soon
    assert (await office.ledger.get(f"/people/{soon}"))["first_line"] is True


async def test_who_moved_away_may_come_back_and_who_died_only_if_it_was_another(office: Office) -> None:
    """All facts are told as they are now."""
    person_id = await office.enter(world.MRS_LI)
    for verb, more in (("move", {"here": False}), ("move", {}), ("death", {"died": "2026-11-24"})):
        assert (await office.act(person_id, verb, f"{verb}-{len(more)}", **more)).status_code == 202
    told = await eventually(lambda: _told(office, 3))
    assert [one["here"] for one in told] == [False, True, False]
    assert [one["kept"]["died_on"] for one in told] == [None, None, "2026-11-24"]
    assert await office.enter(world.MRS_LI, keys="门卫") == person_id
    shown = await office.ledger.get(f"/people/{person_id}")
    assert (shown["here"], shown["died"], shown["died_on"]) == (False, True, "2026-11-24")
    late = await office.act(person_id, "move", "m9")
    assert (late.status_code, problems(late)) == (409, [("here", "died")])
    future = await office.act(person_id, "death", "d9", died="2026-12-01")
    assert problems(future) == [("died", "in_the_future")]
    plan = {"plan_id": "p", "kind": "care_call", "begins": "2026-11-25T09:00"}
    gone = await office.ledger.post(f"/people/{person_id}/plans", plan)
    assert (gone.status_code, problems(gone)) == (409, [("person_id", "gone")])
    both = await office.act(person_id, "death", "d8", died="2026-11-24", revoked=True)
    assert problems(both) == [("died", "not_allowed")]
    for status in ("accepted", "duplicate"):
        assert (await office.act(person_id, "death", "d7", revoked=True)).json()["status"] == status
    shown = await office.ledger.get(f"/people/{person_id}")
    assert (shown["here"], shown["died"], shown["died_on"]) == (True, False, None)
    (stored,) = await office.ledger.stored("people")
    assert (stored["state"]["left_at"], stored["state"]["forget_at"]) == (None, None)


def _told(office: Office, count: int) -> list[dict[str, Any]] | None:
    told = office.events.bodies("doorstep.person.updated.v1")
    return told if len(told) == count else None


async def test_two_that_are_one_are_merged_and_parted_again(office: Office) -> None:
    """Whatever list tells of either comes to the one that stays; parted, each has its own."""
    stays = await office.enter(BY_CITY, id_number=None)
    other = {**BY_COMMUNITY, "name": "李老太", "phone": "+86 100 0000 0008"}
    goes = await office.enter(other)
    assert stays != goes
    for status in ("accepted", "duplicate"):
        assert (await office.act(stays, "merge", "m1", other=goes)).json()["status"] == status
    merged = await office.ledger.get(f"/people/{stays}")
    assert (merged["merged"], merged["lists"]) == ([goes], ["found_by_community", "assigned_by_city"])
    assert merged["details"]["illnesses"] == ["高血压"]
    assert [one["id"] for one in await office.ledger.items("/people")] == [stays]
    assert (await office.ledger.get("/statistics"))["people"] == 1
    for told in ({**BY_CITY, "id_number": None}, other):
        assert (await office.ledger.post("/people", told)).json() == {"status": "duplicate", "id": stays}
    assert await office.details(stays) == merged["details"]
    again = await office.act(goes, "merge", "m2", other=stays)
    assert (again.status_code, problems(again)) == (409, [("other", "merged")])
    for status in ("accepted", "duplicate"):
        assert (await office.act(stays, "unmerge", "u1", other=goes)).json()["status"] == status
    assert (await office.ledger.get(f"/people/{goes}"))["here"] is True
    assert {one["id"] for one in await office.ledger.items("/people")} == {stays, goes}
    assert (await office.ledger.get(f"/people/{stays}"))["lists"] == ["assigned_by_city"]
    assert (await office.ledger.post("/people", other)).json() == {"status": "duplicate", "id": goes}
    assert await office.enter(other, keys="门卫") == goes
    types = office.events.types()
    await eventually(lambda: {"person.merged", "person.unmerged"} <= set(office.events.types()))
    assert types.count("person.merged") <= 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"id_number": LI[:-1] + ("1" if LI[-1] != "1" else "2")}, ("id_number", "bad_check_digit")),
        ({"id_number": "123"}, ("id_number", "bad_id_number")),
        ({"id_number": LI, "birthday": "1937-05-02"}, ("birthday", "birthday_differs")),
        ({"birthday": "2026-11-25", "birth_year": None}, ("birthday", "impossible_birthday")),
        ({"birthday": "1850-01-01", "birth_year": None}, ("birthday", "impossible_birthday")),
        ({"birthday": "1936-01-01"}, ("birth_year", "birthday_differs")),
        ({"categories": ["rocket_scientist"]}, ("categories", "unknown_category")),
        ({"lists": ["of_santa"]}, ("lists", "unknown_list")),
        ({"lists": ["assigned_by_city"], "categories": ["cancer"]}, ("categories", "category_required")),
    ],
)
async def test_a_registration_that_cannot_be_is_refused_by_field(
    office: Office, change: dict[str, Any], problem: tuple[str, str]
) -> None:
    """Over HTTP and AMQP alike; nothing is made."""
    answer = await office.ledger.post("/people", {**world.MRS_LI, **change})
    assert (answer.status_code, problems(answer)) == (422, [problem])
    assert problems(await office.operator.ask("person.register", {**world.MRS_LI, **change})) == [problem]
    assert await office.ledger.stored("people") == []
    assert await office.ledger.stored("aliases") == []


async def test_nothing_personal_is_told_or_rests_in_the_clear(office: Office) -> None:
    """Not the number, not the illness, not the key's holder."""
    secret = {"illnesses": ["秘密病"], "keys": "持钥匙者", "hobbies": ["爱好甲"], "gas_card": "GAS900"}
    await office.enter(BY_CITY, **secret)
    await eventually(lambda: office.events.bodies("doorstep.person.registered.v1"))
    told = "".join(one.body.decode() for one in office.events.heard)
    for collection in ("people", "aliases", "person_keys"):
        told += json.dumps(await office.ledger.stored(collection), default=str, ensure_ascii=False)
    for personal in (LI, "秘密病", "持钥匙者", "爱好甲", "GAS900", "1937", "李奶奶", "0000 0001"):
        assert personal not in told
