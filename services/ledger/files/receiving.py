"""Files that somebody sends: one at a time is received and worked on, so that memory has a bound."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from services.ledger.files.spreadsheets import FILE_LIMIT
from shared.contracts.refusal import refusal
from shared.web import limited

ARRIVES_WITHIN = 300.0
"""Seconds in which a file must be here: others wait."""


@asynccontextmanager
async def received(request: Request, turn: asyncio.Semaphore, within: float = ARRIVES_WITHIN) -> AsyncIterator[bytes]:
    """The file that is sent, once it is its turn, which lasts until the work on it is done.

    Raises:
        Refusal: `too_large`, `too_slow`.
    """
    async with turn:
        try:
            async with asyncio.timeout(within):
                content = await limited(request, FILE_LIMIT)
        except TimeoutError:
            raise refusal("file", "too_slow", "this file did not arrive in time; send it again", status=408) from None
        yield content
