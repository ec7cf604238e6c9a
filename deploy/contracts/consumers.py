"""Which service reads which events, read off the services' own handlers."""

import importlib
from collections.abc import Mapping
from importlib.util import find_spec

from deploy.contracts.catalogue import SERVICES
from shared.contracts.ledger import AccessGranted, AccessRevoked
from shared.contracts.queues import QueueRebuilt

EVERYWHERE = frozenset({AccessGranted.wire, AccessRevoked.wire, QueueRebuilt.wire})
"""What the runtime beneath every service reads: who may come in, and who must be sent something again."""


def consumers() -> Mapping[str, frozenset[str]]:
    """The wire types that each service reads, by service; `services.<name>.handlers.router` knows them."""
    return {service: _handled(service) for service in SERVICES}


def _handled(service: str) -> frozenset[str]:
    name = f"services.{service}.handlers"
    if find_spec(name) is None:
        return EVERYWHERE
    events: Mapping[str, object] = importlib.import_module(name).router.events
    return EVERYWHERE | events.keys()
