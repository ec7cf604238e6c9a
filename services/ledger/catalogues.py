"""What one catalogue of the ledger names, another must have."""

from collections.abc import Iterator
from pathlib import Path

from services.ledger.domain.follow_ups import Rules
from shared.catalogue import CatalogueError, line_of
from shared.contracts.catalogue import Kinds, ObservationCatalogue


def fit(folder: Path, kinds: Kinds, rules: Rules, observation: ObservationCatalogue) -> None:
    """Nothing, where every kind of help that is named is one of `kinds.yaml`.

    Raises:
        CatalogueError: one is not, with its file and line.
    """
    named = [("observation.yaml", ("kind",), observation.kind), *_named(rules)]
    if unknown := [one for one in named if one[2] not in kinds.kinds]:
        raise CatalogueError(
            "\n".join(
                f"{folder / file}:{line_of(folder / file, where)}: {'.'.join(map(str, where))}: "
                f"kinds.yaml has no kind {kind}"
                for file, where, kind in unknown
            )
        )


def _named(rules: Rules) -> Iterator[tuple[str, tuple[int | str, ...], str]]:
    for kind, tries in rules.kinds.items():
        yield "follow-ups.yaml", ("kinds", kind), kind
        for number, one in enumerate(tries):
            if one.request is not None:
                yield "follow-ups.yaml", ("kinds", kind, number, "request"), one.request
