"""The whole system on this machine: engines, services and gateway, each kept running until the stack is stopped."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import httpx

from deploy.engines import MongoNode, RabbitNode
from deploy.engines.child import Child, last_lines
from deploy.engines.definitions import SERVICES
from deploy.engines.ports import LOOPBACK
from deploy.local.checks import check_port, check_programs, prepare_folder
from deploy.local.folder import FolderLock, Ports
from deploy.local.parts import ROOT, addresses, gateway, log_of, service
from deploy.local.program import Program
from deploy.local.secrets import Secrets, write_access
from deploy.local.supervision import Supervisor
from shared.settings import Settings

SERVICE_COMMANDS: Mapping[str, Sequence[str]] = {
    name: (sys.executable, "-m", f"services.{name}.app") for name in SERVICES
}
READY_SECONDS = 90.0
"""How long the services may take from their start until all are ready."""
_HOPELESS = 3
"""So many quick ends in a row while starting mean that waiting is no use."""
_LOADING_STOP_SECONDS = 5.0
_LOOK_AGAIN = 0.1


class StackError(RuntimeError):
    """The stack cannot be started; the message says what failed and shows the end of its log."""


class LocalStack:
    """RabbitMQ, MongoDB, the four services and the gateway, on loopback, with all they keep in one folder.

    What ends unexpectedly is started again. Parts are named rabbit, mongo, gateway and after the services.
    """

    def __init__(
        self,
        data_dir: Path,
        http_port: int = 0,
        *,
        commands: Mapping[str, Sequence[str]] = SERVICE_COMMANDS,
        environment: Mapping[str, str] | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Nothing starts yet.

        Args:
            data_dir: where data, secrets, settings and logs are; made with mode 700.
            http_port: the gateway's; 0 takes a free one and keeps it for later starts on the same folder.
            commands: how each service is started.
            environment: what the services are told beside what the stack tells them; replaces the caller's environment.
            report: is told in a line what happens.
        """
        self.data_dir = data_dir.resolve()
        self.http_port = http_port
        self._commands = commands
        given = os.environ if environment is None else environment
        # What is meant for docker compose is no setting of a service.
        self._environment = {
            name: value
            for name, value in given.items()
            if not name.startswith("DOORSTEP_") or name in Settings.variables()
        }
        self._report = report
        self.rabbit: RabbitNode
        self.mongo: MongoNode
        self._lock: FolderLock | None = None
        self._parts: dict[str, Supervisor] = {}
        self._loading: Child | None = None
        self._stopping = threading.Event()
        self._one_stop = threading.Lock()

    @property
    def url(self) -> str:
        """Origin of the gateway."""
        return f"http://{LOOPBACK}:{self.http_port}"

    @property
    def access_file(self) -> Path:
        """Addresses and tokens to start with."""
        return self.data_dir / "access.json"

    def start(self) -> Self:
        """Start everything and wait until every service is ready.

        Raises:
            CheckError: something is missing or taken; nothing was started.
            EngineError: an engine did not start; everything was stopped again.
            StackError: a service did not become ready, or stop() was called; everything was stopped again.
            OSError: the folder cannot be written; everything was stopped again.
        """
        self._stopping.clear()
        prepare_folder(self.data_dir)
        check_programs()
        self._lock = FolderLock(self.data_dir)
        try:
            self._start_parts(self._lock.children)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop the gateway, then the services when they have finished what they began, then the engines.

        From another thread it also ends a start under way. Data stay.
        """
        self._stopping.set()
        with self._one_stop:
            if self._loading is not None:
                self._loading.stop(_LOADING_STOP_SECONDS)
            for group in (["gateway"], list(self._commands), ["rabbit", "mongo"]):
                _at_once(part.stop for name in group if (part := self._parts.get(name)))
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def pid(self, name: str) -> int:
        """Process id of a part.

        Raises:
            KeyError: there is no such part.
        """
        return self._parts[name].program.pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a part a signal; if that ends it, it is started again."""
        os.kill(self.pid(name), number)

    def down(self, name: str) -> None:
        """Stop one part and leave it stopped."""
        self._parts[name].stop()

    def up(self, name: str) -> None:
        """Start a part that down() stopped."""
        self._parts[name].start()

    def log(self, name: str) -> Path:
        """The log of a part."""
        engines = {"rabbit": self.rabbit, "mongo": self.mongo}
        return engines[name].log if name in engines else log_of(self.data_dir, name)

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until every service says through the gateway that it is ready.

        Raises:
            StackError: one was not ready after so many seconds, or does not stay up.
        """
        deadline = time.monotonic() + seconds
        with httpx.Client(base_url=self.url, timeout=5.0, trust_env=False) as client:
            for name in self._commands:
                while (answer := _readiness(client, name)) != "ready":
                    self._give_up_on_the_hopeless()
                    if time.monotonic() > deadline:
                        raise self._failure(f"{name} was not ready after {seconds:.0f} s ({answer})", name)
                    if self._stopping.wait(_LOOK_AGAIN):
                        raise StackError("stopped while starting")

    def load(self, command: Sequence[str]) -> None:
        """Run a program against the stack, such as the one that loads the demonstration; it prints where we print.

        Raises:
            StackError: it failed.
        """
        self._loading = Child(command, environment=self._environment | self._addresses(), output=None, folder=ROOT)
        code = self._loading.wait()
        if code != 0:
            raise StackError(f"`{' '.join(command)}` ended with code {code}; what it printed above says why")

    def _start_parts(self, keep_open: int) -> None:
        ports = Ports(self.data_dir)
        if self.http_port == 0:
            self.http_port = ports.port("gateway")
        check_port(self.http_port)
        (self.data_dir / "logs").mkdir(exist_ok=True)
        secrets = Secrets(self.data_dir / "secrets")
        self.rabbit = RabbitNode(
            self.data_dir / "rabbitmq", ports.port("rabbit"), passwords=secrets.rabbit, keep_open=[keep_open]
        )
        self.mongo = MongoNode(
            self.data_dir / "mongodb",
            ports.port("mongo"),
            passwords=secrets.mongo,
            keyfile=secrets.mongo_keyfile,
            keep_open=[keep_open],
        )
        self._parts = {
            "rabbit": Supervisor("rabbit", self.rabbit, self._report),
            "mongo": Supervisor("mongo", self.mongo, self._report),
        }
        service_ports = {name: ports.port(name) for name in self._commands}
        told = self._environment | self._addresses()
        for name, port in service_ports.items():
            command = self._commands[name]
            self._add(
                service(name, command, port=port, environment=told, data_dir=self.data_dir, keep_open=[keep_open])
            )
        self._add(gateway(port=self.http_port, services=service_ports, data_dir=self.data_dir, keep_open=keep_open))

        began = time.monotonic()
        self._start(["rabbit", "mongo"])
        self._report(f"RabbitMQ (port {self.rabbit.port}) and MongoDB (port {self.mongo.port}) are up: {_since(began)}")
        amqp = {user: self.rabbit.url(user) for user in ("source", "staff")}
        write_access(self.access_file, http=self.url, tokens=secrets.tokens, amqp=amqp)
        began = time.monotonic()
        self._start([*self._commands, "gateway"])
        self.wait_ready()
        self._report(
            f"{len(self._commands)} services and the gateway (port {self.http_port}) are ready: {_since(began)}"
        )

    def _addresses(self) -> dict[str, str]:
        return addresses(self.data_dir, self.rabbit, self.mongo)

    def _add(self, program: Program) -> None:
        self._parts[program.name] = Supervisor(program.name, program, self._report)

    def _start(self, names: Sequence[str]) -> None:
        """All at once; the first that fails is told, when all have come to an end."""
        if self._stopping.is_set():
            raise StackError("stopped while starting")
        _at_once(self._parts[name].start for name in names)

    def _give_up_on_the_hopeless(self) -> None:
        for name, part in self._parts.items():
            if part.quick_ends >= _HOPELESS:
                raise self._failure(f"{name} ends again and again soon after its start", name)

    def _failure(self, what: str, name: str) -> StackError:
        lines = last_lines(self.log(name)) or "(it wrote nothing)"
        return StackError(f"{what}. The end of {self.log(name)}:\n{lines}")


def _readiness(client: httpx.Client, service: str) -> str:
    """`ready`, or what was answered instead."""
    try:
        answer = client.get(f"/api/{service}/readyz")
    except httpx.TransportError as error:
        return f"no answer: {error}"
    return "ready" if answer.status_code == httpx.codes.OK else f"{answer.status_code} {answer.text[:300]}"


def _at_once(actions: Iterable[Callable[[], None]]) -> None:
    """Each in a thread; raises what the first of them raised, when all have ended."""
    tasks = list(actions)
    if tasks:
        with ThreadPoolExecutor(len(tasks)) as threads:
            for future in [threads.submit(task) for task in tasks]:
                future.result()


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.1f} s"
