"""The composition root of the ledger: settings in, a ready service out."""

from fastapi import FastAPI

from services.ledger import keeping
from services.ledger.api import add_routes
from services.ledger.cases import handlers as cases
from services.ledger.cases.api import add_case_routes
from services.ledger.cases.council_api import add_council_routes
from services.ledger.catalogues import fit
from services.ledger.domain.day_reports import Reports
from services.ledger.domain.facilities import FacilityCatalogue
from services.ledger.domain.follow_ups import Rules
from services.ledger.domain.imports import Imports
from services.ledger.domain.people import PeopleCatalogue
from services.ledger.evidence import handlers as evidence
from services.ledger.evidence.api import add_evidence_routes
from services.ledger.facilities.api import add_facility_routes
from services.ledger.follow_ups.api import add_follow_up_routes
from services.ledger.follow_ups.handlers import fall_due, lapse
from services.ledger.gates.api import add_gate_routes
from services.ledger.handlers import router
from services.ledger.house import Ledger
from services.ledger.imports.api import add_import_routes
from services.ledger.imports.importing import Importing
from services.ledger.imports.store import ImportStore
from services.ledger.money.api import add_money_routes
from services.ledger.numbers.api import add_number_routes
from services.ledger.observation import handlers as observation
from services.ledger.observation.api import add_observation_routes
from services.ledger.people.api import add_people_routes
from services.ledger.people.handlers import follow_buildings, forget, move_up
from services.ledger.people.held_api import add_held_routes
from services.ledger.people.households_api import add_household_routes
from services.ledger.presence.api import add_presence_routes
from services.ledger.programmes import handlers as programmes
from services.ledger.programmes.api import add_programme_routes
from services.ledger.rebuilding.api import add_rebuilding_routes
from services.ledger.rounds.api import add_round_routes
from services.ledger.rounds.work import apply_again, work
from services.ledger.store import Store
from shared.catalogue import load
from shared.contracts.catalogue import CaseCatalogue, Kinds, ObservationCatalogue
from shared.runtime import Runtime
from shared.service import build_app, run
from shared.settings import Settings


def furnished(runtime: Runtime) -> Ledger:
    """The ledger as its handlers know it: what it keeps, and the catalogues.

    Raises:
        CatalogueError: one of them is missing or wrong, or names what another does not have.
    """
    folder = runtime.settings.catalogue_dir
    house = Ledger(
        runtime,
        Store(runtime),
        load(folder / "kinds.yaml", Kinds),
        load(folder / "follow-ups.yaml", Rules),
        load(folder / "cases.yaml", CaseCatalogue),
        load(folder / "observation.yaml", ObservationCatalogue),
        load(folder / "people.yaml", PeopleCatalogue),
        load(folder / "facilities.yaml", FacilityCatalogue),
    )
    fit(folder, house.kinds, house.rules, house.observation)
    return house


def build(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The service. A test hands in a runtime with its own clock."""
    runtime = runtime or Runtime("ledger", settings)
    house = furnished(runtime)
    runtime.consume(router, house)
    runtime.every("follow-ups", lambda: fall_due(house), pause=1.0)
    runtime.every("programmes", lambda: programmes.fall_due(house), pause=1.0)
    runtime.every("tries", lambda: lapse(house), pause=1.0)
    runtime.every("rounds", lambda: work(house), pause=1.0)
    runtime.every("reports", lambda: apply_again(house), pause=2.0)
    runtime.every("case steps", lambda: cases.lapse(house), pause=1.0)
    runtime.every("last days", lambda: observation.lapse(house), pause=1.0)
    runtime.every("days", lambda: evidence.begin_days(house), pause=1.0)
    runtime.every("evidence", lambda: evidence.lapse(house), pause=1.0)
    runtime.every("grids", lambda: follow_buildings(house), pause=1.0)
    runtime.every("first line", lambda: move_up(house), pause=600.0)
    runtime.every("forgetting", lambda: forget(house), pause=10.0)
    runtime.every("keys", lambda: keeping.forget(house), pause=10.0)
    runtime.every("heads", house.store.heads.go_on, pause=1.0)
    imports = load(settings.catalogue_dir / "imports.yaml", Imports)
    importing = Importing(house, ImportStore(runtime, house.store), imports)
    runtime.every("imports", importing.go_on, pause=0.5)
    runtime.condition.count_due(lambda: house.store.overdue(runtime.clock()))
    app = build_app(runtime)
    add_routes(app, house)
    add_follow_up_routes(app, house)
    add_programme_routes(app, house)
    add_round_routes(app, house, imports)
    add_gate_routes(app, house)
    add_case_routes(app, house)
    add_council_routes(app, house)
    add_observation_routes(app, house)
    add_presence_routes(app, house)
    add_evidence_routes(app, house)
    add_money_routes(app, house)
    add_facility_routes(app, house)
    add_held_routes(app, house)
    add_people_routes(app, house)
    add_household_routes(app, house)
    add_rebuilding_routes(app, house)
    add_import_routes(app, importing)
    add_number_routes(app, house, load(settings.catalogue_dir / "reports.yaml", Reports))
    return app


if __name__ == "__main__":
    run(build, "ledger")
