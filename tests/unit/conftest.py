"""What several unit tests read: the chart, rendered once for each set of values, and a folder of secrets."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.local.secrets import Secrets
from tests.unit.chart import Helm, Object, Render


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    return Helm(tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def render(helm: Helm) -> Render:
    """The objects that values make; to be read, not changed."""
    known: dict[str, list[Object]] = {}

    def rendered(**values: Any) -> list[Object]:
        key = json.dumps(values)
        if key not in known:
            known[key] = helm.render(values)
        return known[key]

    return rendered


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make secrets` makes."""
    return Secrets(tmp_path_factory.mktemp("secrets") / "secrets").folder
