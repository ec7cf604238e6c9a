"""Who may do what: a role, and a place that a token is good for."""

import pytest

from shared.access import Principal, fingerprint
from shared.contracts.refusal import Refusal
from tests.world import TIEBEI


@pytest.mark.parametrize(
    ("community", "grids", "place", "covered"),
    [
        (None, (), (TIEBEI, "g1"), True),
        (None, (), (None, None), True),
        (TIEBEI, (), (TIEBEI, "g1"), True),
        (TIEBEI, (), (TIEBEI, None), True),
        (TIEBEI, (), ("other", "g1"), False),
        (TIEBEI, (), (None, None), False),
        (TIEBEI, ("g1", "g2"), (TIEBEI, "g2"), True),
        (TIEBEI, ("g1",), (TIEBEI, "g2"), False),
        (TIEBEI, ("g1",), (TIEBEI, None), False),
        (TIEBEI, ("g1",), ("other", "g1"), False),
    ],
)
def test_a_token_is_good_for_its_place_alone(
    community: str | None, grids: tuple[str, ...], place: tuple[str | None, str | None], covered: bool
) -> None:
    """No community: everywhere. No grids: the whole community."""
    assert Principal(name="x", role="volunteer", community=community, grids=grids).covers(*place) is covered


def test_a_role_that_may_not_is_refused_with_403() -> None:
    """By its name."""
    volunteer = Principal(name="x", role="volunteer")
    volunteer.require("operator", "volunteer")
    with pytest.raises(Refusal, match="role volunteer may not") as excinfo:
        volunteer.require("operator", "coordinator")
    assert excinfo.value.status == 403


def test_only_operators_and_coordinators_lead() -> None:
    """Nobody else speaks for others."""
    roles = ("operator", "coordinator", "grid_worker", "volunteer", "rider", "partner", "source")
    assert [role for role in roles if Principal(name="x", role=role).leads()] == ["operator", "coordinator"]


def test_what_is_kept_of_a_token_does_not_tell_it() -> None:
    """SHA-256, as hexadecimal digits."""
    assert len(fingerprint("ds_secret")) == 64
    assert "secret" not in fingerprint("ds_secret")
