"""The composition root of dispatch: settings in, a ready service out."""

from datetime import timedelta

from fastapi import FastAPI

from services.dispatch.api import add_routes
from services.dispatch.catalogues import catalogues
from services.dispatch.duties import certificate
from services.dispatch.duties.api import add_duty_routes
from services.dispatch.duties.handlers import remind
from services.dispatch.handlers import count_open, lapse, router, warn
from services.dispatch.house import Dispatch
from services.dispatch.photos import forget
from services.dispatch.planning import Planner
from services.dispatch.rounds import choose
from services.dispatch.store import Store
from services.dispatch.workers.api import add_worker_routes
from services.dispatch.workers.handlers import end_absences
from shared.runtime import Runtime
from shared.service import build_app, run
from shared.settings import Settings


def build(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The service. A test hands in a runtime with its own clock."""
    runtime = runtime or Runtime("dispatch", settings)
    known = catalogues(settings.catalogue_dir)
    sheet = certificate.load(settings.catalogue_dir / "certificate.html")
    house = Dispatch(runtime, Store(runtime), known.kinds, known.abilities, known.distances)
    planner, keeping = Planner(), timedelta(days=settings.photo_days)
    runtime.consume(router, house)
    runtime.every("due dates", lambda: lapse(house), pause=0.5)
    runtime.every("warnings", lambda: warn(house), pause=5.0)
    runtime.every("photos", lambda: forget(house.store, runtime.clock() - keeping), pause=600.0)
    runtime.every("rounds", lambda: choose(house, planner), pause=1.0)
    runtime.every("absences", lambda: end_absences(house), pause=2.0)
    runtime.every("duties", lambda: remind(house), pause=2.0)
    runtime.condition.count_due(lambda: house.store.overdue(runtime.clock()))
    runtime.condition.measure(lambda: count_open(house))
    app = build_app(runtime, planner)
    add_routes(app, house)
    add_worker_routes(app, house)
    add_duty_routes(app, house, sheet)
    return app


if __name__ == "__main__":
    run(build, "dispatch")
