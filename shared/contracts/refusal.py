"""How a rule says no."""

from shared.contracts.envelope import Problem


class Refusal(Exception):
    """A command that is not carried out; nothing was changed.

    Args:
        problems: each with field, code and message.
        status: the HTTP status that fits: 404 unknown, 409 conflict, 422 not acceptable, …
    """

    def __init__(self, *problems: Problem, status: int = 422) -> None:
        self.problems = problems
        self.status = status
        super().__init__("; ".join(f"{problem.field or 'body'}: {problem.message}" for problem in problems))


def refusal(field: str, code: str, message: str, *, status: int = 422) -> Refusal:
    """A refusal for one reason."""
    return Refusal(Problem(field=field, code=code, message=message), status=status)
