"""Private RabbitMQ and MongoDB nodes: the real programs, on loopback, in a folder of their own."""

from deploy.engines.engine import Engine, EngineError
from deploy.engines.mongo import MongoNode
from deploy.engines.rabbit import RabbitNode

__all__ = ["Engine", "EngineError", "MongoNode", "RabbitNode"]
