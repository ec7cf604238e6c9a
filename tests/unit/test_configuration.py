"""docs/configuration.md is what the code and the compose files say, and nothing that can be set is missing from it."""

import re
from pathlib import Path

import pytest

from deploy import configuration
from deploy.configuration import NotDescribed, page, variables_of

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_code_says() -> None:
    """`make configuration` writes docs/configuration.md again."""
    assert (ROOT / configuration.PAGE).read_text(encoding="utf-8") == page()


def test_every_compose_file_is_looked_into() -> None:
    found = {path.relative_to(ROOT) for path in (ROOT / "deploy" / "compose").glob("*.y*ml")}
    assert {Path("docker-compose.yml"), Path("deploy/observe/compose.yaml"), *found} == set(configuration.COMPOSE)


def test_every_variable_that_a_program_reads_is_on_the_page() -> None:
    """Whatever is named in our own programs; the tests' own variables are theirs."""
    sources = [path for folder in ("deploy", "services", "shared") for path in (ROOT / folder).rglob("*.py")]
    named = {name for path in sources for name in re.findall(r'"(DOORSTEP_[A-Z_]+)"', path.read_text(encoding="utf-8"))}
    assert not named - set(re.findall(r"`(DOORSTEP_[A-Z_]+)`", page()))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ("  DOORSTEP_PUBLISH_AMQP: ", "  DOORSTEP_PUBLISH_AMPQ: "),
            ["nothing of DOORSTEP_PUBLISH_AMQP", "tells of DOORSTEP_PUBLISH_AMPQ"],
        ),
        (("compose:\n", "compose:\n  DOORSTEP_LOG_LEVEL: How much.\n"), ["need not tell of DOORSTEP_LOG_LEVEL"]),
    ],
)
def test_a_setting_without_a_meaning_and_a_meaning_without_a_setting_are_named(
    change: tuple[str, str], told: list[str], tmp_path: Path
) -> None:
    for path in (*configuration.COMPOSE, configuration.DOCKERFILE, configuration.MEANINGS):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text((ROOT / path).read_text(encoding="utf-8"))
    meanings = tmp_path / configuration.MEANINGS
    meanings.write_text(meanings.read_text().replace(*change))
    with pytest.raises(NotDescribed) as wrong:
        page(tmp_path)
    assert [part for part in told if part not in str(wrong.value)] == []


def test_variables_are_found_wherever_they_stand() -> None:
    content = {"a": ["${DOORSTEP_A:-1}:${DOORSTEP_B:-}"], "x": {"b": "y ${DOORSTEP_C:-mongodb://h/?a=b}", "n": 3}}
    assert variables_of(content) == {"DOORSTEP_A": "1", "DOORSTEP_B": "", "DOORSTEP_C": "mongodb://h/?a=b"}


@pytest.mark.parametrize("content", [["${DOORSTEP_A:-1}", "${DOORSTEP_A:-2}"], ["${DOORSTEP_A}"], ["$DOORSTEP_A"]])
def test_a_variable_has_one_default(content: list[str]) -> None:
    with pytest.raises(NotDescribed, match="DOORSTEP_A"):
        variables_of(content)
