"""Catalogues that operators edit: every error names file, line and field."""

from pathlib import Path

import pytest

from services.dispatch.catalogues import catalogues
from services.notification.domain.message import Rules
from shared.catalogue import CatalogueError, load
from shared.contracts.catalogue import AbilityCatalogue, Kinds
from shared.settings import Settings

OURS = Settings().catalogue_dir

GOOD = """\
ladders:
  usual:
    steps:
      - {to: responsible, minutes: {normal: 20, soon: 10, urgent: 5}}
    start_within: {normal: 60, soon: 30, urgent: 15}
    finish_within: {normal: 180, soon: 90, urgent: 45}
kinds:
  groceries: {label: {zh: 买菜, en: Groceries}, group: goods}
"""


def told(folder: Path, text: str) -> str:
    """The error that a kinds.yaml of this text makes, without the folder."""
    path = folder / "kinds.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError) as excinfo:
        load(path, Kinds)
    return str(excinfo.value).replace(f"{folder}/", "")


def test_our_own_catalogues_load() -> None:
    """With the kinds of help of the stories, each with words in both languages."""
    kinds = load(OURS / "kinds.yaml", Kinds)
    assert {"groceries", "medicine", "rubbish", "gas_top_up", "heating_card"} <= kinds.kinds.keys()
    assert all(kind.label.zh and kind.label.en for kind in kinds.kinds.values())
    assert load(OURS / "notifications.yaml", Rules).notifications
    assert kinds.skills_missing(load(OURS / "abilities.yaml", AbilityCatalogue)) == []


def test_a_kind_that_asks_for_an_unknown_skill_is_named(tmp_path: Path) -> None:
    """Before anybody waits for somebody who cannot be there."""
    kinds = load(OURS / "kinds.yaml", Kinds)
    nothing = AbilityCatalogue(skills={}, languages={}, needs={})
    assert kinds.skills_missing(nothing) == [
        f"kinds.{kind}.skills: {skill} is not among the skills of abilities.yaml"
        for kind, skill in (("gas_top_up", "gas_card_reader"), ("leak", "plumber"), ("power_cut", "electrician"))
    ]


def test_goods_of_a_kind_that_there_is_not_are_named_with_their_line(tmp_path: Path) -> None:
    """In the catalogue of places, which knows where goods are fetched."""
    for one in ("kinds.yaml", "abilities.yaml", "places.yaml"):
        (tmp_path / one).write_text((OURS / one).read_text(encoding="utf-8"), encoding="utf-8")
    assert catalogues(tmp_path).distances["tiebei"].shops["parcel"] == "lockers"
    text = (tmp_path / "places.yaml").read_text(encoding="utf-8").replace("{groceries: super", "{gossip: super")
    (tmp_path / "places.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(CatalogueError, match=r"places\.yaml:\d+: communities\.tiebei\.shops\.gossip: .*no such kind"):
        catalogues(tmp_path)


def test_every_ladder_of_ours_ends_with_a_coordinator() -> None:
    """Somebody is always asked in the end."""
    assert {ladder.steps[-1].to for ladder in load(OURS / "kinds.yaml", Kinds).ladders.values()} == {"coordinator"}


def test_a_kind_that_the_catalogue_lost_goes_the_usual_way(tmp_path: Path) -> None:
    """Tasks outlive the line that was deleted."""
    (tmp_path / "kinds.yaml").write_text(GOOD, encoding="utf-8")
    kinds = load(tmp_path / "kinds.yaml", Kinds)
    assert kinds.ladder_of("snow_clearing") == kinds.ladders["usual"]


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ("urgent: 5}", "urgent: -5}", "kinds.yaml:4: ladders.usual.steps.0.minutes.urgent: "),
        ("urgent: 5}", "urgent: soon}", "kinds.yaml:4: ladders.usual.steps.0.minutes.urgent: "),
        (", urgent: 5}", "}", "kinds.yaml:4: ladders.usual.steps.0.minutes.urgent: Field required"),
        ("to: responsible", "to: somebody", "kinds.yaml:4: ladders.usual.steps.0.to: "),
        ("group: goods", "group: things", "kinds.yaml:8: kinds.groceries.group: "),
        (", en: Groceries", "", "kinds.yaml:8: kinds.groceries.label.en: Field required"),
        ("group: goods", "group: goods, colour: red", "kinds.yaml:8: kinds.groceries.colour: "),
        ("groceries:", "Groceries!:", "kinds.yaml:8: kinds.Groceries!"),
        ("kinds:\n", "kind:\n", "kinds.yaml:1: kinds: Field required"),
        ("group: goods}", "group: goods, ladder: other}", "names the ladder other, which is not there"),
        ("kinds:\n", "kinds: [\n", "kinds.yaml:9: not YAML"),
    ],
)
def test_an_error_names_file_line_and_field(tmp_path: Path, before: str, after: str, error: str) -> None:
    """As an operator who edits the file needs it."""
    assert GOOD.count(before) >= 1
    assert error in told(tmp_path, GOOD.replace(before, after, 1))


def test_all_errors_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    """One line each, with its own place."""
    text = GOOD.replace("group: goods", "group: things").replace("start_within: {normal: 60,", "start_within: {")
    assert [line.partition(": ")[0] for line in told(tmp_path, text).splitlines()] == ["kinds.yaml:5", "kinds.yaml:8"]


@pytest.mark.parametrize("text", ["", "[]", "just words", "- 1"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    """At its first line."""
    assert told(tmp_path, text).startswith("kinds.yaml:1: ")


def test_a_missing_file_is_named() -> None:
    """With its folder."""
    with pytest.raises(CatalogueError, match=r"/nowhere/kinds.yaml: missing"):
        load(Path("/nowhere/kinds.yaml"), Kinds)


def test_a_catalogue_cannot_make_objects_of_its_own(tmp_path: Path) -> None:
    """YAML tags that run code are not YAML here."""
    assert "not YAML" in told(tmp_path, "kinds: !!python/object/apply:os.getcwd []\n")
