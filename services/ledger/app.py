"""The composition root of the ledger: settings in, a ready service out."""

from fastapi import FastAPI

from services.ledger.api import add_routes
from services.ledger.handlers import Ledger, router
from services.ledger.store import Store
from shared.runtime import Runtime
from shared.service import build_app, run
from shared.settings import Settings


def build(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The service. A test hands in a runtime with its own clock."""
    runtime = runtime or Runtime("ledger", settings)
    house = Ledger(runtime, Store(runtime))
    runtime.consume(router, house)
    app = build_app(runtime)
    add_routes(app, house)
    return app


if __name__ == "__main__":
    run(build, "ledger")
