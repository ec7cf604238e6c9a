"""Broker and database over TLS, by their addresses alone: the certificate is checked."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from deploy.engines.definitions import VHOST
from deploy.engines.ports import LOOPBACK
from shared.bus import BrokerUnavailable
from shared.documents import StorageUnavailable
from shared.runtime import Runtime
from tests.running import Town, eventually
from tests.world import groceries


@asynccontextmanager
async def behind_tls(port: int, certificate: trustme.LeafCert) -> AsyncIterator[int]:
    """A port at which the server at `port` is reached over TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    ways: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways.add(asyncio.current_task())
        inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, port)
        try:
            await asyncio.gather(pass_on(reader, inner_writer), pass_on(inner_reader, writer))
        finally:
            writer.transport.abort()
            inner_writer.transport.abort()

    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for way in filter(None, ways):
            way.cancel()
        await asyncio.gather(*filter(None, ways), return_exceptions=True)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whatever comes in goes out, until either end is gone."""
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def both_behind_tls(town: Town, authority: trustme.CA) -> AsyncIterator[tuple[int, int]]:
    """The ports of broker and database."""
    certificate = authority.issue_cert(LOOPBACK)
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(behind_tls(town.engines.rabbit.port, certificate))
        database = await stack.enter_async_context(behind_tls(town.engines.mongo.port, certificate))
        yield broker, database


def addresses(broker: int, database: int, authority: Path) -> dict[str, Any]:
    """The settings that an operator makes."""
    return {
        "rabbit_url": f"amqps://{LOOPBACK}:{broker}/{VHOST}?cafile={authority}",
        # The set's member calls itself by the port without TLS, so it is spoken to alone.
        "mongo_url": f"mongodb://{LOOPBACK}:{database}/?directConnection=true&tls=true&tlsCAFile={authority}",
    }


async def test_a_service_lives_with_both_over_tls(town: Town, tmp_path: Path) -> None:
    """Ready, and a request is taken and told."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with (
        both_behind_tls(town, authority) as (broker, database),
        town.up("intake", **addresses(broker, database, tmp_path / "ca.pem")) as at,
        town.ear("request.created.#") as ear,
    ):
        assert (await at.intake.post("/requests", groceries("1"), who="source")).status_code == 202
        await eventually(lambda: ear.heard)


async def test_a_certificate_of_another_authority_is_not_believed(town: Town, tmp_path: Path) -> None:
    """Neither the broker's nor the database's."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    async with both_behind_tls(town, trustme.CA()) as (broker, database):
        settings = town.engines.settings(**addresses(broker, database, tmp_path / "other.pem"))
        runtime = Runtime("intake", settings)
        with pytest.raises(BrokerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await runtime.bus.connect()
        with pytest.raises(StorageUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await runtime.database.ping()
        runtime.database.close()
