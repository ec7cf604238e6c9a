"""A round over what waits, with the greedy rule; it looks at what the rounds of the running service look at."""

from datetime import datetime

from deploy.simulation.records import Records
from services.dispatch.domain.choosing import greedy
from services.dispatch.domain.places import Distances
from services.dispatch.domain.rounds import hands, waiting
from services.dispatch.domain.walks import Choice, Round


def choices(records: Records, distances: Distances, now: datetime, *, urgent: bool) -> tuple[Choice, ...]:
    """Who is to be asked for each task that waits; what is urgent is chosen for by itself."""
    waits = [(one, one.facts) for one in records.waits.values() if one.facts is not None]
    part = [(one, facts) for one, facts in waits if (facts.urgency == "urgent") == urgent]
    if not part:
        return ()
    full = records.full()
    round_ = Round(
        tuple(waiting(one, facts, records.need(facts), records.helpers, now, distances) for one, facts in part),
        tuple(hands(one, records.work_of(one.worker_id)) for one in records.helpers if one.worker_id not in full),
        distances,
    )
    return greedy(round_).choices
