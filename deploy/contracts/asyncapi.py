"""One AsyncAPI 3.0 document for the whole system: who sends what to whom, and how it travels over AMQP 0-9-1."""

import tomllib
from pathlib import Path
from typing import Any

from deploy.contracts.catalogue import ANSWERS, SERVICES, Message, messages
from deploy.contracts.consumers import consumers
from deploy.contracts.examples import example
from deploy.contracts.schemas import schema_of
from shared.contracts import envelope
from shared.contracts.envelope import NOTIFICATIONS_LOG

Document = dict[str, Any]

_BINDING = {"bindingVersion": "0.3.0"}
_VHOST = "doorstep"
_TEXT = {"type": "string"}
_TRAITS = {"command": "command", "event": "event", "notification": "event", "answer": "answer"}

_PARAMETERS = {
    "community": "The community, such as `tiebei`; `_` where it is not known.",
    "grid": "The grid, such as `g3`; `_` where it is not known.",
    "role": "Whom it is for: `grid_worker`, `volunteer`, `coordinator`, …",
    "worker": "The worker whom it is for; `_` where it is for everybody of the role.",
}

_CLOUD_EVENT = {
    "ce-specversion": {"const": "1.0", "description": "CloudEvents version."},
    "ce-id": _TEXT | {"description": "Id of this message; the same id again is the same message."},
    "ce-type": _TEXT | {"description": "The wire type, such as `doorstep.request.created.v1`."},
    "ce-source": _TEXT | {"description": "The publishing service, such as `/doorstep/intake`."},
    "ce-time": _TEXT | {"format": "date-time", "description": "When it happened."},
    "ce-subject": _TEXT | {"description": "Id of the request, person, worker or grid that it is about."},
    "ce-sequence": _TEXT
    | {"description": "Position in the history of its subject, from 1, so that the right order can be told."},
    "ce-cause": _TEXT | {"description": "Id of the message or command that made this happen."},
    "ce-actor": _TEXT | {"description": "Of an event: whose command set it off, by name of token or account."},
    "traceparent": _TEXT | {"description": "W3C trace context."},
}
_PROPERTIES = {
    "message_id": _TEXT | {"description": "AMQP property, not a header: the same as `ce-id`."},
    "type": _TEXT | {"description": "AMQP property, not a header: the same as `ce-type`."},
    "app_id": _TEXT | {"description": "AMQP property, not a header: the publishing service."},
    "correlation_id": _TEXT | {"description": "AMQP property, not a header: the request id."},
}
_REPLY_TO = {
    "reply_to": _TEXT | {"description": "AMQP property, not a header: the queue that gets the answer."},
    "correlation_id": _TEXT | {"description": "AMQP property, not a header: comes back unchanged with the answer."},
}


def document() -> Document:
    """The whole document, ready to be written as YAML."""
    every = [message for message in messages() if message.family != "sealed"]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Doorstep",
            "version": _version(),
            "description": (envelope.__doc__ or "").strip(),
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": name, "description": text} for name, text in SERVICES.items()],
        },
        "defaultContentType": "application/json",
        "servers": {"broker": _server()},
        "channels": _channels(every),
        "operations": _operations(every),
        "components": {
            "messages": {message.title: _message(message) for message in every},
            "messageTraits": _traits(),
            "parameters": {name: {"description": text} for name, text in _PARAMETERS.items()},
            "securitySchemes": {
                "user": {
                    "type": "userPassword",
                    "description": "A broker user; `source` only publishes commands, `staff` only reads notifications.",
                }
            },
        },
    }


def _version() -> str:
    project = Path(__file__).parents[2] / "pyproject.toml"
    version: str = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"]
    return version


def _server() -> Document:
    return {
        "host": "{host}:{port}",
        "pathname": f"/{_VHOST}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "RabbitMQ. `access.json` in the data folder holds the whole address of each user.",
        "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "5672"}},
        "security": [_ref("components", "securitySchemes", "user")],
    }


def _channels(every: list[Message]) -> Document:
    routed = {message.title: _routed(message) for message in every if message.exchange}
    log = {
        "address": NOTIFICATIONS_LOG,
        "title": NOTIFICATIONS_LOG,
        "description": "A RabbitMQ stream that keeps every notification, so that a program can start from any point.",
        "messages": {"StaffNotification": _ref("components", "messages", "StaffNotification")},
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {
                    "name": NOTIFICATIONS_LOG,
                    "durable": True,
                    "exclusive": False,
                    "autoDelete": False,
                    "vhost": _VHOST,
                },
                **_BINDING,
            }
        },
    }
    answers = {
        "address": None,
        "title": "Answers",
        "description": "The queue that a command names in `reply_to`.",
        "messages": {answer.__name__: _ref("components", "messages", answer.__name__) for answer in ANSWERS},
    }
    return routed | {"NotificationsLog": log, "Answers": answers}


def _routed(message: Message) -> Document:
    parameters = [name for name in _PARAMETERS if f"{{{name}}}" in message.address]
    channel: Document = {"address": message.address, "title": message.name, "description": message.summary}
    channel["messages"] = {message.title: _ref("components", "messages", message.title)}
    if parameters:
        channel["parameters"] = {name: _ref("components", "parameters", name) for name in parameters}
    exchange = {"name": message.exchange, "type": "topic", "durable": True, "autoDelete": False, "vhost": _VHOST}
    channel["bindings"] = {"amqp": {"is": "routingKey", "exchange": exchange, **_BINDING}}
    return channel


def _operations(every: list[Message]) -> Document:
    """`intake.sendRequestCreated`, `dispatch.receiveRequestCreated`, …: each service in turn."""
    reading = consumers()
    operations: Document = {}
    for service in SERVICES:
        for message in every:
            if not message.exchange:
                continue
            if message.family == "command" and message.service == service:
                receive = _operation(service, "receive", message)
                operations[f"{service}.receive{message.title}"] = receive | {"reply": _reply(message)}
            elif message.service in (service, ""):
                operations[f"{service}.send{message.title}"] = _operation(service, "send", message)
            if message.family == "event" and message.name in reading.get(service, ()):
                operations[f"{service}.receive{message.title}"] = _operation(service, "receive", message)
    return operations


def _operation(service: str, action: str, message: Message) -> Document:
    sending = {"deliveryMode": 2, "mandatory": True, "timestamp": True}
    return {
        "action": action,
        "channel": _ref("channels", message.title),
        "summary": message.summary,
        "tags": [{"name": service}],
        "messages": [_ref("channels", message.title, "messages", message.title)],
        "bindings": {"amqp": (sending if action == "send" else {"ack": True}) | _BINDING},
    }


def _reply(message: Message) -> Document:
    return {
        "address": {
            "location": "$message.header#/reply_to",
            "description": "Without `reply_to` there is no answer; a refused command is then kept for the operator.",
        },
        "channel": _ref("channels", "Answers"),
        "messages": [_ref("channels", "Answers", "messages", name) for name in (message.answer, "Refused")],
    }


def _message(message: Message) -> Document:
    return {
        "name": message.name,
        "title": message.title,
        "summary": message.summary,
        "description": message.description,
        "contentType": "application/json",
        "payload": {"$ref": f"./schemas/{message.name}.json"},
        "traits": [_ref("components", "messageTraits", _TRAITS[message.family])],
        "examples": [{"name": message.title, "payload": example(schema_of(message))}],
    }


def _traits() -> Document:
    correlation = {"correlationId": {"location": "$message.header#/correlation_id"}}
    sure = ["ce-specversion", "ce-id", "ce-type", "ce-source", "ce-time", "ce-subject", "message_id", "type", "app_id"]
    event = {"type": "object", "properties": _CLOUD_EVENT | _PROPERTIES, "required": sure}
    command = {"type": "object", "properties": _CLOUD_EVENT | _REPLY_TO}
    own = {"correlation_id": _TEXT | {"description": "AMQP property, not a header: the command's own."}}
    answer = {"type": "object", "properties": _CLOUD_EVENT | _PROPERTIES | own, "required": ["correlation_id"]}
    return {
        "event": {"headers": event, **correlation},
        "command": {"headers": command, **correlation},
        "answer": {"headers": answer, **correlation},
    }


def _ref(*steps: str) -> Document:
    return {"$ref": "#/" + "/".join(steps)}
