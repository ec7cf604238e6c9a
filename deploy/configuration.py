"""Write docs/configuration.md, or check it: `python -m deploy.configuration [--check]`.

It is made out of the code and the compose files. What a setting means stands where it is defined (shared/settings.py,
deploy/catalogues/cli.yaml), else in deploy/configuration.yaml.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
import yaml

from deploy.cli.main import app as doorstep
from deploy.cli.speech import Speech
from shared.settings import Settings

ROOT = Path(__file__).parents[1]
PAGE = Path("docs/configuration.md")
MEANINGS = Path("deploy/configuration.yaml")
DOCKERFILE = Path("deploy/images/Dockerfile")
COMPOSE = (
    Path("docker-compose.yml"),
    Path("deploy/compose/amqp.yaml"),
    Path("deploy/compose/outside-engines.yaml"),
    Path("deploy/observe/compose.yaml"),
    Path("deploy/compose/swarm.yaml"),
    Path("deploy/compose/swarm-encrypted.yaml"),
)
"""Each file's table leaves out what the first one has with the same default."""
_PREFIX = "DOORSTEP_"
_VARIABLE = re.compile(r"\$\{?(DOORSTEP_[A-Z0-9_]+)(?::-((?:[^{}]|\{[^{}]*\})*))?")

_KINDS = {str: "text", int: "whole number", float: "number", Path: "path"}

Row = Sequence[str]

app = typer.Typer(add_completion=False)


class NotDescribed(Exception):
    """A setting has no meaning, a meaning no setting, or a variable two defaults; the message names them."""


def page(root: Path = ROOT) -> str:
    """The whole page.

    Raises:
        NotDescribed: something is said of a setting nowhere, or in two ways.
    """
    meanings = yaml.safe_load((root / MEANINGS).read_text(encoding="utf-8"))
    settings = dict(_settings())
    variables = {path: variables_of(yaml.safe_load((root / path).read_text(encoding="utf-8"))) for path in COMPOSE}
    said = {**meanings["compose"], **{name: meaning for name, (_, _, meaning) in settings.items()}}
    _compare(variables, meanings["compose"], settings)
    parts = [
        "# Settings",
        "Written by `make configuration` out of the code and the compose files; change it there. Nothing has to be"
        " set.",
        "## Containers",
        "For `docker compose` and `make up`: in the environment, or as lines `NAME=value` of a file `.env` beside"
        " `docker-compose.yml`. After a change: `make up`; what it concerns is started anew. For `docker stack deploy`:"
        " in the environment. A table leaves out what the first one says already.",
    ]
    first = variables[COMPOSE[0]]
    for path, found in variables.items():
        told = [
            (f"`{name}`", _code(default), said[name])
            for name, default in sorted(found.items())
            if path == COMPOSE[0] or first.get(name) != default
        ]
        if told:
            parts += [f"### {path}", _table(("variable", "default", "meaning"), told)]
    fixed = _fixed(root)
    rows = [
        (f"`{name}`", kind, _code(default), _in_containers(name, first, fixed), meaning)
        for name, (kind, default, meaning) in settings.items()
    ]
    parts += [
        "## Services",
        "What each of the four services reads from its environment; one that is not listed keeps it from starting."
        " `make run` hands on what is listed here, and sets addresses, ports and folders itself; in containers some are"
        " set by the image.",
        _table(("variable", "type", "default", "in containers", "meaning"), rows),
        "## Programs",
        "Who sets `DOORSTEP_DATA_DIR` for `make secrets` sets `DOORSTEP_SECRETS` for `docker compose`, too.",
        _table(("variable", "read by", "default", "meaning"), [*_programs(meanings["programs"]), *_command_line()]),
    ]
    return "\n\n".join(parts) + "\n"


def variables_of(content: Any) -> dict[str, str]:
    """Every `${DOORSTEP_…:-default}` in a compose file's content, with its default.

    Raises:
        NotDescribed: one has two defaults, or none.
    """
    found: dict[str, str] = {}
    for text in _texts(content):
        for name, default in re.findall(_VARIABLE, text):
            if f"{name}:-" not in text:
                raise NotDescribed(f"{name} has no default")
            if found.setdefault(name, default) != default:
                raise NotDescribed(f"{name} has two defaults: {found[name]!r} and {default!r}")
    return found


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value)


def _settings() -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Name, and type, default, meaning of each setting of a service.

    Raises:
        NotDescribed: one has no docstring.
    """
    for name, field in Settings.model_fields.items():
        if not field.description:
            raise NotDescribed(f"shared/settings.py says nothing of {name}")
        kind = next(word for kind, word in _KINDS.items() if kind in (field.annotation, *get_args(field.annotation)))
        default = field.default
        if isinstance(default, Path) and default.is_relative_to(ROOT):
            default = default.relative_to(ROOT)
        shown = "" if default is None else f"{default:g}" if isinstance(default, float) else str(default)
        yield f"{_PREFIX}{name.upper()}", (kind, shown, " ".join(field.description.split()))


def _fixed(root: Path) -> dict[str, str]:
    """What the image sets."""
    text = (root / DOCKERFILE).read_text(encoding="utf-8")
    return dict(re.findall(r"^\s*(?:ENV )?(DOORSTEP_\w+)=(\S+)", text, re.MULTILINE))


def _in_containers(name: str, variables: Mapping[str, str], fixed: Mapping[str, str]) -> str:
    if name in variables:
        return "see above"
    return f"{_code(fixed[name])}, by the image" if name in fixed else "as here"


def _programs(known: Mapping[str, Mapping[str, str]]) -> Iterator[Row]:
    for name, one in known.items():
        default = one["default"]
        yield f"`{name}`", one["by"], default if " " in default else _code(default), one["meaning"]


def _command_line() -> Iterator[Row]:
    """Options of `doorstep` that may stand in the environment."""
    say = Speech("en")
    group = typer.main.get_command(doorstep)
    command = getattr(group, "commands")["status"]  # noqa: B009 - typer does not export the type of its groups
    for option in command.params:
        if option.envvar:
            default = _code("" if option.default is None else str(option.default))
            yield f"`{option.envvar}`", f"`doorstep`, as `{option.opts[0]}`", default, say(option.help)


def _compare(
    variables: Mapping[Path, Mapping[str, str]], meanings: Mapping[str, str], settings: Mapping[str, Row]
) -> None:
    used = {name for found in variables.values() for name in found}
    wrong = [f"{MEANINGS} says nothing of {name}" for name in sorted(used - meanings.keys() - settings.keys())]
    wrong += [f"{MEANINGS} tells of {name}, which no compose file has" for name in sorted(meanings.keys() - used)]
    wrong += [f"{MEANINGS} need not tell of {name}" for name in sorted(meanings.keys() & settings.keys())]
    if wrong:
        raise NotDescribed("\n".join(wrong))


def _code(text: str) -> str:
    return f"`{text}`" if text else "empty"


def _table(head: Row, rows: Iterable[Row]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


@app.command()
def main(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 and say what is wrong.")] = False,
) -> None:
    """Write the page of settings, or check it."""
    try:
        text = page()
    except NotDescribed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    if not check:
        (ROOT / PAGE).write_text(text, encoding="utf-8")
    elif not (ROOT / PAGE).exists() or (ROOT / PAGE).read_text(encoding="utf-8") != text:
        typer.echo(f"{PAGE} is not what the code says; `make configuration` writes it again.", err=True)
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
