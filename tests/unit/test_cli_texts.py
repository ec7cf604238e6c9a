"""What the command line says: every text is there, in both languages, with the same names to fill in."""

import re
from pathlib import Path
from string import Formatter

import pytest
from typer.testing import CliRunner

import deploy.cli
from deploy.cli.main import app
from deploy.cli.place import find
from deploy.cli.speech import Speech, language_of, texts
from deploy.cli.trouble import Trouble

SOURCES = "\n".join(path.read_text() for path in Path(deploy.cli.__file__).parent.glob("*.py"))
KEY = re.compile(r'"([a-z]+\.[a-z_{][\w.{}\[\]\'-]*)"')


def names(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", sorted(texts()))
def test_both_languages_fill_in_the_same(key: str) -> None:
    assert names(texts()[key].zh) == names(texts()[key].en)


def test_every_text_that_the_code_names_is_in_the_catalogue_and_none_is_left_over() -> None:
    families = {key.split(".")[0] for key in texts()}
    named = {key for key in KEY.findall(SOURCES) if key.split(".")[0] in families}
    patterns = [re.compile(re.sub(r"\\\{.*?\\\}", ".+", re.escape(key))) for key in named]
    missing = [key for key in named if "{" not in key and key not in texts()]
    assert not missing
    unused = [key for key in texts() if not any(pattern.fullmatch(key) for pattern in patterns)]
    assert not [key for key in unused if not key.startswith("help.")]


@pytest.mark.parametrize(
    "command", [[], ["token"], ["dead-letters"], ["submit"], ["verify"], ["simulate"], ["token", "new"]]
)
def test_help_is_in_the_readers_language(command: list[str]) -> None:
    shown = CliRunner().invoke(app, ["--language", "zh", *command, "--help"]).stdout
    assert re.search(r"[一-鿿]", shown)
    assert not re.search(r"\b(help|option|submit|verify|simulate|token)\.[a-z_]+", shown.replace("token.new", "x"))


@pytest.mark.parametrize(
    ("asked", "environment", "language"),
    [
        (None, {}, "en"),
        (None, {"LANG": "zh_CN.UTF-8"}, "zh"),
        (None, {"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ("en", {"LANG": "zh_CN.UTF-8"}, "en"),
        (None, {"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_language_is_that_asked_for_or_that_of_the_environment(
    asked: str | None, environment: dict[str, str], language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert language_of(asked) == language


# Where the system is


def test_access_json_tells_where_the_system_is(tmp_path: Path) -> None:
    (tmp_path / "access.json").write_text(
        '{"http": "http://a/", "tokens": {"operator": "hidden"}, "amqp": {"source": "q"}}'
    )
    place = find(tmp_path, None, None)
    assert (place.http, place.token(), place.amqp["source"]) == ("http://a", "hidden", "q")
    assert "hidden" not in repr(place)


def test_what_the_operator_says_comes_first(tmp_path: Path) -> None:
    (tmp_path / "access.json").write_text('{"http": "http://a", "tokens": {"operator": "t"}}')
    (tmp_path / "token").write_text("mine\n")
    place = find(tmp_path, "http://b", tmp_path / "token")
    assert (place.http, place.token(), place.token("source")) == ("http://b", "mine", "mine")


def test_with_secrets_alone_their_tokens_are_used_at_the_usual_address(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token-operator").write_text("t\n")
    place = find(tmp_path, None, None)
    assert (place.http, place.token()) == ("http://127.0.0.1:8080", "t")


@pytest.mark.parametrize(
    ("content", "key"),
    [(None, "trouble.not_found"), ("{", "trouble.unreadable"), ('{"tokens": 3}', "trouble.unreadable")],
)
def test_a_missing_or_broken_access_json_is_told(tmp_path: Path, content: str | None, key: str) -> None:
    if content is not None:
        (tmp_path / "access.json").write_text(content)
    with pytest.raises(Trouble) as trouble:
        find(tmp_path, None, None)
    assert trouble.value.key == key
    assert str(tmp_path) in Speech("en")(trouble.value.key, **trouble.value.values)
