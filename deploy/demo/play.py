"""Plays one day of the community: `make demo`, or `python -m deploy.demo.play --orders 400 --seconds 60`.

Against a system that runs already, or one started for it and stopped afterwards. Ends with the closing tables, and with
exit code 1 when anything is missing or doubled, 2 when the day could not be played.
"""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from deploy.demo.access import Access, NotRunning, answers, data_folder, operator_amqp, read_access
from deploy.demo.broker import BrokerUnreachable, quiet
from deploy.demo.community import demonstration
from deploy.demo.day import Day, StreamClosed
from deploy.demo.figures import Closing
from deploy.demo.gateway import NoAnswer, Refusal
from deploy.demo.load import NotLoaded, load_shown
from deploy.demo.orders import Order, plan_day
from deploy.demo.pace import Pace
from deploy.demo.record import Record
from deploy.demo.stack import NOT_STARTED, own_stack
from deploy.demo.tables import show
from shared.catalogue import load as load_catalogue
from shared.contracts.catalogue import Kinds

CATALOGUE = Path(__file__).parents[1] / "catalogues" / "kinds.yaml"

FAILURES = (NotRunning, NotLoaded, NoAnswer, Refusal, BrokerUnreachable, StreamClosed, *NOT_STARTED)
"""What ends the day before it is over; each says why."""


def orders_of(count: int, seed: int, label: str) -> tuple[Order, ...]:
    """The orders of a day, told by the seed; their keys begin with the label."""
    kinds = load_catalogue(CATALOGUE, Kinds).kinds
    rng = random.Random(seed)  # noqa: S311  # invented orders, not secrets
    return plan_day(rng, demonstration(), count=count, label=label, known=tuple(kinds))


@asynccontextmanager
async def running(folder: Path, console: Console) -> AsyncIterator[tuple[Access, str]]:
    """A system to play on, and the operator's broker address: the one that runs, or one of our own."""
    try:
        access = read_access(folder)
    except NotRunning:
        access = None
    if access is not None and await answers(access):
        console.print(f"Playing on the system that runs at {access.http}.", soft_wrap=True)
        yield access, operator_amqp(folder, access)
        return
    async with own_stack(console) as own:
        access = read_access(own)
        yield access, operator_amqp(own, access)


async def play(orders: int, seconds: float, seed: int, folder: Path, console: Console) -> Closing:
    """Load the community, play the day, close the account."""
    _end_on_signals(console)
    label = f"day-{seed}-{datetime.now(UTC):%Y%m%dT%H%M%S}"
    async with running(folder, console) as (access, amqp):
        await load_shown(access.http, access.tokens, amqp, console)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task("", total=orders)

            def told(pace: Pace, record: Record) -> None:
                progress.update(bar, completed=record.staff["complete"], description=live_line(pace, record))

            planned = orders_of(orders, seed, label)
            return await Day(access, demonstration(), planned, seconds=seconds, seed=seed, told=told).play()


def _end_on_signals(console: Console) -> None:
    """Have Ctrl-C and SIGTERM cancel what runs, so that a system of our own is stopped before we end."""
    task = asyncio.current_task()
    assert task is not None

    def end(number: signal.Signals) -> None:
        console.print(f"{number.name}: the day ends early.")
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end, number)


def live_line(pace: Pace, record: Record) -> str:
    """How the day goes, in one line."""
    staff = record.staff
    return (
        f"[bold]{pace}[/] {len(record.sent_at)} sent, {len(record.requests)} taken in, "
        f"{staff['accept'] + staff['claim']} accepted, {staff['complete']} completed of {record.orders}"
    )


def main(
    orders: Annotated[int, typer.Option(min=1, max=2265, help="How many orders, each from another door.")] = 400,
    seconds: Annotated[float, typer.Option(min=1, help="How long the day lasts.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Tells the day; the same seed, the same orders.")] = 7,
    json: Annotated[bool, typer.Option("--json", help="Print the account as JSON.")] = False,
    data: Annotated[Path | None, typer.Option(help="The data folder; default DOORSTEP_DATA_DIR or .doorstep.")] = None,
) -> None:
    """Play one day: orders come in, the staff accept, decline, forget and finish, and the account is closed."""
    console = Console(stderr=json)
    quiet()
    try:
        closing = asyncio.run(play(orders, seconds, seed, data or data_folder(), console))
    except* FAILURES as group:
        for reason in _leaves(group):
            console.print(f"[red]The day could not be played.[/] {reason}", soft_wrap=True)
        sys.exit(2)
    except* asyncio.CancelledError:
        sys.exit(130)
    if json:
        Console().print_json(data=closing.data())
    else:
        show(console, closing)
    sys.exit(0 if closing.good else 1)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors themselves, however deep they are wrapped."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


if __name__ == "__main__":
    typer.run(main)
