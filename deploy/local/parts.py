"""The services and the gateway as programs: what each is started with and what it is told."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import deploy
from deploy.engines import MongoNode, RabbitNode
from deploy.engines.definitions import VHOST
from deploy.engines.ports import LOOPBACK
from deploy.local.checks import caddy
from deploy.local.gateway import caddyfile
from deploy.local.program import Program
from deploy.local.secrets import write_private

ROOT = Path(deploy.__file__).parents[1]
"""Where `services` and `deploy` can be imported from."""
_DRAIN_SECONDS = 30.0
_GATEWAY_STOP_SECONDS = 5.0


def log_of(data_dir: Path, name: str) -> Path:
    """The log of a service or the gateway."""
    return data_dir / "logs" / f"{name}.log"


def addresses(data_dir: Path, rabbit: RabbitNode, mongo: MongoNode) -> dict[str, str]:
    """What a program of ours is told. No password: a service logs in by its own name with the secret of that name."""
    return {
        "PYTHONUNBUFFERED": "1",
        "DOORSTEP_DATA_DIR": str(data_dir),
        "DOORSTEP_SECRETS_DIR": str(data_dir / "secrets"),
        "DOORSTEP_RABBIT_URL": f"amqp://{LOOPBACK}:{rabbit.port}/{VHOST}",
        "DOORSTEP_MONGO_URL": f"mongodb://{mongo.address}/?replicaSet={mongo.replica_set}",
    }


def service(
    name: str,
    command: Sequence[str],
    *,
    port: int,
    environment: Mapping[str, str],
    data_dir: Path,
    keep_open: Sequence[int] = (),
) -> Program:
    """One service on a port of its own; half a minute to finish what it has begun when it is stopped."""
    return Program(
        name,
        command,
        environment={**environment, "DOORSTEP_HTTP_HOST": LOOPBACK, "DOORSTEP_HTTP_PORT": str(port)},
        folder=ROOT,
        log=log_of(data_dir, name),
        stop_patience=_DRAIN_SECONDS,
        keep_open=keep_open,
    )


def gateway(*, port: int, services: Mapping[str, int], data_dir: Path, keep_open: int) -> Program:
    """Caddy in front of the services, by name and port; its settings are written here.

    Raises:
        CheckError: Caddy is not installed.
    """
    folder = data_dir / "gateway"
    folder.mkdir(exist_ok=True)
    settings = folder / "Caddyfile"
    write_private(settings, caddyfile(port=port, services=services, folder=folder))
    return Program(
        "gateway",
        [caddy(), "run", "--config", str(settings), "--adapter", "caddyfile"],
        environment={"HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        folder=folder,
        log=log_of(data_dir, "gateway"),
        stop_patience=_GATEWAY_STOP_SECONDS,
        keep_open=[keep_open],
    )
