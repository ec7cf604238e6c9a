"""The command line's texts, from the catalogue `cli.yaml`, in the reader's language."""

import os
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from pydantic import RootModel

import deploy
from shared.catalogue import CatalogueError, load
from shared.contracts.catalogue import Label

Language = Literal["zh", "en"]
CATALOGUE = Path(deploy.__file__).parent / "catalogues" / "cli.yaml"


class Texts(RootModel[dict[str, Label]]):
    """The catalogue `cli.yaml`: text by key, with `{names}` for what is filled in."""


class Speech:
    """Says things in one language."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key.

        Raises:
            KeyError: it has no such text.
        """
        return self._text(key).format(**values)

    def or_else(self, key: str, other: str) -> str:
        """The text of a key; `other` where the catalogue has none."""
        return self._text(key) if key in texts() else other

    def _text(self, key: str) -> str:
        label = texts()[key]
        return label.zh if self.language == "zh" else label.en


@cache
def texts() -> dict[str, Label]:
    """All texts, read once.

    Raises:
        SystemExit: the catalogue is missing or wrong; without it nothing can be said but that.
    """
    try:
        return load(CATALOGUE, Texts).root
    except CatalogueError as error:
        raise SystemExit(str(error)) from None


def language_of(asked: str | None) -> Language:
    """The language asked for, else that of the environment (POSIX: LC_ALL, LC_MESSAGES, LANG), else English."""
    names = (asked, *(os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG")))
    first = next((name for name in names if name), "en").lower()[:2]
    return next((language for language in get_args(Language) if language == first), "en")
