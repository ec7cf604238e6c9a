"""One machine: everything comes up in order and by itself again, is closed to the outside, saved and brought back."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ProbableAuthenticationError
from yarl import URL

from deploy.contracts.generate import newest_release
from deploy.demo.broker import Broker
from shared.bus.connecting import opened
from shared.contracts.intake import SubmitRequest
from tests.compose.conftest import AMQP, SERVICES, Deployment, deployed
from tests.compose.engine import COMPOSE, ROOT, Docker, DockerError
from tests.running import eventually
from tests.world import groceries

DOCKERFILE = "deploy/images/Dockerfile"
WATCHED = {"doorstep": "up", "rabbitmq": "up", "rabbitmq-queues": "up"}
OURS = {*SERVICES, "gateway", "rabbitmq", "mongodb"}


@pytest.fixture(scope="module")
def town(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment for the tests of this module, which follow each other."""
    with deployed(docker, tmp_path_factory.mktemp("town")) as town:
        town.up()
        yield town


def test_one_command_brings_everything_up_and_says_so(town: Deployment) -> None:
    """Everything is healthy, the set-up job has ended well, and the operators' command line agrees."""
    states = [json.loads(line) for line in town.compose("ps", "--all", "--format", "json").splitlines()]
    found = {one["Service"]: one["Health"] or f"ended with {one['ExitCode']}" for one in states}
    assert found == {**dict.fromkeys(OURS, "healthy"), "setup": "ended with 0"}
    told = json.loads(town.operator("status", "--json"))
    assert {one["service"]: one["ready"] for one in told["services"]} == dict.fromkeys(SERVICES, True)


def test_every_container_is_bound_and_only_the_gateway_is_open(town: Deployment) -> None:
    """No root, nothing writable, no capability, no way to more; memory, processor and logs have bounds."""
    for made in town.docker.inspect(*town.docker.containers("status=running")):
        host, name = made["HostConfig"], made["Name"]
        assert made["Config"]["User"].partition(":")[0] not in ("", "0", "root"), name
        assert host["ReadonlyRootfs"], name
        assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None), name
        assert "no-new-privileges:true" in host["SecurityOpt"], name
        assert all((host["Memory"], host["NanoCpus"])), name
        assert host["LogConfig"]["Config"]["max-size"], name
        assert host["RestartPolicy"]["Name"] == "unless-stopped", name
        assert not [one for one in made["Config"]["Env"] if "password" in one.lower() or "token=" in one.lower()], name
        service = made["Config"]["Labels"]["com.docker.compose.service"]
        # The broker's port is there because these tests ask for deploy/compose/amqp.yaml.
        assert {address["HostIp"] for one in (host["PortBindings"] or {}).values() for address in one} == (
            {"127.0.0.1"} if service in ("gateway", "rabbitmq") else set()
        ), name


def test_nobody_gets_out_but_through_the_gateway(town: Deployment) -> None:
    """The services' networks lead nowhere else."""
    for network in json.loads(town.docker.run("network", "inspect", *_networks(town))):
        assert network["Internal"] == (not network["Name"].endswith("_outside")), network["Name"]


def test_a_program_in_a_container_gets_the_signals(town: Deployment) -> None:
    """The service itself is the first process: what stops a container reaches it, and it ends in time and cleanly."""
    name = town.containers("ledger")[0]
    town.docker.run("stop", "--time", "25", name)
    assert town.docker.inspect(name)[0]["State"]["ExitCode"] == 0
    town.docker.run("start", name)
    town.up()


async def test_a_request_over_http_and_one_over_amqp_live_to_the_ledger(town: Deployment) -> None:
    """In through the gateway and through the broker; told to the ledger."""
    async with town.users() as users:
        await users.settle()
        await users.live("by-http")
        async with users.broker() as broker:
            command = SubmitRequest.model_validate(groceries("by-amqp"), strict=False)
            answer, _ = await broker.ask(command)
        assert answer["status"] == "accepted"
        await users.deliver(answer["request_id"])
        await users.completed()
        entries = await users.get("ledger/entries", request_id=answer["request_id"])
        assert "DeliveryCompleted" in {entry["type"] for entry in entries["items"]}


async def test_docs_and_pages_are_served_through_the_gateway_and_metrics_are_not(town: Deployment) -> None:
    """What is for people, and not what is for operators' programs."""
    async with httpx.AsyncClient(base_url=town.http, trust_env=False) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/api/intake/docs")).status_code == 200
        assert (await client.get("/metrics")).status_code == 404
        assert (await client.get("/api/intake/metrics")).status_code == 404


async def test_accounts_for_those_outside_may_what_they_must_and_no_more(town: Deployment) -> None:
    """A source submits and does not finish tasks; staff of a grid hear that grid alone; a removed one is cut off."""
    hospital = json.loads(town.operator("source", "add", "hospital", "--json"))
    command = SubmitRequest.model_validate(groceries("by-hospital"), strict=False)
    async with Broker(at(town, hospital), patience=20, timeout=10) as broker:
        answer, _ = await broker.ask(command)
        assert answer["status"] == "accepted"
    kitchen = json.loads(town.operator("staff", "add", "kitchen", "--community", "tiebei", "--grid", "g1", "--json"))
    for account, exchange, key in (
        (hospital, "doorstep.commands", "task.claim"),
        (hospital, "doorstep.events", "request.created.tiebei.g1"),
        (kitchen, "doorstep.notifications", "grid_worker.tiebei.g1.x"),
    ):
        with pytest.raises(ChannelAccessRefused):
            await publish(at(town, account), exchange, key)
    await bind(at(town, kitchen), "doorstep.notifications", "*.tiebei.g1.#")
    for exchange, key in (
        ("doorstep.notifications", "#"),
        ("doorstep.notifications", "*.tiebei.g2.#"),
        ("doorstep.notifications", "#.tiebei.g1.x"),
        ("doorstep.events", "#"),
    ):
        with pytest.raises(ChannelAccessRefused):
            await bind(at(town, kitchen), exchange, key)
    with pytest.raises(DockerError, match="There is a source hospital already"):
        town.operator("source", "add", "hospital")
    renewed = json.loads(town.operator("source", "add", "hospital", "--renew", "--json"))
    for account in (hospital, {**renewed, "user": "source.nobody"}):
        with pytest.raises(ProbableAuthenticationError):
            await opened(aio_pika.Connection(URL(at(town, account))))
    connection = await aio_pika.connect(at(town, renewed))
    town.operator("source", "remove", "hospital")
    await eventually(lambda: cut_off(connection))
    assert json.loads(town.operator("source", "list", "--json")) == {"names": []}


async def test_prometheus_finds_every_service_and_the_broker(town: Deployment) -> None:
    """By their names, over the network that they are on; what it looks for is what they export."""
    town.up("prometheus", DOORSTEP_CERTIFICATES='"gateway:8443"')
    address = town.compose("port", "prometheus", "9090").strip()
    async with httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as client:

        async def found() -> bool:
            targets = (await client.get("/api/v1/targets")).json()["data"]["activeTargets"]
            health = {one["labels"]["job"]: one["health"] for one in targets if one["labels"]["job"] in WATCHED}
            return health == WATCHED and len(targets) == 7

        await eventually(found, 120)
        rules = (await client.get("/api/v1/rules")).json()["data"]["groups"]
        assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}

        async def all_ready() -> bool:
            """A target is healthy from its first scrape on; what was scraped can be asked for a moment later."""
            asked = (await client.get("/api/v1/query", params={"query": "sum(doorstep_ready)"})).json()
            return [one["value"][1] for one in asked["data"]["result"]] == ["4"]

        await eventually(all_ready, 60)
    town.compose("rm", "--stop", "--force", "prometheus")


async def test_replicas_share_the_work_and_dying_containers_cost_nothing(town: Deployment) -> None:
    """Three dispatchers; containers of every service are killed, the broker and the database restarted, under load."""
    async with town.users() as users:
        async with users.load("faults"):
            await asyncio.to_thread(town.compose, "up", "--detach", "--wait", "--scale", "dispatch=3", "dispatch")
            status = await users.get("dispatch/status")
            assert {one["consumers"] for one in status["queues"].values()} == {3}
            for service in SERVICES:
                await asyncio.to_thread(kill_one, town, service)
            await asyncio.to_thread(town.compose, "restart", "rabbitmq")
            await asyncio.to_thread(town.compose, "restart", "mongodb")
        await users.completed()
    # Compose gives up on a container that is unhealthy for a moment, so they are asked until all are well again.
    await eventually(lambda: asyncio.to_thread(all_healthy, town), 120)
    assert len(users.lived) >= 10
    await verified(town)


async def test_back_to_the_release_before_and_on_again_under_load_is_not_an_event(
    town: Deployment, tmp_path: Path
) -> None:
    """One service after the other runs the image of the release before, and then today's, while requests go on."""
    before = release_before()
    build(town.docker, before, tmp_path)
    async with town.users() as users:
        async with users.load("releases"):
            for image in (f"doorstep:{before}", "doorstep:local"):
                for service in SERVICES:
                    lived = len(users.lived)
                    await asyncio.to_thread(town.up, "--no-deps", service, DOORSTEP_IMAGE=image)
                    assert town.docker.inspect(town.containers(service)[0])[0]["Config"]["Image"] == image
                    await eventually(lambda lived=lived: len(users.lived) > lived, 60)  # type: ignore[misc]
        await users.completed()
    await verified(town)


async def test_the_secrets_are_changed_under_load_without_a_stop(town: Deployment) -> None:
    """What `make rotate` does: files, broker, database, then one service after the other."""
    before = {"user": "intake", "password": town.secrets.rabbit["intake"]}
    cookie = (town.secrets.folder / "rabbit-cookie").read_text()
    async with town.users() as users:
        async with users.load("rotate"):
            # One that got no further than the files must not keep out the next.
            town.secrets.rotate()
            town.secrets.rotate()
            await asyncio.to_thread(rotate, town)
        await users.completed()
    with pytest.raises(ProbableAuthenticationError):
        await opened(aio_pika.Connection(URL(at(town, before))))
    rabbitmqctl = ("exec", "-T", "rabbitmq", "rabbitmqctl", "--quiet")
    town.compose(*rabbitmqctl, "status")
    with pytest.raises(DockerError):
        town.compose(*rabbitmqctl, "--erlang-cookie", cookie, "status")
    await verified(town)


async def test_what_was_saved_under_load_comes_back_whole_after_everything_is_gone(
    town: Deployment, tmp_path: Path
) -> None:
    """Saved while requests go on, destroyed with all data, brought back into empty volumes: the services agree."""
    saved = tmp_path / "doorstep.backup"
    async with town.users() as users:
        async with users.load("before"):
            await eventually(lambda: len(users.lived) >= 5)
            before = set(users.lived)
            with saved.open("wb") as file:
                await asyncio.to_thread(town.docker.pipe, ["run", "--rm", "--no-TTY", "backup", "save"], output=file)
        town.down(with_data=True)
        town.up("mongodb", "setup")
        with saved.open("rb") as file:
            town.docker.pipe(["run", "--rm", "--no-TTY", "backup", "restore"], source=file)
        town.up()
        await verified(town)
        states = [(await users.get(f"intake/requests/{one}"))["state"] for one in before]
        assert states == ["completed"] * len(before)
        await users.live("after")
    await verified(town)


async def test_services_live_with_engines_that_are_not_theirs(town: Deployment) -> None:
    """Started without engines of their own, told where some are: those that run here already."""
    files = (AMQP, "deploy/compose/outside-engines.yaml")
    await asyncio.to_thread(town.compose, "up", "--detach", "--wait", *SERVICES, "gateway", files=files)
    networks = town.docker.inspect(town.containers("intake")[0])[0]["NetworkSettings"]["Networks"]
    assert f"{town.docker.project}_outside" in networks
    async with town.users() as users:
        await users.live("elsewhere")
    await asyncio.to_thread(town.up)


def test_the_demonstration_plays_its_day_and_closes_the_account(town: Deployment) -> None:
    """As somebody would who only wants to see it: nothing missing, nothing doubled."""
    told = town.compose("run", "--rm", "--no-TTY", "demo", "--orders", "40", "--seconds", "10", "--json")
    account = json.loads(told)
    assert account["good"]


def all_healthy(town: Deployment) -> bool:
    """Whether every container that runs is healthy."""
    running = town.docker.inspect(*town.docker.containers("status=running"))
    return all(one["State"]["Health"]["Status"] == "healthy" for one in running)


def at(town: Deployment, account: Mapping[str, str]) -> str:
    """The broker's address for an account."""
    host = town.amqp.rpartition("@")[2]
    return f"amqp://{account['user']}:{account['password']}@{host}"


async def cut_off(connection: AbstractConnection) -> bool:
    """Whether nothing more can be done with a connection."""
    try:
        await connection.channel()
    except (AMQPError, OSError, RuntimeError):
        return True
    return False


async def publish(url: str, exchange: str, key: str) -> None:
    """Publish something as that user, and wait for the broker's word."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        target = await channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(b"{}"), key, mandatory=False)


async def bind(url: str, exchange: str, key: str) -> None:
    """Bind a private queue as that user."""
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).declare_queue("", exclusive=True)
        await queue.bind(exchange, key)


def rotate(town: Deployment) -> None:
    """As `make rotate`, but for the files, with this deployment's Compose."""
    compose = f"{COMPOSE} --file docker-compose.yml --file {AMQP}"
    environment = {**town.docker.environment, "DOORSTEP_COMPOSE": compose}
    subprocess.run([ROOT / "deploy/compose/rotate.sh"], check=True, capture_output=True, env=environment)


def release_before() -> str:
    """The newest tag before this commit; while there is none, the commit before."""
    return newest_release(ROOT, git("rev-parse", "--short", "HEAD~1"))


def build(docker: Docker, release: str, folder: Path) -> None:
    """Make the image of a release, from what was in git then."""
    archive = folder / "release.tar"
    git("archive", "--output", str(archive), release)
    source = folder / "release"
    source.mkdir()
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", source], check=True)
    docker.run("build", "--quiet", "--tag", f"doorstep:{release}", "--file", f"{source}/{DOCKERFILE}", str(source))


def git(*arguments: str) -> str:
    """What git answers."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def kill_one(town: Deployment, service: str) -> None:
    """Kill a container's process as the kernel would; Docker starts it again."""
    name = town.containers(service)[0]
    state = town.docker.inspect(name)[0]
    os.kill(state["State"]["Pid"], signal.SIGKILL)


async def verified(town: Deployment) -> None:
    """The four services agree, once everything has come to rest."""
    with suppress(AssertionError):
        await eventually(lambda: agreed(town), 180)
    await asyncio.to_thread(town.operator, "verify")


async def agreed(town: Deployment) -> bool:
    """Whether they do; while a service comes back, or an event is on its way, the command ends with 1."""
    try:
        await asyncio.to_thread(town.operator, "verify", "--json")
    except DockerError:
        return False
    return True


def _networks(town: Deployment) -> list[str]:
    return [f"{town.docker.project}_{name}" for name in ("front", "engines", "outside")]
