"""A system of the demonstration's own: started on free ports in a temporary folder, stopped and removed at the end."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from rich.console import Console

from deploy.engines.engine import EngineError
from deploy.local.checks import CheckError
from deploy.local.stack import LocalStack, StackError

TIME_SCALE = 60
"""One minute of the catalogue lasts a second, so that offers and leases run out within the day."""

NOT_STARTED = (CheckError, EngineError, StackError)
"""Why it could not be started; each says what to do."""


@asynccontextmanager
async def own_stack(console: Console) -> AsyncIterator[Path]:
    """Start everything; yields the data folder. Raises one of NOT_STARTED."""
    with tempfile.TemporaryDirectory(prefix="doorstep-demo-") as folder:
        environment = {"DOORSTEP_TIME_SCALE": str(TIME_SCALE), **os.environ}
        stack = LocalStack(Path(folder) / "data", environment=environment, report=console.print)
        try:
            await asyncio.to_thread(stack.start)
            yield stack.data_dir
        finally:
            stopping = asyncio.create_task(asyncio.to_thread(stack.stop))
            while not stopping.done():
                # A second Ctrl-C must not leave anything running.
                with suppress(asyncio.CancelledError):
                    await asyncio.shield(stopping)
