"""What whoever scrapes is told is how it is now, asked for when he asks."""

from prometheus_client.parser import text_string_to_metric_families

from tests import world
from tests.running import Clock, Service, Town, eventually


async def scraped(service: Service) -> dict[str, dict[tuple[str, ...], float]]:
    """Every sample by name and by the values of its labels."""
    answer = await service.call("GET", "/metrics", who=None)
    assert answer.status_code == 200
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


async def test_metrics_tell_of_queues_dead_letters_and_needs_without_a_look_at_status(town: Town) -> None:
    """A need of a community that nobody knows is counted without its name."""
    async with town.up("intake") as at, town.amqp() as source, town.amqp("operator") as operator, town.ear():
        await world.tell_intake_of_places(at.intake, operator)
        await source.ask("request.submit", world.groceries("1"))
        await source.ask("request.submit", world.groceries("1"))
        await source.ask("request.submit", world.groceries("2", community="nowhere"))
        await source.tell("request.submit", b"[")
        await eventually(lambda: at.intake.stored("dead_letters"))
        told = await scraped(at.intake)
    assert told["doorstep_ready"] == {(): 1.0}
    assert told["doorstep_dead_letters_kept"] == {(): 1.0}
    assert told["doorstep_requests_accepted_total"] == {
        (world.TIEBEI, "groceries"): 1.0,
        ("_", "groceries"): 1.0,
    }
    assert told["doorstep_queue_consumers"] == {
        (f"doorstep.intake.{name}",): 1.0 for name in ("commands", "events", "dead-letters")
    }
    assert told["doorstep_queue_messages"].keys() == told["doorstep_queue_consumers"].keys()


async def test_metrics_tell_how_old_what_waits_is_and_how_long_needs_waited(town: Town) -> None:
    """A task that nobody took for five minutes; its need was counted once."""
    clock = Clock()
    async with town.up("intake", "dispatch", clock=clock) as at:
        await world.settle(*at.services.values())
        answer = await at.intake.post("/requests", world.groceries("1"))
        request_id = answer.json()["request_id"]
        await eventually(lambda: at.dispatch.items("/tasks", request_id=request_id, state="offered"))
        await eventually(lambda: waited(at.intake, "offered"))
        await eventually(lambda: nothing_unsent(at.dispatch))
        clock.forward(minutes=5)
        told = await scraped(at.dispatch)
        assert told["doorstep_tasks_open"] == {("offered", "normal"): 1.0}
        assert told["doorstep_tasks_oldest_seconds"] == {("offered", "normal"): 300.0}
        assert told["doorstep_unsent_oldest_seconds"] == {(): 0.0}
        assert told["doorstep_timers_late_seconds"] == {(): 0.0}
        assert await waited(at.intake, "offered") == 1.0


async def waited(service: Service, until: str) -> float:
    """How many needs have been counted that came so far."""
    counted = (await scraped(service)).get("doorstep_request_wait_seconds_count", {})
    return counted.get((until, "normal"), 0.0)


async def nothing_unsent(service: Service) -> bool:
    """Whether the broker has confirmed everything, and it is written down."""
    return (await scraped(service))["doorstep_unsent_documents"] == {(): 0.0}
