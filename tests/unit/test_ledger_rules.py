"""The rules of the ledger: the chain that no change escapes, and who is on the books."""

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.contracts.examples import example
from services.ledger.domain import register
from services.ledger.domain.entry import BEGINNING, Fact, Link, chain, first_id, shown
from services.ledger.domain.register import Access, Building, Person
from shared.contracts import EVENTS
from shared.contracts.ledger import GrantAccess, PersonRegistered
from shared.contracts.refusal import Refusal
from shared.identity import new_id
from tests import world
from tests.unit.tasks import NINE


def fact(number: int = 1, **changes: Any) -> Fact:
    told = {
        "id": f"e{number}",
        "type": "RequestCreated",
        "wire": "doorstep.request.created.v1",
        "at": NINE,
        "community": world.TIEBEI,
        "grid": "g1",
        "request_id": "r1",
        "source": "intake",
        "cause": "c1",
        "data": '{"kind":"groceries"}',
    }
    return Fact.model_validate({**told, **changes})


def links(facts: list[Fact]) -> list[Link]:
    """The chain of these facts from its beginning."""
    found, head = [], Link()
    for one in facts:
        head = chain(one, head)
        found.append(head)
    return found


def test_nothing_sealed_or_hashed_of_any_event_is_shown() -> None:
    """Of whatever is called so, or described as such, in the contracts."""
    secret = re.compile(r"seal|hash|blind|opaque|fingerprint|lookup", re.IGNORECASE)
    for kind in EVENTS.values():
        schema = kind.model_json_schema()
        told = json.dumps(shown(example(schema)))
        for part in (schema, *schema.get("$defs", {}).values()):
            for name, one in part.get("properties", {}).items():
                hidden = secret.search(f"{name} {one.get('description', '')}")
                assert not (hidden and f'"{name}": ' in told), f"{kind.__name__} shows {name}"
    assert shown({"said": {"by": "zhao", "sealed": "x"}, "grid": "g1"}) == {"said": {"by": "zhao"}, "grid": "g1"}


def test_ids_of_events_are_in_the_order_of_time() -> None:
    """To the millisecond."""
    before, made, after = datetime.now(UTC), new_id(), datetime.now(UTC) + timedelta(milliseconds=1)
    assert first_id(before) <= made < first_id(after)


def test_a_chain_begins_at_nothing_and_is_numbered_without_gaps() -> None:
    """From one on."""
    assert Link().hash == BEGINNING
    assert [link.sequence for link in links([fact(number) for number in range(1, 6)])] == [1, 2, 3, 4, 5]


def test_the_hash_is_the_same_for_the_same_history() -> None:
    """In whatever process and whenever it is computed."""
    first = chain(fact(), Link())
    assert chain(fact(), Link()) == first


@pytest.mark.parametrize("field", sorted(Fact.model_fields.keys() - {"about"}))
def test_a_change_in_any_field_changes_every_later_hash(field: str) -> None:
    """Nothing in an entry can be altered unseen; what it is about follows from its body, and is compared with that."""
    changed = {"at": NINE + timedelta(milliseconds=1), "turn": 7}.get(field, "another")
    honest = links([fact(number) for number in range(1, 5)])
    forged = links([fact(1), fact(2, **{field: changed}), fact(3), fact(4)])
    assert [one.hash == other.hash for one, other in zip(honest, forged, strict=True)] == [True, False, False, False]


def test_an_entry_of_before_that_names_no_actor_is_chained_as_it_was() -> None:
    """As an older version reckoned it; and once it names somebody, nobody can take the name out."""
    assert chain(fact(actor=""), Link()).hash == "d5ca6b346d24650f9f9036971710ddf5822b1500fcec87ec9d5905b4a4dfb895"
    assert chain(fact(actor="coordinator"), Link()) != chain(fact(), Link())


def test_an_entry_taken_out_or_moved_is_noticed() -> None:
    """The order is part of what is true."""
    one, two, three = (fact(number) for number in (1, 2, 3))
    assert (
        len({links(order)[-1].hash for order in ([one, two, three], [one, three, two], [one, two], [one, three])}) == 4
    )


@given(st.text(max_size=40), st.text(max_size=40))
def test_two_entries_have_one_hash_only_if_they_say_the_same(first: str, second: str) -> None:
    """Whatever characters they hold."""
    assert (chain(fact(data=first), Link()) == chain(fact(data=second), Link())) == (first == second)


def test_what_the_database_keeps_of_a_time_is_what_is_hashed() -> None:
    """Milliseconds, in UTC: a verification reads the same as was written."""
    written = fact(at=datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC))
    read = fact(at=datetime(2026, 11, 24, 9, 0, 0, 123000, tzinfo=UTC))
    assert chain(written, Link()) == chain(read, Link())
    assert chain(fact(at=NINE.astimezone(timezone(timedelta(hours=8)))), Link()) != chain(fact(), Link())


# The register


def person(fingerprint: str = "f1") -> Person:
    facts = PersonRegistered(
        community=world.TIEBEI, grid="g1", person_id="p1", building="1", household="h1", sealed="k1.AAAA"
    )
    return Person(facts=facts, fingerprint=fingerprint)


@pytest.mark.parametrize(
    ("born", "alone", "expected"),
    [(1937, True, True), (1937, False, False), (1961, True, True), (1962, True, False), (None, True, False)],
)
def test_the_first_line_is_old_and_alone(born: int | None, alone: bool, expected: bool) -> None:
    """65 years or more in this year, and nobody else behind the door."""
    assert register.first_line(2026, born, lives_alone=alone) is expected


def test_a_person_is_registered_once_and_updated_when_something_changed() -> None:
    """Said again, it is nothing."""
    fresh = register.register_person(None, person())
    changed = register.register_person(person(), person("f2"), person())
    assert fresh is not None
    assert changed is not None
    assert [type(event).__name__ for event in (*fresh[1], *changed[1])] == ["PersonRegistered", "PersonUpdated"]
    assert register.register_person(person(), person()) is None


def test_a_building_is_told_of_when_it_is_new_or_moves() -> None:
    """Not when it stays."""
    known = Building(community=world.TIEBEI, building="1", grid="g1")
    assert register.register_building(None, world.TIEBEI, "1", "g1") is not None
    assert register.register_building(known, world.TIEBEI, "1", "g1") is None
    moved = register.register_building(known, world.TIEBEI, "1", "g2")
    assert moved is not None
    assert moved[1][0].grid == "g2"


def test_a_token_is_granted_once_and_revoked_once() -> None:
    """A revoked one is never granted again."""
    command = GrantAccess(command_id="c1", token_hash="0" * 64, name="somebody", role="volunteer")
    decision = register.grant(None, command)
    assert decision is not None
    gone = register.revoke(decision[0])
    assert gone is not None
    assert gone[0].revoked
    assert register.revoke(gone[0]) is None
    assert register.grant(gone[0], command) is None


def test_a_token_that_was_never_granted_cannot_be_revoked() -> None:
    """A typing mistake must be noticed."""
    with pytest.raises(Refusal) as excinfo:
        register.revoke(None)
    assert (excinfo.value.status, excinfo.value.problems[0].field) == (404, "token_hash")
    assert Access(token_hash="0" * 64, name="somebody").revoked is False
