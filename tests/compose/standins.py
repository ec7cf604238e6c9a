"""Base images made here, where those that the files name cannot be pulled.

Debian's Python, RabbitMQ and Caddy and the wheel's mongod stand in under the very tags; what is built on them and how
it is run is the real thing. What only the official images bring (their entry scripts) docker-compose.yml does not use.
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.engines.mongo import mongod
from tests.compose.engine import KEPT, Docker, DockerError, engine

BASE = "doorstep-standin:bookworm"
PACKAGES = "python3,python3-venv,python3-pip,ca-certificates,rabbitmq-server,caddy,procps,wget,libcurl4,prometheus"
PROMETHEUS = "prom/prometheus:v3.7.3"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

_ALIKE = f"FROM {BASE}\nENV PATH=/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
DOCKERFILES = {
    # A network that looks into what it carries has a certificate of its own, which pip must know.
    "python:3.11-slim": _ALIKE
    + "COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt\nRUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED\n",
    # The official images' users are number 999, and anybody may use RabbitMQ's folder.
    "rabbitmq:4.1-management": _ALIKE
    + "RUN chown -R 999:999 /var/lib/rabbitmq /var/log/rabbitmq && chmod 777 /var/lib/rabbitmq"
    " && rm -f /var/lib/rabbitmq/.erlang.cookie\n",
    "mongo:8.0": _ALIKE
    + "COPY mongod /usr/bin/mongod\nRUN chmod 755 /usr/bin/mongod && mkdir -p /data/db && chown 999:999 /data/db\n",
    "caddy:2": _ALIKE,
    PROMETHEUS: _ALIKE + "RUN install --directory --owner=65534 /prometheus\n",
}


@contextmanager
def built(folder: Path) -> Iterator[Docker]:
    """The engine, with these images and ours; what is there from before is not made again."""
    with engine("doorsteptest", {"DOORSTEP_SECRETS": str(folder / "none")}, folder) as docker:
        _build(docker)
        docker.compose("build", "--quiet", "intake", "gateway")
        yield docker


def _build(docker: Docker) -> None:
    if not _is_there(docker, BASE, _hash(PACKAGES)):
        _import_debian(docker)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(CERTIFICATES, folder)
        shutil.copy(mongod(), folder)
        for tag, text in DOCKERFILES.items():
            recipe = _hash(text + PACKAGES)
            if not _is_there(docker, tag, recipe):
                labelled = f"{text}LABEL recipe={recipe}\n"
                docker.run("build", "--quiet", "--tag", tag, "--file", "-", folder, text=labelled)


def _import_debian(docker: Docker) -> None:
    root = KEPT / "debian"
    shutil.rmtree(root, ignore_errors=True)
    try:
        # RabbitMQ's package starts its server when it is installed; 101 forbids it.
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(root)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise DockerError(f"debootstrap failed\n{made.stdout[-3000:]}\n{made.stderr}")
        shutil.rmtree(root / "var/cache/apt/archives")
        archive = KEPT / "debian.tar"
        subprocess.run(["tar", "--create", "--file", str(archive), "--directory", str(root), "."], check=True)
        docker.run("import", "--change", f"LABEL recipe={_hash(PACKAGES)}", str(archive), BASE)
        archive.unlink()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _is_there(docker: Docker, tag: str, recipe: str) -> bool:
    try:
        return docker.run("image", "inspect", "--format", '{{index .Config.Labels "recipe"}}', tag).strip() == recipe
    except DockerError:
        return False


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
