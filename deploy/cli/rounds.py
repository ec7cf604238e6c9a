"""`doorstep round`: rosters worked through by a time, and who is missing."""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.table import Table

from deploy.cli.client import Client
from deploy.cli.lists import content_of, told_by_row
from deploy.cli.session import Session
from deploy.cli.trouble import Trouble

ROUNDS = "/api/ledger/rounds"
_COUNTS = ("members", "done", "elsewhere", "moved", "refused", "excused", "missing")
_PAGE = "500"
_LOOK_AGAIN = 0.3
_LEFT = ("members", "missing")
_PATIENCE = 600.0
"""Seconds that a service may take to read a large file."""

Id = Annotated[str, typer.Argument(metavar="ID", help="round.id", show_default=False)]
Several = list[str] | None


def open_round(
    session: Session,
    round_id: Id,
    kind: Annotated[str, typer.Option(help="round.kind")],
    title: Annotated[str, typer.Option(help="round.title")],
    closes: Annotated[datetime, typer.Option(help="round.closes")],
    community: Annotated[str, typer.Option(help="round.community")],
    opens: Annotated[datetime | None, typer.Option(help="round.opens", show_default=False)] = None,
    households: Annotated[bool, typer.Option("--households", help="round.households")] = False,
    grid: Annotated[Several, typer.Option(help="round.grid", show_default=False)] = None,
    building: Annotated[Several, typer.Option(help="round.building", show_default=False)] = None,
    category: Annotated[Several, typer.Option(help="round.category", show_default=False)] = None,
    source: Annotated[Several, typer.Option("--list", help="round.list", show_default=False)] = None,
    point: Annotated[Several, typer.Option(help="round.point", show_default=False)] = None,
    team: Annotated[Several, typer.Option(metavar="NAME=BUILDING,…", help="round.team", show_default=False)] = None,
    check: Annotated[Several, typer.Option(help="round.check", show_default=False)] = None,
) -> None:
    """Freeze a roster and begin, and say how many are on it; the same again changes nothing."""
    roster = {"grids": grid, "buildings": building, "categories": category, "lists": source}
    body = {
        "round_id": round_id,
        "community": community,
        "kind": kind,
        "title": title,
        "of": "household" if households else "person",
        "closes": closes.astimezone().isoformat(),
        "opens": opens.astimezone().isoformat() if opens else None,
        "roster": {name: values for name, values in roster.items() if values},
        "points": point or [],
        "teams": [_team(one) for one in team or ()],
        "checklist": check or [],
    }
    with session.client() as client:
        answer = client.read("POST", ROUNDS, json=body)
        _tell(session, answer if opens else {**answer, **_taken_down(session, client, round_id)})


def _taken_down(session: Session, client: Client, round_id: str) -> Mapping[str, Any]:
    """The round, once its roster is taken down."""
    with session.err.status(session.say("round.state_opening")) if not session.json else nullcontext():
        while (one := client.read("GET", f"{ROUNDS}/{round_id}"))["state"] in ("planned", "opening"):
            time.sleep(_LOOK_AGAIN)
    return one


def list_rounds(session: Session) -> None:
    """All rounds, those that close last before the others."""
    with session.client() as client:
        found = list(client.pages(ROUNDS))
    if session.json:
        session.write_json({"items": found})
        return
    table = Table(*(session.say(f"round.column_{name}") for name in ("id", "title", "state", "members", "closes")))
    for one in found:
        table.add_row(one["round_id"], one["title"], _state(session, one), str(one["members"]), _clock(one["closes"]))
    session.out.print(table)


def show(session: Session, round_id: Id) -> None:
    """How far a round is, building by building."""
    with session.client() as client:
        one = client.read("GET", f"{ROUNDS}/{round_id}")
        numbers = client.read("GET", f"{ROUNDS}/{round_id}/numbers")
    if session.json:
        session.write_json({**one, **numbers})
        return
    session.out.print(f"{one['title']}  {_state(session, one)}", style="bold")
    table = Table("", *(session.say(f"round.{name}") for name in _COUNTS))
    for place in numbers["buildings"]:
        table.add_row(session.say("round.one_building", building=place["building"]), *_figures(place))
    for name, counts in numbers["teams"].items():
        table.add_row(name, *_figures(counts))
    table.add_row(session.say("round.all"), *_figures(one["counts"]), style="bold", end_section=True)
    session.out.print(table)
    for point, count in numbers["points"].items():
        session.out.print(f"{point}: {count}")


def missing(
    session: Session,
    round_id: Id,
    names: Annotated[bool, typer.Option("--names", help="round.names")] = False,
    team: Annotated[str | None, typer.Option(help="round.of_team", show_default=False)] = None,
) -> None:
    """Who is missing, door by door; with names, the opening is noted."""
    with session.client() as client:
        found = list(_roster(client, round_id, "missing", names=names, team=team))
    if session.json:
        session.write_json({"items": found})
        return
    columns = ("building", "unit", "room", "name", "phone") if names else ("grid", "building", "member")
    table = Table(*(session.say(f"round.column_{name}") for name in columns))
    for one in found:
        table.add_row(*(_named(one) if names else (one["grid"] or "", one["building"], one["member_id"])))
    session.out.print(table)
    session.tell("round.how_many_missing", "bold", count=len(found))


def members(
    session: Session,
    round_id: Id,
    state: Annotated[str | None, typer.Option(help="round.state", show_default=False)] = None,
    names: Annotated[bool, typer.Option("--names", help="round.names")] = False,
    team: Annotated[str | None, typer.Option(help="round.of_team", show_default=False)] = None,
) -> None:
    """How it went with each on the roster, or with those of one state, door by door; with names, that is noted."""
    with session.client() as client:
        found = list(_roster(client, round_id, "members", names=names, state=state, team=team))
    if session.json:
        session.write_json({"items": found})
        return
    columns = ("building", "unit", "room", "name", "phone", "note") if names else ("grid", "building", "member")
    table = Table(*(session.say(f"round.column_{name}") for name in ("state", *columns)))
    for one in found:
        ids = (one["grid"] or "", one["building"], one["member_id"])
        table.add_row(session.say(f"round.{one['state']}"), *((*_named(one), _note(one)) if names else ids))
    session.out.print(table)
    session.tell("round.how_many_of", "bold", state=session.say(f"round.{state or 'members'}"), count=len(found))


def strangers(
    session: Session,
    round_id: Id,
    names: Annotated[bool, typer.Option("--names", help="round.names")] = False,
) -> None:
    """Who was recorded and is not on the roster; with names as they were told, that is noted."""
    with session.client() as client:
        found = [one for one in _roster(client, round_id, "strangers", names=names) if not one["added"]]
    if session.json:
        session.write_json({"items": found})
        return
    columns = ("building", "unit", "room", "name", "phone") if names else ()
    table = Table(*(session.say(f"round.column_{name}") for name in ("state", "at", *columns, "member")))
    for one in found:
        row = [session.say(f"round.{one['records'][-1]['outcome']}"), _clock(one["at"])]
        told = one.get("details") or {}
        cells = {**told, **(told.get("address") or {})}
        row += [cells.get(name) or "" for name in columns]
        table.add_row(*row, one["person_id"] or session.say("round.unknown"))
    session.out.print(table)
    session.tell("round.how_many_strangers", "bold", count=len(found))


def record(
    session: Session,
    round_id: Id,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="round.file", show_default=False)],
    day: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="round.day", show_default=False)] = None,
) -> None:
    """Record the list of a desk; exit code 1 when a row is wrong, with every such row."""
    params = {"day": f"{day:%Y-%m-%d}"} if day else None
    with session.client(timeout=_PATIENCE) as client:
        answer = client.call(
            "POST", f"{ROUNDS}/{round_id}/records:import", params=params, content=content_of(file) or b"\n"
        )
    if not answer.good:
        told_by_row(session, answer, file, mend="round.wrong_rows")
    if session.json:
        session.write_json(answer.body)
        return
    body = answer.body
    left = {name: body["counts"][name] for name in _LEFT}
    session.tell("round.recorded", "bold", rows=body["rows"], strangers=body["strangers"], **left)


def close(session: Session, round_id: Id) -> None:
    """Look for those missing now."""
    with session.client() as client:
        answer = client.read("POST", f"{ROUNDS}/{round_id}/close", json={"command_id": str(uuid4())})
    _tell(session, answer)


def _roster(
    client: Client, round_id: str, which: str, *, names: bool, **asked: str | None
) -> Iterator[Mapping[str, Any]]:
    params = {"limit": _PAGE, "names": "true" if names else "false"}
    params |= {name: value for name, value in asked.items() if value is not None}
    after: dict[str, str] = {}
    while True:
        body = client.read("GET", f"{ROUNDS}/{round_id}/{which}", params={**params, **after})
        yield from body["items"]
        if body["next"] is None:
            return
        after = {"after": body["next"]}


def _team(told: str) -> dict[str, Any]:
    name, _, buildings = told.partition("=")
    numbers = [one for one in re.split("[,，]", buildings) if one]
    if not name or not numbers:
        raise Trouble("round.bad_team", told=told)
    return {"name": name, "buildings": numbers}


def _named(one: Mapping[str, Any]) -> tuple[str, ...]:
    details = one["details"]
    if details is None:  # Erased since.
        return one["building"], "", "", "", ""
    address = details["address"]
    return one["building"], address["unit"] or "", address["room"] or "", details["name"], details["phone"] or ""


def _note(one: Mapping[str, Any]) -> str:
    return "; ".join(record["note"] for record in one["records"] if record["note"])


def _clock(moment: str) -> str:
    return f"{datetime.fromisoformat(moment).astimezone():%m-%d %H:%M}"


def _figures(counts: Mapping[str, int]) -> list[str]:
    return [str(counts[name]) for name in _COUNTS]


def _state(session: Session, one: Mapping[str, Any]) -> str:
    return session.say(f"round.state_{one['state']}")


def _tell(session: Session, answer: Mapping[str, Any]) -> None:
    if session.json:
        session.write_json(answer)
    else:
        session.tell(f"round.{answer['status']}", "bold green", id=answer["id"], state=_state(session, answer))
        if "members" in answer:
            session.tell("round.how_many", count=answer["members"])
