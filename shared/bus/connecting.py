"""Connections to the broker that leave nothing behind when they cannot be made."""

from typing import TypeVar

from aio_pika.abc import AbstractConnection

C = TypeVar("C", bound=AbstractConnection)


async def opened(connection: C, timeout: float | None = None) -> C:  # noqa: ASYNC109 - aio-pika has it
    """The connection, open; `timeout` is in seconds.

    aio-pika's own `connect` leaves a connection that failed to the garbage collector, which then closes it from
    whatever runs at that moment, or from nothing.

    Raises:
        AMQPError, OSError, TimeoutError: it could not be opened.
    """
    try:
        await connection.connect(timeout=timeout)
    except BaseException:
        await connection.close()
        raise
    return connection
