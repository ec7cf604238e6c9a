"""The pages for people: every command and file that they name is there, and what is translated is the same."""

import json
from pathlib import Path

import pytest

from tests.documentation import CHINESE, ROOT, Page, differences, exists, named

PAGES = [
    Page(path)
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    if path != ROOT / "docs" / "contracts" / "messages.md"
]
TRANSLATED = [
    ("README.md", "README.zh-CN.md"),
    *((f"docs/{p.name}", f"docs/zh/{p.name}") for p in (ROOT / "docs" / "zh").glob("*.md")),
]


def name_of(page: Page) -> str:
    return str(page.path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_a_block_is_one_that_there_is(page: Page, tmp_path: Path) -> None:
    assert [line for line in page.commands() if not exists(line, tmp_path)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_in_a_sentence_is_one_that_there_is(page: Page, tmp_path: Path) -> None:
    wrong = [
        span for span in page.spans() if span.startswith(("make ", "docker compose ")) and not exists(span, tmp_path)
    ]
    wrong += [span for span in page.spans() if span.startswith("doorstep ") and not named(span.split()[1:])]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_that_a_page_leads_to_is_there(page: Page) -> None:
    assert [str(path) for path in page.files() if not path.exists()] == []


@pytest.mark.parametrize(("page", "translation"), TRANSLATED)
def test_a_translation_has_the_same_headings_commands_and_links(page: str, translation: str) -> None:
    assert differences(Page(ROOT / page), Page(ROOT / translation)) == []


@pytest.mark.parametrize(("page", "translation"), TRANSLATED)
def test_a_translation_is_in_chinese_to_the_last_paragraph(page: str, translation: str) -> None:
    paragraphs = Page(ROOT / translation).prose.split("\n\n")
    plain = [one for one in paragraphs if len(one.strip()) > 40 and not CHINESE.search(one)]
    assert plain == []


@pytest.mark.parametrize(
    "line",
    [
        "make tests",
        "make up NOTHING=1",
        "doorstep stauts",
        "doorstep replay --since 2h --tipe x",
        "docker compose up --detach intak",
        "docker compose up --scale dispatsh=2",
        "docker compose --profile clusters up",
        "docker compose --file deploy/compose/nothing.yaml up",
        "docker compose run --rm operator stauts",
        "docker compose run --rm -T backup load",
        "DOORSTEP_HTPP=80 make up",
        "X=$(make tests)",
        "echo ok && make tests",
        "docker compose upp",
        "docker compose up --scael dispatch=2",
        "dokcer compose up",
    ],
)
def test_a_command_that_there_is_not_is_found(line: str, tmp_path: Path) -> None:
    """Or the tests above would say nothing."""
    assert not exists(line, tmp_path)


def test_the_programs_on_the_page_are_the_ones_that_the_tests_run() -> None:
    """Word for word, and all of them."""
    page = Page(ROOT / "docs" / "connecting.md")
    shown = [block for language in ("python", "js", "java") for block in page.blocks(language)]
    programs = [path.read_text("utf-8") for path in (ROOT / "docs" / "examples").iterdir() if path.suffix != ".json"]
    assert sorted(shown) == sorted(programs)
    assert len(programs) == 9


def test_what_npm_installs_is_pinned_by_hash_and_from_nowhere_in_particular() -> None:
    packages = json.loads((ROOT / "docs" / "examples" / "package-lock.json").read_text())["packages"]
    named = {path: one for path, one in packages.items() if path}
    assert named
    assert [
        path for path, one in named.items() if not one["integrity"].startswith("sha512-") or "resolved" in one
    ] == []
