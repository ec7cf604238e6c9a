"""The composition root of intake: settings in, a ready service out."""

from fastapi import FastAPI

from services.intake.api import add_routes
from services.intake.handlers import Intake, router
from services.intake.store import Store
from shared.catalogue import load
from shared.contracts.catalogue import Kinds
from shared.runtime import Runtime
from shared.service import build_app, run
from shared.settings import Settings


def build(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The service. A test hands in a runtime with its own clock."""
    runtime = runtime or Runtime("intake", settings)
    kinds = load(settings.catalogue_dir / "kinds.yaml", Kinds)
    house = Intake(runtime, Store(runtime), kinds)
    runtime.consume(router, house)
    app = build_app(runtime)
    add_routes(app, house)
    return app


if __name__ == "__main__":
    run(build, "intake")
