"""Lists that committees keep: the words in which they are written, and how far one is on its way into the register."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from shared.contracts.catalogue import Entry
from shared.contracts.envelope import Slug
from shared.contracts.rounds import Ending

TOLD = 1000
"""Mistakes of one file that are kept and told one by one; the others are counted."""

TEXTS = ("illnesses", "hobbies")
"""Fields of which each value is written as it comes."""
MANY = (*TEXTS, "needs", "lists", "categories")
"""Fields of several values."""
CONTACT = ("contact_name", "contact_phone", "contact_relation")
AS_IT_IS = ("name", "id_number", "keys", "gas_card", "heating_card", "note")
_PLACE = ("building", "unit", "room", "address")
_READ = ("phone", "birthday", "birth_year", "lives_alone", "language")
FIELDS = frozenset((*AS_IT_IS, *_PLACE, *_READ, *CONTACT, *MANY))

RecordField = Literal["name", "phone", "building", "unit", "room", "address", "at", "point", "outcome", "card", "note"]


Spelled = dict[Slug, Annotated[tuple[str, ...], Field(min_length=1)]]


class RecordLists(Entry):
    """Lists of a round."""

    columns: dict[RecordField, tuple[str, ...]]
    outcomes: dict[Ending, tuple[str, ...]]


class Imports(Entry):
    """The catalogue `imports.yaml`."""

    records: RecordLists
    mappings: dict[Slug, dict[str, tuple[str, ...]]]
    passed_over: tuple[str, ...]
    affirmed: tuple[str, ...]
    denied: tuple[str, ...]
    totals: tuple[str, ...]
    languages: Spelled = Field(default_factory=dict[Slug, tuple[str, ...]])
    needs: Spelled = Field(default_factory=dict[Slug, tuple[str, ...]])
    """By code: how it is written; the first is what goes out. A code without one is written as it is."""
    relation: str
    contacts: tuple[str, ...] = ()
    """What stands over the columns of whom to call."""
    printed: tuple[str, ...]
    """Columns of a list on paper, in this order."""

    @model_validator(mode="after")
    def _fields_exist(self) -> "Imports":
        for name, one in self.mappings.items():
            if unknown := one.keys() - FIELDS:
                raise ValueError(f"mapping {name} names {', '.join(sorted(unknown))}, which nothing is entered as")
            if "name" not in one:
                raise ValueError(f"mapping {name} has no column for name")
        if unknown := set(self.printed) - self.mappings.get("usual", {}).keys():
            raise ValueError(f"printed names {', '.join(sorted(unknown))}, for which the usual mapping has no column")
        return self


class RowProblem(BaseModel):
    """What is wrong with one row; never what stands in it."""

    row: int
    """As the file counts them, from 1."""
    column: str
    """What stands above it; the field's name where there is no such column."""
    code: str
    sheet: str | None = None
    """Where the file has several."""


class Import(BaseModel):
    """One file on its way into the register."""

    import_id: str
    community: str
    rows: int
    chunks: int
    done: int = 0
    """Chunks that are entered."""
    entered: int = 0
    """Rows that are entered: `new`, `changed` and `same`."""
    new: int = 0
    changed: int = 0
    same: int = 0
    wrong: int = 0
    problems: list[RowProblem] = []
    """The first of what was wrong."""
    open: bool = True
    by: str = ""


def go_on(
    known: Import | None, first: int, chunks: int, counts: Mapping[str, int]
) -> tuple[Import, Sequence[Any]] | None:
    """So many chunks from the first on are entered; None if that was known."""
    if known is None or known.done > first:
        return None
    kinds = ("new", "changed", "same", "wrong")
    update: dict[str, Any] = {name: getattr(known, name) + counts.get(name, 0) for name in kinds}
    entered, done = known.entered + sum(counts.get(name, 0) for name in kinds[:3]), first + chunks
    return known.model_copy(update={**update, "entered": entered, "done": done, "open": done < known.chunks}), ()
