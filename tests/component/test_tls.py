"""Broker and database over TLS, by their addresses alone: the certificate is checked."""

import socket
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from threading import Thread
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


class _Tunnel(socketserver.ThreadingTCPServer):
    """TLS outside, none inside: whatever comes goes on, until either end is gone."""

    context: ssl.SSLContext
    port: int


class _Way(socketserver.BaseRequestHandler):
    server: _Tunnel

    def handle(self) -> None:
        """One connection, from the handshake to the end of either side."""
        with (
            suppress(OSError),
            self.server.context.wrap_socket(self.request, server_side=True) as outside,
            socket.create_connection((LOOPBACK, self.server.port)) as inside,
        ):
            while True:
                for one in [outside] if outside.pending() else select([outside, inside], (), ())[0]:
                    data = one.recv(65_536)
                    if not data:
                        return
                    (inside if one is outside else outside).sendall(data)


@contextmanager
def behind_tls(port: int, certificate: trustme.LeafCert) -> Iterator[int]:
    """A port at which the server at `port` is reached over TLS."""
    with _Tunnel((LOOPBACK, 0), _Way) as tunnel:
        tunnel.port = port
        tunnel.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(tunnel.context)
        serving = Thread(target=tunnel.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield tunnel.server_address[1]
        finally:
            tunnel.shutdown()
            serving.join()


@contextmanager
def both_behind_tls(town: Town, authority: trustme.CA) -> Iterator[tuple[int, int]]:
    """The ports of broker and database."""
    certificate = authority.issue_cert(LOOPBACK)
    with (
        behind_tls(town.engines.rabbit.port, certificate) as broker,
        behind_tls(town.engines.mongo.port, certificate) as database,
    ):
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
    with both_behind_tls(town, authority) as (broker, database):
        async with (
            town.up("intake", **addresses(broker, database, tmp_path / "ca.pem")) as at,
            town.ear("request.created.#") as ear,
        ):
            assert (await at.intake.post("/requests", groceries("1"), who="source")).status_code == 202
            await eventually(lambda: ear.heard)


async def test_a_certificate_of_another_authority_is_not_believed(town: Town, tmp_path: Path) -> None:
    """Neither the broker's nor the database's."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    with both_behind_tls(town, trustme.CA()) as (broker, database):
        settings = town.engines.settings(**addresses(broker, database, tmp_path / "other.pem"))
        runtime = Runtime("intake", settings)
        with pytest.raises(BrokerUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await runtime.bus.connect()
        with pytest.raises(StorageUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await runtime.database.ping()
        runtime.database.close()
