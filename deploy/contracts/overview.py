"""The list of all messages as one Markdown page, for people."""

from collections.abc import Iterable

from deploy.contracts.catalogue import Message, messages

_TITLES = {
    "command": "Commands, on `doorstep.commands`",
    "event": "Events, on `doorstep.events`",
    "notification": "Notifications, on `doorstep.notifications` and in the stream `doorstep.notifications.log`",
    "answer": "Answers, to the queue named in `reply_to`",
    "sealed": "Inside `sealed`, for whoever may open it",
}


def page() -> str:
    """Markdown; each row links to the schema."""
    every = list(messages())
    parts = ["# Messages", "Written by `make contracts` out of the code; change it there."]
    for family, title in _TITLES.items():
        parts += [f"## {title}", _table(message for message in every if message.family == family)]
    return "\n\n".join(parts) + "\n"


def _table(rows: Iterable[Message]) -> str:
    """Columns in which no row says anything are left out."""
    table = [("type", "routing key", "of", "answer", "what it says")]
    for row in rows:
        key = f"`{row.address}`" if row.address else ""
        answer = f"[{row.answer}](schemas/{row.answer}.json)" if row.answer else ""
        table.append((f"[`{row.name}`](schemas/{row.name}.json)", key, row.service, answer, row.summary))
    columns = [column for column in zip(*table, strict=True) if any(column[1:])]
    head, *lines = ["| " + " | ".join(cells) + " |" for cells in zip(*columns, strict=True)]
    return "\n".join([head, "|---" * len(columns) + "|", *lines])
