"""The residents' council: which case a topic is, and which list of topics cannot be."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime

from shared.contracts.cases import OpenCase
from shared.contracts.council import CouncilTopic, RecordCouncil
from shared.contracts.envelope import Problem
from shared.contracts.refusal import Refusal

SOURCE = "council"


def check(command: RecordCouncil, owners: Collection[str], now: datetime) -> None:
    """Nothing, where every topic can be a case.

    Args:
        command: what was raised.
        owners: those of the topics' owners who are registered.
        now: the time.

    Raises:
        Refusal: every topic that cannot be is named.
    """
    often = Counter(one.topic_id for one in command.topics)
    problems = [
        problem
        for number, one in enumerate(command.topics)
        for problem in _wrong(f"topics.{number}", one, owners, twice=often[one.topic_id] > 1)
    ]
    if command.held is not None and command.held > now:
        problems.append(Problem(field="held", code="in_the_future", message="it has not met yet"))
    if problems:
        raise Refusal(*problems)


def within(community: str, council_id: str) -> str:
    """How the ids of a meeting's topics begin."""
    return f"{community}/{council_id}/"


def named(command: RecordCouncil, topic: CouncilTopic) -> str:
    """The id of a topic among all that councils raised."""
    return within(command.community, command.council_id) + topic.topic_id


def case_of(command: RecordCouncil, topic: CouncilTopic, case_id: str, kind: str) -> OpenCase:
    """The case that a topic is."""
    return OpenCase(
        case_id=case_id,
        community=command.community,
        building=topic.building,
        kind=kind,
        title=topic.title,
        text=topic.text,
        owner=topic.owner,
        parties=topic.parties,
        source=SOURCE,
        source_id=named(command, topic),
        urgent=topic.urgent,
    )


def _wrong(field: str, one: CouncilTopic, owners: Collection[str], *, twice: bool) -> list[Problem]:
    found: list[Problem] = []
    if one.owner not in owners:
        message = f"nobody is registered as {one.owner}"
        found.append(Problem(field=f"{field}.owner", code="unknown_worker", message=message))
    if twice:
        message = f"two topics are called {one.topic_id}"
        found.append(Problem(field=f"{field}.topic_id", code="twice", message=message))
    return found
