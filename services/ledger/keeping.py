"""Under which key something is sealed: the person's whom it is about, or its own, which ends some day."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, cast

from services.ledger.domain import keeping as rules
from services.ledger.domain.keeping import Kept
from services.ledger.domain.people import Subject
from services.ledger.house import Ledger
from shared.aggregates import Aggregates
from shared.sealing import Sealer

AT_ONCE = 200
"""Keys looked at in one round."""
Sealers = Callable[[str | None], Sealer]
"""By the id of whom it is about; None: nobody on the books."""


async def sealers_of(
    house: Ledger,
    subject: str,
    whom: Collection[str | None],
    *,
    make: bool = False,
    since: datetime | None = None,
) -> Sealers:
    """What seals and opens what is told of a subject such as `case:1`, in one question however many it is about.

    Args:
        house: the service.
        subject: whose key it is that seals what is about nobody on the books, or about somebody erased.
        whom: ids of those of whom anything is to be sealed or opened; None: nobody on the books.
        make: make what keys are missing, to seal with them.
        since: from when the days of a new key of the subject are counted; now unless told.
    """
    if not whom:
        return lambda _: house.runtime.sealer
    keys, people = house.store.keys, {one for one in whom if one is not None}
    found = await keys.of({subject, *people})
    if make:
        known = await house.store.people_by_id(without) if (without := sorted(people - found.keys())) else {}
        missing: dict[str, datetime | None] = {name: None for name, one in known.items() if not one.erased}
        if subject not in found and not {*found, *missing} >= set(whom):
            missing[subject] = (since or house.runtime.clock()) + house.categories.keeps(_kind(subject))
        found |= await keys.make(missing) if missing else {}
    beside = keys.under(subject, found[subject]) if subject in found else house.runtime.sealer
    own = {one: keys.under(one, found[one], beside) for one in people if one in found}
    return lambda person_id: own.get(person_id or "", beside)


async def sealer_of(house: Ledger, subject: str, person_id: str | None = None, *, make: bool = False) -> Sealer:
    """The same, where it is about one person, or about nobody on the books."""
    return (await sealers_of(house, subject, [person_id], make=make))(person_id)


async def forget(house: Ledger) -> int:
    """Destroy the keys of what is long over; how many were looked at. What is still open is looked at again later."""
    now, keys = house.runtime.clock(), house.store.keys
    due = await keys.over(now, AT_ONCE)
    known = await _subjects(house, due)
    until = {name: rules.kept_until(one, house.categories.keeps(_kind(name)), now) for name, one in known.items()}
    later = {name: ends for name, ends in until.items() if ends > now}
    await asyncio.gather(*(keys.keep(name, ends) for name, ends in later.items()))
    await keys.destroy([name for name in due if name not in later])
    return len(due)


async def _subjects(house: Ledger, names: Collection[str]) -> dict[str, Kept]:
    """What these keys are of, kind by kind in one question. A day at the gates is no document."""
    store, wanted = house.store, defaultdict[str, list[str]](list)
    kept: dict[str, Aggregates[Any]] = {
        "case": store.cases.all,
        "round": store.rounds.all,
        "presence": store.presences.all,
        "agreement": store.cases.agreements,
        "money": store.money.all,
    }
    for name in names:
        kind, _, of = name.partition(":")
        wanted[kind].append(of)
    return {
        f"{kind}:{one['_id']}": every.state(one)
        for kind, every in kept.items()
        if wanted[kind]
        for one in await every.collection.find({"_id": {"$in": wanted[kind]}}, fields={"history": 0})
    }


def _kind(subject: str) -> Subject:
    return cast(Subject, subject.partition(":")[0])
