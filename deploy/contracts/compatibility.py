"""Whether both sides of a border still understand each other after a change: pure functions over two JSON Schemas.

A comparison has a direction: whatever the writer's schema allows, the reader's must take. Which directions count
depends on who writes and on who keeps what was written:

- command: others write, at any time; we read. An old writer meets the new reader.
- answer: we write; others read it once. The new writer meets an old reader.
- event, notification, sealed: we write, and it is kept and replayed for years. Both directions count, so of a published
  field nothing may change; new fields with a default may be added.

It errs on the safe side: a keyword that it does not know counts as a break when it changes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

Schema = dict[str, Any]

_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_ANNOTATIONS = {"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated", "x-doorstep"}
_STRUCTURE = {"$ref", "$defs", "type", "properties", "required", "additionalProperties", "items", "discriminator"}
_COMPARED = {*_UPPER, *_LOWER, *_ANNOTATIONS, *_STRUCTURE, "enum", "const", "pattern", "format"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why a change breaks somebody."""

    path: str
    """The message, then the field in it, dotted; `[]` for every item of a list."""
    rule: str
    """Stable name of the rule, such as `field-removed`."""
    sentence: str

    def __str__(self) -> str:
        return f"{self.path}: {self.sentence} ({self.rule})"


def breaks(old: dict[str, Schema], new: dict[str, Schema]) -> list[Finding]:
    """What in `new` breaks those who rely on `old`; both hold schemas by message name. A new message breaks nobody."""
    found: list[Finding] = []
    for name, schema in sorted(old.items()):
        if name not in new:
            found.append(Finding(name, "message-removed", "is gone; whoever sends or reads it is left alone"))
            continue
        for finding in message_breaks(schema, new[name]):
            found.append(replace(finding, path=f"{name} {finding.path}".rstrip()))
    return found


def message_breaks(old: Schema, new: Schema) -> list[Finding]:
    """What breaks between two versions of one message."""
    was, now = old.get("x-doorstep", {}), new.get("x-doorstep", {})
    found = [
        Finding("", "route", f"{fact} was {was.get(fact)!r} and is now {now.get(fact)!r}")
        for fact in ("family", "exchange", "routing_key", "answer")
        if was.get(fact) != now.get(fact)
    ]
    family = was.get("family")
    if family != "answer":
        found += _Reading(old, new, "what was sent before", "the new version", forward=False).of("", old, new)
    if family != "command":
        found += _Reading(new, old, "the new version", "who knows the old one", forward=True).of("", new, old)
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class _Reading:
    """One direction: everything valid under `written` must be valid under `read`."""

    written: Schema
    read: Schema
    writer: str
    reader: str
    forward: bool
    """The writer is the newer one."""
    inside: frozenset[tuple[str, str]] = frozenset()
    """Pairs of definitions being compared further up, so that schemas that contain themselves come to an end."""

    def of(self, path: str, written: Schema, read: Schema) -> Iterator[Finding]:
        readable = list(_alternatives(read, self.read))
        for one in _alternatives(written, self.written):
            fitting = [list(self._one(path, one, other)) for other in readable if _takes_type(other, one)]
            if fitting:
                yield from min(fitting, key=len)
            else:
                kind = one.get("type", "anything")
                rule = "nullable" if kind == "null" else "type"
                yield Finding(path, rule, f"{self.writer} may hold {kind} here, which {self.reader} does not take")

    def _one(self, path: str, written: Schema, read: Schema) -> Iterator[Finding]:
        yield from self._values(path, written, read)
        yield from self._limits(path, written, read)
        for keyword in sorted(read.keys() - _COMPARED):
            if written.get(keyword) != read[keyword]:
                yield Finding(path, "keyword", f"`{keyword}` changed, and nothing is known of what that means")
        pair = (written.get("$ref", ""), read.get("$ref", ""))
        if all(pair) and pair in self.inside:
            return
        deeper = replace(self, inside=self.inside | {pair})
        if read.get("type") == "array":
            yield from deeper.of(f"{path}[]", written.get("items", {}), read.get("items", {}))
        if read.get("type") == "object":
            yield from deeper._object(path, written, read)

    def _values(self, path: str, written: Schema, read: Schema) -> Iterator[Finding]:
        sent, taken = _values_of(written), _values_of(read)
        if taken is not None:
            for value in ["anything"] if sent is None else [repr(value) for value in sent if value not in taken]:
                yield Finding(path, "enum", f"{self.writer} may hold {value} here, which {self.reader} does not know")
        pattern = read.get("pattern")
        if pattern not in (None, written.get("pattern")) and not _all_match(pattern, sent):
            yield Finding(path, "pattern", f"{self.reader} takes only {pattern}; {self.writer} may hold other text")
        if read.get("format", written.get("format")) != written.get("format"):
            yield Finding(path, "format", f"{self.reader} takes only a {read['format']}; {self.writer} may hold others")

    def _limits(self, path: str, written: Schema, read: Schema) -> Iterator[Finding]:
        for keyword in (*_UPPER, *_LOWER):
            if keyword not in read:
                continue
            sent, taken = _reach(written, keyword), read[keyword]
            if sent is None or (sent > taken if keyword in _UPPER else sent < taken):
                yield Finding(path, "limit", f"{self.reader} has {keyword} {taken}; {self.writer} may go beyond")

    def _object(self, path: str, written: Schema, read: Schema) -> Iterator[Finding]:
        sent, taken = written.get("properties", {}), read.get("properties", {})
        sure, needed = set(written.get("required", ())), set(read.get("required", ()))
        others = read.get("additionalProperties", True)
        for name in sorted(sent.keys() | taken.keys()):
            at = f"{path}.{name}".lstrip(".")
            if name not in sent and self.forward:
                yield Finding(at, "field-removed", f"is gone; {self.reader} looks for it")
            elif name in needed - sure:
                rule = "field-optional" if self.forward else "field-required"
                yield Finding(at, rule, f"{self.reader} needs it, and {self.writer} may come without")
            if name in sent and name in taken:
                yield from self._default(at, sent[name], taken[name])
                yield from self.of(at, sent[name], taken[name])
            elif name in sent and others is False:
                rule = "field-added" if self.forward else "field-removed"
                yield Finding(at, rule, f"{self.writer} may hold it, and {self.reader} refuses fields it does not know")
            elif name in sent and isinstance(others, dict):
                yield from self.of(at, sent[name], others)
        more = written.get("additionalProperties", True)
        if others is False and more is not False:
            yield Finding(path, "closed", f"{self.writer} may hold further fields, and {self.reader} refuses them")
        elif isinstance(others, dict) and more is not False:
            yield from self.of(f"{path}.*".lstrip("."), more if isinstance(more, dict) else {}, others)

    def _default(self, path: str, written: Schema, read: Schema) -> Iterator[Finding]:
        both = "default" in written and "default" in read
        if both and not self.forward and written["default"] != read["default"]:
            change = f"from {written['default']!r} to {read['default']!r}"
            yield Finding(path, "default", f"its default changed {change}: what was sent without it now says otherwise")


def _resolve(schema: Schema, root: Schema) -> Schema:
    """The schema that a reference stands for, together with what stands beside the reference, and its name."""
    if "$ref" not in schema:
        return schema
    target: Any = root
    for step in schema["$ref"].removeprefix("#/").split("/"):
        target = target[step]
    return _resolve(target, root) | schema


def _alternatives(schema: Schema, root: Schema) -> Iterator[Schema]:
    """The schema as a list of plain ones, of which any may hold."""
    schema = _resolve(schema, root)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            shared = {name: value for name, value in schema.items() if name not in {keyword, "$ref", *_ANNOTATIONS}}
            for branch in schema[keyword]:
                yield from _alternatives(shared | branch, root)
            return
    kinds = schema.get("type")
    if isinstance(kinds, list):
        yield from ({**schema, "type": kind} for kind in kinds)
    else:
        yield schema


def _takes_type(read: Schema, written: Schema) -> bool:
    taken = read.get("type")
    return taken in (None, written.get("type")) or (taken == "number" and written.get("type") == "integer")


def _values_of(schema: Schema) -> list[Any] | None:
    """The closed list of values, or None where it is open."""
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _all_match(pattern: str, values: list[Any] | None) -> bool:
    return values is not None and all(re.search(pattern, value) for value in values)


def _reach(schema: Schema, keyword: str) -> float | None:
    """How far a writer goes by its own schema, or None where nothing stops it."""
    values = _values_of(schema)
    if values is not None and keyword.endswith("Length"):
        lengths = [len(value) for value in values]
        return max(lengths) if keyword in _UPPER else min(lengths)
    reach: float | None = schema.get(keyword)
    return reach
