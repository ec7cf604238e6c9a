"""What is known of a person: checked, put together when several tell of the same one, moved, merged."""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from stdnum.cn import ric
from stdnum.exceptions import InvalidComponent

from services.ledger.domain.register import Person
from shared.contracts.catalogue import Entry, Label
from shared.contracts.envelope import Slug
from shared.contracts.ledger import Description, PersonDetails, RegisterPerson
from shared.contracts.people import CorrectPerson
from shared.contracts.refusal import refusal

EARLIEST = date(1880, 1, 1)
_ROOM = re.compile(r"(\d{1,2})\d\d(室|号)?")
_LENGTH = 18
TELLING = ("id_number", "born")
"""Of the blind indexes, those that two people may share and one person never has two of."""

Days = Annotated[int, Field(ge=1, le=36_500)]
Subject = Literal["case", "round", "presence", "gate", "agreement", "money"]
"""What has a key of its own, as far as it is about nobody on the books."""


class Category(Entry):
    """What somebody is to be looked after for."""

    label: Label
    keep_days: Days | None = None


class SourceList(Entry):
    """A list that names people: by whom, and for what."""

    label: Label
    categories: Annotated[tuple[Slug, ...], Field(min_length=1)]


class PeopleCatalogue(Entry):
    """The catalogue `people.yaml`."""

    keep_days: Days
    keep_days_of: dict[Subject, Days] = Field(default_factory=dict[Subject, Days])
    categories: dict[Slug, Category]
    lists: dict[Slug, SourceList]

    @model_validator(mode="after")
    def _categories_exist(self) -> "PeopleCatalogue":
        for name, one in self.lists.items():
            if missing := set(one.categories) - self.categories.keys():
                raise ValueError(f"list {name} names {', '.join(sorted(missing))}, which is no category")
        return self

    def know(self, categories: Iterable[str], lists: Iterable[str], fields: tuple[str, str]) -> None:
        """Nothing, where all these are here; `fields` are the names under which they were told.

        Raises:
            Refusal: `unknown_category`, `unknown_list`.
        """
        for name in categories:
            if name not in self.categories:
                raise refusal(fields[0], "unknown_category", f"people.yaml has no category {name}")
        for name in lists:
            if name not in self.lists:
                raise refusal(fields[1], "unknown_list", f"people.yaml has no list {name}")

    def kept(self, categories: Sequence[str]) -> timedelta:
        """For how long somebody of these categories is remembered after leaving."""
        days = [one.keep_days for name in categories if (one := self.categories.get(name)) and one.keep_days]
        return timedelta(days=max(days, default=self.keep_days))

    def keeps(self, subject: Subject) -> timedelta:
        """For how long what is about nobody on the books can be opened after its end."""
        return timedelta(days=self.keep_days_of.get(subject, self.keep_days))


@dataclass(frozen=True, slots=True)
class Portrait:
    """All that is known of a person, opened."""

    community: str
    details: PersonDetails
    lives_alone: bool = False
    language: str | None = None
    needs: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    listed: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Checked:
    """What a registration says that not everything can be."""

    id_number: str | None
    birthday: date | None
    listed: dict[str, str]


def checked(command: RegisterPerson, catalogue: PeopleCatalogue, today: date) -> Checked:
    """Whether a registration says what can be.

    Raises:
        Refusal: `bad_id_number`, `bad_check_digit`, `impossible_birthday`, `birthday_differs`, `unknown_category`,
            `unknown_list`, `category_required`.
    """
    id_number = None if command.id_number is None else checked_id_number(command.id_number)
    birthday = _birthday(command, id_number, today)
    catalogue.know(command.categories, command.lists, ("categories", "lists"))
    return Checked(id_number, birthday, {name: _reason(name, command.categories, catalogue) for name in command.lists})


def portrait(command: RegisterPerson, catalogue: PeopleCatalogue, today: date) -> Portrait:
    """What a registration says.

    Raises:
        Refusal: it cannot be, see `checked`.
    """
    known = checked(command, catalogue, today)
    details = PersonDetails(
        address=command.address,
        name=command.name,
        phone=command.phone,
        other_phones=command.other_phones,
        birth_year=known.birthday.year if known.birthday else command.birth_year,
        birth_month=None if known.birthday else command.birth_month,
        contacts=command.contacts,
        id_number=known.id_number,
        birthday=known.birthday,
        hobbies=command.hobbies,
        illnesses=command.illnesses,
        keys=command.keys,
        gas_card=command.gas_card,
        heating_card=command.heating_card,
        note=command.note,
    )
    return Portrait(
        command.community,
        details,
        command.lives_alone,
        command.language,
        command.needs,
        command.categories,
        known.listed,
    )


def checked_id_number(text: str) -> str:
    """A resident identity number as it is written: 18 characters, the last a digit or `X` (GB 11643).

    Raises:
        Refusal: `bad_check_digit`, or `bad_id_number` for everything else.
    """
    number = text.strip().upper()
    if len(number) != _LENGTH or not (number[:-1].isascii() and number[:-1].isdigit()):
        raise refusal("id_number", "bad_id_number", "an identity number has 17 digits, and a digit or X at the end")
    if ric.calc_check_digit(number) != number[-1]:
        raise refusal("id_number", "bad_check_digit", "the last character does not fit the others")
    if not _possible(number[:10]):
        raise refusal("id_number", "bad_id_number", "no place ever had this number")
    return number


@lru_cache(maxsize=20_000)
def _possible(place_and_year: str) -> bool:
    """Whether the place was there in that year."""
    try:
        ric.get_birth_place(f"{place_and_year}01010000")
    except InvalidComponent:
        return False
    return True


def birthday_of(id_number: str) -> date:
    """The day that an identity number tells.

    Raises:
        ValueError: there is no such day.
    """
    return date(int(id_number[6:10]), int(id_number[10:12]), int(id_number[12:14]))


def _birthday(command: RegisterPerson, id_number: str | None, today: date) -> date | None:
    birthday = command.birthday
    if id_number is not None:
        try:
            told = birthday_of(id_number)
        except ValueError:
            raise refusal("id_number", "bad_id_number", "there is no such day as it tells") from None
        if birthday is not None and birthday != told:
            raise refusal("birthday", "birthday_differs", "the identity number tells another birthday")
        birthday = told
    if birthday is None:
        if command.birth_month is not None and command.birth_year is None:
            raise refusal("birth_year", "required", "say of which year the month is")
        if ((command.birth_year or 0), (command.birth_month or 0)) > (today.year, today.month):
            raise refusal("birth_year", "impossible_birthday", "that is still to come")
        return None
    if not EARLIEST <= birthday <= today:
        raise refusal("birthday", "impossible_birthday", "nobody alive was born on that day")
    if command.birth_year is not None and command.birth_year != birthday.year:
        raise refusal("birth_year", "birthday_differs", "the birthday tells another year")
    if command.birth_month not in (None, birthday.month):
        raise refusal("birth_month", "birthday_differs", "the birthday tells another month")
    return birthday


def _reason(name: str, categories: Sequence[str], catalogue: PeopleCatalogue) -> str:
    known = catalogue.lists[name]
    reason = next((one for one in categories if one in known.categories), None)
    if reason is None:
        raise refusal("categories", "category_required", f"say why: list {name} has {', '.join(known.categories)}")
    return reason


def floor_of(room: str | None) -> int | None:
    """The floor that a room's number tells: 5 for 502, 12 for 1203."""
    found = _ROOM.fullmatch(room or "")
    return int(found[1]) or None if found else None


def combined(before: Portrait, news: Portrait, named: AbstractSet[str] = frozenset()) -> Portrait:
    """What is known after news of somebody: the news, and what it does not speak of.

    Args:
        before: as known.
        news: as told.
        named: fields of which the news says all that there is: what it does not say there is known no more. All else
            is added.
    """
    told = {name: value for name, value in iter(news.details) if value not in (None, ()) or name in named}
    address = news.details.address
    known = before.details.address
    if address.building == known.building and not (address.unit and address.room):
        told["address"] = known.model_copy(update={k: v for k, v in dict(address).items() if v is not None})
    listed = news.listed if "lists" in named else {**before.listed, **news.listed}
    categories = news.categories if "categories" in named else _both(before.categories, news.categories)
    details = before.details.model_copy(update=told)
    return replace(
        before,
        details=details.model_copy(update=_born(details, before.details, news.details)),
        lives_alone=news.lives_alone or (before.lives_alone and "lives_alone" not in named),
        language=news.language or (None if "language" in named else before.language),
        needs=news.needs if "needs" in named else _both(before.needs, news.needs),
        categories=_both(categories, tuple(listed.values())),
        listed=listed,
    )


def corrected(before: Portrait, command: CorrectPerson, catalogue: PeopleCatalogue, today: date) -> Portrait:
    """What is known after a correction.

    Raises:
        Refusal: it cannot be, see `checked`.
    """
    named = set(command.model_fields_set)
    said = {name: getattr(command, name) for name in Description.model_fields}
    said |= {"address": before.details.address, "name": command.name or before.details.name}
    known: dict[str, Any] = {"id_number": before.details.id_number}
    if named & {"categories", "lists"}:
        known |= {"categories": before.categories, "lists": tuple(before.listed)}
    said |= {name: value for name, value in known.items() if name not in named}
    named |= known.keys()
    news = portrait(RegisterPerson.model_construct(community=before.community, **said), catalogue, today)
    kept = {name: why for name, why in before.listed.items() if name in news.listed and why in news.categories}
    return combined(before, replace(news, listed={**news.listed, **kept}), named)


def _born(now: PersonDetails, before: PersonDetails, news: PersonDetails) -> dict[str, object]:
    """Birthday, month and year that go together: the identity number decides, else what is newer."""
    birthday = now.birthday if now.id_number is None else birthday_of(now.id_number)
    if now.id_number is None and news.birth_year not in (None, before.birth_year):
        return {"birthday": news.birthday, "birth_month": news.birth_month}
    if birthday is None:
        return {}
    if now.id_number is None and news.birth_month not in (None, birthday.month):
        return {"birthday": None}
    return {"birthday": birthday, "birth_year": birthday.year, "birth_month": None}


def _both(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def agree(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether two who are found by the same phone or door may be one: nothing that both tell speaks against it."""
    return all(one[name] == other[name] for name in TELLING if name in one and name in other)


def registered(person: Person | None, community: str | None = None) -> Person:
    """Somebody on the books, of that community if one is told.

    Raises:
        Refusal: 404 nobody there has this id.
    """
    if person is None or community not in (None, person.facts.community):
        raise refusal("person_id", "unknown_person", "there is no person of this id", status=404)
    return person


def known_person(person: Person | None) -> Person:
    """Raises:
    Refusal: 404 nobody has this id, 410 this person was erased.
    """
    person = registered(person)
    if person.erased:
        raise refusal("person_id", "erased", "what was known of this person was erased", status=410)
    return person


def age(details: PersonDetails, today: date) -> int | None:
    """Years; by the month or year of birth alone, the age that is reached in this one."""
    born = details.birthday
    if born is not None:
        return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
    if details.birth_year is None:
        return None
    return today.year - details.birth_year - (today.month < (details.birth_month or 1))


def masked_name(name: str) -> str:
    """`李**` for 李奶奶."""
    return name[:1] + "*" * max(len(name) - 1, 1)


def masked_number(number: str | None) -> str | None:
    """`138****0000` for 13800000000."""
    if number is None:
        return None
    digits = re.sub(r"\D", "", number)[-11:]
    return f"{digits[:3]}****{digits[-4:]}" if len(digits) >= 8 else "****"
