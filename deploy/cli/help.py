"""`--help` in the reader's language: in the code, commands and options name their text's key."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

from deploy.cli.speech import Speech, language_of


class Command(TyperCommand):
    """A command whose help is in the catalogue."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Fill in the texts before they are shown."""
        _translate(self, _speech(ctx))
        super().format_help(ctx, formatter)


class Group(TyperGroup):
    """A group of commands whose help is in the catalogue."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Fill in the texts before they are shown."""
        speech = _speech(ctx)
        for one in (self, *self.commands.values()):
            _translate(one, speech)
        super().format_help(ctx, formatter)


def _translate(thing: Any, speech: Speech) -> None:
    for one in (thing, *thing.params):
        key = getattr(one, "help", None)
        if key:
            one.help = speech.or_else(key, key)


def asked_language(ctx: Any) -> str | None:
    """What `--language` says, of the command or of the programme itself."""
    while ctx is not None:
        if asked := ctx.params.get("language"):
            return str(asked)
        ctx = ctx.parent
    return None


def _speech(ctx: Any) -> Speech:
    return Speech(language_of(asked_language(ctx)))
