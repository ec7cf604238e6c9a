"""The composition root of the ledger: settings in, a ready service out."""

from fastapi import FastAPI

from services.ledger import cases, evidence, observation
from services.ledger.api import add_routes
from services.ledger.cases_api import add_case_routes
from services.ledger.catalogues import fit
from services.ledger.domain.follow_ups import Rules
from services.ledger.evidence_api import add_evidence_routes
from services.ledger.follow_ups import fall_due, lapse
from services.ledger.follow_ups_api import add_follow_up_routes
from services.ledger.gates_api import add_gate_routes
from services.ledger.handlers import router
from services.ledger.house import Ledger
from services.ledger.money_api import add_money_routes
from services.ledger.observation_api import add_observation_routes
from services.ledger.presence_api import add_presence_routes
from services.ledger.round_work import apply_again, work
from services.ledger.rounds_api import add_round_routes
from services.ledger.store import Store
from shared.catalogue import load
from shared.contracts.catalogue import CaseCatalogue, Kinds, ObservationCatalogue
from shared.runtime import Runtime
from shared.service import build_app, run
from shared.settings import Settings


def build(settings: Settings, runtime: Runtime | None = None) -> FastAPI:
    """The service. A test hands in a runtime with its own clock."""
    runtime = runtime or Runtime("ledger", settings)
    kinds = load(settings.catalogue_dir / "kinds.yaml", Kinds)
    rules = load(settings.catalogue_dir / "follow-ups.yaml", Rules)
    case_kinds = load(settings.catalogue_dir / "cases.yaml", CaseCatalogue)
    observed = load(settings.catalogue_dir / "observation.yaml", ObservationCatalogue)
    fit(settings.catalogue_dir, kinds, rules, observed)
    house = Ledger(runtime, Store(runtime), kinds, rules, case_kinds, observed)
    runtime.consume(router, house)
    runtime.every("follow-ups", lambda: fall_due(house), pause=1.0)
    runtime.every("tries", lambda: lapse(house), pause=1.0)
    runtime.every("rounds", lambda: work(house), pause=1.0)
    runtime.every("reports", lambda: apply_again(house), pause=2.0)
    runtime.every("case steps", lambda: cases.lapse(house), pause=1.0)
    runtime.every("last days", lambda: observation.lapse(house), pause=1.0)
    runtime.every("days", lambda: evidence.begin_days(house), pause=1.0)
    runtime.every("evidence", lambda: evidence.lapse(house), pause=1.0)
    runtime.condition.count_due(lambda: house.store.overdue(runtime.clock()))
    app = build_app(runtime)
    add_routes(app, house)
    add_follow_up_routes(app, house)
    add_round_routes(app, house)
    add_gate_routes(app, house)
    add_case_routes(app, house)
    add_observation_routes(app, house)
    add_presence_routes(app, house)
    add_evidence_routes(app, house)
    add_money_routes(app, house)
    return app


if __name__ == "__main__":
    run(build, "ledger")
