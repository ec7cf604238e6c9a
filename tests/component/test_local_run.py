"""The local run, on real engines and a real gateway, with stand-ins for the services."""

import fcntl
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.engines import EngineError
from deploy.engines.ports import free_port
from deploy.local.checks import CheckError, port_from, prepare_folder
from deploy.local.folder import FolderLock, Ports
from deploy.local.missing import missing_modules
from deploy.local.secrets import Secrets
from deploy.local.stack import LocalStack, StackError
from deploy.local.supervision import Supervisor
from shared.sealing import Sealer
from shared.settings import Settings

SERVICES = ("intake", "dispatch", "notification", "ledger")
STANDIN = Path(__file__).parent / "standin_service.py"
COMMANDS = {name: (sys.executable, str(STANDIN), name) for name in SERVICES}
SECONDS = 30.0


def stack_on(folder: Path, **more: str) -> LocalStack:
    return LocalStack(folder, commands=COMMANDS, environment=dict(os.environ) | more)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with stack_on(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.fixture
def client(stack: LocalStack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.url, trust_env=False, timeout=5) as client:
        yield client


def eventually(fact: Callable[[], bool], seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def told(stack: LocalStack, service: str) -> Mapping[str, str]:
    """What the service was told by its environment."""
    content: Mapping[str, str] = json.loads((stack.data_dir / "standin" / f"{service}.json").read_text())
    return content


def processes_of(folder: Path) -> list[str]:
    """Command lines of what still has the folder's lock or names the folder."""
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.splitlines() if str(folder) in line and " ps " not in line]


# Secrets and access


def test_every_secret_is_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    Secrets(tmp_path / "secrets")
    files = list((tmp_path / "secrets").iterdir())
    assert {file.name for file in files} == {
        *(f"rabbit-{user}" for user in (*SERVICES, "operator", "source", "staff")),
        *(f"mongo-{user}" for user in (*SERVICES, "admin")),
        *(f"token-{holder}" for holder in ("operator", "coordinator", "source", "grid_worker", "volunteer")),
        "mongo-keyfile",
        "rabbit-cookie",
        "rabbit-definitions.json",
        "sealing-keys.json",
        "lookup-key",
        "access-tokens.json",
        "mongo-admin-before",
    }
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_rotation_changes_what_the_services_use_and_keeps_what_others_and_old_seals_need(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path / "secrets")
    before = {file.name: file.read_text() for file in secrets.folder.iterdir()}
    first = Sealer.from_secrets(Settings(data_dir=tmp_path).secrets).seal("李奶奶", "person:1")
    secrets.rotate()
    after = {file.name: file.read_text() for file in secrets.folder.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {
        *(f"rabbit-{user}" for user in (*SERVICES, "operator")),
        *(f"mongo-{user}" for user in (*SERVICES, "admin", "admin-before")),
        "rabbit-definitions.json",
        "rabbit-cookie",
        "sealing-keys.json",
    }
    assert before["mongo-admin"] in after["mongo-admin-before"]
    sealer = Sealer.from_secrets(Settings(data_dir=tmp_path).secrets)
    assert sealer.open(first, "person:1") == "李奶奶"
    old, new = json.loads(before["sealing-keys.json"]), json.loads(after["sealing-keys.json"])
    assert new["active"] in old["keys"]
    assert new["active"] != old["active"]


def test_secrets_are_kept_and_differ_between_installations(tmp_path: Path) -> None:
    def contents(folder: Path) -> dict[str, str]:
        Secrets(folder)
        return {file.name: file.read_text() for file in folder.iterdir()}

    first = contents(tmp_path / "one")
    assert contents(tmp_path / "one") == first
    other = contents(tmp_path / "two")
    assert not set(first.values()) & set(other.values())


def test_tokens_are_known_by_hash_with_role_and_place(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path)
    known = {entry["hash"]: entry for entry in json.loads((tmp_path / "access-tokens.json").read_text())}
    entry = known[sha256(secrets.tokens["grid_worker"].encode()).hexdigest()]
    assert (entry["role"], entry["community"], entry["grids"], entry["worker"]) == (
        "grid_worker",
        "tiebei",
        ["g1"],
        "tiebei-g1-1",
    )
    assert all(token.startswith("ds_") and len(token) >= 46 for token in secrets.tokens.values())
    assert not any(token in (tmp_path / "access-tokens.json").read_text() for token in secrets.tokens.values())


def test_what_an_operator_added_stays_and_a_token_made_anew_replaces_the_old(tmp_path: Path) -> None:
    Secrets(tmp_path)
    path = tmp_path / "access-tokens.json"
    before = json.loads(path.read_text())
    own = {
        "hash": "0" * 64,
        "role": "partner",
        "name": "noodle shop",
        "community": "tiebei",
        "grids": [],
        "worker": None,
    }
    path.write_text(json.dumps([*before, own]))
    (tmp_path / "token-source").unlink()
    Secrets(tmp_path)
    after = json.loads(path.read_text())
    assert own in after
    assert len(after) == len(before) + 1
    assert len({entry["hash"] for entry in before} - {entry["hash"] for entry in after}) == 1


def test_access_json_has_addresses_and_tokens_and_nothing_else(stack: LocalStack) -> None:
    access = json.loads(stack.access_file.read_text())
    assert set(access) == {"http", "tokens", "amqp"}
    assert access["http"] == stack.url
    assert set(access["tokens"]) == {"operator", "coordinator", "source", "grid_worker", "volunteer"}
    assert access["amqp"] == {user: stack.rabbit.url(user) for user in ("source", "staff")}
    assert stat.S_IMODE(stack.access_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.data_dir.stat().st_mode) == 0o700


def test_services_are_told_addresses_without_passwords(stack: LocalStack) -> None:
    for service in SERVICES:
        environment = told(stack, service)
        assert environment["DOORSTEP_RABBIT_URL"] == f"amqp://127.0.0.1:{stack.rabbit.port}/doorstep"
        assert environment["DOORSTEP_MONGO_URL"] == f"mongodb://127.0.0.1:{stack.mongo.port}/?replicaSet=rs0"
        assert environment["DOORSTEP_SECRETS_DIR"] == str(stack.data_dir / "secrets")
        assert environment["DOORSTEP_DATA_DIR"] == str(stack.data_dir)
        assert environment["DOORSTEP_HTTP_HOST"] == "127.0.0.1"


def test_no_password_is_on_a_command_line(stack: LocalStack) -> None:
    secrets = Secrets(stack.data_dir / "secrets")
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    known = (*secrets.rabbit.values(), *secrets.mongo.values(), *secrets.tokens.values())
    assert not any(secret in listing for secret in known)


# The gateway


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_reached_under_its_path(client: httpx.Client, service: str) -> None:
    assert client.get(f"/api/{service}/a/b?c=d").text == f"{service} /api/{service}/a/b?c=d"


def test_a_browser_is_shown_what_is_here(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    assert "/api/intake/docs" in answer.text


@pytest.mark.parametrize(
    "path", ["/metrics", "//metrics", "/api/intake/../../metrics", "/api/metrics", "/intake/metrics", "/elsewhere"]
)
def test_metrics_and_all_else_are_not_reached(stack: LocalStack, path: str) -> None:
    with socket.create_connection(("127.0.0.1", stack.http_port), timeout=5) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        with raw.makefile("rb") as answer:
            text = answer.read().decode()
    assert text.startswith("HTTP/1.1 404")
    assert json.loads(text.split("\r\n\r\n", 1)[1])["code"] == "not_found"


def test_a_live_stream_is_passed_on_as_it_comes(client: httpx.Client) -> None:
    with client.stream("GET", "/api/notification/stream") as stream:
        assert next(stream.iter_lines()) == "data: first"


def test_a_service_that_is_down_is_a_problem_with_a_code(stack: LocalStack, client: httpx.Client) -> None:
    stack.down("ledger")
    try:
        answer = client.get("/api/ledger/people")
        assert (answer.status_code, answer.headers["content-type"]) == (502, "application/problem+json")
        assert answer.headers["retry-after"] == "2"
        assert answer.json()["code"] == "unavailable"
        assert client.get("/api/intake/x").status_code == 200
    finally:
        stack.up("ledger")
    stack.wait_ready()


def test_a_service_that_is_not_ready_in_time_is_named_with_its_answer(stack: LocalStack) -> None:
    stack.down("dispatch")
    try:
        with pytest.raises(StackError, match=r"(?s)dispatch was not ready after 1 s \(502 .*dispatch\.log"):
            stack.wait_ready(1)
    finally:
        stack.up("dispatch")
    stack.wait_ready()


# Keeping it running


@pytest.mark.parametrize("part", [*SERVICES, "gateway", "mongo", "rabbit"])
def test_a_killed_part_is_started_again(stack: LocalStack, part: str) -> None:
    before = stack.pid(part)
    stack.kill(part)
    eventually(lambda: stack.pid(part) != before)
    stack.wait_ready()
    if part == "mongo":
        eventually(lambda: stack.mongo.running)
        with stack.mongo.client("intake") as client:
            client.doorstep_intake.command("ping")
    if part == "rabbit":
        eventually(lambda: stack.rabbit._answers())


class Failing:
    """A program that ends as soon as it is started."""

    pid = 0

    def __init__(self) -> None:
        self.starts: list[float] = []

    def start(self) -> None:
        self.starts.append(time.monotonic())

    def stop(self) -> None: ...
    def bound_log(self) -> None: ...
    def wait_end(self, seconds: float) -> int:
        return 1


def test_a_program_that_ends_again_and_again_is_given_ever_more_time() -> None:
    lines: list[str] = []
    program = Failing()
    supervisor = Supervisor("failing", program, lines.append)
    supervisor.start()
    eventually(lambda: len(program.starts) >= 6)
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 1, "stopping does not sit out the pause"
    pauses = [after - before for before, after in zip(program.starts, program.starts[1:], strict=False)]
    assert pauses[0] < 0.2, "one crash is healed at once"
    assert pauses[4] > pauses[3] > pauses[2] > 0.4
    assert lines[0].startswith("failing ended with code 1; started again")


def test_a_long_log_is_moved_aside_while_the_program_writes_on(stack: LocalStack) -> None:
    log = stack.log("dispatch")
    with log.open("ab") as file:
        file.write(b"x" * 11 * 1024 * 1024)
    stack._parts["dispatch"].program.bound_log()
    assert log.stat().st_size < 1024
    assert log.with_suffix(".log.1").stat().st_size > 10 * 1024 * 1024
    before = stack.pid("dispatch")
    stack.kill("dispatch")
    eventually(lambda: stack.pid("dispatch") != before and log.read_text().endswith("dispatch begins\n"))
    stack.wait_ready()


# Starting and stopping


def test_a_second_start_has_the_data_ports_and_secrets_of_the_first(tmp_path: Path) -> None:
    with stack_on(tmp_path) as first:
        with first.mongo.client("ledger") as client:
            client.doorstep_ledger.entries.insert_one({"_id": "e1"})
        access = first.access_file.read_text()
    assert not processes_of(tmp_path)
    assert sorted((tmp_path / "standin" / "ended").read_text().split()) == sorted(SERVICES)
    with stack_on(tmp_path) as second:
        assert second.access_file.read_text() == access
        with second.mongo.client("ledger") as client:
            assert client.doorstep_ledger.entries.find_one() == {"_id": "e1"}


def test_a_second_run_on_the_same_folder_is_refused_and_harms_nothing(stack: LocalStack) -> None:
    with pytest.raises(CheckError, match="already running on"):
        stack_on(stack.data_dir).start()
    stack.wait_ready(5)


def test_an_occupied_port_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CheckError, match=rf"Port {port} .* DOORSTEP_HTTP_PORT="):
            LocalStack(tmp_path, port, commands=COMMANDS).start()
    assert not processes_of(tmp_path)


def test_an_engine_port_taken_by_another_broker_is_left_to_it(stack: LocalStack, tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text(json.dumps({"rabbit": stack.rabbit.port, "mongo": stack.mongo.port}))
    ports = Ports(tmp_path)
    assert ports.port("rabbit") != stack.rabbit.port
    assert ports.port("mongo") != stack.mongo.port
    assert Ports(tmp_path).port("rabbit") == ports.port("rabbit")


def test_a_service_that_fails_is_shown_with_its_log_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"(?s)ledger ends again and again .*the reason why it fails"):
        stack_on(tmp_path, STANDIN_FAILS="ledger").start()
    assert not processes_of(tmp_path)


# Checks


def test_a_full_disk_is_told_with_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match=r"nearly full: \d+ MiB are free, \d+ MiB are needed"):
        prepare_folder(tmp_path, needed_bytes=2**60)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckError, match="DOORSTEP_DATA_DIR"):
        prepare_folder(tmp_path / "file" / "data")


@pytest.mark.parametrize("text", ["", "http", "0", "-1", "65536", "8080 ", "٣"])
def test_a_port_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CheckError, match="DOORSTEP_HTTP_PORT"):
        port_from({"DOORSTEP_HTTP_PORT": text})


def test_the_port_is_8080_unless_set() -> None:
    assert (port_from({}), port_from({"DOORSTEP_HTTP_PORT": "8081"})) == (8080, 8081)


def test_missing_packages_are_named() -> None:
    assert missing_modules() == []
    assert missing_modules(["json", "not_there"]) == ["not_there"]


def test_missing_programs_are_named_with_the_command_that_installs_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOORSTEP_RABBITMQ_BIN", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineError, match="apt-get install rabbitmq-server"):
        stack_on(tmp_path / "data").start()
    monkeypatch.undo()
    monkeypatch.setenv("DOORSTEP_MONGOD", str(tmp_path / "mongod"))
    with pytest.raises(EngineError, match="make setup"):
        stack_on(tmp_path / "data").start()


def test_children_of_a_killed_run_are_waited_for(tmp_path: Path) -> None:
    leftover = os.open(tmp_path / "children.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(leftover, fcntl.LOCK_EX)
    threading.Timer(0.5, os.close, [leftover]).start()
    FolderLock(tmp_path).release()


def test_children_of_a_killed_run_that_do_not_end_are_named(tmp_path: Path) -> None:
    with (tmp_path / "children.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        leftover = subprocess.Popen(["sleep", "60"], pass_fds=[lock.fileno()])
    with leftover:
        with pytest.raises(CheckError, match=rf"{leftover.pid} \(sleep\)"):
            FolderLock(tmp_path, leftover_seconds=0.5)
        leftover.kill()


# The program


RUN = f"""
import sys
from pathlib import Path
from deploy.local.run import run, say
from deploy.local.stack import LocalStack
stack = LocalStack(Path(sys.argv[1]), int(sys.argv[2]), commands={COMMANDS!r}, report=say)
sys.exit(run(stack, load=[sys.executable, "-c", sys.argv[3]]))
"""


class Run:
    """`make run` with stand-ins, as a process of its own."""

    def __init__(self, folder: Path, port: int, load: str = "print('loaded', flush=True)", **more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(folder), str(port), load],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | more,
        )
        self.lines: list[str] = []

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        with self.process:
            pass

    def read_until(self, part: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if part in line:
                return
        pytest.fail(f"{part!r} did not come: {''.join(self.lines)}")

    def end(self) -> int:
        assert self.process.stdout is not None
        self.lines += self.process.stdout.readlines()
        return self.process.wait(SECONDS)


def test_run_says_where_it_is_and_stops_cleanly_on_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    with Run(tmp_path, port) as run:
        run.read_until("Ctrl-C")
        said = "".join(run.lines)
        assert said.index("loaded") < said.index("Doorstep is ready")
        assert f"http://127.0.0.1:{port}/" in said
        assert str(tmp_path / "access.json") in said
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0, run.lines
    assert sorted((tmp_path / "standin" / "ended").read_text().split()) == sorted(SERVICES)
    assert not processes_of(tmp_path)


def test_run_can_be_stopped_while_it_starts(tmp_path: Path) -> None:
    with Run(tmp_path, free_port()) as run:
        eventually(lambda: (tmp_path / "ports.json").exists())
        run.process.send_signal(signal.SIGINT)
        assert run.end() == 0, run.lines
    assert not processes_of(tmp_path)


def test_run_stops_everything_when_loading_fails(tmp_path: Path) -> None:
    with Run(tmp_path, free_port(), load="print('no such grid'); raise SystemExit(2)") as run:
        assert run.end() == 1
        said = "".join(run.lines)
    assert said.index("no such grid") < said.index("Doorstep could not be started.")
    assert not processes_of(tmp_path)


def test_a_run_that_is_killed_leaves_nothing_and_can_be_started_again(tmp_path: Path) -> None:
    port = free_port()
    with Run(tmp_path, port) as run:
        run.read_until("Ctrl-C")
        run.process.kill()
    # At once: it waits for what the killed one left.
    with Run(tmp_path, port) as again:
        again.read_until("Ctrl-C")
        again.process.send_signal(signal.SIGTERM)
        assert again.end() == 0
    assert not processes_of(tmp_path)
