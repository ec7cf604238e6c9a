"""The three programs, started and stopped on one and the same broker and database.

A `LocalStack` brings up RabbitMQ, MongoDB and Doorstep. While one of the other two is measured, Doorstep's services are
stopped. Each program has a virtual host and databases of its own, so none sees the others' messages and documents.
"""

import os
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from pymongo.database import Database

from deploy.engines.ports import LOOPBACK, free_port
from deploy.engines.replica_set import database_of
from deploy.local import parts
from deploy.local.stack import SERVICE_COMMANDS, LocalStack
from tests.bench import flow
from tests.bench.setup import BUILDINGS, register, wait_until

ROOT = Path(__file__).parents[2]
ENGINES = ("rabbit", "mongo")


@dataclass(frozen=True)
class Tally:
    """What rests in the databases when all is done."""

    requests: int
    """Completed ones."""
    tasks: int
    """Completed ones."""
    messages: int
    entries: int

    @classmethod
    def of(cls, lives: int) -> Self:
        """What so many lives leave behind."""
        return cls(lives, lives, 4 * lives, 4 * lives)

    def __add__(self, other: Self) -> "Tally":
        return Tally(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


class Program(ABC):
    """One of the three."""

    name: str

    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack

    @abstractmethod
    def start(self) -> None:
        """Start its four processes and wait until they consume."""

    @abstractmethod
    def stop(self) -> None:
        """End its four processes."""

    @abstractmethod
    def services(self) -> dict[str, int]:
        """Process id of each of the four."""

    @property
    @abstractmethod
    def broker_url(self) -> str:
        """Where commands are published and notifications read."""

    @abstractmethod
    def tally(self) -> Tally:
        """What its databases hold now."""

    def pids(self) -> dict[str, int]:
        """Process id of each of the four, of the broker and of the database."""
        return {**self.services(), **{name: self.stack.pid(name) for name in ENGINES}}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Comparison(Program):
    """`bare` or `plain`: a module of ours, once for each service."""

    def __init__(self, name: str, stack: LocalStack) -> None:
        super().__init__(stack)
        self.name = name
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._vhost = f"bench-{name}"
        stack.rabbit.rabbitmqctl("add_vhost", self._vhost)
        stack.rabbit.rabbitmqctl("set_permissions", "-p", self._vhost, "operator", ".*", ".*", ".*")
        self._database = stack.mongo.client()[f"bench_{name}"]

    @property
    def broker_url(self) -> str:
        return urlsplit(self.stack.rabbit.url("operator"))._replace(path=f"/{self._vhost}").geturl()

    def start(self) -> None:
        mongo_url = urlsplit(self.stack.mongo.url("admin"))._replace(path=f"/{self._database.name}").geturl()
        told = os.environ | {"DOORSTEP_RABBIT_URL": self.broker_url, "DOORSTEP_MONGO_URL": mongo_url}
        for service in flow.SERVICES:
            command = [sys.executable, "-m", f"tests.bench.{self.name}", service]
            self._processes[service] = subprocess.Popen(command, cwd=ROOT, env=told, stdout=subprocess.PIPE)
        for service, process in self._processes.items():
            assert process.stdout is not None
            if process.stdout.readline() != b"ready\n":
                self.stop()
                raise RuntimeError(f"{self.name} {service} did not start; what it printed above says why")

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()
        self._processes.clear()

    def services(self) -> dict[str, int]:
        return {service: process.pid for service, process in self._processes.items()}

    def tally(self) -> Tally:
        # By the history, not the state: plain handlers run side by side, and the last of them to write need not be the
        # one for the last event. That such a program can show a completed request as assigned is not measured here.
        done: Mapping[str, Any] = {"history.event": flow.COMPLETED}
        return Tally(
            self._database["requests"].count_documents(done),
            self._database["tasks"].count_documents(done),
            self._database["messages"].count_documents({}),
            self._database["entries"].count_documents({}),
        )


class Replica:
    """One more process of a service, on a port of its own."""

    def __init__(self, stack: LocalStack, name: str, number: int) -> None:
        port = free_port()
        told = {"PATH": os.environ["PATH"], **parts.addresses(stack.data_dir, stack.rabbit, stack.mongo)}
        self.program = parts.service(
            f"{name}-{number}", SERVICE_COMMANDS[name], port=port, environment=told, data_dir=stack.data_dir
        )
        self._readyz = f"http://{LOOPBACK}:{port}/api/{name}/readyz"

    def ready(self) -> bool:
        """Whether it says so."""
        try:
            return httpx.get(self._readyz, trust_env=False).is_success
        except httpx.TransportError:
            return False


class Doorstep(Program):
    """The four services, as the local run starts them; they run when this is made, and are stopped afterwards."""

    name = "doorstep"
    replicas = 1
    """Processes of each service when it is next started."""

    def __init__(self, stack: LocalStack) -> None:
        super().__init__(stack)
        self._client = stack.mongo.client()
        self._more: dict[str, Replica] = {}
        register(self.broker_url)
        wait_until(
            lambda: self._of("intake")["buildings"].count_documents({}) >= BUILDINGS, "intake knows the buildings"
        )
        answered_for: Mapping[str, Any] = {"state.worker": {"$ne": None}}
        wait_until(
            lambda: self._of("dispatch")["grids"].count_documents(answered_for) >= BUILDINGS,
            "dispatch knows the workers",
        )
        self.stop()

    @property
    def broker_url(self) -> str:
        return self.stack.rabbit.url("operator")

    def start(self) -> None:
        for service in flow.SERVICES:
            self.stack.up(service)
            for number in range(2, self.replicas + 1):
                self._more[f"{service}/{number}"] = Replica(self.stack, service, number)
        for replica in self._more.values():
            replica.program.start()
        self.stack.wait_ready()
        for name, replica in self._more.items():
            wait_until(replica.ready, f"{name} is ready")

    def stop(self) -> None:
        for service in flow.SERVICES:
            self.stack.down(service)
        for replica in self._more.values():
            replica.program.stop()
        self._more.clear()

    def services(self) -> dict[str, int]:
        more = {name: replica.program.pid for name, replica in self._more.items()}
        return {service: self.stack.pid(service) for service in flow.SERVICES} | more

    def tally(self) -> Tally:
        of_lives = {"type": {"$in": list(flow.EVENT_NAMES.values())}}
        done: Mapping[str, Any] = {"state.state": "completed"}
        return Tally(
            self._of("intake")["requests"].count_documents(done),
            self._of("dispatch")["tasks"].count_documents(done),
            self._of("notification")["messages"].count_documents({}),
            self._of("ledger")["entries"].count_documents(of_lives),
        )

    def _of(self, service: str) -> Database[dict[str, Any]]:
        return self._client[database_of(service)]


def made(name: str, stack: LocalStack) -> Program:
    """The program of that name on a running stack."""
    return Doorstep(stack) if name == Doorstep.name else Comparison(name, stack)
