"""The composition root of notification: settings in, a ready service out."""

from fastapi import FastAPI

from services.notification.api import add_routes
from services.notification.domain.message import Rules
from services.notification.handlers import Notification, router
from services.notification.store import Store
from services.notification.stream import Live
from shared.catalogue import load
from shared.contracts.catalogue import CaseCatalogue, Kinds
from shared.runtime import Runtime
from shared.service import build_app, run
from shared.settings import Settings


def build(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The service. A test hands in a runtime with its own clock."""
    runtime = runtime or Runtime("notification", settings)
    rules = load(settings.catalogue_dir / "notifications.yaml", Rules)
    kinds = load(settings.catalogue_dir / "kinds.yaml", Kinds)
    cases = load(settings.catalogue_dir / "cases.yaml", CaseCatalogue)
    kinds = kinds.model_copy(update={"labels": {code: kind.label for code, kind in cases.kinds.items()}})
    house = Notification(runtime, Store(runtime), rules, kinds)
    live = Live(runtime.bus, runtime.came_up)
    runtime.consume(router, house)
    app = build_app(runtime, live)
    add_routes(app, house, live)
    return app


if __name__ == "__main__":
    run(build, "notification")
