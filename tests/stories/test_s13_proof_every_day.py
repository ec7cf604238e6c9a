"""S13: five property companies, eight compounds and ten single buildings: proof of disinfection, every day."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.access import fingerprint
from shared.identity import derived_id
from tests import world
from tests.running import Town, eventually
from tests.stories.stage import Stage, stage

COMPANIES = tuple(f"property-{number}" for number in range(5))
PLACES = [f"compound-{number}" for number in range(8)] + [f"building-{number}" for number in range(10)]
OWED = {company: PLACES[number::5] for number, company in enumerate(COMPANIES)}


@pytest.fixture
async def companies(town: Town) -> AsyncIterator[Stage]:
    """Each has a token, and owes what is its share of the eighteen; reminded at six, named at nine in the evening."""
    async with stage(town) as one:
        await one.enter({"1": "g1"}, [{"worker_id": world.ZHOU, "role": "coordinator"}])
        for company, places in OWED.items():
            token = {"token_hash": fingerprint(f"ds_{company}"), "name": company, "worker": company, "role": "partner"}
            body = {"command_id": f"grant-{company}", "community": world.TIEBEI, **token}
            await world.accepted(one.at.ledger, "/access", body)
            owed = {"owing_id": f"o-{company}", "community": world.TIEBEI, "partner": company, "places": places}
            times = {"reminded": "18:00", "named": "21:00", "begins": "2026-11-24"}
            await world.accepted(one.at.ledger, "/evidence/owed", {**owed, **times})
            await eventually(lambda company=company: comes_in(one, company))  # type: ignore[misc]
        await eventually(lambda: days(one, "2026-11-24", len(COMPANIES)))
        yield one


async def comes_in(companies: Stage, company: str) -> bool:
    return (await companies.at.ledger.call("GET", "/evidence", who=f"ds_{company}")).status_code == 200


async def days(companies: Stage, day: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await companies.at.ledger.items("/evidence", who="coordinator", day=day)
    return found if len(found) == count else []


def picture(*words: str) -> dict[str, str]:
    """A picture that nothing else looks like."""
    look = derived_id("look", *words).replace("-", "")[:16]
    return {"photo": derived_id("photo", *words), "look": look}


async def report(companies: Stage, company: str, place: str, day: str, shows: str | None = None) -> dict[str, Any]:
    """The company shows what it did; `shows`: a picture of another day."""
    body = {
        "report_id": f"{place}-{day}",
        "place": place,
        "day": day,
        "pictures": [picture(place, shows or day), picture(place, day, "second")],
    }
    answer = await companies.at.ledger.post(f"/evidence/owed/o-{company}/reports", body, who=f"ds_{company}")
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def china(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, 0, tzinfo=UTC) - timedelta(hours=8)


async def test_who_owes_is_reminded_and_then_named_and_who_is_late_but_not_too_late_is_not(companies: Stage) -> None:
    """Eighteen places a day: three companies at once, one after the reminder, one not at all."""
    first, last = COMPANIES[:3], COMPANIES[4]
    today = "2026-11-24"
    reports = [report(companies, company, place, today) for company in first for place in OWED[company]]
    assert {one["status"] for one in await asyncio.gather(*reports)} == {"accepted"}
    assert (await report(companies, first[0], OWED[first[0]][0], today))["status"] == "duplicate"

    companies.clock.now = china(24, 18)
    await eventually(lambda: len(companies.heard("EvidenceReminded")) == 2)
    told = {one["worker"]: one["role"] for one in companies.heard("EvidenceReminded")}
    assert told == dict.fromkeys(COMPANIES[3:], "partner")
    companies.clock.now = china(24, 20)
    for place in OWED[COMPANIES[3]]:
        assert (await report(companies, COMPANIES[3], place, today))["same_as"] is None

    companies.clock.now = china(24, 21)
    (named,) = await eventually(lambda: companies.heard("EvidenceNamed"))
    assert (named["role"], named["worker"], last in named["text"]["zh"]) == ("coordinator", last, True)
    assert "、".join(OWED[last]) in named["text"]["zh"]
    await eventually(lambda: companies.entered("EvidenceNamed", 1))
    (entry,) = await companies.entries("EvidenceNamed")
    assert entry["places"] == OWED[last]
    for place in OWED[last]:
        await report(companies, last, place, today)
    shown = {one["partner"]: one for one in await days(companies, today, 5)}
    assert all(one["late"] for one in shown[last]["reports"])
    assert (shown[last]["named"], shown[last]["missing"], shown[COMPANIES[3]]["named"]) == (OWED[last], [], [])
    await eventually(lambda: companies.entered("EvidenceRecorded", len(PLACES)))


async def test_yesterdays_picture_is_noticed_and_every_day_is_owed_anew(companies: Stage) -> None:
    """Of eighteen, two show what they showed the day before; a coordinator hears which."""
    for day in (24, 25):
        companies.clock.now = china(day, 12)
        await eventually(lambda day=day: days(companies, f"2026-11-{day}", 5))  # type: ignore[misc]
        assert sum(len(one["missing"]) for one in await days(companies, f"2026-11-{day}", 5)) == len(PLACES)
        lazy = OWED[COMPANIES[1]][:2] if day == 25 else []
        answers = [
            await report(companies, company, place, f"2026-11-{day}", "2026-11-24" if place in lazy else None)
            for company, places in OWED.items()
            for place in places
        ]
        noticed = {one["same_as"] for one in answers} - {None}
        assert noticed == {f"2026-11-24/{place}" for place in lazy}
    await eventually(lambda: len(companies.heard("EvidenceDoubted")) == 2)
    assert {one["worker"] for one in companies.heard("EvidenceDoubted")} == {COMPANIES[1]}
    companies.clock.now = china(26, 12)
    await eventually(lambda: nothing_due(companies))
    assert companies.heard("EvidenceNamed") == companies.heard("EvidenceReminded") == []


async def nothing_due(companies: Stage) -> bool:
    """Whether reminding and naming of the days before had its turn."""
    waiting = {"state.day": {"$lt": "2026-11-26"}, "state.due_at": {"$type": "date"}}
    return not await companies.at.ledger.stored("evidence_days", waiting)


async def test_a_picture_of_another_company_is_noticed_too(companies: Stage) -> None:
    """Passed on the same day: whoever comes second is doubted, and a coordinator hears of it."""
    one, other = COMPANIES[:2]
    day = "2026-11-24"
    assert (await report(companies, one, OWED[one][0], day))["same_as"] is None
    shown = picture(OWED[one][0], day)
    body = {"report_id": "borrowed", "place": OWED[other][0], "day": day, "pictures": [shown]}
    answer = await companies.at.ledger.post(f"/evidence/owed/o-{other}/reports", body, who=f"ds_{other}")
    assert answer.json()["same_as"] == f"{day}/{OWED[one][0]}"
    (doubted,) = await eventually(lambda: companies.heard("EvidenceDoubted"))
    assert (doubted["role"], doubted["worker"], OWED[other][0] in doubted["text"]["zh"]) == ("coordinator", other, True)


async def test_todays_picture_for_yesterday_is_noticed_too(companies: Stage) -> None:
    """A report that comes a day late is looked at beside what was shown since."""
    company, (first, second, *_) = COMPANIES[1], OWED[COMPANIES[1]]
    companies.clock.now = china(25, 12)
    assert (await report(companies, company, first, "2026-11-25"))["same_as"] is None
    late = {"report_id": "late", "place": second, "day": "2026-11-24", "pictures": [picture(first, "2026-11-25")]}
    answer = await companies.at.ledger.post(f"/evidence/owed/o-{company}/reports", late, who=f"ds_{company}")
    assert answer.json()["same_as"] == f"2026-11-25/{first}"


async def test_a_company_sees_and_reports_its_own_and_nobody_elses(companies: Stage) -> None:
    """404, so that ids cannot be tried out; a day of tomorrow is refused, and after three days away all are named."""
    mine = await companies.at.ledger.items("/evidence", who="ds_property-0")
    assert {one["partner"] for one in mine} == {"property-0"}
    body = {"report_id": "x", "place": PLACES[1], "day": "2026-11-24", "pictures": [picture("x")]}
    other = await companies.at.ledger.post("/evidence/owed/o-property-1/reports", body, who="ds_property-0")
    assert (other.status_code, other.json()["code"]) == (404, "unknown_owing")
    tomorrow = {**body, "day": "2026-11-25"}
    answer = await companies.at.ledger.post("/evidence/owed/o-property-1/reports", tomorrow, who="ds_property-1")
    assert answer.json()["code"] == "not_yet"
    forgiven = {"command_id": "f"}
    gone = await companies.at.ledger.post("/evidence/owed/o-property-4/forgive", forgiven, who="coordinator")
    assert gone.json()["status"] == "accepted"
    companies.clock.forward(days=3)
    await eventually(lambda: companies.entered("EvidenceNamed", 4 * 3 + 1))
    named = Counter(one["worker"] for one in await companies.entries("EvidenceNamed"))
    assert named == {**dict.fromkeys(COMPANIES[:4], 3), "property-4": 1}
