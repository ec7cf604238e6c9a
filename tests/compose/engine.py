"""A Docker Engine of our own, with its images and containers in a folder of its own; nobody else's is touched."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
COMPOSE = Path(sys.executable).with_name("docker-compose")
KEPT = Path(os.environ.get("DOORSTEP_DOCKER_DATA", "/var/tmp/doorstep-docker"))
"""Images stay here between runs; whoever deletes it waits some minutes once."""
_START_SECONDS = 60.0


class DockerError(RuntimeError):
    """A command failed; the message holds what it printed."""


def why_not() -> str | None:
    """What keeps this machine from running an engine; None: nothing."""
    if os.geteuid() != 0:
        return "a Docker Engine is started by root"
    for program in ("dockerd", "docker", "debootstrap"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            return f"{program} is missing: deploy/local/install.sh --docker"
    return None


class Docker:
    """The engine's clients: `docker`, and `docker compose` for this project."""

    def __init__(self, socket: Path, project: str, variables: Mapping[str, str]) -> None:
        self.project = project
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(KEPT),
            "DOCKER_HOST": f"unix://{socket}",
            # Debian's engine has the classic builder only.
            "DOCKER_BUILDKIT": "0",
            "DOORSTEP_PROJECT": project,
            **variables,
        }

    def run(self, *arguments: str, **more: Any) -> str:
        """`docker …`; what it printed.

        Raises:
            DockerError: it failed.
        """
        return self._run(["docker", *arguments], **more)

    def compose(self, *arguments: str, files: Sequence[str] = (), profiles: Sequence[str] = (), **more: Any) -> str:
        """`docker compose …` on docker-compose.yml and further files.

        Raises:
            DockerError: it failed.
        """
        chosen = [part for file in ("docker-compose.yml", *files) for part in ("--file", file)]
        chosen += [part for profile in profiles for part in ("--profile", profile)]
        return self._run([str(COMPOSE), *chosen, *arguments], **more)

    def pipe(
        self, arguments: Sequence[str], *, source: IO[bytes] | None = None, output: IO[bytes] | None = None
    ) -> None:
        """`docker compose …` from and to files.

        Raises:
            DockerError: it failed.
        """
        command = [str(COMPOSE), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, stdin=source, stdout=output, stderr=subprocess.PIPE, check=False
        )
        if done.returncode:
            raise DockerError(f"{' '.join(command)} ended with {done.returncode}\n{done.stderr.decode()}")

    def inspect(self, *names: str) -> list[dict[str, Any]]:
        """How containers are made and how they are."""
        found: list[dict[str, Any]] = json.loads(self.run("inspect", *names))
        return found

    def containers(self, *filters: str) -> list[str]:
        """The names of our project's containers, those that ended too."""
        chosen = [
            part for one in (f"label=com.docker.compose.project={self.project}", *filters) for part in ("-f", one)
        ]
        return self.run("ps", "--all", "--format", "{{.Names}}", *chosen).split()

    def _run(self, command: Sequence[str], *, seconds: float = 600, text: str | None = None, **variables: str) -> str:
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**self.environment, **variables},
                input=text,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DockerError(f"{' '.join(command)} took longer than {seconds:.0f} s\n{error.output}") from None
        if done.returncode:
            raise DockerError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout


@contextmanager
def engine(project: str, variables: Mapping[str, str], folder: Path) -> Iterator[Docker]:
    """Start an engine; end it, with every container that still runs, by its process id."""
    KEPT.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket = folder / "docker.sock"
    log = folder / "dockerd.log"
    command = ["dockerd", "--host", f"unix://{socket}", "--data-root", str(KEPT / "data")]
    command += ["--exec-root", str(folder / "exec"), "--pidfile", str(folder / "dockerd.pid")]
    environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
    try:
        docker = Docker(socket, project, variables)
        _wait(docker, daemon, log)
        yield docker
    finally:
        daemon.terminate()
        daemon.wait(60)
        _unmount(folder)


def _unmount(folder: Path) -> None:
    """Give back the network namespaces that a swarm leaves mounted: nobody could delete the folder."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in mounted:
        if Path(place).is_relative_to(folder):
            subprocess.run(["umount", place], check=True)


def _wait(docker: Docker, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            docker.run("version", seconds=10)
        except DockerError as error:
            if daemon.poll() is not None or time.monotonic() > deadline:
                raise DockerError(f"dockerd does not answer\n{log.read_text()[-3000:]}") from error
            time.sleep(0.2)
        else:
            return
