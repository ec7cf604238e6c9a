"""What every service stands on: nothing sent is lost, nothing kept is in the clear, nobody is ready who is not."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from fastapi import FastAPI
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.intake import handlers
from services.intake.api import add_routes
from services.intake.store import Store
from shared.admission import DOCUMENTS, CannotStart, admit
from shared.bus import ForeignTopology
from shared.catalogue import load
from shared.contracts.catalogue import Kinds
from shared.contracts.dispatch import DeliveryCompleted
from shared.contracts.envelope import EVENTS_EXCHANGE, Meta
from shared.contracts.intake import RequestAnswer, SubmitRequest
from shared.messages import Outgoing
from shared.runtime import Runtime, utc_now
from shared.service import build_app
from shared.settings import Settings
from tests import world
from tests.running import Clock, Running, Service, Town, eventually, problems

ALL = ("intake", "dispatch", "notification", "ledger")


def frail_intake(mistakes: Callable[[str], bool]) -> Callable[[Settings, Runtime], FastAPI]:
    """Intake whose handler makes a mistake with some requests: the same house with another door."""

    async def submit(house: handlers.Intake, command: SubmitRequest, meta: Meta) -> RequestAnswer:
        if mistakes(command.source_id):
            raise ZeroDivisionError(command.source_id)
        return await handlers.submit(house, command, meta)

    def build(settings: Settings, runtime: Runtime) -> FastAPI:
        kinds = load(settings.catalogue_dir / "kinds.yaml", Kinds)
        house = handlers.Intake(runtime, Store(runtime), kinds)
        router = handlers.router.copy()
        router.command(SubmitRequest)(submit)
        runtime.consume(router, house)
        app = build_app(runtime)
        add_routes(app, house)
        return app

    return build


async def kept(service: Service, count: int = 1) -> list[dict[str, Any]] | None:
    """The messages set aside, once there are so many."""
    found = await service.items("/dead-letters")
    return found if len(found) >= count else None


# Tried again, and set aside


async def test_a_mistake_in_a_handler_costs_one_message_a_pause_and_its_neighbours_nothing(town: Town) -> None:
    """Tried again after a pause, with its form and its sender's address, and answered then."""
    tries: list[str] = []

    def fails_once(source_id: str) -> bool:
        tries.append(source_id)
        return source_id == "unlucky" and tries.count("unlucky") == 1

    async with town.up("intake", build={"intake": frail_intake(fails_once)}), town.amqp() as source, town.ear():
        structured = {
            "specversion": "1.0",
            "id": "m1",
            "type": SubmitRequest.wire,
            "source": "wecom",
            "data": world.groceries("unlucky"),
        }
        unlucky = asyncio.ensure_future(
            source.ask("request.submit", structured, content_type="application/cloudevents+json")
        )
        await eventually(lambda: "unlucky" in tries)
        others = await asyncio.gather(*(source.ask("request.submit", world.groceries(f"r{n}")) for n in range(10)))
        assert {one["status"] for one in others} == {"needs_review"}
        assert not unlucky.done()
        assert (await unlucky)["status"] == "needs_review"
        assert tries.count("unlucky") == 2


async def test_what_fails_to_the_end_is_kept_once_sealed_and_can_be_played_again(town: Town) -> None:
    """With reason, origin, handler and number of tries; shown to an operator, and the showing is noted."""
    mended = False

    def fails(_: str) -> bool:
        return not mended

    async with (
        town.up("intake", build={"intake": frail_intake(fails)}) as at,
        town.amqp("operator") as operator,
        town.ear() as events,
    ):
        # The last of its tries: it went through the pauses before.
        last = {"headers": {"x-doorstep-try": 3, "ce-id": "m1"}, "correlation_id": "r-17", "app_id": "wecom"}
        for _ in range(2):
            await operator.tell("request.submit", world.groceries("1"), **last)
        (listed,) = await eventually(lambda: kept(at.intake))
        assert {name: listed[name] for name in ("reason", "queue", "tries", "message_id", "correlation_id")} == {
            "reason": "failed",
            "queue": "doorstep.intake.commands",
            "tries": 4,
            "message_id": "m1",
            "correlation_id": "r-17",
        }
        assert listed["message"] == "ZeroDivisionError: 1"
        assert listed["handler"].endswith(".submit")
        assert "body" not in listed
        (stored,) = await at.intake.stored("dead_letters")
        assert "王先生" not in json.dumps(stored, default=str, ensure_ascii=False)
        assert base64.b64encode("王先生".encode()).decode()[:8] not in stored["body"]
        shown = await at.intake.get(f"/dead-letters/{listed['id']}")
        assert json.loads(shown["body"]) == world.groceries("1")
        (opened,) = await eventually(lambda: events.bodies("doorstep.personal-data.opened.v1"))
        assert opened["record"] == f"dead-letter:{listed['id']}"
        mended = True
        assert (await at.intake.post(f"/dead-letters/{listed['id']}:replay")).status_code == 202
        await eventually(lambda: at.intake.stored("requests"))
        assert await at.intake.items("/dead-letters") == []


async def test_a_message_set_aside_can_be_dropped_and_is_then_gone(town: Town) -> None:
    """Another of another body stays."""
    async with town.up("intake") as at, town.amqp() as source:
        for body in (b"{", b"["):
            await source.tell("request.submit", body, message_id="m1")
        found = await eventually(lambda: kept(at.intake, 2))
        path = f"/dead-letters/{found[0]['id']}"
        assert (await at.intake.call("DELETE", path)).status_code == 200
        assert [one["id"] for one in await at.intake.items("/dead-letters")] == [found[1]["id"]]
        for method, gone in (("GET", path), ("POST", f"{path}:replay")):
            answer = await at.intake.call(method, gone)
            assert (answer.status_code, problems(answer)) == (404, [("id", "unknown_dead_letter")])


async def test_dead_letters_are_listed_page_by_page(town: Town) -> None:
    """Newest first, without gap or double."""
    async with town.up("intake") as at, town.amqp() as source:
        for number in range(7):
            await source.tell("request.submit", b"{", message_id=f"m{number}")
        await eventually(lambda: kept(at.intake, 7))
        pages = await at.intake.pages("/dead-letters", limit=3)
        assert [len(page) for page in pages] == [3, 3, 1]
        assert len({one["id"] for page in pages for one in page}) == 7


async def test_an_unknown_type_and_an_unknown_version_are_kept_aside_and_the_consumer_lives(town: Town) -> None:
    """Whoever sent them is a newer program, or a mistaken one."""
    async with town.up("intake") as at, town.amqp() as source, town.ear():
        for wire in ("doorstep.request.submit.v9", "doorstep.request.fly.v1", "x"):
            await source.tell("request.submit", world.groceries("1"), type=wire, message_id=wire)
        found = await eventually(lambda: kept(at.intake, 3))
        assert {(one["problems"][0]["field"], one["problems"][0]["code"]) for one in found} == {
            ("type", "unknown_type")
        }
        assert (await source.ask("request.submit", world.groceries("1")))["status"] == "needs_review"


# Sent, and sent again


async def test_the_sweeper_sends_what_a_crash_left_behind(town: Town) -> None:
    """The documents remember what was not confirmed; the event is the same, under the same id."""
    clock = Clock()
    async with town.up("intake", clock=clock) as at, town.ear() as events:
        await at.intake.post("/requests", world.groceries("1"))
        await eventually(lambda: events.heard)
        (document,) = await eventually(lambda: at.intake.stored("requests", {"unsent": []}))
        await left_unsent(at.intake, document)
        assert (await at.intake.get("/status"))["unsent"] == 1
        clock.forward(seconds=6)
        await eventually(lambda: len(events.heard) == 2)
        assert len({one.message_id for one in events.heard}) == 1
        assert events.heard[0].body == events.heard[1].body
        await eventually(lambda: at.intake.stored("requests", {"unsent": []}))


async def left_unsent(service: Service, document: dict[str, Any]) -> None:
    """As a process leaves it that dies between its write and the broker's confirm."""
    event = document["history"][0]
    change = {"unsent": [{"n": event["n"], "at": event["at"]}], "history.0.sent": None}
    await service.runtime.database.collection("requests").raw.update_one({"_id": document["_id"]}, {"$set": change})


async def test_what_reaches_no_queue_is_kept_and_sent_when_there_is_one(town: Town) -> None:
    """Not marked as sent, and seen in the status."""
    clock = Clock()
    async with town.up("intake", clock=clock) as at:
        assert (await at.intake.post("/requests", world.groceries("1"))).status_code == 202
        assert (await at.intake.get("/status"))["unsent"] == 1
        async with town.ear() as events:
            clock.forward(seconds=6)
            (message,) = await eventually(lambda: events.heard)
        assert message.type == "doorstep.request.created.v1"
        await eventually(lambda: at.intake.stored("requests", {"unsent": []}))


@asynccontextmanager
async def lived(town: Town, clock: Clock) -> AsyncIterator[Running]:
    """All four services, in which one request was done, one was cancelled and one failed."""
    async with town.up(*ALL, clock=clock) as at:
        await world.settle(*at.services.values())
        ids = []
        for number in range(3):
            ids.append((await at.intake.post("/requests", world.groceries(f"r{number}"))).json()["request_id"])
        for request_id in ids:
            await eventually(lambda request_id=request_id: at.dispatch.items("/tasks", request_id=request_id))  # type: ignore[misc]
        for request_id, verbs in ((ids[0], ("accept", "start", "complete")), (ids[2], ("accept", "fail"))):
            (task,) = await at.dispatch.items("/tasks", request_id=request_id)
            for verb in verbs:
                body = {"command_id": verb, "worker": world.ZHAO}
                assert (await at.dispatch.post(f"/tasks/{task['id']}/{verb}", body)).status_code == 200
        await at.intake.post(f"/requests/{ids[1]}/cancel", {"command_id": "c1"})
        for event, request_id in zip(("DeliveryCompleted", "DeliveryCancelled", "DeliveryFailed"), ids, strict=True):
            await eventually(
                lambda event=event, request_id=request_id: at.ledger.items(  # type: ignore[misc]
                    "/entries", type=event, request_id=request_id
                )
            )
        yield at


async def facts(at: Running) -> dict[str, Any]:
    """Everything that the services know, without when it was sent."""
    found = {}
    for name, collections in (
        ("intake", ("requests", "buildings", "people")),
        ("dispatch", ("tasks", "workers", "grids")),
        ("notification", ("messages",)),
        ("ledger", ("entries", "people", "buildings")),
    ):
        for collection in collections:
            for one in await at.services[name].stored(collection):
                history = [event["id"] for event in one.pop("history", [])]
                found[f"{name}/{collection}/{one['_id']}"] = {**one, "unsent": None, "history": history}
    return found


async def quiet(at: Running) -> bool:
    """Whether nothing waits anywhere, and every building was looked through for people of another grid."""
    statuses = [await service.get("/status") for service in at.services.values()]
    waits = any(one["unsent"] or sum(queue["messages"] for queue in one["queues"].values()) for one in statuses)
    return not waits and not any(one["state"]["looks"] for one in await at.ledger.stored("buildings"))


async def test_one_event_under_way_to_two_places_at_once_reaches_both(town: Town) -> None:
    """As when a queue asks for it again while it is still on its first way."""
    async with town.up("intake") as at, town.ear("twice") as by_exchange, town.ear("never") as by_queue:
        meta = Meta("one-id", "doorstep.test.v1", "intake", utc_now(), "")
        first = Outgoing(EVENTS_EXCHANGE, "twice", b"{}", meta, None)
        again = Outgoing("", by_queue.queue, b"{}", meta, None)
        bus = at.intake.runtime.bus
        await asyncio.gather(bus.publish(first), bus.publish(first), bus.publish(again), bus.publish(again))
        await eventually(lambda: by_queue.heard and by_exchange.heard)
        assert [len(by_exchange.heard), len(by_queue.heard)] == [1, 1]


async def test_a_replay_of_everything_changes_nothing_at_all(town: Town) -> None:
    """All events of all services once more, to everybody; then those of one type; then to one queue."""
    clock = Clock()
    async with lived(town, clock) as at:
        await eventually(lambda: quiet(at))
        before = await facts(at)
        since = (clock() - timedelta(days=1)).isoformat()
        clock.forward(days=30)
        counts = {}
        for name in ALL:
            counts[name] = (await at.services[name].post("/events:replay", {"since": since})).json()["sent"]
        assert all(counts.values()), counts
        only = {"since": since, "types": ["doorstep.request.created.v1"]}
        assert (await at.intake.post("/events:replay", only)).json() == {"sent": 3}
        one_queue = {**only, "queue": "doorstep.ledger.events"}
        assert (await at.intake.post("/events:replay", one_queue)).json() == {"sent": 3}
        await eventually(lambda: quiet(at))
        assert await facts(at) == before
        assert (await at.ledger.get("/chain"))["broken"] == []
        for name in ALL:
            assert (await at.services[name].get("/status"))["dead_letters"] == 0


async def test_a_span_that_ends_before_it_begins_is_refused(town: Town) -> None:
    """By field."""
    async with town.up("intake") as at:
        span = {"since": "2026-11-24T09:00:00Z", "until": "2026-11-24T08:00:00Z"}
        answer = await at.intake.post("/events:replay", span)
        assert (answer.status_code, problems(answer)) == (422, [("until", "not_allowed")])


# Up and down


async def test_a_service_is_ready_when_its_consumers_are_there_and_not_while_the_broker_is_frozen(town: Town) -> None:
    """Alive all the time."""
    async with town.up("intake") as at:
        assert await at.intake.get("/readyz", who=None) == {"status": "ready"}
        town.engines.rabbit.pause()
        try:
            answer = await at.intake.call("GET", "/readyz", who=None)
            assert answer.status_code == 503
            assert await at.intake.get("/healthz", who=None) == {"status": "alive"}
        finally:
            town.engines.rabbit.resume()
        await eventually(lambda: is_ready(at.intake))


async def is_ready(service: Service) -> bool:
    return (await service.call("GET", "/readyz", who=None)).status_code == 200


async def test_a_service_without_a_consumer_says_which_queue_waits(town: Town) -> None:
    """Readiness asks the broker, not itself."""
    async with town.up("intake") as at:
        await at.intake.runtime.bus.stop_consuming()
        answer = await eventually(lambda: not_ready(at.intake))
        assert "doorstep.intake.commands" in answer["status"]


async def not_ready(service: Service) -> dict[str, str] | None:
    answer = await service.call("GET", "/readyz", who=None)
    return answer.json() if answer.status_code == 503 else None


async def test_what_was_sent_while_nobody_ran_is_done_at_the_start(town: Town) -> None:
    """The queues keep it."""
    async with town.up("intake"):
        pass
    async with town.amqp() as source:
        for number in range(20):
            await source.tell("request.submit", world.groceries(f"r{number}"))
    async with town.up("intake") as at, town.ear():
        await eventually(lambda: count_is(at.intake, 20))


async def count_is(intake: Service, count: int) -> bool:
    return len(await intake.stored("requests")) == count


async def test_a_stop_under_load_loses_nothing_and_doubles_nothing(town: Town) -> None:
    """What is not done goes back to the broker, and the next process does it."""
    async with town.amqp() as source, town.amqp("operator") as operator:
        async with town.up("intake"):
            await asyncio.gather(*(source.tell("request.submit", world.groceries(f"r{n}")) for n in range(150)))
        async with town.up("intake") as at, town.ear():
            await eventually(lambda: count_is(at.intake, 150))
            assert {len(one["history"]) for one in await at.intake.stored("requests")} == {1}
            assert await at.intake.items("/dead-letters") == []
            news = DeliveryCompleted(
                task_id="t", request_id="r", kind="x", building="1", urgency="normal", priority=1, at=utc_now()
            )
            assert await operator.happen(news)


async def test_metrics_say_what_was_handled_sent_and_asked(town: Town) -> None:
    """In Prometheus' format, by type and outcome."""
    async with town.up("intake") as at, town.amqp() as source, town.ear() as events:
        await source.ask("request.submit", world.groceries("1"))
        await source.ask("request.submit", b"{")
        await source.tell("request.submit", b"[")
        await eventually(lambda: kept(at.intake))
        await eventually(lambda: events.heard)
        text = (await at.intake.call("GET", "/metrics", who=None)).text
        for line in (
            'doorstep_messages_total{outcome="handled",type="doorstep.request.submit.v1"} 1.0',
            "doorstep_events_sent_total 1.0",
            "doorstep_dead_letters_total 1.0",
            'doorstep_http_requests_total{method="GET",route="/api/intake/dead-letters",status="200"}',
            "doorstep_message_seconds_bucket",
            "process_resident_memory_bytes",
        ):
            assert line in text, [one for one in text.splitlines() if one.startswith(line[:24])]


async def test_status_tells_an_operator_what_waits(town: Town) -> None:
    """Queues with depth and consumers, dead letters, unsent events, due timers."""
    async with town.up("dispatch") as at:
        status = await at.dispatch.get("/status")
        assert (status["ready"], status["dead_letters"], status["unsent"], status["timers_due"]) == (True, 0, 0, 0)
        assert status["queues"].keys() == {
            f"doorstep.dispatch.{name}" for name in ("commands", "events", "dead-letters")
        }
        assert {one["consumers"] for one in status["queues"].values()} == {1}


async def test_a_mistake_of_ours_is_a_problem_and_shows_nothing(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 with a code, without a word of the cause."""
    async with town.up("dispatch") as at:
        monkeypatch.setattr(at.dispatch.runtime, "condition", None)
        answer = await at.dispatch.call("GET", "/status")
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert "NoneType" not in answer.text


async def test_the_trace_of_a_request_goes_through_to_its_events(town: Town) -> None:
    """W3C trace context, from the sender's header on."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with town.up("intake") as at, town.amqp() as source, town.ear() as events:
        await source.ask("request.submit", world.groceries("1"), headers={"traceparent": trace})
        await at.intake.post("/requests", world.groceries("2"), headers={"traceparent": trace})
        await eventually(lambda: len(events.heard) == 2)
        assert {str(one.headers["traceparent"])[:35] for one in events.heard} == {trace[:35]}


class Collector(BaseHTTPRequestHandler):
    """Whatever an operator has that takes traces: keeps the spans that it got."""

    spans: ClassVar[list[tuple[str, str, str]]] = []
    """Service, name, trace."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for told in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {one.key: one.value.string_value for one in told.resource.attributes}["service.name"]
            spans = [span for scope in told.scope_spans for span in scope.spans]
            self.spans.extend((service, span.name, span.trace_id.hex()) for span in spans)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


async def test_spans_of_one_request_go_to_the_collector_under_one_trace(town: Town) -> None:
    """From both services, where an operator names a collector; the last ones when they stop."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    with collector, ThreadPoolExecutor(1) as thread:
        thread.submit(collector.serve_forever)
        try:
            address = f"http://127.0.0.1:{collector.server_port}/v1/traces"
            async with town.up("intake", "dispatch", otlp_endpoint=address) as at, town.amqp() as source:
                headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
                await source.ask("request.submit", world.groceries("1"), headers=headers)
                await eventually(lambda: at.dispatch.stored("tasks"))
        finally:
            collector.shutdown()
    assert {
        ("doorstep-intake", "doorstep.request.submit.v1", trace),
        ("doorstep-dispatch", "doorstep.request.created.v1", trace),
    } <= set(Collector.spans)


# Starting


async def test_a_service_does_not_start_on_what_a_newer_one_wrote(town: Town) -> None:
    """Whatever the newer one changed, this one would misread."""
    async with town.up("intake") as at:
        assert (await at.intake.stored("schema"))[0]["version"] == DOCUMENTS
    newer = Runtime("intake", town.engines.settings())
    await newer.bus.connect()
    schema = newer.database.collection("schema")
    await schema.put("documents", {"version": DOCUMENTS + 1, "oldest_reader": DOCUMENTS + 1})
    with pytest.raises(CannotStart, match="written by a newer Doorstep"):
        await admit(newer.database, newer.bus, schema)
    await newer.stop()


async def test_a_queue_of_our_name_in_another_shape_is_told_and_left_alone(town: Town) -> None:
    """As when another program shares the virtual host."""
    async with town.amqp("operator") as operator:
        await operator.channel.declare_queue("doorstep.intake.commands", durable=True)
        runtime = Runtime("intake", town.engines.settings())
        runtime.consume(handlers.router, None)  # type: ignore[arg-type]  # no handler is called
        await runtime.bus.connect()
        with pytest.raises(ForeignTopology, match=r"doorstep\.intake\.commands.*use a virtual host of its own"):
            await runtime.bus.declare()
        await runtime.stop()
        await operator.channel.queue_delete("doorstep.intake.commands")
