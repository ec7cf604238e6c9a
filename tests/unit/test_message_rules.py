"""The rules of a message to staff: who is told what, in which words, and whether it was read."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.notification.domain import message as rules
from services.notification.domain.message import Message, Rule, Rules
from shared.catalogue import load
from shared.contracts import (
    EVENTS,
    cases,
    dispatch,
    duties,
    evidence,
    follow_ups,
    gates,
    intake,
    observation,
    presence,
    rounds,
    workers,
)
from shared.contracts.catalogue import Kinds
from shared.contracts.dispatch import DeliveryOffered
from shared.contracts.envelope import Event, Meta
from shared.contracts.intake import RequestCreated
from shared.contracts.refusal import Refusal
from shared.settings import Settings
from tests import world
from tests.unit.tasks import NINE

CATALOGUES: Path = Settings().catalogue_dir
RULES = load(CATALOGUES / "notifications.yaml", Rules)
KINDS = load(CATALOGUES / "kinds.yaml", Kinds)
META = Meta("e1", "", "dispatch", NINE, "r1")


def offered(**changes: object) -> DeliveryOffered:
    told: dict[str, object] = {
        "community": world.TIEBEI,
        "grid": "g1",
        "task_id": "t1",
        "request_id": "r1",
        "kind": "groceries",
        "building": "2",
        "urgency": "soon",
        "priority": 25,
        "worker": world.ZHAO,
        "step": 0,
        "role": "grid_worker",
        "until": NINE,
    }
    return DeliveryOffered.model_validate({**told, **changes})


def told(event: Event, message: Message | None = None) -> Message:
    decision = rules.tell(message, "n1", event, META, RULES.notifications[type(event).__name__], KINDS, NINE)
    assert decision is not None
    assert list(decision[1]) == [decision[0].told]
    return decision[0]


def test_an_offer_is_told_to_whoever_is_asked_in_both_languages() -> None:
    """With kind and building, without anything personal."""
    message = told(offered())
    assert (message.role, message.worker, message.unread) == ("grid_worker", world.ZHAO, True)
    assert message.told.text == {"zh": "请接单：买菜，2号楼", "en": "Please accept: Groceries, building 2"}
    assert message.told.routing_key() == f"grid_worker.{world.TIEBEI}.g1.{world.ZHAO}"


def test_an_offer_to_several_goes_to_everybody_of_the_role() -> None:
    """No single worker in the routing key."""
    assert told(offered(role="volunteer", worker=None)).told.routing_key() == f"volunteer.{world.TIEBEI}.g1._"


def test_an_event_is_told_once() -> None:
    """However often it comes."""
    message = told(offered())
    assert rules.tell(message, "n1", offered(), META, RULES.notifications["DeliveryOffered"], KINDS, NINE) is None


def test_a_kind_that_the_catalogue_lost_is_told_by_its_code() -> None:
    """Old requests outlive an edited catalogue."""
    assert told(offered(kind="snow_clearing")).told.text["en"] == "Please accept: snow_clearing, building 2"


def test_braces_in_what_people_send_are_not_words_of_a_template() -> None:
    """A building is text, whatever it looks like."""
    assert told(offered(building="{worker}")).told.text["en"] == "Please accept: Groceries, building {worker}"


def test_a_duty_is_told_with_its_place_and_in_the_time_of_the_place() -> None:
    """And by name to those who were booked, wherever they help."""
    event = duties.DutyCancelled(
        community=world.TIEBEI,
        duty_id="gate",
        kind="gate_duty",
        place="南门",
        begins=NINE,
        ends=NINE + timedelta(hours=4),
        asked=(world.SUN,),
    )
    message = told(event).told
    assert message.text["zh"] == "值班已取消：守门值班，南门，11-24 17:00–21:00"
    assert (message.duty_id, message.role, message.asked) == ("gate", "coordinator", (world.SUN,))


def test_every_event_of_a_requests_life_has_its_words() -> None:
    """In Chinese and English."""
    modules = (intake, dispatch, workers, duties, follow_ups, cases, gates, observation, presence, evidence, rounds)
    silent = {"WorkerRegistered", "GateChecked", "RoundRecorded", "EvidenceDue"}
    silent |= {"RoundPlanned", "RosterFrozen", "RosterExtended", "StrangerAdded", "RoundUnsettled"}
    names = {event.__name__ for module in modules for event in module.EVENTS} - silent
    assert names | {"BuildingClosed", "BuildingOpened"} == set(RULES.notifications)
    assert set(RULES.notifications) <= {event.__name__ for event in EVENTS.values()}


def test_the_first_line_is_marked_for_who_reads() -> None:
    """So that it can stand on top."""
    message = told(RequestCreated(**world.created("r1", first_line=True, priority=60)))
    assert (message.told.first_line, message.told.priority) == (True, 60)


@pytest.mark.parametrize("text", ["{resident}", "{kind", "{0}"])
def test_a_template_with_unknown_words_is_refused_when_it_is_loaded(text: str) -> None:
    """Not at night, when the first such event comes."""
    with pytest.raises(ValidationError, match="can stand in braces"):
        Rule.model_validate({"to": "coordinator", "text": {"zh": text, "en": "ok"}})


def test_a_message_is_read_once_and_says_by_whom() -> None:
    """The second reader changes nothing."""
    decision = rules.acknowledge(told(offered()), world.ZHAO)
    assert decision is not None
    read, events = decision
    assert (read.unread, read.read_by) == (False, world.ZHAO)
    assert events[0].model_dump(include={"notification_id", "request_id", "worker"}) == {
        "notification_id": "n1",
        "request_id": "r1",
        "worker": world.ZHAO,
    }
    assert rules.acknowledge(read, world.SUN) is None


def test_an_unknown_message_cannot_be_read() -> None:
    """404, and nothing is made of it."""
    with pytest.raises(Refusal) as excinfo:
        rules.acknowledge(None, world.ZHAO)
    assert excinfo.value.status == 404
