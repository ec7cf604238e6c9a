"""One JSON Schema (2020-12) per message, as it is on the wire."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from pydantic_core.core_schema import CoreSchema

from deploy.contracts.catalogue import Message, messages

Schema = dict[str, Any]

ABOUT = "x-doorstep"
"""The annotation that says what kind of message a schema describes and where it travels."""


class _AsWritten(GenerateJsonSchema):
    """Leaves out the titles that pydantic makes up from field names."""

    def field_title_should_be_set(self, schema: CoreSchema | Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def schemas() -> dict[str, Schema]:
    """The schema of every message by file name without `.json`."""
    return {message.name: schema_of(message) for message in messages()}


def schema_of(message: Message) -> Schema:
    """What a sender may write (commands) or what we write (all others).

    Fields without a default are `required`. A field with a `default` is always written by the present version, but may
    be missing from a message that an older one wrote: a reader takes the default then.
    """
    mode: JsonSchemaMode = "validation" if message.family == "command" else "serialization"
    schema = message.contract.model_json_schema(mode=mode, schema_generator=_AsWritten)
    about = {
        "family": message.family,
        "service": message.service,
        "exchange": message.exchange,
        "routing_key": message.address,
        "answer": message.answer,
    }
    head = {
        "$schema": GenerateJsonSchema.schema_dialect,
        "title": schema.pop("title"),
        "description": schema.pop("description", ""),
        ABOUT: {name: value for name, value in about.items() if value},
    }
    return head | schema
