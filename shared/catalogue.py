"""Catalogues: files that an operator edits, checked when loaded, with file, line and field in every error."""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


class CatalogueError(Exception):
    """A catalogue is wrong; each line of the message says where."""


def load(path: Path, model: type[M]) -> M:
    """A YAML file as `model`.

    Raises:
        CatalogueError: it is missing, not YAML, or not of that shape: `kinds.yaml:12: kinds.3.ladder: …`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CatalogueError(f"{path}: missing") from None
    try:
        # The loader in C: with the one in Python, catalogues took most of a service's start.
        content = yaml.load(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogueError(f"{path}:{line}: not YAML: {error.problem}") from None
    try:
        return model.model_validate(content)
    except ValidationError as error:
        tree = yaml.compose(text, Loader=yaml.CSafeLoader)
        problems = [
            f"{path}:{_line(tree, one['loc'])}: {'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise CatalogueError("\n".join(problems)) from None


def line_of(path: Path, location: tuple[int | str, ...]) -> int:
    """The line at which a part of a file that was loaded stands; for mistakes that only other files show."""
    return _line(yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader), location)


def _line(node: Any, location: tuple[int | str, ...]) -> int:
    """The line of the innermost node on the way to `location` that is there."""
    for part in location:
        if isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if key.value == str(part)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            found = node.value[part]
        else:
            found = None
        if found is None:
            break
        node = found
    return node.start_mark.line + 1 if node is not None else 1
