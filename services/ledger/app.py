"""The composition root of the ledger: settings in, a ready service out."""

from fastapi import FastAPI

from services.ledger.api import add_routes
from services.ledger.domain.follow_ups import Rules
from services.ledger.domain.imports import Imports
from services.ledger.domain.people import PeopleCatalogue
from services.ledger.follow_ups import fall_due, lapse
from services.ledger.follow_ups_api import add_follow_up_routes
from services.ledger.handlers import router
from services.ledger.house import Ledger
from services.ledger.imports import Importing
from services.ledger.imports_api import add_import_routes
from services.ledger.imports_store import ImportStore
from services.ledger.people import forget
from services.ledger.people_api import add_people_routes
from services.ledger.store import Store
from shared.catalogue import load
from shared.contracts.catalogue import Kinds
from shared.runtime import Runtime
from shared.service import build_app, run
from shared.settings import Settings


def build(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The service. A test hands in a runtime with its own clock."""
    runtime = runtime or Runtime("ledger", settings)
    kinds = load(settings.catalogue_dir / "kinds.yaml", Kinds)
    rules = load(settings.catalogue_dir / "follow-ups.yaml", Rules)
    categories = load(settings.catalogue_dir / "people.yaml", PeopleCatalogue)
    house = Ledger(runtime, Store(runtime), kinds, rules, categories)
    runtime.consume(router, house)
    runtime.every("follow-ups", lambda: fall_due(house), pause=1.0)
    runtime.every("tries", lambda: lapse(house), pause=1.0)
    runtime.every("forgetting", lambda: forget(house), pause=10.0)
    importing = Importing(
        house, ImportStore(runtime, house.store), load(settings.catalogue_dir / "imports.yaml", Imports)
    )
    runtime.every("imports", importing.go_on, pause=0.5)
    runtime.condition.count_due(lambda: house.store.overdue(runtime.clock()))
    app = build_app(runtime)
    add_routes(app, house)
    add_follow_up_routes(app, house)
    add_people_routes(app, house)
    add_import_routes(app, importing)
    return app


if __name__ == "__main__":
    run(build, "ledger")
