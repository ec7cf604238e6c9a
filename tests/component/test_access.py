"""Who may not does not: every role at every route, places, tokens, and how often one may ask."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from aiormq.exceptions import ChannelAccessRefused

from shared.access import fingerprint
from shared.contracts.dispatch import DeliveryOffered
from shared.contracts.intake import RequestCreated
from shared.runtime import utc_now
from tests import world
from tests.running import Running, Service, Town, eventually, problems

ROLES = ("operator", "coordinator", "grid_worker", "volunteer", "source", None)
EVERYBODY = ROLES
STAFF = ("operator", "coordinator", "grid_worker", "volunteer")
LEADERS = ("operator", "coordinator")
OPERATOR = ("operator",)
TOKEN = (*STAFF, "source")

ROUTES: list[tuple[str, str, str, tuple[str | None, ...]]] = [
    ("intake", "POST", "/requests", EVERYBODY),
    ("intake", "GET", "/requests", STAFF),
    ("intake", "GET", "/requests/nothing", EVERYBODY),
    ("intake", "PATCH", "/requests/nothing", TOKEN),
    ("intake", "POST", "/requests/nothing/cancel", EVERYBODY),
    ("intake", "GET", "/reconciliation", OPERATOR),
    ("dispatch", "GET", "/tasks", TOKEN),
    ("dispatch", "GET", "/tasks/nothing", TOKEN),
    ("dispatch", "POST", "/tasks/nothing/accept", STAFF),
    ("dispatch", "POST", "/tasks/nothing/reopen", STAFF),
    ("dispatch", "POST", "/tasks/nothing/exclude", LEADERS),
    ("dispatch", "POST", "/tasks/nothing/photos", STAFF),
    ("dispatch", "GET", "/tasks/nothing/photos/nothing", TOKEN),
    ("dispatch", "GET", "/walks?worker=x", TOKEN),
    ("dispatch", "POST", "/workers", LEADERS),
    ("dispatch", "GET", "/workers", LEADERS),
    ("dispatch", "POST", "/workers/nothing/approve", LEADERS),
    ("dispatch", "POST", "/workers/nothing/absence", LEADERS),
    ("dispatch", "POST", "/volunteers", (*LEADERS, "source")),
    ("dispatch", "POST", "/grids/tiebei/g1/cover", LEADERS),
    ("dispatch", "POST", "/duties", LEADERS),
    ("dispatch", "GET", "/duties", STAFF),
    ("dispatch", "GET", "/duties/nothing", STAFF),
    ("dispatch", "POST", "/duties/nothing/book", STAFF),
    ("dispatch", "POST", "/duties/nothing/cancel", LEADERS),
    ("dispatch", "POST", "/duties/nothing/attest", LEADERS),
    ("dispatch", "GET", "/workers/nothing/hours", STAFF),
    ("dispatch", "GET", "/workers/nothing/certificate", STAFF),
    ("dispatch", "GET", "/reconciliation", OPERATOR),
    ("notification", "GET", "/messages", STAFF),
    ("notification", "POST", "/messages/nothing/acknowledge", STAFF),
    ("ledger", "GET", "/entries", LEADERS),
    ("ledger", "GET", "/people", STAFF),
    ("ledger", "GET", "/people/nothing", (*LEADERS, "grid_worker")),
    ("ledger", "GET", "/people/nothing/emergency-card", (*LEADERS, "grid_worker")),
    ("ledger", "GET", "/people/nothing/export", LEADERS),
    ("ledger", "POST", "/people:find", STAFF),
    ("ledger", "POST", "/people:import", LEADERS),
    ("ledger", "GET", "/people.csv?purpose=because", LEADERS),
    ("ledger", "GET", "/people.xlsx?purpose=because", LEADERS),
    ("ledger", "GET", "/people.html?purpose=because", LEADERS),
    ("ledger", "GET", "/imports/nothing", LEADERS),
    ("ledger", "POST", "/people/nothing/move", LEADERS),
    ("ledger", "POST", "/people/nothing/correct", LEADERS),
    ("ledger", "POST", "/people/nothing/death", LEADERS),
    ("ledger", "POST", "/people/nothing/merge", LEADERS),
    ("ledger", "POST", "/people/nothing/unmerge", LEADERS),
    ("ledger", "POST", "/people/nothing/erase", LEADERS),
    ("ledger", "GET", "/statistics", STAFF),
    ("ledger", "GET", "/numbers", LEADERS),
    ("ledger", "GET", "/numbers.csv", LEADERS),
    ("ledger", "GET", "/day-reports/2026-11-24.pdf", LEADERS),
    ("ledger", "POST", "/buildings", LEADERS),
    ("ledger", "GET", "/buildings", STAFF),
    ("ledger", "GET", "/households?community=tiebei", STAFF),
    ("ledger", "POST", "/buildings/tiebei/1/close", LEADERS),
    ("ledger", "POST", "/buildings/tiebei/1/open", LEADERS),
    ("ledger", "POST", "/people", LEADERS),
    ("ledger", "POST", "/people/nothing/plans", LEADERS),
    ("ledger", "GET", "/people/nothing/plans", (*LEADERS, "grid_worker")),
    ("ledger", "POST", "/facilities", LEADERS),
    ("ledger", "GET", "/facilities", STAFF),
    ("ledger", "POST", "/programmes", LEADERS),
    ("ledger", "GET", "/programmes", LEADERS),
    ("ledger", "POST", "/programmes/nothing/end", LEADERS),
    ("ledger", "POST", "/plans/nothing/end", LEADERS),
    ("ledger", "GET", "/follow-ups", STAFF),
    ("ledger", "GET", "/rounds", STAFF),
    ("ledger", "POST", "/rounds", LEADERS),
    ("ledger", "GET", "/rounds/nothing", STAFF),
    ("ledger", "GET", "/rounds/nothing/numbers", STAFF),
    ("ledger", "GET", "/rounds/nothing/missing", STAFF),
    ("ledger", "GET", "/rounds/nothing/members", STAFF),
    ("ledger", "GET", "/rounds/nothing/members.csv?purpose=because", (*LEADERS, "grid_worker")),
    ("ledger", "GET", "/rounds/nothing/cards/K-1", STAFF),
    ("ledger", "GET", "/rounds/nothing/strangers", LEADERS),
    ("ledger", "POST", "/rounds/nothing/records", STAFF),
    ("ledger", "POST", "/rounds/nothing/records:import", STAFF),
    ("ledger", "POST", "/rounds/nothing/members", LEADERS),
    ("ledger", "POST", "/rounds/nothing/close", LEADERS),
    ("ledger", "GET", "/follow-ups/nothing", (*LEADERS, "grid_worker")),
    ("ledger", "POST", "/follow-ups/nothing/record", STAFF),
    ("ledger", "POST", "/cases", ("operator", "coordinator", "grid_worker")),
    ("ledger", "GET", "/cases", STAFF),
    ("ledger", "GET", "/cases/nothing", STAFF),
    ("ledger", "POST", "/cases/nothing/close", STAFF),
    ("ledger", "POST", "/councils", ("operator", "coordinator", "grid_worker")),
    ("ledger", "GET", "/councils/tiebei/nothing", STAFF),
    ("ledger", "POST", "/cases/nothing/agreements", LEADERS),
    ("ledger", "GET", "/agreements", STAFF),
    ("ledger", "POST", "/agreements/nothing/end", LEADERS),
    ("ledger", "POST", "/gate-checks", STAFF),
    ("ledger", "GET", "/gate-checks", STAFF),
    ("ledger", "GET", "/buildings/tiebei/1/inside", (*LEADERS, "grid_worker")),
    ("ledger", "POST", "/presences", (*LEADERS, "grid_worker")),
    ("ledger", "GET", "/presences/nothing", (*LEADERS, "grid_worker")),
    ("ledger", "POST", "/presences/nothing/end", (*LEADERS, "grid_worker")),
    ("ledger", "POST", "/needs", (*LEADERS, "grid_worker")),
    ("ledger", "POST", "/evidence/owed", LEADERS),
    ("ledger", "POST", "/evidence/owed/nothing/forgive", LEADERS),
    ("ledger", "POST", "/evidence/owed/nothing/reports", STAFF),
    ("ledger", "GET", "/evidence", STAFF),
    ("ledger", "POST", "/money", STAFF),
    ("ledger", "GET", "/money", STAFF),
    ("ledger", "GET", "/money?notes=true", LEADERS),
    ("ledger", "GET", "/money/balances", STAFF),
    ("ledger", "POST", "/people/nothing/observation", LEADERS),
    ("ledger", "POST", "/observation/nothing/release", LEADERS),
    ("ledger", "GET", "/observation", (*LEADERS, "grid_worker")),
    ("ledger", "GET", "/observation/counts", (*LEADERS, "grid_worker")),
    ("ledger", "POST", "/access", OPERATOR),
    ("ledger", "POST", "/access/nothing/revoke", OPERATOR),
    ("ledger", "GET", "/chain", OPERATOR),
    ("ledger", "GET", "/reconciliation", OPERATOR),
    ("ledger", "GET", "/registers", OPERATOR),
    ("ledger", "GET", "/registers/people/rebuilt", OPERATOR),
    ("ledger", "POST", "/registers/people/rebuilt", OPERATOR),
    ("ledger", "POST", "/entries:name", OPERATOR),
    *(
        (name, method, path, allowed)
        for name in ("intake", "dispatch", "notification", "ledger")
        for method, path, allowed in (
            ("GET", "/healthz", EVERYBODY),
            ("GET", "/readyz", EVERYBODY),
            ("GET", "/openapi.json", EVERYBODY),
            ("GET", "/status", OPERATOR),
            ("GET", "/dead-letters", OPERATOR),
            ("GET", "/dead-letters/nothing", OPERATOR),
            ("POST", "/dead-letters/nothing:replay", OPERATOR),
            ("DELETE", "/dead-letters/nothing", OPERATOR),
            ("POST", "/events:replay", OPERATOR),
        )
    ),
]
"""Service, method, path, and who may. The live stream has tests of its own."""


async def test_every_role_may_at_every_route_what_it_may_and_nothing_else(town: Town) -> None:
    """401 without a token or with a wrong one, 403 for a role that may not; whoever may gets another answer."""
    async with town.up("intake", "dispatch", "notification", "ledger") as at:
        covered: set[tuple[str, str, str]] = set()
        for name, method, path, allowed in ROUTES:
            service = at.services[name]
            for who in ROLES:
                # Everybody without a token comes from an address of his own: one address may not ask this often.
                came_from = {"X-Forwarded-For": f"10.0.{len(covered)}.1"}
                content = b"{}" if method != "GET" else None
                answer = await service.call(method, path, who=who, content=content, headers=came_from)
                case = f"{who} {method} {name}{path}: {answer.status_code} {answer.text}"
                if who in allowed:
                    assert answer.status_code not in (401, 403), case
                else:
                    assert answer.status_code == (401 if who is None else 403), case
                    assert answer.headers["content-type"] == "application/problem+json", case
                assert answer.status_code < 500, case
            if allowed != EVERYBODY:
                stranger = await service.call(method, path, who="ds_guessed", content=b"{}")
                assert (stranger.status_code, problems(stranger)) == (401, [("authorization", "bad_token")]), path
                assert stranger.headers["www-authenticate"] == "Bearer"
            covered.add((name, method, path))
        assert not await forgotten(at, covered), "routes without a line in the matrix"


async def forgotten(at: Running, covered: set[tuple[str, str, str]]) -> list[str]:
    """Routes that the services have and the matrix does not."""
    found = []
    for name, service in at.services.items():
        described: dict[str, Any] = (await service.call("GET", "/openapi.json", who=None)).json()
        for template, methods in described["paths"].items():
            shape = template.removeprefix(f"/api/{name}").split("/")
            for method in methods:
                known = any(
                    (one, verb) == (name, method.upper()) and fits(path.partition("?")[0].split("/"), shape)
                    for one, verb, path in covered
                )
                if not known and not template.endswith("/stream"):
                    found.append(f"{method} {template}")
    return found


def fits(parts: list[str], shape: list[str]) -> bool:
    """Whether a path is one of a template's."""
    return len(parts) == len(shape) and all(
        part == expected or ("{" in expected and part.startswith(expected.partition("{")[0]))
        for part, expected in zip(parts, shape, strict=True)
    )


async def test_what_is_outside_ones_place_is_not_there(town: Town) -> None:
    """404, so that ids cannot be tried out; what is inside is."""
    async with town.up("intake", "dispatch", "notification") as at, town.amqp("operator") as operator, town.ear():
        await world.settle(at.dispatch)
        await world.tell_intake_of_places(at.intake, operator)
        ids = {}
        for name, address in (("mine", {"building": "1"}), ("elsewhere", {"building": "3"})):
            answer = await at.intake.post("/requests", world.groceries(name, address=address), who="source")
            ids[name] = answer.json()["request_id"]
            await eventually(lambda name=name: at.dispatch.items("/tasks", request_id=ids[name]))  # type: ignore[misc]
        tasks = {name: (await at.dispatch.items("/tasks", request_id=ids[name]))[0]["id"] for name in ids}
        for name, status in (("mine", 200), ("elsewhere", 404)):
            request = await at.intake.call("GET", f"/requests/{ids[name]}", who="grid_worker")
            task = await at.dispatch.call("GET", f"/tasks/{tasks[name]}", who="grid_worker")
            assert (request.status_code, task.status_code) == (status, status), name
        for service, path in ((at.intake, "/requests"), (at.dispatch, "/tasks")):
            found = {one.get("request_id", one["id"]) for one in await service.items(path, who="grid_worker")}
            assert ids["mine"] in found
            assert ids["elsewhere"] not in found
            refused = await service.call("GET", f"{path}?grid=g2", who="grid_worker")
            assert (refused.status_code, problems(refused)) == (403, [("grid", "forbidden")])
        await eventually(lambda: at.notification.items("/messages", who="grid_worker"))
        assert {one["grid"] for one in await at.notification.items("/messages", who="grid_worker")} == {"g1"}
        act = await at.dispatch.post(f"/tasks/{tasks['elsewhere']}/accept", {"command_id": "c1"}, who="grid_worker")
        assert (act.status_code, problems(act)) == (404, [("task_id", "unknown_task")])


async def test_nobody_acts_in_anothers_name(town: Town) -> None:
    """A worker's token acts for that worker; only who leads says for whom."""
    async with town.up("dispatch") as at, town.amqp("operator") as operator, town.ear() as events:
        await world.settle(at.dispatch)
        await operator.happen(RequestCreated(**world.created("r1")))
        await eventually(lambda: events.bodies("doorstep.delivery.offered.v1"))
        (task,) = await at.dispatch.items("/tasks")
        as_zhao = {"command_id": "c1", "worker": world.ZHAO}
        forged = await at.dispatch.post(f"/tasks/{task['id']}/accept", as_zhao, who="volunteer")
        assert (forged.status_code, problems(forged)) == (422, [("worker", "not_allowed")])
        asked = await at.dispatch.get("/walks", who="grid_worker", worker=world.QIAN)
        assert [one["id"] for walk in asked["items"] for one in walk["tasks"]] == [task["id"]]
        led = await at.dispatch.post(f"/tasks/{task['id']}/accept", as_zhao, who="coordinator")
        assert led.json()["worker"] == world.ZHAO


OF_THE_PLACE = [
    ("intake", "/requests"),
    ("notification", "/messages"),
    ("ledger", "/people"),
    ("ledger", "/follow-ups"),
    ("ledger", "/rounds"),
    ("ledger", "/rounds/nothing"),
    ("ledger", "/rounds/nothing/members"),
    ("ledger", "/rounds/nothing/cards/K-1"),
    ("ledger", "/gate-checks"),
]
"""What only staff of the community itself see."""


async def test_people_of_other_organisations_see_no_list_of_the_place(town: Town) -> None:
    """Their token is for the community, yet tasks and cases of others are not there, lists of people are refused."""
    async with town.up("intake", "dispatch", "notification", "ledger") as at:
        await world.settle(*at.services.values())
        for role in ("partner", "rider"):
            token = {"token_hash": fingerprint(f"ds_{role}"), "name": role, "worker": role, "role": role}
            await world.accepted(at.ledger, "/access", {"command_id": role, "community": world.TIEBEI, **token})
        request_id = (await at.intake.post("/requests", world.groceries("1"))).json()["request_id"]
        await eventually(lambda: at.dispatch.items("/tasks", request_id=request_id))
        for who in ("ds_partner", "ds_rider"):
            for name in ("intake", "dispatch", "notification", "ledger"):
                await eventually(lambda name=name, who=who: knows(at.services[name], who))  # type: ignore[misc]
            for name, path in OF_THE_PLACE:
                assert (await at.services[name].call("GET", path, who=who)).status_code == 403, path
            for path in ("/rounds/nothing/records", "/rounds/nothing/records:import"):
                assert (await at.ledger.call("POST", path, who=who, content=b"{}")).status_code == 403, path
            assert (await at.intake.call("GET", f"/requests/{request_id}", who=who)).status_code == 404
            assert await at.dispatch.items("/tasks", who=who) == []
            assert await at.dispatch.items("/tasks", who=who, claimable=True) == []
            assert await at.ledger.items("/cases", who=who) == []
            (message, *_) = await eventually(lambda: at.notification.items("/messages", unread=True))
            read = await at.notification.post(f"/messages/{message['id']}/acknowledge", {"command_id": who}, who=who)
            assert read.status_code == 404


async def knows(service: Service, token: str) -> bool:
    """Whether the service has heard of a token, whatever it may."""
    path = {"intake": "/requests", "dispatch": "/tasks", "notification": "/messages", "ledger": "/cases"}[service.name]
    return (await service.call("GET", path, who=token)).status_code != 401


async def test_a_source_sees_its_own_requests_and_no_others(town: Town) -> None:
    """By the name of its token."""
    async with town.up("intake") as at, town.ear():
        own = (await at.intake.post("/requests", world.groceries("1"), who="source")).json()
        other = (await at.intake.post("/requests", world.groceries("2"), who="coordinator")).json()
        assert (await at.intake.call("GET", f"/requests/{own['request_id']}", who="source")).status_code == 200
        path = f"/requests/{other['request_id']}"
        assert (await at.intake.call("GET", path, who="source")).status_code == 404
        assert (await at.intake.post(f"{path}/cancel", {"command_id": "c1"}, who="source")).status_code == 404


async def test_whoever_asks_too_often_is_told_to_wait(town: Town) -> None:
    """Ten a second without a token; others are not harmed."""
    async with town.up("intake") as at:

        async def anonymous(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            return (await at.intake.call("GET", "/requests/nothing", who=None, headers=headers)).status_code

        statuses = Counter(await asyncio.gather(*(anonymous("10.0.0.1") for _ in range(60))))
        assert set(statuses) == {404, 429}
        assert await anonymous("10.0.0.2") == 404
        assert (await at.intake.call("GET", "/requests", who="operator")).status_code == 200
        headers = {"X-Forwarded-For": "10.0.0.3"}
        calls = (at.intake.call("GET", "/requests/nothing", who=None, headers=headers) for _ in range(60))
        refused = next(one for one in await asyncio.gather(*calls) if one.status_code == 429)
        assert (refused.json()["code"], refused.headers["retry-after"]) == ("too_many_requests", "2")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic b3BlcmF0b3I6", "bearer x y", "Bearer \u00e9", "Bearer " + "x" * 5_000]
)
async def test_what_is_no_token_is_none(town: Town, header: str) -> None:
    """401, whatever it looks like."""
    async with town.up("dispatch") as at:
        answer = await at.dispatch.call("GET", "/tasks", who=None, headers={"Authorization": header.encode("latin-1")})
        assert answer.status_code == 401
        assert answer.json()["code"] in ("bad_token", "token_required")


async def test_source_may_only_send_commands_and_staff_may_only_read(town: Town) -> None:
    """At the broker itself: a task is not finished by another system, an event is not invented by staff."""
    async with town.up("dispatch", "notification"):
        event = DeliveryOffered(
            task_id="t1",
            request_id="r1",
            kind="groceries",
            building="1",
            urgency="normal",
            priority=10,
            step=0,
            role="volunteer",
            until=utc_now(),
        )
        for user, key, exchange in (
            ("source", "task.complete", "doorstep.commands"),
            ("source", event.routing_key(), "doorstep.events"),
            ("staff", "request.submit", "doorstep.commands"),
            ("staff", event.routing_key(), "doorstep.events"),
            ("staff", "x", "doorstep.notifications"),
            ("source", "doorstep.dispatch.commands", ""),
        ):
            async with town.amqp(user) as client:
                with pytest.raises(ChannelAccessRefused):
                    await client.tell(key, event.model_dump_json().encode(), exchange=exchange)
