"""`doorstep submit`: a request for help, as any other system sends it."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import orjson
import typer

from deploy.cli.session import Session
from deploy.cli.trouble import Trouble
from shared.contracts.envelope import BODY_LIMIT
from shared.contracts.intake import SubmitRequest
from shared.contracts.refusal import Refusal
from shared.problems import as_json, parse

REFUSED = "refused"
USUAL_SOURCE = "doorstep-cli"
_PATIENCE = 15.0
"""Seconds that an answer over RabbitMQ may take."""

Text = str | None


def submit(
    session: Session,
    file: Annotated[Text, typer.Argument(metavar="[FILE|-]", help="submit.file", show_default=False)] = None,
    kind: Annotated[Text, typer.Option(help="submit.kind", show_default=False)] = None,
    community: Annotated[Text, typer.Option(help="submit.community", show_default=False)] = None,
    building: Annotated[Text, typer.Option(help="submit.building", show_default=False)] = None,
    unit: Annotated[Text, typer.Option(help="submit.unit", show_default=False)] = None,
    room: Annotated[Text, typer.Option(help="submit.room", show_default=False)] = None,
    name: Annotated[Text, typer.Option(help="submit.name", show_default=False)] = None,
    phone: Annotated[Text, typer.Option(help="submit.phone", show_default=False)] = None,
    item: Annotated[list[str] | None, typer.Option(help="submit.item", show_default=False)] = None,
    note: Annotated[Text, typer.Option(help="submit.note", show_default=False)] = None,
    urgency: Annotated[Text, typer.Option(help="submit.urgency", show_default=False)] = None,
    source: Annotated[Text, typer.Option(help="submit.source", show_default=USUAL_SOURCE)] = None,
    source_id: Annotated[Text, typer.Option(help="submit.source_id", show_default=False)] = None,
    amqp: Annotated[bool, typer.Option("--amqp", help="submit.amqp")] = False,
) -> None:
    """Send one request and print the answer; exit code 1 when it is refused, with every problem by its field."""
    said = _without_none(
        kind=kind,
        community=community,
        address=_without_none(building=building, unit=unit, room=room),
        resident=_without_none(name=name, phone=phone),
        items=[_item(one) for one in item or ()],
        note=note,
        urgency=urgency,
        source=source,
        source_id=source_id,
    )
    body = _body(file, said)
    answer = asyncio.run(_over_amqp(session, body)) if amqp else _over_http(session, body)
    _show(session, answer)
    if answer.get("status") == REFUSED:
        raise typer.Exit(1)


def _body(file: str | None, said: dict[str, Any]) -> bytes:
    if file is None and not said:
        raise Trouble("submit.nothing")
    if file is None:
        return orjson.dumps({"source": USUAL_SOURCE, "source_id": str(uuid4()), **said})
    if said:
        raise Trouble("submit.both")
    try:
        if file == "-":
            return sys.stdin.buffer.read(BODY_LIMIT + 1)
        with Path(file).open("rb") as content:
            return content.read(BODY_LIMIT + 1)
    except OSError as error:
        raise Trouble("trouble.unreadable", path=file, reason=error.strerror) from None


def _item(text: str) -> dict[str, str]:
    """`name`, `name:quantity` or `name:quantity:unit`."""
    return dict(zip(("name", "quantity", "unit"), text.split(":", 2), strict=False))


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, {}, [])}


def _over_http(session: Session, body: bytes) -> Mapping[str, Any]:
    with session.client("source") as client:
        answer = client.call("POST", "/api/intake/requests", content=body or b"\n")
    return answer.body if answer.good else {"status": REFUSED, "problems": answer.problems}


async def _over_amqp(session: Session, body: bytes) -> Mapping[str, Any]:
    """As another system does it, with the user `source` and an answer to wait for.

    What is no request at all is refused here, in the words that intake would use.
    """
    # Only now: the other commands need no AMQP, and its client takes its time to load.
    from deploy.demo.broker import Broker, BrokerUnreachable, quiet

    url = session.place.amqp.get("source")
    if url is None:
        raise Trouble("submit.no_amqp", folder=session.place.folder)
    try:
        request = parse(SubmitRequest, body)
    except Refusal as refusal:
        return {"status": REFUSED, "problems": as_json(refusal.problems)}
    quiet()
    try:
        async with Broker(url, patience=_PATIENCE) as broker:
            answer, _ = await broker.ask(request)
    except BrokerUnreachable as error:
        raise Trouble("submit.no_answer", reason=error) from None
    return answer


def _show(session: Session, answer: Mapping[str, Any]) -> None:
    if session.json:
        session.write_json(answer)
        return
    if answer.get("status") == REFUSED:
        session.tell("submit.refused", "bold red")
        for one in answer["problems"]:
            # The message names more, but it is in English; the code is in every language.
            english = session.say.language == "en"
            words = one["message"] if english else session.say.or_else(f"problem.{one['code']}", one["message"])
            session.out.print(f"  {one['field'] or session.say('submit.whole')}: {words} ({one['code']})")
        return
    session.tell(f"submit.{answer['status']}", "bold green")
    session.tell("submit.ids", request_id=answer["request_id"], tracking_code=answer["tracking_code"])
