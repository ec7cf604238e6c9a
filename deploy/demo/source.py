"""The other systems: they send orders, each by its way, and again with the same key until they are answered."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from deploy.demo.broker import Broker, BrokerUnreachable
from deploy.demo.gateway import Gateway, NoAnswer
from deploy.demo.orders import Order, Way
from deploy.demo.pace import Pace
from deploy.demo.record import AGAIN, AT_FIRST, Record, Submission

REVIEWED_AFTER = 20.0
"""Minutes of the day after which a coordinator puts a wrong address right."""


class Sources:
    """Sends a day's orders."""

    def __init__(self, gateway: Gateway, broker: Broker, pace: Pace, record: Record) -> None:
        self._gateway = gateway
        self._broker = broker
        self._pace = pace
        self._record = record

    async def send_all(self, orders: tuple[Order, ...]) -> None:
        """Every order at its minute; ends when all of them are answered."""
        async with asyncio.TaskGroup() as group:
            for order in orders:
                await self._pace.until(order.minute)
                group.create_task(self._live(order))

    async def _live(self, order: Order) -> None:
        self._record.sent_at[order.key] = datetime.now(UTC)
        first = await self._submit(order, order.way, AT_FIRST)
        if first.request_id and order.amended:
            await self._pace.sleep(REVIEWED_AFTER)
            await self._amend(order, first.request_id)
        if first.request_id and order.resent:
            minutes, way = order.resent
            await self._pace.sleep(minutes)
            await self._submit(order, way, AGAIN)

    async def _submit(self, order: Order, way: Way, planned: str) -> Submission:
        try:
            body, tries = await (self._over_amqp(order) if way == "amqp" else self._over_http(order))
        except (NoAnswer, BrokerUnreachable) as error:
            submission = Submission(way, planned, 0, "unanswered", problem=str(error))
        else:
            submission = _submission(way, planned, tries, body)
        self._record.submitted(order.key, submission)
        return submission

    async def _over_amqp(self, order: Order) -> tuple[Mapping[str, Any], int]:
        return await self._broker.ask(order.body)

    async def _over_http(self, order: Order) -> tuple[Mapping[str, Any], int]:
        answer = await self._gateway.call(
            "POST",
            "/api/intake/requests",
            role="source",
            content=order.body.model_dump_json(by_alias=True),
            headers={"idempotency-key": order.key},
        )
        if answer.good:
            return answer.body, answer.tries
        return {"status": "refused", "problems": [{"code": answer.code, **answer.body}]}, answer.tries

    async def _amend(self, order: Order, request_id: str) -> None:
        assert order.amended is not None
        body = {"command_id": f"{order.key}-amend", "address": order.amended.model_dump()}
        try:
            answer = await self._gateway.send("PATCH", f"/api/intake/requests/{request_id}", body, role="coordinator")
        except NoAnswer as error:
            self._record.troubles.append(f"{order.key}: {error}")
        else:
            if not answer.good:
                self._record.troubles.append(f"{order.key}: amending was answered {answer.status} {dict(answer.body)}")


def _submission(way: Way, planned: str, tries: int, body: Mapping[str, Any]) -> Submission:
    request_id, code = body.get("request_id"), body.get("tracking_code")
    return Submission(
        way=way,
        planned=planned,
        tries=tries,
        status=str(body.get("status", "refused")),
        request_id=str(request_id) if request_id else None,
        tracking_code=str(code) if code else None,
        problem="" if request_id else str(body.get("problems", body)),
    )
