"""Invents the people behind a door: families, people on their own, old people living alone, newcomers.

Phones start with +86 100 0000: no Chinese number does, neither mobile nor fixed.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from deploy.demo import words
from shared.contracts.intake import Address
from shared.contracts.ledger import FamilyContact, RegisterPerson

SOURCE = "demo"
THIS_YEAR = 2026
"""Ages are counted from here, so that the community is the same in every year in which it is made."""

CHILD = 10
"""Age in years under which nobody has a phone."""


@dataclass(frozen=True, slots=True)
class Home:
    """One door."""

    building: str
    unit: str
    room: str

    def address(self) -> Address:
        return Address(building=self.building, unit=self.unit, room=self.room)

    def __str__(self) -> str:
        return f"{self.building}-{self.unit}-{self.room}"


class People:
    """Invents households one after the other; phones never repeat."""

    def __init__(self, rng: random.Random, community: str) -> None:
        self._rng = rng
        self._community = community
        self._phones = (f"+86 100 0000 {number:04d}" for number in count(1))

    def family(self, home: Home, size: int) -> tuple[RegisterPerson, ...]:
        """Grown-ups first, then children, then grandparents, as many as the size asks for."""
        surname = self._surname()
        ages = tuple(self._ages(size))
        names = self._distinct(
            [surname if index != 1 else self._surname() for index in range(size)],
            [index % 2 == 0 for index in range(size)],
        )
        return tuple(
            self._person(home, index, name, age, lives_alone=size == 1)
            for index, (name, age) in enumerate(zip(names, ages, strict=True), 1)
        )

    def old_and_alone(self, home: Home) -> tuple[RegisterPerson, ...]:
        """One person of 78 to 94 years, with one or two of the family who live elsewhere."""
        surname = self._surname()
        relations = self._rng.sample(words.RELATIONS, self._rng.choice((1, 2)))
        contacts = tuple(
            FamilyContact(
                name=self._name(surname, man=relation in ("son", "nephew")), phone=next(self._phones), relation=relation
            )
            for relation in relations
        )
        name = self._name(surname, man=self._rng.random() < 0.3)
        return (self._person(home, 1, name, self._rng.randint(78, 94), lives_alone=True, contacts=contacts),)

    def newcomers(self, home: Home, size: int) -> tuple[RegisterPerson, ...]:
        """A household that reads no Chinese."""
        language = self._rng.choice(words.LANGUAGES)
        first_names = self._rng.sample(words.SAMPLES, size)
        return tuple(
            self._person(home, index, f"{first} Sample", age, lives_alone=size == 1, language=language)
            for index, (first, age) in enumerate(zip(first_names, self._ages(size), strict=True), 1)
        )

    def _ages(self, size: int) -> Iterator[int]:
        head = self._rng.randint(24, 58)
        partner = head + self._rng.randint(-4, 4)
        child = self._rng.randint(0, min(head - 22, 20))
        rest = (child, head + self._rng.randint(23, 30), partner + self._rng.randint(23, 30), max(child - 3, 0))
        yield from (head, partner, *rest)[:size]

    def _distinct(self, surnames: list[str], men: list[bool]) -> list[str]:
        """Names for one door, no two alike: door and name together recognise a person."""
        names: list[str] = []
        for surname, man in zip(surnames, men, strict=True):
            name = self._name(surname, man=man)
            while name in names:
                name = self._name(surname, man=man)
            names.append(name)
        return names

    def _surname(self) -> str:
        return self._rng.choice(words.SURNAMES)

    def _name(self, surname: str, *, man: bool) -> str:
        return f"{surname}{self._rng.choice(words.MEN if man else words.WOMEN)}{words.MARK}"

    def _person(
        self,
        home: Home,
        index: int,
        name: str,
        age: int,
        *,
        lives_alone: bool,
        language: str = "zh",
        contacts: tuple[FamilyContact, ...] = (),
    ) -> RegisterPerson:
        return RegisterPerson(
            source=SOURCE,
            source_id=f"{home}-{index}",
            community=self._community,
            address=home.address(),
            name=name,
            phone=next(self._phones) if age >= CHILD else None,
            birth_year=THIS_YEAR - age,
            lives_alone=lives_alone,
            language=language,
            contacts=contacts,
        )
