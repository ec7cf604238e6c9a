"""Why something was refused, in one form for HTTP and AMQP."""

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import ValidationError

from shared.contracts.envelope import BODY_LIMIT, EVENT_LIMIT, Contract, Event, Problem
from shared.contracts.refusal import Refusal, refusal

C = TypeVar("C", bound=Contract)


_CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "json_invalid": "not_json",
    "finite_number": "not_finite",
    "string_pattern_mismatch": "bad_format",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_many",
    "literal_error": "not_allowed",
    "value_error": "not_allowed",
}


def problems_of(error: ValidationError) -> tuple[Problem, ...]:
    """What pydantic found, at most 20, without the values that were sent: those may be personal."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return tuple(
        Problem(
            field=".".join(str(part) for part in one["loc"]),
            code=_CODES.get(one["type"], "wrong_type" if one["type"].endswith("_type") else one["type"]),
            # What our own validators say needs no word about where it comes from.
            message=one["msg"].removeprefix("Value error, "),
        )
        for one in found[:20]
    )


def parse(contract: type[C], body: bytes) -> C:
    """The body as a contract. Of an event, what a newer publisher added is passed over, wherever in it that stands.

    Raises:
        Refusal: it is too large, not JSON, or not of that shape; every problem names its field.
    """
    is_event = issubclass(contract, Event)
    if len(body) > (limit := EVENT_LIMIT if is_event else BODY_LIMIT):
        raise refusal("", "too_large", f"the body has {len(body)} bytes; at most {limit} are taken", status=413)
    try:
        return contract.model_validate_json(body, extra="ignore" if is_event else None)
    except ValidationError as error:
        raise Refusal(*problems_of(error)) from None


def as_json(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    """Problems as plain data."""
    return [problem.model_dump() for problem in problems]
