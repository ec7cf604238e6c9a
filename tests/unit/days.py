"""A small day for the tests of the simulator."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deploy.simulation.compare import compare
from deploy.simulation.scenario import CATALOGUES, Scenario
from deploy.simulation.story import Outcome
from services.dispatch.catalogues import catalogues

KNOWN = catalogues(CATALOGUES)
SMALL: dict[str, Any] = {
    "community": "tiebei",
    "begins": "2026-11-24T08:00:00+08:00",
    "hours": 4,
    "seed": 1,
    "seconds_between_rounds": 3,
    "buildings": {"1": {"grid": "g1"}, "2": {"grid": "g1"}, "5": {"grid": "g2"}},
    "workers": [
        {
            "worker_id": "zhao",
            "role": "grid_worker",
            "grids": ["g1"],
            "starts": "office",
            "skills": ["gas_card_reader"],
        },
        {"worker_id": "qian", "role": "grid_worker", "grids": ["g2"], "starts": "office"},
        {"worker_id": "sun", "role": "volunteer", "starts": "1", "languages": ["zh", "ru"]},
        {"worker_id": "wu", "role": "volunteer", "grids": ["g2"], "starts": "5"},
        {"worker_id": "zhou", "role": "coordinator", "starts": "office"},
    ],
    "orders": {"count": 40, "by_hour": [1] * 24, "kinds": {"groceries": 3, "rubbish": 2, "gas_top_up": 1}},
    "habits": {
        "seconds_to_answer": {"least": 30, "most": 300},
        "says_yes": {"grid_worker": 0.9, "volunteer": 0.7},
        "forgets": 0.1,
        "minutes_until_off": 5,
        "carries": 4,
        "metres_per_minute": 70,
        "minutes_at_shop": 6,
        "minutes_at_door": 4,
        "shops": {"groceries": "supermarket"},
    },
}
"""Four hours in two grids, with everybody of the story world under other names."""


def small(**changes: Any) -> Scenario:
    """The small scenario; `changes` replace its parts, or some fields of a part."""
    merged = {
        name: {**SMALL[name], **change} if isinstance(change, Mapping) and name != "buildings" else change
        for name, change in changes.items()
    }
    return Scenario.model_validate({**SMALL, **merged})


def workers(**changes: Any) -> list[dict[str, Any]]:
    """Those who help there, each with these changes."""
    return [one if one["role"] == "coordinator" else {**one, **changes} for one in SMALL["workers"]]


def played(scenario: Scenario, policy: str = "today") -> Outcome:
    return compare(scenario, KNOWN, [policy], lambda name, hours: None)[0]


def written(folder: Path, scenario: Scenario) -> Path:
    path = folder / "day.yaml"
    path.write_text(
        yaml.safe_dump(json.loads(scenario.model_dump_json()), allow_unicode=True, sort_keys=False), encoding="utf-8"
    )
    return path
