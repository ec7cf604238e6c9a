"""Write docs/contracts out of the code, or check it: `python -m deploy.contracts.generate [--check] [--base REV]`."""

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

import typer
import yaml

from deploy.contracts.asyncapi import document
from deploy.contracts.compatibility import Finding, Schema, breaks
from deploy.contracts.overview import page
from deploy.contracts.schemas import schemas

ROOT = Path(__file__).parents[2]
FOLDER = Path("docs/contracts")
SCHEMAS = FOLDER / "schemas"


app = typer.Typer(add_completion=False)


class NoBase(Exception):
    """The revision to compare with cannot be read."""


@cache
def generated() -> Mapping[Path, str]:
    """Every generated file, by path below the project's root: the same code gives the same bytes."""
    files: dict[Path, str] = {FOLDER / "asyncapi.yaml": _yaml(), FOLDER / "messages.md": page()}
    for name, schema in schemas().items():
        files[SCHEMAS / f"{name}.json"] = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
    return files


def write(root: Path) -> None:
    """Write what differs; remove schemas of messages that are gone."""
    files = generated()
    (root / SCHEMAS).mkdir(parents=True, exist_ok=True)
    for path in _left_over(root, files):
        (root / path).unlink()
    for path, text in files.items():
        target = root / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8")


def differences(root: Path) -> list[str]:
    """One line for each file that is not as the code says."""
    files = generated()
    lines = [f"{path}: no message has this name any more" for path in _left_over(root, files)]
    for path, text in files.items():
        target = root / path
        if not target.exists():
            lines.append(f"{path}: missing")
        elif target.read_text(encoding="utf-8") != text:
            lines.append(f"{path}: differs")
    return lines


def published(root: Path, base: str) -> dict[str, Schema]:
    """The schemas that revision `base` holds, by message name; empty where it holds none.

    Raises:
        NoBase: no git, no repository, or no such revision.
    """
    if not _git(root, "ls-tree", base, "--", f"{SCHEMAS}/"):
        return {}
    with tarfile.open(fileobj=io.BytesIO(_git(root, "archive", "--format=tar", base, "--", str(SCHEMAS)))) as archive:
        found = {}
        for member in archive:
            content = archive.extractfile(member)
            if content is not None and member.name.endswith(".json"):
                found[Path(member.name).stem] = json.loads(content.read())
        return found


def newest_release(root: Path, at: str = "HEAD") -> str:
    """The newest tag reachable from that commit, or the commit where nothing was released yet.

    Raises:
        NoBase: no git, or no repository.
    """
    tags = _git(root, "tag", "--merged", at, "--sort=-creatordate").decode().split()
    return tags[0] if tags else at


@app.command()
def main(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 and say what is wrong.")] = False,
    base: Annotated[str | None, typer.Option(help="Revision to compare with; else the newest tag, else HEAD.")] = None,
    root: Annotated[Path, typer.Option(help="The project's root.")] = ROOT,
) -> None:
    """Write the schemas, the AsyncAPI document and the list of messages, or check them."""
    if not check:
        write(root)
        return
    wrong = [f"  {line}" for line in differences(root)]
    if wrong:
        wrong.insert(0, f"{FOLDER} is not what the code says; `make contracts` writes it again:")
    said = ""
    try:
        base = base or newest_release(root)
        old = published(root, base)
        wrong += _told(breaks(old, schemas()), base)
        said = f"nothing breaks since {base}" if old else f"{base} holds none to compare with"
    except NoBase as error:
        wrong.append(f"Cannot tell what changed: {error}")
    if wrong:
        typer.echo("\n".join(wrong), err=True)
        raise typer.Exit(1)
    typer.echo(f"{FOLDER} is what the code says; {said}.")


def _told(broken: list[Finding], base: str) -> list[str]:
    head = f"Since {base} these changes break whoever relies on them; give the message a new version beside the old:"
    return [head, *(f"  {finding}" for finding in broken)] if broken else []


def _left_over(root: Path, files: Mapping[Path, str]) -> list[Path]:
    present = [path.relative_to(root) for path in sorted((root / SCHEMAS).glob("*.json"))]
    return [path for path in present if path not in files]


def _yaml() -> str:
    head = "# Written by `make contracts` out of the code; change it there.\n"
    return head + yaml.dump(document(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.SafeDumper):
    """Writes every part out where it stands, and text of several lines as such."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's signature
        return True

    def text(self, value: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Plain.add_representer(str, _Plain.text)


def _git(root: Path, *words: str) -> bytes:
    try:
        return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True).stdout
    except FileNotFoundError:
        raise NoBase("git is not installed") from None
    except subprocess.CalledProcessError as error:
        raise NoBase(error.stderr.decode(errors="replace").strip()) from None


if __name__ == "__main__":
    app()
