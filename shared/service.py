"""A service as a process: its HTTP application over a runtime, run until it is told to stop."""

import contextlib
import gc
import sys
from collections.abc import AsyncIterator, Callable
from typing import Protocol

import uvicorn
from fastapi import FastAPI

from shared.catalogue import CatalogueError
from shared.operation import add_operator_routes
from shared.runtime import Runtime
from shared.settings import Settings, SettingsError
from shared.telemetry import configure_logs
from shared.web import create_app


class Part(Protocol):
    """Something that a service starts and stops beside its runtime."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""


def build_app(runtime: Runtime, *parts: Part) -> FastAPI:
    """The service's HTTP application: probes and the operator's routes; the service adds its own."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await runtime.start()
        for part in parts:
            await part.start()
        try:
            yield
        finally:
            for part in parts:
                await part.stop()
            await runtime.stop()

    app = create_app(runtime.name, runtime.guard, runtime.telemetry, lifespan=lifespan)
    add_operator_routes(app, runtime)
    return app


def spare_the_collector() -> None:
    """Have garbage in cycles looked for far less often, and never among what a service keeps for its whole life.

    What we read and validate of one moment is many objects and no cycle; looking through all of them again and again
    took almost half of the processor time of long lists.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def run(build: Callable[[Settings], FastAPI], name: str) -> None:
    """Run one service until it is told to stop."""
    try:
        settings = Settings.read()
        configure_logs(name, settings.log_level)
        app = build(settings)
    except (SettingsError, CatalogueError) as error:
        sys.stderr.write(f"doorstep {name} cannot start: {error}\n")
        raise SystemExit(1) from None
    spare_the_collector()
    uvicorn.run(
        app,
        host=settings.http_host,
        port=settings.http_port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )
