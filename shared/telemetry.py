"""What a service tells of itself: structured logs, Prometheus metrics, OpenTelemetry traces."""

import logging
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from math import nan

import orjson
import structlog
from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from shared.contracts.envelope import Meta

_WAITED = (0.1, 1, 5, 30, 60, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400)
"""Seconds: from the blink in which an offer is made to the day in which somebody was forgotten."""


def configure_logs(service: str, level: str) -> None:
    """One JSON object a line on standard output."""
    stamps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*stamps, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.BytesLoggerFactory(file=sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    # The libraries speak through the standard library; what they warn of stands among ours, in the same shape.
    libraries = logging.StreamHandler(sys.stdout)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *stamps],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[libraries])


def new_trace() -> str:
    """A W3C `traceparent` for something that begins here."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def trace_id(traceparent: str) -> str:
    """The trace's id in a `traceparent`, or nothing."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""


class Telemetry:
    """Metrics of one service, and spans if they have somewhere to go.

    Args:
        service: name of the service.
        otlp_endpoint: where traces go; None: nowhere, and nothing is spent on them.
    """

    def __init__(self, service: str, otlp_endpoint: str | None = None) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._handled = Counter(
            "doorstep_messages_total", "Messages by type and outcome", ["type", "outcome"], registry=self.registry
        )
        self._seconds = Histogram(
            "doorstep_message_seconds", "Time from delivery to outcome", ["type"], registry=self.registry
        )
        self.events_sent = Counter(
            "doorstep_events_sent_total", "Events confirmed by the broker", registry=self.registry
        )
        self.dead_letters = Counter("doorstep_dead_letters_total", "Messages kept aside", registry=self.registry)
        self.requests = Counter(
            "doorstep_http_requests_total", "HTTP requests", ["method", "route", "status"], registry=self.registry
        )
        self.accepted = Counter(
            "doorstep_requests_accepted_total",
            "Needs put on the books (intake); community is _ where no building of it is known",
            ["community", "kind"],
            registry=self.registry,
        )
        self._waited = Histogram(
            "doorstep_request_wait_seconds",
            "From the need's entry until it was first offered, assigned, completed (intake)",
            ["until", "urgency"],
            buckets=_WAITED,
            registry=self.registry,
        )
        # What follows is asked for when somebody looks (`forget`); of several replicas, each tells of all.
        self.ready = Gauge("doorstep_ready", "Database, broker and consumers are there", registry=self.registry)
        self.queue_messages = Gauge(
            "doorstep_queue_messages", "Messages that wait in a queue", ["queue"], registry=self.registry
        )
        self.queue_consumers = Gauge(
            "doorstep_queue_consumers", "Consumers on a queue", ["queue"], registry=self.registry
        )
        self.kept = Gauge("doorstep_dead_letters_kept", "Messages kept aside now", registry=self.registry)
        self.unsent = Gauge("doorstep_unsent_documents", "Documents with unconfirmed events", registry=self.registry)
        self.unsent_age = Gauge(
            "doorstep_unsent_oldest_seconds", "Age of the oldest unconfirmed event", registry=self.registry
        )
        self.due = Gauge("doorstep_timers_due", "Due dates that have passed", registry=self.registry)
        self.late = Gauge("doorstep_timers_late_seconds", "How late the longest passed is", registry=self.registry)
        self.open = Gauge(
            "doorstep_tasks_open", "Tasks that are not done (dispatch)", ["state", "urgency"], registry=self.registry
        )
        self.open_age = Gauge(
            "doorstep_tasks_oldest_seconds",
            "Age of the oldest task that is not done (dispatch)",
            ["state", "urgency"],
            registry=self.registry,
        )
        self._by_type: dict[tuple[str, str], Counter] = {}
        self._histograms: dict[str, Histogram] = {}
        self._provider: TracerProvider | None = None
        self._tracer: trace.Tracer | None = None
        if otlp_endpoint:
            # Loaded where traces go somewhere: it takes 4 MiB of memory.
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            self._provider = TracerProvider(resource=Resource.create({"service.name": f"doorstep-{service}"}))
            self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=otlp_endpoint)))
            self._tracer = self._provider.get_tracer("doorstep")

    def handled(self, wire: str, outcome: str, seconds: float) -> None:
        """Count one message."""
        counter = self._by_type.get((wire, outcome))
        if counter is None:
            counter = self._by_type[wire, outcome] = self._handled.labels(wire, outcome)
            self._histograms.setdefault(wire, self._seconds.labels(wire))
        counter.inc()
        self._histograms[wire].observe(seconds)

    def waited(self, until: str, urgency: str, time: timedelta) -> None:
        """Note how long a need waited; clocks of two machines that differ do not make it less than nothing."""
        self._waited.labels(until, urgency).observe(max(time.total_seconds(), 0.0))

    def forget(self) -> None:
        """Nothing is known any more of what must be asked for: better no figure than an old one."""
        self.ready.set(0)
        for figure in (self.kept, self.unsent, self.unsent_age, self.due, self.late):
            figure.set(nan)
        for figures in (self.queue_messages, self.queue_consumers, self.open, self.open_age):
            figures.clear()

    @contextmanager
    def span(self, meta: Meta) -> Iterator[str]:
        """Handling one message; gives the `traceparent` that its effects carry."""
        if self._tracer is None:
            yield meta.traceparent or new_trace()
            return
        parent = propagate.extract({"traceparent": meta.traceparent}) if meta.traceparent else None
        with self._tracer.start_as_current_span(
            meta.type, context=parent, kind=trace.SpanKind.CONSUMER, attributes={"doorstep.request_id": meta.subject}
        ):
            carrier: dict[str, str] = {}
            propagate.inject(carrier)
            yield carrier.get("traceparent", meta.traceparent)

    def metrics(self) -> bytes:
        """In Prometheus text format."""
        return generate_latest(self.registry)

    def close(self) -> None:
        """Send the spans that are left."""
        if self._provider is not None:
            self._provider.shutdown()
