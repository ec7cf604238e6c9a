"""The operator's command line against a whole system: every command, every page of its documentation."""

import asyncio
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import httpx
import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from deploy.demo.broker import Broker
from deploy.local.stack import LocalStack
from shared.contracts.intake import Address, SubmitRequest
from tests.documentation import ROOT, Page
from tests.lists import HEADER, as_csv, somebody

# On a busy machine the stack alone may take a minute to come up.
pytestmark = pytest.mark.timeout(400)

SECONDS = 60.0
OPERATING = ROOT / "docs" / "operating.md"
REQUEST = {"source": "test", "kind": "groceries", "community": "tiebei", "address": {"building": "1", "room": "502"}}


@dataclass(frozen=True)
class System:
    """A running system and the command line that finds it."""

    stack: LocalStack
    mongo: Any

    @property
    def environment(self) -> dict[str, str]:
        return {"DOORSTEP_DATA_DIR": str(self.stack.data_dir), "LC_ALL": "en_US.UTF-8"}

    def run(self, *arguments: str, given: str | bytes | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments, input=given, env=self.environment)
        assert result.exit_code == code, f"{arguments}: {result.exit_code}\n{result.output}\n{result.exception!r}"
        return result

    def ask(self, *arguments: str, given: str | None = None, code: int = 0) -> Any:
        """What a command says to machines."""
        return json.loads(self.run(*arguments, "--json", given=given, code=code).stdout)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "deploy.cli.main", *arguments]
        environment = {**os.environ, **self.environment}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def http(self, holder: str = "operator") -> httpx.Client:
        token = json.loads(self.stack.access_file.read_text())["tokens"][holder]
        return httpx.Client(
            base_url=self.stack.url, headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=30
        )

    def submit(self, **changes: Any) -> str:
        """A new request's id."""
        body = {**REQUEST, "source_id": str(uuid4()), **changes}
        answer = self.ask("submit", "-", given=json.dumps(body))
        assert answer["status"] == "accepted"
        return str(answer["request_id"])

    def database(self, service: str) -> Any:
        """Its database, opened as somebody does who should not."""
        return self.mongo[f"doorstep_{service}"]

    def agree(self) -> Mapping[str, Any]:
        """Verify, once all that is under way has settled."""
        found: Mapping[str, Any] = self.ask("verify", "--patience", str(SECONDS))
        assert found["agrees"]
        assert not found["differences"]
        return found


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with LocalStack(tmp_path_factory.mktemp("data")) as stack, stack.mongo.client() as mongo:
        system = System(stack, mongo)
        with system.http() as client:
            for building, grid in (("1", "g1"), ("2", "g2")):
                place = {"community": "tiebei", "building": building, "grid": grid}
                assert client.post("/api/ledger/buildings", json=place).is_success
            worker = {"worker_id": "tiebei-g1-1", "community": "tiebei", "role": "grid_worker", "grids": ["g1"]}
            assert client.post("/api/dispatch/workers", json={**worker, "name": "王"}).is_success
        eventually(
            lambda: system.ask("submit", "--kind", "notice", "--community", "tiebei", "--building", "1"), "accepted"
        )
        yield system


def eventually(answer: Callable[[], Mapping[str, Any]], status: str) -> None:
    """Until buildings are known to intake, requests are taken for review."""
    deadline = time.monotonic() + SECONDS
    while answer()["status"] != status:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def dead_letter(system: System) -> str:
    """The id of a message that nobody could be told was refused."""
    before = {one["id"] for one in system.ask("dead-letters", "list")}
    command = SubmitRequest(
        source="test", source_id=str(uuid4()), kind="nonsense", community="tiebei", address=Address(building="1")
    )

    async def tell() -> None:
        url = json.loads(system.stack.access_file.read_text())["amqp"]["source"]
        async with Broker(url, timeout=15) as broker:
            await broker.tell([(str(uuid4()), command)], told=lambda _: None)

    asyncio.run(tell())
    return new_dead_letter(system, before)


def new_dead_letter(system: System, before: set[str]) -> str:
    deadline = time.monotonic() + SECONDS
    while not (found := {one["id"] for one in system.ask("dead-letters", "list")} - before):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return str(found.pop())


# Status


def test_status_shows_every_service_its_queues_and_what_waits(system: System) -> None:
    found = system.ask("status")
    assert found["ready"]
    assert [one["service"] for one in found["services"]] == ["intake", "dispatch", "notification", "ledger"]
    for one in found["services"]:
        assert one["queues"][f"doorstep.{one['service']}.events"]["consumers"] >= 1
        assert {"dead_letters", "unsent", "timers_due"} <= set(one)
    shown = system.run("status").stdout
    assert all(word in shown for word in ("ledger", "ready", "consumers", "dead letters"))
    assert "就绪" in system.run("status", "--language", "zh").stdout


# Submit


def test_a_request_by_options_is_accepted_and_known_when_sent_again(system: System) -> None:
    options = ("--kind", "groceries", "--community", "tiebei", "--building", "1", "--unit", "2", "--room", "502")
    more = ("--name", "李", "--phone", "13800000000", "--item", "白菜:2:颗", "--item", "rice", "--note", "敲门")
    key = ("--source", "desk", "--source-id", str(uuid4()), "--urgency", "soon")
    first = system.run("submit", *options, *more, *key)
    assert "Accepted" in first.stdout
    again = system.ask("submit", *options, *more, *key)
    assert again["status"] == "duplicate"
    assert again["request_id"] in first.stdout
    assert again["tracking_code"] in first.stdout


def test_a_request_over_rabbitmq_is_the_same_request(system: System) -> None:
    body = json.dumps({**REQUEST, "source_id": str(uuid4())})
    over_amqp = system.ask("submit", "-", "--amqp", given=body)
    assert over_amqp["status"] == "accepted"
    over_http = system.ask("submit", "-", given=body)
    assert over_http == {**over_amqp, "status": "duplicate"}


@pytest.mark.parametrize("way", [[], ["--amqp"]])
def test_problems_are_listed_field_by_field(system: System, way: list[str]) -> None:
    answer = system.ask("submit", "--kind", "groceries", "--building", "1", "--item", "x:-1", *way, code=1)
    assert answer["status"] == "refused"
    assert {one["field"]: one["code"] for one in answer["problems"]}["community"] == "required"
    shown = system.run("submit", "--kind", "no-such", "--community", "tiebei", "--building", "1", *way, code=1).stdout
    assert "kind: no kind of help is called no-such (unknown_kind)" in shown
    shown = system.run("--language", "zh", "submit", "-", *way, given="{", code=1).stdout
    assert "不是 JSON" in shown


def test_a_file_and_options_together_or_neither_are_not_taken(system: System) -> None:
    assert "not both" in system.run("submit", "x.json", "--kind", "notice", code=1).stderr
    assert "Nothing to send" in system.run("submit", code=1).stderr
    assert "x.json cannot be read" in system.run("submit", "x.json", code=1).stderr


# Tail


def test_tail_shows_what_came_since_and_only_the_grid_asked_for(system: System) -> None:
    request_id = system.submit(address={"building": "2"})
    shown = system.run("tail", "--since", "0", "--grid", "g2", "--count", "2", "--json").stdout.splitlines()
    assert {json.loads(line)["grid"] for line in shown} == {"g2"}
    assert request_id in {json.loads(line)["request_id"] for line in shown}
    line = system.run("tail", "--since", "0", "--grid", "g2", "--count", "1", "--language", "zh").stdout
    assert re.search(r"\d\d:\d\d:\d\d +RequestCreated +g2 +normal +新需求：买菜，2号楼", line)


def test_tail_goes_on_where_it_broke_off_and_ends_with_ctrl_c(system: System) -> None:
    process = system.start("tail", "--since", "0", "--json")
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline())]
    system.stack.kill("notification")
    system.stack.wait_ready()
    request_id = system.submit()
    while lines[-1]["request_id"] != request_id:
        lines.append(json.loads(process.stdout.readline()))
    offsets = [one["offset"] for one in lines]
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "again in" in errors
    assert "Traceback" not in errors


# Tokens


def test_a_token_lets_in_until_it_is_revoked(system: System, tmp_path: Path) -> None:
    made = system.ask("token", "new", "--role", "operator", "--name", "second-operator", "--days", "1")
    assert made["token"].startswith("ds_")
    assert made["token"] not in system.stack.data_dir.joinpath("access.json").read_text()
    file = tmp_path / "token"
    file.write_text(made["token"] + "\n")
    elsewhere = ("--data", str(tmp_path), "--http", system.stack.url, "--token-file", str(file))
    until(lambda: CliRunner().invoke(app, ["status", *elsewhere]).exit_code == 0)
    assert "Revoked" in system.run("token", "revoke", made["token"]).stdout
    assert "before" in system.run("token", "revoke", made["token_hash"]).stdout
    until(lambda: CliRunner().invoke(app, ["status", *elsewhere]).exit_code == 1)
    assert "does not know this token" in CliRunner().invoke(app, ["verify", *elsewhere]).stderr


def until(fact: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_token_of_another_role_may_not_operate(system: System) -> None:
    file = str(system.stack.data_dir / "secrets" / "token-volunteer")
    for arguments in (["status"], ["verify"], ["rebuild"], ["replay", "--since", "1h"], ["dead-letters", "list"]):
        told = system.run(*arguments, "--token-file", file, code=1).stderr
        assert "may not" in told, told


def test_a_token_that_was_never_granted_cannot_be_revoked(system: System) -> None:
    assert "No token with the hash" in system.run("token", "revoke", "ds_abc", code=1).stderr
    assert "neither a token" in system.run("token", "revoke", "abc", code=1).stderr
    assert "role: Input should be" in system.run("token", "new", "--role", "king", "--name", "x", code=1).stderr


# Dead letters


def test_a_dead_letter_is_listed_shown_replayed_and_dropped(system: System) -> None:
    dead_id = dead_letter(system)
    shown = system.run("dead-letters", "list").stdout
    assert dead_id in shown
    assert "no kind of help is called nonsense" in shown
    letter = system.ask("dead-letters", "show", dead_id)
    assert letter["service"] == "intake"
    assert json.loads(letter["body"])["kind"] == "nonsense"
    assert '"kind":"nonsense"' in system.run("dead-letters", "show", dead_id).stdout
    assert system.ask("dead-letters", "replay", dead_id) == {"replayed": 1}
    assert new_dead_letter(system, set()) == dead_id
    assert system.ask("dead-letters", "replay", "--all", "--service", "intake") == {"replayed": 1}
    new_dead_letter(system, set())
    assert system.ask("dead-letters", "drop", dead_id) == {"dropped": 1}
    assert system.ask("dead-letters", "list") == []
    assert f"No dead letter {dead_id}" in system.run("dead-letters", "drop", dead_id, code=1).stderr
    assert "Give ids or --all" in system.run("dead-letters", "replay", code=1).stderr
    assert "There is no service post" in system.run("dead-letters", "list", "--service", "post", code=1).stderr


# Replay


def test_who_opened_what_and_what_for_is_listed(system: System) -> None:
    letter = dead_letter(system)
    system.run("dead-letters", "show", letter)
    mine = ("entries", "--actor", "demo-operator", "--type", "PersonalDataOpened", "--since", "2026-11-24")

    def noted() -> Mapping[str, Any]:
        opened = [one["data"]["record"] for one in system.ask(*mine)]
        return {"status": "noted" if f"dead-letter:{letter}" in opened else "on its way"}

    eventually(noted, "noted")
    (entry,) = system.ask("entries", "--record", f"dead-letter:{letter}")
    assert (entry["type"], entry["data"]["purpose"]) == ("PersonalDataOpened", "operation")
    shown = system.run(*mine, "--limit", "1")
    assert f"dead-letter:{letter}" in shown.stdout
    assert "no such entries" in system.run(*mine, "--until", "2026-11-24T08:00").stdout


def test_replay_says_how_many_events_went_out_and_changes_nothing(system: System) -> None:
    system.submit()
    before = system.agree()
    sent = system.ask("replay", "--since", "1h", "--type", "RequestCreated")
    assert sent == {"sent": {**dict.fromkeys(("intake", "dispatch", "notification", "ledger"), 0), **sent["sent"]},
                    "total": before["requests"]}  # fmt: skip
    assert sent["sent"]["intake"] == before["requests"]
    again = system.ask("replay", "--since", "1h", "--service", "dispatch", "--queue", "doorstep.ledger.events")
    assert again["total"] >= before["tasks"]
    assert system.agree()["chained"] == before["chained"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--since", "yesterday"], "yesterday is no moment"),
        (["--since", "1h", "--until", "2h"], "must be later"),
        (["--since", "1h", "--type", "Nothing"], "There is no event Nothing; there are RequestCreated"),
        (["--since", "1h", "--queue", "nowhere"], "There is no queue nowhere; there are doorstep.dispatch.commands"),
    ],
)
def test_what_cannot_be_replayed_is_told_in_one_line(system: System, arguments: list[str], told: str) -> None:
    line = system.run("replay", *arguments, code=1).stderr
    assert told in line
    assert len(line.splitlines()) == 1


# Verify


def test_verify_agrees_after_a_request_was_lived_to_its_end(system: System) -> None:
    request_id = system.submit()
    with system.http("grid_worker") as client:
        until(lambda: bool(client.get("/api/dispatch/tasks", params={"request_id": request_id}).json()["items"]))
        task = client.get("/api/dispatch/tasks", params={"request_id": request_id}).json()["items"][0]["id"]
        for verb in ("accept", "start", "complete"):
            done = client.post(f"/api/dispatch/tasks/{task}/{verb}", json={"command_id": verb})
            assert done.is_success, done.text
        # Opening somebody's details is entered, too, and is no difference.
    with system.http("coordinator") as client:
        assert client.get(f"/api/dispatch/tasks/{task}").json()["details"]["address"]["room"] == "502"
    found = system.agree()
    assert found["requests"] == found["tasks"]
    assert found["events"] == found["entries"] < found["chained"]
    assert "The four services agree" in system.run("verify").stdout


def differences(system: System) -> set[tuple[str, str]]:
    found = system.ask("verify", "--patience", "0", code=1)
    assert not found["agrees"]
    return {(one["code"], one["what"] if one["code"] == "chain" else one["request_id"]) for one in found["differences"]}


def test_verify_finds_one_byte_changed_in_the_ledger(system: System) -> None:
    system.submit()
    system.agree()
    entries = system.database("ledger").entries
    entry = entries.find_one({"type": "RequestCreated"})
    changed = entry["data"].replace('"priority":1', '"priority":2', 1)
    assert sum(a != b for a, b in zip(entry["data"], changed, strict=True)) == 1
    entries.update_one({"_id": entry["_id"]}, {"$set": {"data": changed}})
    assert differences(system) == {("chain", f"tiebei {entry['sequence']} {entry['_id']}")}
    shown = system.run("verify", "--patience", "0", code=1).stdout
    assert entry["_id"] in shown
    assert "the chain is broken" in shown
    entries.update_one({"_id": entry["_id"]}, {"$set": {"data": entry["data"]}})
    heads = system.database("ledger").heads
    head = heads.find_one_and_update({"_id": "tiebei"}, {"$inc": {"sequence": 10}})
    assert differences(system) == {("chain_cut", "")}
    heads.update_one({"_id": "tiebei"}, {"$set": {"sequence": head["sequence"]}})
    system.agree()


def test_rebuild_names_what_somebody_changed_and_puts_it_right(system: System) -> None:
    buildings = system.database("ledger").buildings
    assert system.ask("rebuild", "--patience", str(SECONDS))["agrees"]
    assert "The registers are what the entries say" in system.run("rebuild", "--register", "buildings").stdout
    building = "tiebei/1"
    buildings.update_one({"_id": building}, {"$set": {"state.grid": "g9"}, "$inc": {"v": 1}})
    shown = system.run("rebuild", code=1).stdout
    assert f"buildings {building}: is not what its entries say: grid" in shown
    buildings.delete_one({"_id": building})
    found = system.ask("rebuild", "--register", "buildings", code=1)
    missing = {"register": "buildings", "id": building, "verdict": "missing", "fields": [], "restored": False}
    assert (found["left"], found["differences"]) == (1, [missing])
    assert f"buildings {building}: is missing (put right)" in system.run("rebuild", "--write").stdout
    assert system.ask("rebuild", "--patience", str(SECONDS))["agrees"]
    assert buildings.find_one({"_id": building})["state"]["grid"] == "g1"
    assert "nothing" in system.run("rebuild", "--register", "nothing", code=1).stderr


def test_verify_finds_a_task_that_is_gone(system: System) -> None:
    request_id = system.submit()
    system.agree()
    tasks = system.database("dispatch").tasks
    task = tasks.find_one_and_delete({"state.request_id": request_id})
    assert differences(system) == {("no_task", request_id), ("unknown_entry", request_id)}
    assert f"{request_id}: the request (offered) has no task" in system.run("verify", "--patience", "0", code=1).stdout
    tasks.insert_one(task)
    system.agree()


def test_verify_finds_an_entry_that_is_there_twice(system: System) -> None:
    request_id = system.submit()
    system.agree()
    entries = system.database("ledger").entries
    entry = entries.find_one({"request_id": request_id})
    last = entries.find_one({"community": "tiebei"}, sort=[("sequence", -1)])
    copy = {**entry, "_id": f"{entry['_id']}-copy", "sequence": last["sequence"] + 1}
    entries.insert_one(copy)
    found = differences(system)
    entries.delete_one({"_id": copy["_id"]})
    assert found == {("unknown_entry", request_id), ("chain", f"tiebei {copy['sequence']} {copy['_id']}")}
    system.agree()


def test_verify_finds_a_state_and_an_entry_that_were_lost(system: System) -> None:
    request_id = system.submit()
    system.agree()
    requests, entries = system.database("intake").requests, system.database("ledger").entries
    requests.update_one({"_id": request_id}, {"$set": {"state.state": "created"}})
    last = entries.find_one_and_delete({"community": "tiebei"}, sort=[("sequence", -1)])
    found = differences(system)
    requests.update_one({"_id": request_id}, {"$set": {"state.state": "offered"}})
    entries.insert_one(last)
    assert ("state", request_id) in found
    assert ("not_entered", last["request_id"]) in found
    system.agree()


# Documentation


WITH_MANAGEMENT = {"source", "staff"}
"""What speaks to the broker's management interface is run where there is one: by the tests in containers."""


def documented() -> list[str]:
    """The lines in the operators' manual that are commands of ours."""
    return [line for line in Page(OPERATING).commands() if line.startswith("doorstep ")]


def write_list(system: System, *more: list[str]) -> None:
    """A list of two people of a building that is entered, and whatever else."""
    with system.http() as http:
        building = {"community": "tiebei", "building": "2", "grid": "g1"}
        assert http.post("/api/ledger/buildings", json=building).status_code == 202
    Path("people.csv").write_bytes(as_csv(HEADER, somebody(1), somebody(2), *more))


def test_a_list_goes_in_and_out_again(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong is shown by row and column, and the file that comes out is its owner's alone."""
    monkeypatch.chdir(tmp_path)
    write_list(system, somebody(3, building="99"))
    into = ("import", "people.csv", "--community", "tiebei", "--source", "test")
    refused = system.run(*into, code=1)
    assert re.search(r"4 .*楼号 .*no building of this number", refused.stdout)
    assert "nothing was changed" in refused.stderr
    dry = system.run(*into, "--dry-run", "--skip-wrong").stdout
    assert "3 rows: 2 would be new" in dry
    assert system.ask(*into, "--skip-wrong")["new"] == 2
    assert system.ask(*into, "--skip-wrong")["entered"] == 2
    out = ("export", "people", "--community", "tiebei", "--out", "out.csv")
    assert system.ask(*out, "--purpose", "a test")["bytes"] == Path("out.csv").stat().st_size
    assert Path("out.csv").stat().st_mode & 0o777 == 0o600
    Path("out.csv").chmod(0o644)
    assert "purpose" in system.run(*out, "--purpose", "", code=1).stderr
    assert "王丁" in Path("out.csv").read_text("utf-8-sig")
    system.run(*out, "--purpose", "again")
    assert Path("out.csv").stat().st_mode & 0o777 == 0o600
    assert "/dev/null" in system.run(*out[:-1], "/dev/null", "--purpose", "t", code=1).stderr
    assert [one.name for one in tmp_path.iterdir()] == ["people.csv", "out.csv"]
    assert "nothing.csv" in system.run("import", "nothing.csv", code=1).stderr


def test_who_refused_is_listed_with_the_reason_that_was_noted(system: System, tmp_path: Path) -> None:
    """Ids without `--names`; of all on the roster, of one state, or who is not on it."""
    person = {"source": "test", "source_id": "refuser", "community": "tiebei", "name": "赵戊"}
    with system.http() as http:
        told = {**person, "address": {"building": "2", "unit": "1", "room": "101"}, "phone": "+86 100 0000 0077"}
        member = http.post("/api/ledger/people", json=told).json()["id"]
        soon = f"{datetime.now().astimezone() + timedelta(hours=1):%Y-%m-%d %H:%M:%S}"
        of = ("--kind", "testing", "--title", "t", "--community", "tiebei", "--building", "2")
        opening = ("round", "open", "refused", *of, "--closes", soon)
        for team in ("北队", "=2", "北队="):
            assert f"“{team}” does not tell" in system.run(*opening, "--team", team, code=1).stderr
        assert "no list city" in system.run(*opening, "--list", "city", code=1).stderr
        system.run(*opening)
        record = {"member_id": member, "outcome": "refused", "note": "身体不适", "at": datetime.now(UTC).isoformat()}
        answer = http.post("/api/ledger/rounds/refused/records", json={"command_id": str(uuid4()), "records": [record]})
        assert answer.is_success, answer.text
        passer = tmp_path / "passer.csv"
        now = datetime.now(ZoneInfo("Asia/Shanghai"))
        passer.write_bytes(as_csv(("姓名", "联系电话", "采样时间"), ("过路人", "13811112222", f"{now:%H:%M}")))
    told = system.run("round", "record", "refused", str(passer), "--day", f"{now:%Y-%m-%d}").stdout
    assert "1 rows recorded, 1 of them of nobody on the roster" in told
    strange = ("round", "strangers", "refused")
    assert all(one in system.run(*strange, "--names").stdout for one in ("过路人", "13811112222", "not on the books"))
    assert "过路人" not in system.run(*strange).stdout
    listed = ("round", "members", "refused")
    named = system.run(*listed, "--state", "refused", "--names").stdout
    assert all(one in named for one in ("赵戊", "身体不适", "refused: 1"))
    without = system.run(*listed, "--state", "refused").stdout
    assert "赵戊" not in without
    assert "身体不适" not in without
    assert member in [one["member_id"] for one in system.ask(*listed)["items"]]
    assert "state" in system.run(*listed, "--state", "asleep", code=1).stderr


def test_the_numbers_are_a_table_a_file_a_picture_or_a_report(system: System, tmp_path: Path) -> None:
    """In the reader's language; a file of another form is refused before anything is counted."""
    with system.http() as http:
        building = {"community": "tiebei", "building": "2", "grid": "g1"}
        assert http.post("/api/ledger/buildings", json=building).status_code == 202
    assert system.ask("numbers")["community"] == "tiebei"
    assert "少跑趟数" in system.run("numbers", "--language", "zh", "--by", "kind").stdout
    for name, begins in (("n.csv", b"\xef\xbb\xbfKind,"), ("n.png", b"\x89PNG"), ("n.svg", b"<?xml")):
        system.run("numbers", "--by", "kind", "--out", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(begins)
    for name, begins in (("r.pdf", b"%PDF"), ("r.xlsx", b"PK")):
        system.run("report", "--out", str(tmp_path / name))
        assert (tmp_path / name).read_bytes().startswith(begins)
    assert ".csv, .png, .svg" in system.run("numbers", "--out", "numbers.doc", code=1).stderr
    assert ".pdf, .xlsx" in system.run("report", "--out", "report.doc", code=1).stderr
    assert "until" in system.run("numbers", "--since", "2026-11-24", "--until", "2026-11-23", code=1).stderr


def test_every_documented_command_runs(system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("request.json").write_text(json.dumps({**REQUEST, "source_id": str(uuid4())}))
    write_list(system)
    with system.http() as http:
        for building in ("1", "2", "3"):
            place = {"community": "tiebei", "building": building, "grid": "g1"}
            assert http.post("/api/ledger/buildings", json=place).status_code == 202
    token_hash = system.ask("token", "new", "--role", "partner", "--name", "shop")["token_hash"]
    for line in documented():
        _, *arguments = shlex.split(line)
        if arguments[0] in WITH_MANAGEMENT:
            continue
        if "ID" in arguments:
            named = system.ask("dead-letters", "list") or [{"id": dead_letter(system)}]
            arguments[arguments.index("ID")] = named[0]["id"]
        if arguments == ["tail"]:
            continue  # Ctrl-C ends it; that is a test of its own.
        if "tail" in arguments:
            arguments += ["--count", "1"]
        if "simulate" in arguments:
            arguments += ["--policy", "today"]  # One of them shows that the line is right, in a tenth of the time.
        # Of the times in the manual, all are over one day. A list of a desk is read in the zone of the community.
        soon = f"{datetime.now().astimezone() + timedelta(hours=1):%Y-%m-%d %H:%M:%S}"
        now = datetime.now(ZoneInfo("Asia/Shanghai"))
        seen = ("访客", "10000000009", f"{now:%H:%M}", "南门")
        Path("desk.csv").write_bytes(as_csv(("姓名", "联系电话", "采样时间", "点位"), seen))
        times = {"2026-11-24 11:30:00": soon, "2026-11-24 18:00:00": soon, "2026-11-24": f"{now:%Y-%m-%d}"}
        given = {"HASH": token_hash, **times}
        system.run(*(given.get(one, one) for one in arguments))
    assert {line.split()[1] for line in documented()} == {one.name for one in app.registered_commands} | {
        group.typer_instance.info.name for group in app.registered_groups if group.typer_instance
    }


# Last: these stop parts of the system


def test_status_says_which_service_is_not_ready_and_why(system: System) -> None:
    system.stack.down("notification")
    found = system.ask("status", code=1)
    assert [one["service"] for one in found["services"] if not one["ready"]] == ["notification"]
    shown = system.run("status", code=1).stdout
    assert "not available just now" in shown
    assert "Not ready: notification" in shown
    system.stack.up("notification")
    system.stack.wait_ready()


def test_when_nothing_runs_every_command_says_so_in_one_line(system: System) -> None:
    system.stack.stop()
    for arguments in (["status"], ["tail"], ["verify"], ["submit", "--kind", "x"], ["dead-letters", "list"]):
        line = system.run(*arguments, code=1).stderr
        assert line.startswith(f"Nothing answers at {system.stack.url}")
        assert len(line.splitlines()) == 1
