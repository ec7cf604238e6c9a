"""Loads the demonstration community into a running system: `python -m deploy.demo.load`.

Safe to run again: what is there already is left alone, and every command carries the same id each time.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated
from uuid import NAMESPACE_URL, uuid5

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.demo.access import NotRunning, data_folder, operator_amqp, read_access
from deploy.demo.broker import Broker, BrokerUnreachable, quiet
from deploy.demo.community import COMMUNITY, Community, demonstration
from deploy.demo.gateway import Gateway, NoAnswer, Refusal
from deploy.demo.patience import Patience
from shared.contracts.envelope import Command
from shared.contracts.ledger import PersonRegistered, RegisterBuilding, RegisterPerson
from shared.contracts.workers import RegisterWorker, WorkerRegistered

STANDSTILL = 60.0
"""Seconds in which nothing is registered, after which a load is given up."""
PAUSE = 1.0
"""Seconds between two looks at the statistics."""


class NotLoaded(Exception):
    """The ledger did not have everything in time; the message says what is missing."""


Told = Callable[[str, int, int], None]
"""Hears of progress: which part, how much of it is done, how much there is."""


async def load(
    gateway: Gateway, broker: Broker, community: Community, *, told: Told, standstill: float = STANDSTILL
) -> bool:
    """Register the community and wait until the ledger has all of it; False when it was there before.

    Raises:
        NotLoaded: nothing more was registered for `standstill` seconds.
    """
    wanted = expected(community)
    if not missing(await _statistics(gateway), wanted):
        return False
    commands = list(named(community))
    sent = 0

    def confirmed(count: int) -> None:
        nonlocal sent
        sent += count
        told("published", sent, len(commands))

    await broker.tell(commands, told=confirmed)
    patience = Patience(standstill)
    while lacking := missing(there := await _statistics(gateway), wanted):
        told("registered", there.get("people told of", 0), wanted["people told of"])
        if patience.ended(sum(lacking.values()), asyncio.get_running_loop().time()):
            words = ", ".join(f"{count} {name}" for name, count in lacking.items())
            raise NotLoaded(f"For {standstill:.0f} s the ledger has lacked {words}. See `doorstep status`.")
        await asyncio.sleep(PAUSE)
    told("registered", there["people told of"], wanted["people told of"])
    return True


def expected(community: Community) -> dict[str, int]:
    """What the ledger's statistics must reach; once people were told of, the other services have heard of them too."""
    people = sum(len(household.people) for household in community.households)
    return {"buildings": len(community.buildings), "workers": len(community.workers), "people told of": people}


def missing(there: dict[str, int], wanted: dict[str, int]) -> dict[str, int]:
    """What is lacking, by name; empty when all is there."""
    return {name: count - there.get(name, 0) for name, count in wanted.items() if there.get(name, 0) < count}


def named(community: Community) -> Iterator[tuple[str, Command]]:
    """Every command with an id that is the same each time it is made."""
    for command in community.commands():
        match command:
            case RegisterBuilding():
                name = f"building/{command.building}"
            case RegisterWorker():
                name = f"worker/{command.worker_id}"
            case RegisterPerson():
                name = f"person/{command.source}/{command.source_id}"
            case _:
                raise TypeError(f"{type(command).__name__} has no name")
        yield str(uuid5(NAMESPACE_URL, f"doorstep/{COMMUNITY}/{name}")), command


async def _statistics(gateway: Gateway) -> dict[str, int]:
    body = await gateway.read("/api/ledger/statistics", role="operator")
    entries = body.get("entries", {})
    return {
        **{name: value for name, value in body.items() if isinstance(value, int)},
        "workers": entries.get(WorkerRegistered.__name__, 0),
        "people told of": entries.get(PersonRegistered.__name__, 0),
    }


async def load_shown(http: str, tokens: dict[str, str], amqp: str, console: Console) -> None:
    """Load with a progress bar, and say what came of it."""
    columns = (TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bars = {part: progress.add_task(part, total=None) for part in ("published", "registered")}

        def told(part: str, done: int, total: int) -> None:
            progress.update(bars[part], completed=done, total=total)

        async with Gateway(http, tokens) as gateway, Broker(amqp, timeout=15.0) as broker:
            community = demonstration()
            fresh = await load(gateway, broker, community, told=told)
    counts = ", ".join(f"{count:,} {name}" for name, count in expected(community).items() if name != "people told of")
    console.print(f"Community {COMMUNITY} {'loaded' if fresh else 'was there already'}: {counts}.", soft_wrap=True)


def main(
    data: Annotated[Path | None, typer.Option(help="The data folder; default DOORSTEP_DATA_DIR or .doorstep.")] = None,
    http: Annotated[str | None, typer.Option(help="Origin of the gateway, instead of the one in access.json.")] = None,
    amqp: Annotated[str | None, typer.Option(help="Broker with user and password, instead of the operator's.")] = None,
) -> None:
    """Load the demonstration community: 6 grids, 24 buildings, 2,265 households, 7,000 people."""
    console = Console(stderr=True)
    quiet()
    folder = data or data_folder()
    try:
        access = read_access(folder)
        url = amqp or operator_amqp(folder, access)
        asyncio.run(load_shown(http or access.http, access.tokens, url, console))
    except (NotRunning, NotLoaded, NoAnswer, Refusal, BrokerUnreachable) as error:
        console.print(f"[red]Not loaded.[/] {error}", soft_wrap=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
