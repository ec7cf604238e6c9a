"""`doorstep simulate`: a day of a community, played against the decisions of dispatch; no running system is needed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.cli.session import Session
from deploy.cli.speech import Speech
from deploy.cli.trouble import Trouble
from deploy.simulation.compare import NAMES, compare, ordered
from deploy.simulation.figures import ALL, LATE, URGENCIES, Figures, Waits, figures, least
from deploy.simulation.scenario import CATALOGUES, SHIPPED, Scenario, read
from deploy.simulation.story import Outcome
from services.dispatch.catalogues import Catalogues, catalogues
from shared.catalogue import CatalogueError


def simulate(
    session: Session,
    file: Annotated[Path, typer.Argument(help="simulate.file", show_default=False)] = SHIPPED,
    policy: Annotated[list[str] | None, typer.Option("--policy", metavar="NAME", help="simulate.policy")] = None,
    without: Annotated[list[str] | None, typer.Option("--without", metavar="WORKER", help="simulate.without")] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="simulate.seed", show_default=False)] = None,
    plots: Annotated[Path | None, typer.Option("--plots", metavar="FOLDER", help="simulate.plots")] = None,
) -> None:
    """Play a day under each policy, and tell the figures side by side."""
    if unknown := set(policy or ()).difference(NAMES):
        raise Trouble("simulate.unknown_policy", names=", ".join(sorted(unknown)), known=", ".join(NAMES))
    # Told before the day is played, not after.
    if plots is not None and find_spec("matplotlib") is None:
        raise Trouble("simulate.no_matplotlib")
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
    title = session.say("simulate.title", **told)
    rows = list(_rows(session.say, found))
    at_least = session.say("simulate.least", **{name: _number(one) for name, one in bound.items()})
    if not session.json:
        session.out.print(_table(title, rows))
        session.out.print(at_least)
    if plots is not None:
        _draw(session, plots, list(zip(played, found, strict=True)), known, (title, rows, at_least))


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


def _draw(
    session: Session,
    folder: Path,
    days: Sequence[tuple[Outcome, Figures]],
    known: Catalogues,
    told: tuple[str, list[list[str]], str],
) -> None:
    """Pictures, and a page that holds them with the title, the table and the bound that were told."""
    from deploy.cli import page, pictures

    say = session.say
    if say.language == "zh" and pictures.chinese_font() is None:
        session.warn("simulate.no_font")
        say = Speech("en")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        drawn = pictures.draw(folder, say, days)
        late = page.late_orders(session.say, (outcome for outcome, _ in days), known.kinds)
        file = folder / "simulation.html"
        file.write_text(page.page(session.say, *told, drawn, late), encoding="utf-8")
    except OSError as error:
        raise Trouble("simulate.unwritable", path=folder, reason=error.strerror or error) from None
    session.tell("simulate.drawn", path=file)


def _rows(say: Speech, found: Sequence[Figures]) -> Iterator[list[str]]:
    """The figures side by side; the first row names the policies."""
    yield ["", *(one.policy for one in found)]

    def row(label: str, values: Iterable[object]) -> list[str]:
        return [label, *(_number(value) for value in values)]

    yield row(say("simulate.orders"), (one.orders for one in found))
    yield row(say("simulate.deliveries"), (one.deliveries for one in found))
    yield row(say("simulate.open"), (one.open for one in found))
    for name in (*URGENCIES, ALL):
        yield row(say("simulate.until_yes", urgency=say(f"simulate.{name}")), (one.until_yes[name] for one in found))
    for name in (*URGENCIES, ALL):
        yield row(say("simulate.until_door", urgency=say(f"simulate.{name}")), (one.until_door[name] for one in found))
    yield row(say("simulate.metres"), (one.metres for one in found))
    yield row(say("simulate.metres_per_delivery"), (one.metres_per_delivery for one in found))
    yield row(say("simulate.late"), (one.late for one in found))
    for why in (why for why in LATE if any(why in one.late_because for one in found)):
        yield row(say(f"simulate.late_{why}"), (one.late_because.get(why, 0) for one in found))
    yield row(say("simulate.load"), (one.highest_to_mean_load for one in found))
    yield row(say("simulate.escalations"), (sum(one.escalations.values()) for one in found))


def _table(title: str, rows: Sequence[Sequence[str]]) -> Table:
    head, *body = rows
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left")
    for row in body:
        table.add_row(*row)
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
