"""The pages for people: what commands, code and links stand in them, and whether there is what they name."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from subprocess import run

import typer
import yaml
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.configuration import COMPOSE
from deploy.configuration import page as settings_page
from tests.compose.engine import COMPOSE as DOCKER_COMPOSE

ROOT = Path(__file__).parents[1]
CHINESE = re.compile(r"[一-鿿]")
_INNER = re.compile(r"\$\(([^)]*)\)")
_SHELL_WORDS = {"&&", "||", "|", ";"}
_OTHERS = {"cat", "curl", "df", "git", "helm", "kubectl", "tar", "umask"}
"""Programs that are not ours; what they are told is not looked into."""


class NoSuchCommand(Exception):
    """`docker compose` has no such verb or option."""


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """All but the blocks of code."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    def headings(self) -> list[int]:
        """The level of each heading."""
        return [len(marks) for marks in re.findall(r"^(#+) ", self.prose, re.MULTILINE)]

    def blocks(self, language: str | None = None) -> list[str]:
        """What stands in blocks of code, of one language or all."""
        found = re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        return [block for named, block in found if language in (None, named)]

    def spans(self) -> list[str]:
        """What stands in code within the text."""
        return re.findall(r"`([^`\n]+)`", self.prose)

    def links(self) -> list[str]:
        """Where it leads to, pictures too."""
        return re.findall(r"\]\(([^)]+)\)", self.prose) + re.findall(r"<(https?://[^>]+)>", self.prose)

    def files(self) -> list[Path]:
        """The files among them."""
        return [self.path.parent / link.partition("#")[0] for link in self.links() if not link.startswith("http")]

    def commands(self) -> list[str]:
        """Every command of its blocks of shell; one may go over several lines."""
        found: list[str] = []
        for block in self.blocks("sh"):
            waiting = ""
            for line in block.splitlines():
                waiting = f"{waiting}\n{line}" if waiting else line
                # An open quotation mark, or a backslash at the end, says that it goes on.
                if waiting.endswith("\\") or not _closed(waiting):
                    continue
                found += [waiting] if waiting.strip() else []
                waiting = ""
            assert not waiting, f"{self.path}: {waiting}"
        return found


def _closed(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return False
    return True


def exists(line: str, folder: Path) -> bool:
    """Whether there is what a line of shell calls: our targets, services, files, commands and options.

    Args:
        line: as it stands in the page.
        folder: an empty one, in which `doorstep` finds no system.
    """
    try:
        return all(_simple(words, folder) for words in _simple_commands(line))
    except NoSuchCommand:
        return False


def _simple_commands(line: str) -> Iterator[list[str]]:
    line = line.replace("\\\n", " ")
    for inner in re.findall(_INNER, line):
        yield from _simple_commands(inner)
    words: list[str] = []
    lexer = shlex.shlex(re.sub(_INNER, "x", line), posix=True, punctuation_chars="&|;<>")
    lexer.whitespace_split = True
    for word in lexer:
        if word in _SHELL_WORDS:
            yield words
            words = []
        else:
            words.append(word)
    yield words


def _simple(words: list[str], folder: Path) -> bool:
    while words and re.match(r"[A-Z_]+=", words[0]):
        if not _variable(words.pop(0)):
            return False
    # Where it reads from and writes to comes last.
    end = next((number for number, word in enumerate(words) if set(word) <= set("<>")), len(words))
    words = words[:end]
    if not words:
        return True
    program, *arguments = words
    if program == "make":
        return _make(arguments)
    if program in ("doorstep", ".venv/bin/doorstep"):
        return _doorstep(arguments, folder)
    if program == "docker":
        return arguments[:1] != ["compose"] or _docker_compose(arguments[1:], folder)
    if program == "export":
        return all(_variable(word) for word in arguments)
    if program == ".venv/bin/python":
        return arguments[0] == "-m" and find_spec(arguments[1]) is not None
    return program in _OTHERS or ("/" in program and (ROOT / program).is_file())


def _variable(assignment: str) -> bool:
    name = assignment.partition("=")[0]
    return not name.startswith("DOORSTEP_") or f"`{name}`" in settings_page()


def _make(arguments: list[str]) -> bool:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", text, re.MULTILINE))
    variables = [word.partition("=")[0] for word in arguments if "=" in word]
    return targets >= {word for word in arguments if "=" not in word} and all(
        f"$({name})" in text or f"'$({name})'" in text or name.startswith("DOORSTEP_") for name in variables
    )


def _doorstep(arguments: list[str], folder: Path) -> bool:
    """There is no system in that folder: exit code 1. A misspelt command or option would be 2.

    What needs no system would run; its help, too, is not told after a misspelt option.
    """
    if arguments[0] == "simulate":
        return CliRunner().invoke(app, [*arguments, "--help"]).exit_code == 0
    return CliRunner().invoke(app, [*arguments, "--data", str(folder)]).exit_code == 1


def named(words: list[str]) -> bool:
    """Whether the words after `doorstep` in a sentence are a command, or a group of them, and options that it has."""
    command = typer.main.get_command(app)
    for word in words:
        if word.startswith("--"):
            if not any(word in option.opts for option in command.params):
                return False
        elif word.islower() and hasattr(command, "commands"):
            if word not in command.commands:
                return False
            command = command.commands[word]
    return True


@cache
def _options(verb: str) -> dict[str, bool]:
    """The options of `docker compose` or one of its verbs; whether they take a value. From the real one's own help."""
    words = [str(DOCKER_COMPOSE), *([verb] if verb else []), "--help"]
    text = run(words, capture_output=True, text=True, check=False).stdout
    if f"docker compose {verb}".strip() not in text:
        raise NoSuchCommand(verb)
    found = re.findall(r"^\s+(?:(-\w), )?(--[\w-]+)(?: (\w+))?(?:\s{2,}|$)", text, re.MULTILINE)
    return {name: bool(value) for short, long, value in found for name in (short, long) if name}


def _services(files: list[str]) -> tuple[set[str], set[str]]:
    """Names of services and of profiles in compose files."""
    services: dict[str, dict[str, list[str]]] = {}
    for file in files:
        content = yaml.safe_load((ROOT / file).read_text(encoding="utf-8"))
        included = [yaml.safe_load((ROOT / one["path"]).read_text("utf-8")) for one in content.get("include", ())]
        for one in (*included, content):
            services |= one["services"]
    return set(services), {profile for made in services.values() for profile in made.get("profiles", ())}


def _docker_compose(words: list[str], folder: Path) -> bool:
    given, rest = _take_options(words, _options(""))
    files = [value for option, value in given if option in ("-f", "--file")] or ["docker-compose.yml"]
    if not {Path(file) for file in files} <= set(COMPOSE):
        return False
    services, profiles = _services(files)
    if not {value for option, value in given if option == "--profile"} <= {*profiles, "*"}:
        return False
    verb, *after = rest
    chosen, arguments = _take_options(after, _options(verb))
    if not {value.partition("=")[0] for option, value in chosen if option == "--scale"} <= services:
        return False
    if verb == "run":
        return _run_once(arguments, folder)
    if verb == "exec":
        return arguments[0] in services
    return set(arguments) <= services


def _run_once(words: list[str], folder: Path) -> bool:
    service, *arguments = words
    if service == "operator":
        return _doorstep(arguments, folder)
    return (service == "backup" and arguments in (["save"], ["restore"])) or (service == "demo" and not arguments)


def _take_options(words: list[str], known: dict[str, bool]) -> tuple[list[tuple[str, str]], list[str]]:
    """The options before the first other word, with their values, and what comes after them."""
    given, rest = [], list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option not in known:
            raise NoSuchCommand(option)
        given.append((option, rest.pop(0) if known[option] else ""))
    return given, rest


def differences(page: Page, translation: Page) -> list[str]:
    """In what a translation differs from its page, but for the language."""
    return [
        f"{name}: {ours!r} and {theirs!r}"
        for name, ours, theirs in (
            ("headings", page.headings(), translation.headings()),
            ("blocks of code", page.blocks(), translation.blocks()),
            ("code", sorted(set(page.spans())), sorted(set(translation.spans()))),
            ("links", sorted(_targets(page)), sorted(_targets(translation))),
        )
        if ours != theirs
    ]


def _targets(page: Page) -> list[str]:
    """Where its links lead, as seen from the root; to a page and to its translation is the same."""
    away = [link for link in page.links() if link.startswith("http")]
    near = [path.resolve().relative_to(ROOT).as_posix() for path in page.files()]
    return away + [path.replace("docs/zh/", "docs/").replace("README.zh-CN", "README") for path in near]
