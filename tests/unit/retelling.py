"""What happened to one document of a register, by its rules; and the register made again of it."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel

from services.ledger.domain.rebuilding import Told, differing, plain, restored, told_by
from services.ledger.domain.register import Overtaken
from services.ledger.domain.registers import REGISTERS, about
from shared.contracts import EVENTS
from shared.contracts.envelope import Event
from shared.contracts.refusal import Refusal
from tests.unit.tasks import NINE

Do = Callable[[Any, datetime], Any]
"""A rule, with what is as it is and the time now."""


def lived(dos: Sequence[Do]) -> tuple[Any, list[Event]]:
    """What comes of all of them, one minute after the other; and the events, as they are read from their entries."""
    state, entered = None, []
    for minute, do in enumerate(dos):
        try:
            decision = do(state, NINE + timedelta(minutes=minute, microseconds=500))
        except (Refusal, Overtaken):
            continue
        if decision is not None:
            state, events = decision
            entered += [EVENTS[one.wire].model_validate_json(one.model_dump_json(by_alias=True)) for one in events]
    return state, entered


def comes_out(
    name: str, state: BaseModel | None, entered: Sequence[Event], untold: frozenset[str] = frozenset()
) -> Told:
    """The register comes out of the events as it is, and all of it."""
    kept = REGISTERS[name]
    told = told_by(kept, entered)
    if state is None:
        assert told == {}
        return told
    assert {about(one) for one in entered} == {f"{name}/{kept.name_of(entered[0])}"}
    assert differing(kept, state, told) == ()
    assert set(kept.model.model_fields) - kept.working - untold <= told.keys()
    made = restored(kept, None, told, NINE)
    assert made is not None
    ignored = kept.working | untold
    assert plain(made, ignored) == plain(kept.as_told(kept.model.model_validate(dict(state))), ignored)
    return told


def some(*dos: Do) -> st.SearchStrategy[list[Do]]:
    return st.lists(st.sampled_from(dos), max_size=12)
