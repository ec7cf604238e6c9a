"""A simulated day as one HTML page that needs nothing beside it."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from datetime import timedelta
from html import escape
from pathlib import Path

from deploy.cli.speech import Speech
from deploy.simulation.figures import why_late
from deploy.simulation.story import Outcome
from shared.contracts.catalogue import Kinds

_STYLE = """
body { font: 16px/1.5 system-ui, "Noto Sans CJK SC", sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem;
       color: #1d2b3a; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; border-bottom: 1px solid #dde3ea; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; }
"""

Rows = Iterable[Sequence[str]]


def page(say: Speech, title: str, figures: Rows, least: str, pictures: Iterable[Path], late: Rows) -> str:
    """The whole page: a table of the figures, the pictures, and what was late and why.

    The first row of each table is its head. Whatever it says is text, never markup.
    """
    images = (f'<p><img alt="{escape(path.stem)}" src="data:image/png;base64,{_coded(path)}"></p>' for path in pictures)
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="{say.language}">',
            '<meta charset="utf-8">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
            f"<h1>{escape(title)}</h1>",
            _table(figures),
            f"<p>{escape(least)}</p>",
            *images,
            f"<h2>{escape(say('simulate.picture_late'))}</h2>",
            _table(late),
            "</html>\n",
        )
    )


def late_orders(say: Speech, days: Iterable[Outcome], kinds: Kinds) -> Rows:
    """What was late under each policy, and why, whoever waited longest first; the first row is the head."""
    yield [say(f"simulate.head_{column}") for column in ("policy", "request", "at", "kind", "urgency", "waited", "why")]
    for outcome in days:
        stories = outcome.stories.values()
        late = [(story, why) for story in stories if (why := why_late(story, kinds, outcome.ends)) is not None]
        waited = [((story.done or outcome.ends) - story.order.at, story, why) for story, why in late]
        for wait, story, why in sorted(waited, key=lambda one: -one[0]):
            facts, label = story.order.facts, kinds.kinds[story.order.facts.kind].label
            yield (
                outcome.policy,
                facts.request_id,
                f"{story.order.at:%H:%M}",
                label.zh if say.language == "zh" else label.en,
                say(f"simulate.{facts.urgency}"),
                f"{wait / timedelta(minutes=1):.0f}",
                say(f"simulate.late_{why}").strip(),
            )


def _table(rows: Rows) -> str:
    head, *body = rows
    return "\n".join(("<table>", _row(head, "th"), *(_row(row, "td") for row in body), "</table>"))


def _row(cells: Iterable[str], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _coded(path: Path) -> str:
    return b64encode(path.read_bytes()).decode("ascii")
