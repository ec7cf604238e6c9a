"""Messages in: what was raised in the residents' council. Each topic is a case with an owner, and owed an answer."""

import asyncio

from services.ledger.cases.handlers import put_case
from services.ledger.domain import council as rules
from services.ledger.house import Ledger
from shared.consumer import Router
from shared.contracts.council import CouncilAnswer, RecordCouncil, TopicAnswer
from shared.contracts.envelope import Meta
from shared.identity import derived_id

router: Router[Ledger] = Router("ledger")


@router.command(RecordCouncil)
async def record(house: Ledger, command: RecordCouncil, meta: Meta) -> CouncilAnswer:
    """Each topic becomes a case, once however often it is told. Either all of them can be, or none is opened."""
    now = house.runtime.clock()
    owners = await house.store.cases.known_workers({one.owner for one in command.topics})
    rules.check(command, owners, now)
    held = command.held or now
    topics = [
        rules.case_of(command, one, derived_id("case", rules.SOURCE, rules.named(command, one)), house.cases.council)
        for one in command.topics
    ]
    answers = await asyncio.gather(*(put_case(house, one, meta, held) for one in topics))
    told = tuple(
        TopicAnswer(topic_id=one.topic_id, case_id=answer.case_id, status=answer.status, state=answer.state)
        for one, answer in zip(command.topics, answers, strict=True)
    )
    fresh = any(one.status == "accepted" for one in told)
    return CouncilAnswer(status="accepted" if fresh else "duplicate", council_id=command.council_id, topics=told)
