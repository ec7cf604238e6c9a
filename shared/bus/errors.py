"""What can go wrong between us and the broker, in our words."""

import asyncio
from types import TracebackType

from aio_pika.exceptions import AMQPError, DeliveryError, PublishError

from shared.messages import Outgoing


class BrokerUnavailable(Exception):
    """The broker cannot be reached, or did not confirm in time; whether it has the message is not known."""


class ForeignTopology(Exception):
    """The broker holds something under one of our names that is of another kind than ours."""

    def __init__(self, said: str) -> None:
        super().__init__(
            f"RabbitMQ holds something of our name in another shape ({said}): use a virtual host of its own"
        )


class Unroutable(Exception):
    """The message reached no queue, and the broker no longer has it."""

    def __init__(self, message: Outgoing) -> None:
        super().__init__(f"{message.meta.type} {message.meta.id} to {message.exchange!r} {message.key!r}: no queue")


class NotTaken(Exception):
    """The broker refused the message, as it does when a queue is full."""

    def __init__(self, message: Outgoing) -> None:
        super().__init__(f"{message.meta.type} {message.meta.id} to {message.exchange!r} {message.key!r}: refused")


class translated:
    """`with translated():` the clients' many ways of saying "the broker is not there" become `BrokerUnavailable`."""

    __slots__ = ()

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        """Raise in our words what was raised in theirs."""
        if error is None or isinstance(error, (PublishError, DeliveryError)):
            return
        if isinstance(error, (AMQPError, OSError, TimeoutError)):
            raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error
        # Both clients say so of a connection or channel that closed under the call.
        if isinstance(error, RuntimeError) and any(word in str(error).lower() for word in ("closed", "connect")):
            raise BrokerUnavailable(str(error)) from error
        if isinstance(error, asyncio.CancelledError):
            # A frozen peer surfaces as a cancellation that nobody asked for.
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                raise BrokerUnavailable("the connection was lost") from error
