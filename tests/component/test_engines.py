"""The private engines: they start, stop, crash and come back with their data, and everybody may do only their own."""

import asyncio
import os
import select
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import AMQPConnectionError, ChannelPreconditionFailed, ProbableAuthenticationError
from aiormq.exceptions import ChannelAccessRefused
from pymongo.errors import OperationFailure
from yarl import URL

from deploy.engines import EngineError, MongoNode, RabbitNode
from shared.bus.connecting import opened

ENDED_SECONDS = 20.0


@pytest.fixture(scope="module")
def rabbit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    with RabbitNode(tmp_path_factory.mktemp("rabbit")) as node:
        yield node


@pytest.fixture(scope="module")
def mongo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MongoNode]:
    with MongoNode(tmp_path_factory.mktemp("mongo")) as node:
        yield node


@asynccontextmanager
async def channel_of(rabbit: RabbitNode, user: str) -> AsyncIterator[AbstractChannel]:
    """A raw client of the broker, not of ours."""
    connection = await aio_pika.connect(rabbit.url(user))
    async with connection:
        yield await connection.channel()


@pytest.fixture
async def exchanges(rabbit: RabbitNode) -> None:
    """What the services declare when they start: the exchanges, a queue and the stream."""
    async with channel_of(rabbit, "notification") as channel:
        for name in ("commands", "events", "notifications"):
            await channel.declare_exchange(f"doorstep.{name}", "topic", durable=True)
        queue = await channel.declare_queue(
            "doorstep.intake.commands", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind("doorstep.commands", "#")
        await channel.declare_queue("doorstep.notifications.log", durable=True, arguments={"x-queue-type": "stream"})


async def publish(
    channel: AbstractChannel, exchange: str, routing_key: str, message: aio_pika.Message | None = None
) -> None:
    target = await channel.get_exchange(exchange, ensure=False)
    await target.publish(message or aio_pika.Message(b"{}"), routing_key, mandatory=False)


async def ignore(message: AbstractIncomingMessage) -> None:
    """A consumer that will get nothing."""


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended; it waits for a parent to ask.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


# Starting, stopping, crashing


def test_both_engines_start_side_by_side_and_leave_nothing_running(tmp_path: Path) -> None:
    engines = (RabbitNode(tmp_path / "rabbit"), MongoNode(tmp_path / "mongo"))
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda engine: engine.start(), engines))
    pids = [engine.pid for engine in engines]
    assert all(process_exists(pid) for pid in pids)
    for engine in engines:
        engine.stop()
    assert not any(process_exists(pid) for pid in pids)
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout


async def test_a_message_survives_kill_and_restart_of_the_broker(tmp_path: Path) -> None:
    with RabbitNode(tmp_path) as node:
        async with channel_of(node, "intake") as channel:
            await channel.declare_queue("doorstep.kept", durable=True)
            persistent = aio_pika.Message(b"kept", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await publish(channel, "", "doorstep.kept", persistent)
        await asyncio.to_thread(node.kill)
        await asyncio.to_thread(node.start)
        async with channel_of(node, "intake") as channel:
            queue = await channel.get_queue("doorstep.kept")
            message = await queue.get()
            assert message.body == b"kept"
            await message.ack()


def test_an_acknowledged_write_survives_kill_and_restart_of_the_database(tmp_path: Path) -> None:
    with MongoNode(tmp_path) as node:
        with node.client("ledger") as client:
            client.doorstep_ledger.entries.insert_one({"_id": "e1"})
        node.kill()
        node.start()
        with node.client("ledger") as client:
            assert client.doorstep_ledger.entries.find_one() == {"_id": "e1"}


def test_a_database_moved_to_another_port_keeps_its_data(tmp_path: Path) -> None:
    with MongoNode(tmp_path) as first, first.client("ledger") as client:
        client.doorstep_ledger.entries.insert_one({"_id": "e1"})
    with MongoNode(tmp_path) as second, second.client("ledger") as client:
        assert second.port != first.port
        assert client.doorstep_ledger.entries.find_one() == {"_id": "e1"}


def test_a_database_of_another_password_is_told_and_not_left_running(tmp_path: Path) -> None:
    with MongoNode(tmp_path) as node:
        pass
    other = MongoNode(tmp_path, passwords=dict.fromkeys(node.passwords, "another"), keyfile=tmp_path / "keyfile")
    with pytest.raises(EngineError, match="another administrator password"):
        other.start()
    assert not other.running


async def test_a_paused_broker_answers_nobody_until_it_is_resumed(rabbit: RabbitNode) -> None:
    rabbit.pause()
    try:
        with pytest.raises((TimeoutError, AMQPConnectionError)):
            async with await opened(aio_pika.Connection(URL(rabbit.url("intake"))), 1):
                pass
    finally:
        rabbit.resume()
    async with channel_of(rabbit, "intake"):
        pass


def test_an_occupied_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(EngineError, match=f"port {port} is taken"):
            MongoNode(tmp_path, port).start()


def test_a_foreign_broker_is_not_mistaken_for_ours(rabbit: RabbitNode, tmp_path: Path) -> None:
    stranger = RabbitNode(tmp_path, rabbit.port)
    assert rabbit._answers()
    assert not stranger._answers()


def test_an_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    keyfile = tmp_path / "readable-by-all"
    keyfile.write_text("secret")
    keyfile.chmod(0o644)
    node = MongoNode(tmp_path, keyfile=keyfile)
    with pytest.raises(EngineError, match=r"(?s)ended with code .* The end of .*permissions on .* are too open"):
        node.start()
    assert not node.running


def test_engines_end_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, threading; from pathlib import Path; from deploy.engines import MongoNode;"
        "node = MongoNode(Path(sys.argv[1]));"
        # From a thread that ends: only the end of the process counts.
        "thread = threading.Thread(target=node.start); thread.start(); thread.join();"
        "print(node.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        ended = os.pidfd_open(pid)
        assert process_exists(pid)
        parent.kill()
    try:
        wait_readable(ended, ENDED_SECONDS)
    finally:
        os.close(ended)
    assert not process_exists(pid)


def wait_readable(descriptor: int, seconds: float) -> None:
    """A process's descriptor can be read once the process has ended."""
    assert select.select([descriptor], [], [], seconds)[0], f"still there after {seconds} s"


def test_rabbitmqctl_speaks_to_this_node(rabbit: RabbitNode) -> None:
    assert "guest" not in rabbit.rabbitmqctl("list_users")
    with pytest.raises(EngineError, match="no_such_command"):
        rabbit.rabbitmqctl("no_such_command")


# Who may do what in the database


@pytest.mark.parametrize("service", ["intake", "dispatch", "notification", "ledger"])
def test_a_service_reads_and_writes_only_its_own_database(mongo: MongoNode, service: str) -> None:
    with mongo.client(service) as client:
        own = client[f"doorstep_{service}"]
        own.things.insert_one({"x": 1})
        own.things.create_index("x")
        assert own.things.count_documents({}) == 1
        for other in {"intake", "dispatch", "notification", "ledger", "other"} - {service}:
            with pytest.raises(OperationFailure, match="not authorized"):
                client[f"doorstep_{other}"].things.find_one()
        with pytest.raises(OperationFailure, match="not authorized"):
            client.admin.command("usersInfo")


def test_nobody_enters_the_database_without_a_password(mongo: MongoNode) -> None:
    with mongo._set().member(user=None) as client, pytest.raises(OperationFailure, match="requires authentication"):
        client.doorstep_intake.things.find_one()


# Who may do what at the broker


async def test_guest_is_unknown(rabbit: RabbitNode) -> None:
    with pytest.raises(ProbableAuthenticationError):
        await opened(aio_pika.Connection(URL(rabbit.url("guest", "guest"))))


@pytest.mark.usefixtures("exchanges")
class TestSource:
    """Another system: it gives orders and hears the answers, nothing else."""

    @pytest.mark.parametrize("key", ["request.submit", "request.cancel", "person.register", "follow-up.record"])
    async def test_publishes_what_other_systems_may_ask(self, rabbit: RabbitNode, key: str) -> None:
        async with channel_of(rabbit, "source") as channel:
            await publish(channel, "doorstep.commands", key)

    @pytest.mark.parametrize("key", ["task.claim", "task.complete", "notification.acknowledge", "xrequest.submit"])
    async def test_cannot_publish_the_commands_of_staff(self, rabbit: RabbitNode, key: str) -> None:
        async with channel_of(rabbit, "source") as channel:
            with pytest.raises(ChannelAccessRefused):
                await publish(channel, "doorstep.commands", key)

    @pytest.mark.parametrize("exchange", ["doorstep.events", "doorstep.notifications", "amq.topic", ""])
    async def test_cannot_publish_anywhere_else(self, rabbit: RabbitNode, exchange: str) -> None:
        async with channel_of(rabbit, "source") as channel:
            with pytest.raises(ChannelAccessRefused):
                await publish(channel, exchange, "doorstep.intake.commands")

    async def test_hears_answers_by_direct_reply_to(self, rabbit: RabbitNode) -> None:
        async with channel_of(rabbit, "intake") as service, channel_of(rabbit, "source") as source:
            answer: asyncio.Future[AbstractIncomingMessage] = asyncio.get_running_loop().create_future()
            replies = await source.get_queue("amq.rabbitmq.reply-to", ensure=False)
            await replies.consume(answer.set_result, no_ack=True)
            question = aio_pika.Message(b"?", reply_to="amq.rabbitmq.reply-to")
            await self._ask_and_answer(service, source, question)
            assert (await asyncio.wait_for(answer, 5)).body == b"!"

    @pytest.mark.parametrize("name", ["", "amq_0123456789abcdef", "reply.wecom.7"])
    async def test_hears_answers_on_a_private_queue(self, rabbit: RabbitNode, name: str) -> None:
        async with channel_of(rabbit, "intake") as service, channel_of(rabbit, "source") as source:
            replies = await source.declare_queue(name, exclusive=True)
            await self._ask_and_answer(service, source, aio_pika.Message(b"?", reply_to=replies.name))
            async with asyncio.timeout(5), replies.iterator() as answers:
                assert (await anext(answers)).body == b"!"

    async def test_can_read_nothing_of_ours(self, rabbit: RabbitNode) -> None:
        async with channel_of(rabbit, "source") as channel:
            queue = await channel.get_queue("doorstep.intake.commands", ensure=False)
            with pytest.raises(ChannelAccessRefused):
                await queue.consume(ignore)

    @pytest.mark.parametrize("exchange", ["doorstep.commands", "doorstep.events", "doorstep.notifications"])
    async def test_cannot_listen_to_our_exchanges(self, rabbit: RabbitNode, exchange: str) -> None:
        async with channel_of(rabbit, "source") as channel:
            queue = await channel.declare_queue("", exclusive=True)
            with pytest.raises(ChannelAccessRefused):
                await queue.bind(exchange, "#")

    async def test_cannot_carry_a_forbidden_key_in_through_an_exchange_of_its_own(self, rabbit: RabbitNode) -> None:
        """A topic permission holds where one publishes, not where an exchange passes on."""
        async with channel_of(rabbit, "source") as channel:
            own = await channel.declare_exchange("amq_tunnel", "fanout", auto_delete=True)
            commands = await channel.get_exchange("doorstep.commands", ensure=False)
            await commands.bind(own)
            with pytest.raises(ChannelAccessRefused):
                await publish(channel, "amq_tunnel", "task.complete")

    @pytest.mark.parametrize("name", ["doorstep.mine", "mine", "staff.mine"])
    async def test_cannot_declare_other_queues(self, rabbit: RabbitNode, name: str) -> None:
        async with channel_of(rabbit, "source") as channel:
            with pytest.raises(ChannelAccessRefused):
                await channel.declare_queue(name)

    async def _ask_and_answer(
        self, service: AbstractChannel, source: AbstractChannel, question: aio_pika.Message
    ) -> None:
        """The source asks through doorstep.commands, a service answers to where the question says."""
        commands = await service.declare_queue("doorstep.test.questions", exclusive=True)
        await commands.bind("doorstep.commands", "request.#")
        await publish(source, "doorstep.commands", "request.submit", question)
        async with asyncio.timeout(5), commands.iterator() as questions:
            asked = await anext(questions)
            assert asked.reply_to is not None
            await publish(service, "", asked.reply_to, aio_pika.Message(b"!"))
            await asked.ack()


@pytest.mark.usefixtures("exchanges")
class TestStaff:
    """A staff program: it hears notifications, and says nothing."""

    @pytest.mark.parametrize("name", ["", "amq_fedcba9876543210", "staff.board"])
    async def test_hears_notifications_on_a_queue_of_its_own(self, rabbit: RabbitNode, name: str) -> None:
        async with channel_of(rabbit, "notification") as service, channel_of(rabbit, "staff") as staff:
            queue = await staff.declare_queue(name, exclusive=True)
            await queue.bind("doorstep.notifications", "grid_worker.tiebei.g1.#")
            await publish(service, "doorstep.notifications", "grid_worker.tiebei.g1.tiebei-g1-1")
            async with asyncio.timeout(5), queue.iterator() as messages:
                await (await anext(messages)).ack()

    async def test_reads_the_log_from_its_beginning(self, rabbit: RabbitNode) -> None:
        async with channel_of(rabbit, "notification") as service, channel_of(rabbit, "staff") as staff:
            await publish(service, "", "doorstep.notifications.log", aio_pika.Message(b"first"))
            await staff.set_qos(10)
            log = await staff.get_queue("doorstep.notifications.log")
            async with asyncio.timeout(5), log.iterator(arguments={"x-stream-offset": "first"}) as messages:
                message = await anext(messages)
                assert message.body == b"first"
                await message.ack()

    @pytest.mark.parametrize("exchange", ["doorstep.commands", "doorstep.events", "doorstep.notifications", ""])
    async def test_cannot_publish(self, rabbit: RabbitNode, exchange: str) -> None:
        async with channel_of(rabbit, "staff") as channel:
            with pytest.raises(ChannelAccessRefused):
                await publish(channel, exchange, "request.submit")

    @pytest.mark.parametrize("exchange", ["doorstep.commands", "doorstep.events"])
    async def test_cannot_listen_to_commands_or_events(self, rabbit: RabbitNode, exchange: str) -> None:
        async with channel_of(rabbit, "staff") as channel:
            queue = await channel.declare_queue("", exclusive=True)
            with pytest.raises(ChannelAccessRefused):
                await queue.bind(exchange, "#")

    async def test_cannot_take_from_our_queues(self, rabbit: RabbitNode) -> None:
        async with channel_of(rabbit, "staff") as channel:
            queue = await channel.get_queue("doorstep.intake.commands", ensure=False)
            with pytest.raises(ChannelAccessRefused):
                await queue.consume(ignore)


@pytest.mark.usefixtures("exchanges")
async def test_a_service_owns_only_names_of_ours(rabbit: RabbitNode) -> None:
    async with channel_of(rabbit, "dispatch") as channel:
        await channel.declare_queue("doorstep.dispatch.test", exclusive=True)
        with pytest.raises(ChannelAccessRefused):
            await channel.declare_queue("staff.board")
    async with channel_of(rabbit, "dispatch") as channel:
        with pytest.raises(ChannelAccessRefused):
            await publish(channel, "amq.topic", "request.submit")


async def test_the_operator_may_everything(rabbit: RabbitNode) -> None:
    async with channel_of(rabbit, "operator") as channel:
        queue = await channel.declare_queue("anything", exclusive=True)
        await queue.bind("amq.topic", "#")
        await publish(channel, "amq.topic", "anything")


async def test_a_body_over_one_mebibyte_is_refused(rabbit: RabbitNode) -> None:
    async with channel_of(rabbit, "operator") as channel:
        with pytest.raises(ChannelPreconditionFailed):
            await publish(channel, "amq.topic", "large", aio_pika.Message(bytes(1_048_577)))
