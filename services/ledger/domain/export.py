"""Lists of people going out: the same columns as come in, and nothing that a spreadsheet would compute."""

from collections.abc import Iterable, Mapping, Sequence

from services.ledger.domain.cells import BETWEEN
from services.ledger.domain.imports import Imports, Spelled
from services.ledger.domain.people import PeopleCatalogue, Portrait

_LEFT_OUT = ("address", "birth_year")
"""What other columns say."""
_NOT_HELD = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])
"""What XML cannot say."""
_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def fields(imports: Imports) -> list[str]:
    """The columns, in the order of the catalogue."""
    return [name for name in imports.mappings["usual"] if name not in _LEFT_OUT]


def headings(imports: Imports, names: Sequence[str]) -> list[str]:
    """What stands above the columns."""
    return [imports.mappings["usual"][name][0] for name in names]


def row(known: Portrait, names: Sequence[str], imports: Imports, people: PeopleCatalogue) -> list[str]:
    """One person's cells, as they are read; a spreadsheet gets them `defused`."""
    details, address = known.details, known.details.address
    said: Mapping[str, str | None] = {
        "name": details.name,
        "id_number": details.id_number,
        "phone": _several(filter(None, (details.phone, *details.other_phones))),
        "building": address.building,
        "unit": address.unit,
        "room": address.room,
        "birthday": _birthday(known),
        "lives_alone": imports.affirmed[0] if known.lives_alone else imports.denied[0],
        "language": _spelled(known.language, imports.languages),
        "needs": _several(_spelled(one, imports.needs) for one in known.needs),
        "categories": _several(people.categories[one].label.zh for one in known.categories if one in people.categories),
        "lists": _several(people.lists[one].label.zh for one in known.listed if one in people.lists),
        "contact_name": _several(one.name.replace(BETWEEN, ",") for one in details.contacts),
        "contact_phone": _several(one.phone for one in details.contacts),
        "contact_relation": _several(one.relation.replace(BETWEEN, ",") for one in details.contacts),
        "illnesses": _several(details.illnesses),
        "hobbies": _several(details.hobbies),
        "keys": details.keys,
        "gas_card": details.gas_card,
        "heating_card": details.heating_card,
        "note": details.note,
    }
    return [said[name] or "" for name in names]


def _several(texts: Iterable[str]) -> str:
    return BETWEEN.join(texts)


def _spelled(code: str | None, names: Spelled) -> str:
    return names.get(code or "", (code or "",))[0]


def _birthday(known: Portrait) -> str | None:
    details = known.details
    if details.birthday is not None:
        return details.birthday.isoformat()
    if details.birth_year is None:
        return None
    return f"{details.birth_year}{details.birth_month:02}" if details.birth_month else str(details.birth_year)


def defused(text: str) -> str:
    """A text that any spreadsheet can hold, and none takes for a formula.

    The mark before it is taken away when it comes in again.
    """
    text = text.translate(_NOT_HELD)
    return f"'{text}" if text.startswith(_DANGEROUS) else text
