"""The demonstration community has the figures of its story, and nobody in it can be a real person."""

import random
from collections import Counter

import phonenumbers
import pytest

from deploy.demo.community import SEED, Community, demonstration, make_community
from deploy.demo.load import expected, missing, named
from deploy.demo.words import MARK
from shared.contracts import COMMANDS
from shared.contracts.ledger import RegisterPerson
from shared.contracts.workers import RegisterWorker

OLD = 65


@pytest.fixture(scope="module")
def community() -> Community:
    return demonstration()


def test_it_has_the_figures_of_the_story(community: Community) -> None:
    """6 grids, 24 buildings, 2,265 households, 7,000 people."""
    counts = expected(community)
    assert (counts["buildings"], counts["workers"], counts["people told of"]) == (24, 19, 7_000)
    assert len(community.households) == 2_265
    assert {building.grid for building in community.buildings} == {"g1", "g2", "g3", "g4", "g5", "g6"}
    assert {household.grid for household in community.households} == {building.grid for building in community.buildings}
    assert all(household.people for household in community.households)


def test_a_building_belongs_to_the_grid_of_its_neighbours(community: Community) -> None:
    grids = {building.building: building.grid for building in community.buildings}
    assert [grids[number] for number in ("1", "4", "5", "24")] == ["g1", "g1", "g2", "g6"]
    assert all(household.grid == grids[household.home.building] for household in community.households)


def test_25_old_people_live_alone_and_have_family_elsewhere(community: Community) -> None:
    alone = [household for household in community.households if household.first_line]
    assert len(alone) == 25
    assert len({household.home.building for household in alone}) == 24
    for household in alone:
        (person,) = household.people
        assert person.lives_alone
        assert person.birth_year is not None
        assert person.birth_year < 1950
        assert 1 <= len(person.contacts) <= 2


def test_nobody_else_is_old_and_alone(community: Community) -> None:
    others = [person for household in community.households if not household.first_line for person in household.people]
    assert not any(person.lives_alone and 2026 - (person.birth_year or 0) >= OLD for person in others)
    assert not any(person.contacts for person in others)


def test_seven_are_deaf_and_some_read_no_chinese(community: Community) -> None:
    needs = Counter(need for person in community.people() for need in person.needs)
    assert needs == {"deaf": 7, "wheelchair": 5}
    languages = Counter(person.language for person in community.people())
    assert languages["en"] > 10
    assert len(languages) > 3


def test_nobody_can_be_a_real_person(community: Community) -> None:
    """Names carry a mark, and no phone is a valid number of any kind."""
    contacts = [contact for person in community.people() for contact in person.contacts]
    everybody = [(person.name, person.phone) for person in community.people()]
    everybody += [(worker.name, worker.phone) for worker in community.workers]
    everybody += [(contact.name, contact.phone) for contact in contacts]
    for name, phone in everybody:
        assert name.endswith((MARK, " Sample"))
        assert phone is None or not phonenumbers.is_valid_number(phonenumbers.parse(phone))


def test_everybody_can_be_told_from_everybody_else(community: Community) -> None:
    """Source ids and phones are unique, and so is a name behind one door."""
    people = list(community.people())
    phones = [person.phone for person in people if person.phone]
    phones += [contact.phone for person in people for contact in person.contacts]
    phones += [worker.phone for worker in community.workers if worker.phone]
    doors = [(str(household.home), person.name) for household in community.households for person in household.people]
    for names in ([person.source_id for person in people], phones, doors):
        assert len(names) == len(set(names))


def test_the_staff_are_six_grid_workers_twelve_volunteers_and_a_coordinator(community: Community) -> None:
    roles = Counter(worker.role for worker in community.workers)
    assert roles == {"grid_worker": 6, "volunteer": 12, "coordinator": 1}
    grid_workers = {worker.worker_id: worker.grids for worker in community.workers if worker.role == "grid_worker"}
    assert grid_workers == {f"tiebei-g{number}-1": (f"g{number}",) for number in range(1, 7)}
    helped = Counter(grid for worker in community.workers if worker.role == "volunteer" for grid in worker.grids)
    assert set(helped.values()) == {4}


def test_the_same_seed_makes_the_same_community() -> None:
    assert make_community(random.Random(3)) == make_community(random.Random(3))
    assert make_community(random.Random(3)) != make_community(random.Random(4))


def test_every_command_can_be_read_by_the_service_that_takes_it(community: Community) -> None:
    for command in community.commands():
        assert COMMANDS[command.wire].model_validate_json(command.model_dump_json(by_alias=True)) == command


def test_commands_have_ids_that_are_the_same_each_time(community: Community) -> None:
    first = dict(named(community))
    assert first == dict(named(make_community(random.Random(SEED))))
    assert len(first) == 24 + 19 + 7_000
    kinds = [type(command) for command in first.values()]
    assert kinds.index(RegisterWorker) < kinds.index(RegisterPerson)


@pytest.mark.parametrize(
    ("there", "lacking"),
    [
        ({}, {"people": 3, "households": 2}),
        ({"people": 1, "households": 2}, {"people": 2}),
        ({"people": 3, "households": 9, "more": 1}, {}),
    ],
)
def test_a_load_says_what_is_missing(there: dict[str, int], lacking: dict[str, int]) -> None:
    assert missing(there, {"people": 3, "households": 2}) == lacking
