"""A register made again of what its entries say: pure. What an event says is applied; nothing is decided anew."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Literal, TypeVar, cast

from pydantic import BaseModel, ValidationError

from shared.contracts.envelope import Event, to_milliseconds

S = TypeVar("S", bound=BaseModel)

Told = Mapping[str, Any]
"""What events say of a state, by field; a field of which they say nothing is not there."""

Verdict = Literal["equal", "missing", "differing", "unfounded", "under_way"]
"""`unfounded`: no event ever spoke of it. `under_way`: an event of it is not entered yet, so nothing can be said."""


@dataclass(frozen=True, slots=True)
class Register(Generic[S]):
    """How one register is made again."""

    model: type[S]
    events: tuple[type[Event], ...]
    name_of: Callable[[Any], str]
    """The id of the document that an event of these is about."""
    retold: Callable[[Told, Event], Told]
    """What is told after one more event."""
    working: frozenset[str] = frozenset()
    """Fields that no event need say: they are not compared."""
    silent: bool = False
    """A document may be begun without an event."""
    as_told: Callable[[S], S] = lambda state: state
    """A stored state as events speak of it."""
    going_on: Callable[[S, datetime], S] = lambda state, _: state
    """With its working fields such that the work goes on from now."""


def told_by(register: Register[Any], events: Sequence[Event]) -> Told:
    """What all events of one document say, in their order."""
    told: Told = {}
    for event in events:
        if isinstance(event, register.events):
            told = register.retold(told, event)
    return told


def differing(register: Register[Any], stored: BaseModel, told: Told) -> tuple[str, ...]:
    """Names of the fields in which a stored state is not what was told."""
    stands = register.as_told(stored)
    return tuple(
        name
        for name in register.model.model_fields
        if name in told
        and name not in register.working
        and plain(getattr(stands, name), register.working) != plain(told[name], register.working)
    )


def restored(register: Register[S], stored: S | None, told: Told, now: datetime) -> S | None:
    """The state as it was told, the rest as it is stored; None: what was told is not enough to make one."""
    known = {} if stored is None else dict(stored)
    wrong = set(register.model.model_fields if stored is None else differing(register, stored, told))
    if "state" in wrong:
        # What is being done with it is what follows from that.
        wrong |= register.working
    try:
        state = register.model.model_validate({**known, **{name: told[name] for name in wrong if name in told}})
    except ValidationError:
        return None
    return register.going_on(state, now)


def plain(value: Any, without: frozenset[str] = frozenset()) -> Any:
    """A value as it can be compared: times in UTC to the millisecond that documents keep, models as what they hold."""
    if isinstance(value, datetime):
        return to_milliseconds(value.astimezone(UTC))
    held: Any = dict(value) if isinstance(value, BaseModel) else value
    if isinstance(held, Mapping):
        named = cast("Mapping[str, Any]", held)
        return {name: plain(one, without) for name, one in named.items() if name not in without}
    if isinstance(held, (list, tuple)):
        return [plain(one, without) for one in cast("Sequence[Any]", held)]
    return held


def said(**fields: Any) -> Told:
    """Those that have a value: an event of before does not speak of them."""
    return {name: value for name, value in fields.items() if value is not None}


def but(told: Told, *names: str) -> dict[str, Any]:
    """Without these fields: from now on nobody knows what they are."""
    return {name: value for name, value in told.items() if name not in names}
