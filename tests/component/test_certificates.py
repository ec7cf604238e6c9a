"""The exporter that looks at certificates, run for real with the settings that it is deployed with."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import trustme

from deploy.engines.ports import LOOPBACK, free_port
from tests.component.test_tls import behind_tls
from tests.documentation import ROOT
from tests.running import Town, eventually, need

PROGRAM = "prometheus-blackbox-exporter"


@pytest.fixture
def exporter() -> Iterator[str]:
    """Its address."""
    need(None if shutil.which(PROGRAM) else f"{PROGRAM} is missing: deploy/local/install.sh --tests")
    address = f"{LOOPBACK}:{free_port()}"
    settings = ROOT / "deploy/observe/blackbox.yaml"
    command = [PROGRAM, f"--config.file={settings}", f"--web.listen-address={address}", "--log.level=error"]
    with subprocess.Popen(command) as process:
        yield f"http://{address}"
        process.terminate()


async def test_the_day_on_which_a_certificate_ends_is_seen_whoever_made_it(town: Town, exporter: str) -> None:
    """In seconds since 1970, as the alert reckons."""
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10)
    certificate = trustme.CA().issue_cert(LOOPBACK, not_after=ends)
    with behind_tls(town.engines.rabbit.port, certificate) as port:
        async with httpx.AsyncClient(base_url=exporter, trust_env=False) as client:

            async def seen() -> dict[str, float]:
                try:
                    answer = await client.get(
                        "/probe", params={"module": "certificate", "target": f"{LOOPBACK}:{port}"}
                    )
                except httpx.TransportError:
                    return {}
                lines = (line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#"))
                return {name: float(value) for name, _, value in lines}

            told = await eventually(seen)
    assert told["probe_success"] == 1
    assert told["probe_ssl_earliest_cert_expiry"] == ends.timestamp()


async def test_a_server_without_a_certificate_is_no_success(town: Town, exporter: str) -> None:
    """RabbitMQ's port without TLS."""
    params = {"module": "certificate", "target": f"{LOOPBACK}:{town.engines.rabbit.port}"}
    async with httpx.AsyncClient(base_url=exporter, trust_env=False, timeout=20) as client:

        async def answered() -> str:
            try:
                return (await client.get("/probe", params=params)).text
            except httpx.TransportError:
                return ""

        assert "probe_success 0" in await eventually(answered, 30)
