"""Pictures and page of a simulated day: all there, in the reader's language, and text is never markup."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import page
from deploy.cli.main import app
from deploy.cli.speech import Speech
from tests.unit.days import small, written

PICTURES = ("waits", "walks", "load", "late")


def drawn(folder: Path, language: str, *words: str) -> tuple[Path, str]:
    scenario = written(folder, small(hours=2, orders={"count": 60}))
    plots = folder / "new" / "plots"
    done = CliRunner().invoke(app, ["simulate", str(scenario), "--plots", str(plots), "--language", language, *words])
    assert done.exit_code == 0, done.stderr
    return plots, done.stderr


@pytest.mark.parametrize(("language", "says"), [("en", "What was late, and why"), ("zh", "超时及其原因")])
def test_there_are_pictures_and_a_page_that_holds_them_all(tmp_path: Path, language: str, says: str) -> None:
    pytest.importorskip("matplotlib")
    plots, _ = drawn(tmp_path, language)
    assert sorted(one.name for one in plots.iterdir()) == sorted(
        [*(f"{one}.png" for one in PICTURES), "simulation.html"]
    )
    assert all((plots / f"{one}.png").read_bytes().startswith(b"\x89PNG") for one in PICTURES)
    text = (plots / "simulation.html").read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == len(PICTURES)
    # Self-contained: nothing is fetched from anywhere.
    assert "http" not in text
    assert says in text
    assert all(name in text for name in ("today", "broadcast", "responsible", "rounds", "optimum"))


def test_without_a_font_for_chinese_the_pictures_are_in_english_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr("deploy.cli.pictures.CHINESE", ())
    plots, told = drawn(tmp_path, "zh", "--policy", "today")
    assert "fonts-noto-cjk" in told
    assert "超时及其原因" in (plots / "simulation.html").read_text(encoding="utf-8")


def test_without_matplotlib_one_line_says_what_to_do_before_a_day_is_played(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = CliRunner().invoke(app, ["simulate", "nowhere.yaml", "--plots", str(tmp_path)])
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "make setup" in done.stderr


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("")
    words = ["simulate", str(written(tmp_path, small(hours=1))), "--policy", "today", "--plots", str(tmp_path / "file")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1


def test_what_the_page_says_is_text_and_never_markup(tmp_path: Path) -> None:
    picture = tmp_path / "waits.png"
    picture.write_bytes(b"png")
    text = page.page(Speech("en"), "<b>", [["<i>", "&"]], "<u>", [picture], [["<s>"]])
    assert not any(tag in text for tag in ("<b>", "<i>", "<u>", "<s>"))
    assert all(tag in text for tag in ("&lt;b&gt;", "&lt;i&gt;", "&amp;", "&lt;u&gt;", "&lt;s&gt;"))


def test_of_more_groups_than_fit_those_with_the_most_needs_are_drawn_and_the_picture_says_so() -> None:
    """In the order of the table."""
    pytest.importorskip("matplotlib")
    from deploy.cli.number_pictures import draw

    head = ["worker", *(f"figure {number}" for number in range(15))]
    rows = [[f"w{number}", str(number), *["1"] * 14] for number in range(41)]
    picture = draw("svg", Speech("en"), head, rows, 1).decode()
    assert "<!-- 40 of 41 groups are drawn" in picture
    assert "<!-- w0 -->" not in picture
    assert picture.index("<!-- w1 -->") < picture.index("<!-- w40 -->")
    assert "are drawn" not in draw("svg", Speech("en"), head, rows[:40], 1).decode()
