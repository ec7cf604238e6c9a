"""What every command has: the system that it is about, the operator's language, and where to write."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import orjson
import typer
from rich.console import Console

from deploy.cli.client import Client
from deploy.cli.help import Command, asked_language
from deploy.cli.place import Place, find
from deploy.cli.speech import Speech, language_of
from deploy.cli.trouble import Trouble

P = ParamSpec("P")

_WIDE = 160
"""Columns when nobody watches: a line is a line."""


@dataclass(frozen=True, slots=True)
class Session:
    """One command under way."""

    place: Place
    say: Speech
    json: bool
    """For machines: one JSON document, or one a line."""
    out: Console
    err: Console

    def client(self, role: str = "operator", *, timeout: float = 30.0) -> Client:
        """HTTP with the token of that role, or the one that the operator gave."""
        return Client(self.place.http, self.place.token(role), timeout=timeout)

    def write_json(self, content: object) -> None:
        """One line for machines."""
        typer.echo(orjson.dumps(content))

    def tell(self, key: str, style: str = "", **values: object) -> None:
        """A line of the catalogue for people; nothing for machines."""
        if not self.json:
            self.out.print(self.say(key, **values), style=style or None)

    def warn(self, key: str, style: str = "yellow", **values: object) -> None:
        """A line of the catalogue beside the output."""
        self.err.print(self.say(key, **values), style=style)


Data = Annotated[Path, typer.Option("--data", envvar="DOORSTEP_DATA_DIR", help="option.data", show_default=True)]
Http = Annotated[
    str | None, typer.Option("--http", metavar="URL", envvar="DOORSTEP_HTTP", help="option.http", show_default=False)
]
TokenFile = Annotated[
    Path | None,
    typer.Option("--token-file", envvar="DOORSTEP_TOKEN_FILE", help="option.token_file", show_default=False),
]
Language = Annotated[
    str | None, typer.Option("--language", metavar="zh|en", help="option.language", show_default=False, is_eager=True)
]
Json = Annotated[bool, typer.Option("--json", help="option.json", show_default=False)]

_SHARED = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("data", Path(".doorstep"), Data),
        ("http", None, Http),
        ("token_file", None, TokenFile),
        ("language", None, Language),
        ("json", False, Json),
    )
)


_ALONE = tuple(one for one in _SHARED if one.name in ("language", "json"))
"""The options of a command that speaks to no system."""
_NOWHERE = Place("", {})


def command(
    app: typer.Typer, name: str, group: str = "", *, alone: bool = False
) -> Callable[[Callable[Concatenate[Session, P], None]], Callable[Concatenate[Session, P], None]]:
    """Registers a function as a command with its own options and those that every command has.

    Its help is the text `help.<group><name>` of the catalogue. The function's first argument is the session. Trouble
    ends the command with one line and exit code 1. A command that does its work `alone` needs no running system.
    """
    shared = _ALONE if alone else _SHARED

    def register(function: Callable[Concatenate[Session, P], None]) -> Callable[Concatenate[Session, P], None]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        @wraps(function)
        def run(ctx: typer.Context, **given: Any) -> None:
            of_all = {one.name: given.pop(one.name) for one in shared}
            say = Speech(language_of(asked_language(ctx)))
            try:
                place = _NOWHERE if alone else find(of_all["data"], of_all["http"], of_all["token_file"])
                session = Session(place, say, of_all["json"], console(), console(stderr=True))
                function(session, **given)  # type: ignore[call-arg]  # typer gives what the signature names
            except Trouble as trouble:
                console(stderr=True).print(say(trouble.key, **trouble.values), style="red", soft_wrap=True)
                raise typer.Exit(1) from None

        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        shown = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
        signature = inspect.Signature([context, *shown, *shared], return_annotation=None)
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in signature.parameters.values()}
        app.command(name, cls=Command, help=f"help.{group}{name}")(run)
        return function

    return register


def console(*, stderr: bool = False) -> Console:
    """Where to write: nothing in a text is taken for markup."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=None if terminal else _WIDE)
