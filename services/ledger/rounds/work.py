"""Times of rounds that come: rosters are taken down, and those missing at the end are looked for."""

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial

import structlog

from services.ledger.domain import rosters, rounds, sheets
from services.ledger.domain.rounds import Round
from services.ledger.domain.sheets import Entrance, Member, Sheet
from services.ledger.house import Ledger
from services.ledger.rounds import guests
from services.ledger.rounds.handlers import apply, close_sheet, look_again, put_sheet
from services.ledger.rounds.walks import send
from shared.contracts.envelope import Meta
from shared.contracts.rounds import OpenRound
from shared.documents import Occupied

log = structlog.get_logger(__name__)

DUE_AT_ONCE = 20
BUILDINGS_AT_ONCE = 60
"""Buildings put on sheets before it is written down how far that is."""
SHEETS_AT_ONCE = 100


async def work(house: Ledger) -> int:
    """Go on with the rounds with which something is to be done; how many went on."""
    due, gone_on = await house.store.rounds.due(house.runtime.clock(), DUE_AT_ONCE), 0
    for round_id in due:
        known = await house.store.rounds.all.get(round_id)
        if known is None:
            continue
        try:
            gone_on += await _go_on(house, known)
        except Occupied as error:
            # Somebody moved from one building to another while both were taken down: these are, again, the next time.
            log.warning("will take down these buildings again", round_id=round_id, reason=str(error))
    return gone_on


async def apply_again(house: Ledger) -> int:
    """Apply lists that a crash left; how many these are."""
    now = house.runtime.clock()
    left = await house.store.rounds.not_applied(now, DUE_AT_ONCE)
    for told in left:
        known = await house.store.rounds.all.get(told.round_id)
        if known is not None:
            await apply(house, known.facts, told, Meta(f"again:{told.report_id}", "", "ledger", now, told.round_id))
    return len(left)


async def _go_on(house: Ledger, known: Round) -> bool:
    """False: there is nothing to go on with."""
    now, store = house.runtime.clock(), house.store.rounds.all
    cause = Meta(f"round:{known.state}:{known.reached}", "", "ledger", now, known.told.round_id)
    match known.state:
        case "planned":
            await store.update(known.told.round_id, lambda one: rounds.begin(one, now), cause)
        case "opening":
            await _take_down(house, known, cause)
        case "open" if known.walking:
            await _send(house, known, cause)
        case "open":
            await store.update(known.told.round_id, lambda one: rounds.close(one, now), cause)
        case "closing":
            await _close(house, known, cause)
        case _:
            return False
    return True


async def _take_down(house: Ledger, known: Round, cause: Meta) -> None:
    """Put those of the next buildings on sheets. What a crash left is made again."""
    told, store = known.told, house.store.rounds
    frozen = await store.frozen_after(told.round_id, known.reached)
    await store.forget_after(told.round_id, known.reached, frozen)
    # Everybody may have left a building since it was told who of it stands on the roster.
    buildings = sorted({*frozen, *await store.buildings_after(told, known.reached, BUILDINGS_AT_ONCE)})
    buildings = buildings[:BUILDINGS_AT_ONCE]
    if not buildings:
        await store.all.update(told.round_id, rounds.opened, cause)
        return
    told_before = [one for one in buildings if one in frozen]
    left = [one for one in buildings if one not in frozen]
    # Nobody else stands there, also when somebody who worked beside this one deleted their sheets.
    before = await asyncio.gather(*(store.frozen_sheets(told.round_id, one) for one in told_before))
    await _put(house, before, cause)
    found = await asyncio.gather(*(_found(house, told, one) for one in left))
    cut = _cut(known, found)
    try:
        await _put(house, cut, cause)
    except Occupied:
        # Somebody moved since a building before was taken down: he stands there, and nobody stands on a roster twice.
        await store.forget_after(told.round_id, known.reached, frozen)
        standing = await store.sheets_of(told.round_id, [one.member_id for each in found for _, one in each])
        cut = _cut(known, [[one for one in each if one[1].member_id not in standing] for each in found])
        await _put(house, cut, cause)
    every = [sheet for each in (*before, *cut) for sheet in each]
    await store.tallies.add_up(every)
    await asyncio.gather(*map(partial(_freeze, house, known, cause), left, cut))
    members = sum(one.counts.members for one in every)
    await store.all.update(
        told.round_id, lambda one: rounds.took_down(one, known.reached, buildings[-1], members), cause
    )


async def _freeze(house: Ledger, known: Round, cause: Meta, building: str, cut: Sequence[Sheet]) -> None:
    """Those on these sheets, and nobody else of the building, stand on the roster."""
    if cut:
        name = f"{known.told.round_id}/{building}"
        await house.store.rounds.rosters.update(
            name, lambda there: rosters.freeze(there, known.facts, building, cut), cause, new=True
        )


async def _found(house: Ledger, told: OpenRound, building: str) -> list[tuple[Entrance, Member]]:
    """Those of one building for whom the roster is."""
    living, present = await asyncio.gather(
        house.store.rounds.living(told, building), guests.inside(house, told, building)
    )
    return [*living, *present]


def _cut(known: Round, found: Iterable[list[tuple[Entrance, Member]]]) -> list[list[Sheet]]:
    """Sheets of those who were found, building by building."""
    return [list(sheets.cut(known.facts, each)) for each in found]


async def _put(house: Ledger, cut: Iterable[Sequence[Sheet]], cause: Meta) -> None:
    """Keep the sheets of some buildings.

    Raises:
        Occupied: somebody of them stands on another sheet.
    """
    written = await asyncio.gather(
        *(put_sheet(house, one, cause) for each in cut for one in each), return_exceptions=True
    )
    # Only when all are through: what was written late would be taken for what is put next.
    for error in written:
        if error is not None:
            raise error


async def _send(house: Ledger, known: Round, cause: Meta) -> None:
    """Have somebody walk the next sheets."""
    store, round_id = house.store.rounds, known.told.round_id
    names = await store.sheets_after(round_id, known.reached, SHEETS_AT_ONCE)
    await asyncio.gather(*(send(house, known.facts, name, 1, cause) for name in names))
    if names:
        await store.all.update(round_id, lambda one: rounds.sent_up_to(one, known.reached, names[-1]), cause)
    else:
        await store.all.update(round_id, rounds.sent, cause)


async def _close(house: Ledger, known: Round, cause: Meta) -> None:
    """Close the next sheets."""
    store, round_id = house.store.rounds, known.told.round_id
    names = await store.sheets_after(round_id, known.reached, SHEETS_AT_ONCE)
    await asyncio.gather(*(close_sheet(house, known.facts, one, cause) for one in names))
    if names:
        await store.all.update(round_id, lambda one: rounds.closed_up_to(one, known.reached, names[-1]), cause)
    else:
        await finish(house, round_id, cause)


async def finish(house: Ledger, round_id: str, cause: Meta) -> None:
    """Every sheet is closed: the round is."""
    store = house.store.rounds
    counts = await store.tallies.counts(round_id)
    await store.all.update(round_id, lambda one: rounds.closed(one, counts), cause)
    # Whoever was found or added in between was not counted, and found the round not closed yet.
    await look_again(house, round_id, cause.named(f"{cause.id}:again"))
