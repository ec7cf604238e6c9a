"""RabbitMQ behind one door: the only package that imports a broker client."""

from shared.bus.acknowledgements import Receipt
from shared.bus.client import PUBLISH_TIMEOUT, Bus, Receive
from shared.bus.errors import BrokerUnavailable, ForeignTopology, NotTaken, Unroutable
from shared.bus.inspection import PROBE, QueueState
from shared.bus.topology import DEAD_LETTERS_EXCHANGE, RETRY_PAUSES, QueueBinding, retry_exchange

__all__ = [
    "DEAD_LETTERS_EXCHANGE",
    "PROBE",
    "PUBLISH_TIMEOUT",
    "RETRY_PAUSES",
    "BrokerUnavailable",
    "Bus",
    "ForeignTopology",
    "NotTaken",
    "QueueBinding",
    "QueueState",
    "Receipt",
    "Receive",
    "Unroutable",
    "retry_exchange",
]
