"""`doorstep simulate`: a day of a community, played against the decisions of dispatch; no running system is needed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.cli.session import Session
from deploy.cli.trouble import Trouble
from deploy.simulation.compare import NAMES, compare, ordered
from deploy.simulation.figures import ALL, URGENCIES, Figures, Waits, figures, least
from deploy.simulation.scenario import CATALOGUES, SHIPPED, Scenario, read
from deploy.simulation.story import Outcome
from services.dispatch.catalogues import Catalogues, catalogues
from shared.catalogue import CatalogueError

_LATE = ("no_yes", "lapsed", "not_set_out", "on_the_way", "open")


def simulate(
    session: Session,
    file: Annotated[Path, typer.Argument(help="simulate.file", show_default=False)] = SHIPPED,
    policy: Annotated[list[str] | None, typer.Option("--policy", metavar="NAME", help="simulate.policy")] = None,
    without: Annotated[list[str] | None, typer.Option("--without", metavar="WORKER", help="simulate.without")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="simulate.seed", show_default=False)] = None,
) -> None:
    """Play a day under each policy, and tell the figures side by side."""
    if unknown := set(policy or ()).difference(NAMES):
        raise Trouble("simulate.unknown_policy", names=", ".join(sorted(unknown)), known=", ".join(NAMES))
    scenario, known = _read(file)
    if missing := set(without or ()).difference(one.worker_id for one in scenario.workers):
        raise Trouble("simulate.unknown_worker", path=file, names=", ".join(sorted(missing)))
    scenario = scenario.without(without or ()).model_copy(update={"seed": scenario.seed if seed is None else seed})
    played = _played(session, scenario, known, tuple(dict.fromkeys(policy or NAMES)))
    found = [figures(one, known.kinds) for one in played]
    bound = least(ordered(scenario, known), scenario, known.distances[scenario.community])
    told = {
        "community": scenario.community,
        "hours": scenario.hours,
        "seed": scenario.seed,
        "workers": len(scenario.workers),
    }
    if session.json:
        told = {**told, "without": without or [], "least": {name: asdict(one) for name, one in bound.items()}}
        session.write_json({**told, "policies": [asdict(one) for one in found]})
    else:
        session.out.print(_table(session, found, told))
        shown = {name: _number(one) for name, one in bound.items()}
        session.tell("simulate.least", **shown)


def _read(file: Path) -> tuple[Scenario, Catalogues]:
    try:
        known = catalogues(CATALOGUES)
        return read(file, known), known
    except CatalogueError as error:
        raise Trouble("simulate.wrong", reason=error) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Trouble("trouble.unreadable", path=file, reason=getattr(error, "strerror", None) or error) from None


def _played(session: Session, scenario: Scenario, known: Catalogues, names: Sequence[str]) -> list[Outcome]:
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=session.err, transient=True, disable=not session.err.is_terminal) as progress:
        bars = {name: progress.add_task(name, total=scenario.hours) for name in names}
        return compare(scenario, known, names, lambda name, hours: progress.update(bars[name], completed=hours))


def _table(session: Session, found: Sequence[Figures], told: Mapping[str, object]) -> Table:
    say = session.say
    table = Table(title=say("simulate.title", **told), title_justify="left")
    table.add_column()
    for one in found:
        table.add_column(one.policy, justify="right")

    def row(label: str, values: Iterable[object]) -> None:
        table.add_row(label, *(_number(value) for value in values))

    row(say("simulate.orders"), (one.orders for one in found))
    row(say("simulate.deliveries"), (one.deliveries for one in found))
    row(say("simulate.open"), (one.open for one in found))
    for urgency in (*URGENCIES, ALL):
        row(say("simulate.until_yes", urgency=say(f"simulate.{urgency}")), (one.until_yes[urgency] for one in found))
    for urgency in (*URGENCIES, ALL):
        row(say("simulate.until_door", urgency=say(f"simulate.{urgency}")), (one.until_door[urgency] for one in found))
    row(say("simulate.metres"), (one.metres for one in found))
    row(say("simulate.metres_per_delivery"), (one.metres_per_delivery for one in found))
    row(say("simulate.late"), (one.late for one in found))
    for why in (why for why in _LATE if any(why in one.late_because for one in found)):
        row(say(f"simulate.late_{why}"), (one.late_because.get(why, 0) for one in found))
    row(say("simulate.load"), (one.highest_to_mean_load for one in found))
    row(say("simulate.escalations"), (sum(one.escalations.values()) for one in found))
    return table


def _number(value: object) -> str:
    match value:
        case Waits(p50=float(half), p95=float(most)):
            return f"{half:.1f} / {most:.1f}"
        case Waits() | None:
            return "–"
        case float():
            return f"{value:,.2f}"
        case _:
            return f"{value:,}"
