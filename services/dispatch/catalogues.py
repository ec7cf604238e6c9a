"""The catalogues that dispatch decides by."""

from dataclasses import dataclass
from pathlib import Path

from services.dispatch.domain.places import Distances, Places, distances
from shared.catalogue import CatalogueError, line_of, load
from shared.contracts.catalogue import AbilityCatalogue, Kinds


@dataclass(frozen=True, slots=True)
class Catalogues:
    """What operators say about kinds of help, abilities and places."""

    kinds: Kinds
    abilities: AbilityCatalogue
    distances: dict[str, Distances]
    """By community."""


def catalogues(folder: Path) -> Catalogues:
    """Those of a folder.

    Raises:
        CatalogueError: one of them is missing or wrong, or names what another does not have.
    """
    kinds = load(folder / "kinds.yaml", Kinds)
    abilities = load(folder / "abilities.yaml", AbilityCatalogue)
    if missing := kinds.skills_missing(abilities):
        raise CatalogueError("\n".join(f"{folder / 'kinds.yaml'}: {line}" for line in missing))
    path = folder / "places.yaml"
    places = load(path, Places)
    shops = [("communities", name, "shops", kind) for name, one in places.communities.items() for kind in one.shops]
    if unknown := [where for where in shops if where[-1] not in kinds.kinds]:
        raise CatalogueError(
            "\n".join(
                f"{path}:{line_of(path, where)}: {'.'.join(where)}: kinds.yaml has no such kind" for where in unknown
            )
        )
    return Catalogues(kinds, abilities, {name: distances(one) for name, one in places.communities.items()})
