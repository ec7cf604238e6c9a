"""A private RabbitMQ node."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from pamqp import commands, frame, header
from pamqp.exceptions import PAMQPException

from deploy.engines.child import Child
from deploy.engines.definitions import RIGHTS, VHOST, definitions
from deploy.engines.engine import Engine, EngineError
from deploy.engines.passwords import kept_passwords
from deploy.engines.ports import LOOPBACK, accepts, free_port

_SETTINGS = """\
# Written at every start; changes here are lost.
listeners.tcp.1 = {address}:{port}
cluster_name = {node}
load_definitions = {definitions}
heartbeat = 10
vm_memory_high_watermark.relative = 0.4
disk_free_limit.absolute = 50MB
# Our bodies end at 64 KiB; nobody can fill the broker with few large ones.
max_message_size = 1048576
# Quorum queues keep what is in this log in memory until it is full; the default of 512 MiB is for servers.
raft.wal_max_size_bytes = 67108864
log.console = false
log.file = {log}
log.file.level = info
log.file.rotation.size = 10485760
log.file.rotation.count = 3
"""


class RabbitNode(Engine):
    """RabbitMQ with a node name, a port mapper, a cookie and data of its own; it disturbs no other on the machine."""

    name = "RabbitMQ"

    def __init__(
        self,
        folder: Path,
        port: int | None = None,
        *,
        passwords: Mapping[str, str] | None = None,
        keep_open: Sequence[int] = (),
    ) -> None:
        """`passwords` by user (those of definitions.RIGHTS); made and kept in the folder if not given."""
        super().__init__(folder, port, keep_open=keep_open)
        self.passwords = dict(passwords) if passwords is not None else kept_passwords(self.folder, RIGHTS)
        self.node = self._kept("node-name", lambda: f"doorstep-{secrets.token_hex(4)}@localhost")
        self._kept(".erlang.cookie", lambda: secrets.token_hex(20), mode=0o400)
        self._port_mapper: Child | None = None
        self._port_mapper_port = 0

    @property
    def log(self) -> Path:
        return self.folder / "rabbitmq.log"

    def url(self, user: str, password: str | None = None) -> str:
        """`amqp://` address of the virtual host doorstep."""
        secret = quote(password or self.passwords[user], safe="")
        return f"amqp://{user}:{secret}@{LOOPBACK}:{self.port}/{VHOST}"

    def rabbitmqctl(self, *arguments: str, seconds: float = 60.0) -> str:
        """What rabbitmqctl prints for these arguments, asked of this node.

        Raises:
            EngineError: it refused, or took longer.
        """
        return self._tool("rabbitmqctl", *arguments, seconds=seconds)

    def rabbitmq_diagnostics(self, *arguments: str, seconds: float = 60.0) -> str:
        """As rabbitmqctl, for rabbitmq-diagnostics."""
        return self._tool("rabbitmq-diagnostics", *arguments, seconds=seconds)

    def kill(self) -> None:
        super().kill()
        self._end_port_mapper()

    def stop(self) -> None:
        super().stop()
        self._end_port_mapper()

    def _spawn(self) -> Child:
        self._write_settings()
        self._start_port_mapper()
        return Child(
            [str(scripts() / "rabbitmq-server")],
            environment=self._environment(),
            output=self._start_log,
            folder=self.folder,
            keep_open=self._keep_open,
        )

    def _answers(self) -> bool:
        """The broker's first frame names its cluster: a foreign broker on this port is not mistaken for ours."""
        try:
            return _cluster_name(self.port) == self.node
        except (OSError, PAMQPException):
            return False

    def _prepare(self) -> None:
        """Nothing: the definitions are loaded before the broker listens."""

    def bound_log(self) -> None:
        """Nothing: the broker rotates it, see its settings."""

    def _write_settings(self) -> None:
        path = self.folder / "definitions.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(definitions(self.passwords), indent=2))
        settings = _SETTINGS.format(address=LOOPBACK, port=self.port, node=self.node, definitions=path, log=self.log)
        (self.folder / "rabbitmq.conf").write_text(settings)
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _environment(self) -> dict[str, str]:
        """Nothing of the caller's but the path: a machine's RABBITMQ_ variables are meant for another node."""
        on_loopback = "-kernel inet_dist_use_interface {127,0,0,1}"
        return {
            "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._port_mapper_port),
            "ERL_CRASH_DUMP": os.devnull,
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-environment-file"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "no-advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            # Erlang's schedulers would spin for a while before they sleep; on a shared machine others need the time.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{on_loopback} +sbwt none +sbwtdcpu none +sbwtdio none",
            "RABBITMQ_CTL_ERL_ARGS": on_loopback,
            # The script then becomes the server instead of waiting beside it: one process, and signals reach it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _start_port_mapper(self) -> None:
        """Erlang nodes find each other through epmd; a shared one would be left over when we end."""
        # After a crash of the broker its old one is still there.
        self._end_port_mapper()
        program = shutil.which("epmd") or "/usr/bin/epmd"
        self._port_mapper_port = free_port()
        try:
            mapper = Child(
                [program, "-address", LOOPBACK, "-port", str(self._port_mapper_port)],
                environment={},
                output=self._start_log,
                folder=self.folder,
                keep_open=self._keep_open,
            )
        except OSError as error:
            raise EngineError(f"RabbitMQ cannot start {program} (package erlang-base): {error.strerror}") from error
        self._port_mapper = mapper
        deadline = time.monotonic() + 10
        while not accepts(self._port_mapper_port):
            if mapper.wait(0.01) is not None or time.monotonic() > deadline:
                raise self._failure("cannot start, for its port mapper epmd does not answer")

    def _end_port_mapper(self) -> None:
        if self._port_mapper is not None:
            self._port_mapper.kill()
            self._port_mapper = None

    def _tool(self, program: str, *arguments: str, seconds: float) -> str:
        command = [str(scripts() / program), "--quiet", "--node", self.node, *arguments]
        try:
            done = subprocess.run(
                command, env=self._environment(), capture_output=True, text=True, timeout=seconds, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise EngineError(f"{program} {' '.join(arguments)} gave no answer within {seconds:.0f} s") from error
        if done.returncode != 0:
            raise EngineError(f"{program} {' '.join(arguments)} failed: {done.stderr or done.stdout}")
        return done.stdout

    def _kept(self, name: str, make: Callable[[], str], mode: int = 0o600) -> str:
        path = self.folder / name
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(make())
            path.chmod(mode)
        return path.read_text()


def scripts() -> Path:
    """The folder of RabbitMQ's own scripts; Debian's in /usr/sbin change to another user when root calls them.

    Raises:
        EngineError: RabbitMQ is not installed.
    """
    own = os.environ.get("DOORSTEP_RABBITMQ_BIN")
    found = shutil.which("rabbitmq-server")
    for folder in (Path(own or "/usr/lib/rabbitmq/bin"), Path(found).resolve().parent if found else None):
        if folder is not None and (folder / "rabbitmq-server").exists():
            return folder
    raise EngineError(
        "RabbitMQ is not installed: sudo apt-get install rabbitmq-server,"
        " or name the folder of its scripts in DOORSTEP_RABBITMQ_BIN"
    )


def _cluster_name(port: int) -> str | None:
    """What the AMQP 0-9-1 broker on this port calls its cluster, without logging in.

    Raises:
        OSError: nobody answers within a second.
        PAMQPException: what answers does not speak AMQP.
    """
    with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
        connection.sendall(header.ProtocolHeader().marshal())
        received = b""
        while True:
            part = connection.recv(4_096)
            if not part:
                return None
            received += part
            if len(received) >= 7 and len(received) >= 8 + int.from_bytes(received[3:7]):
                break
    greeting = frame.unmarshal(received)[2]
    if not isinstance(greeting, commands.Connection.Start):
        return None
    name = (greeting.server_properties or {}).get("cluster_name")
    return name if isinstance(name, str) else None
