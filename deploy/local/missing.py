"""Which Python packages are missing. Imports nothing but the standard library."""

from collections.abc import Sequence
from importlib.util import find_spec

NEEDED = ("aio_pika", "faststream", "fastapi", "httpx", "motor", "pamqp", "pydantic_settings", "pymongo", "uvicorn")


def missing_modules(needed: Sequence[str] = NEEDED) -> list[str]:
    """Those that cannot be imported here."""
    return [module for module in needed if find_spec(module) is None]
