"""The numbers as a picture: what was needed and done, how long it took, and the walks, group by group."""

from collections.abc import Sequence
from io import BytesIO

from matplotlib.figure import Figure

from deploy.cli.pictures import chinese_font, style
from deploy.cli.speech import Speech

_PANELS = ((0, 1), (9, 8), (11, 12))
"""Columns of the figures that are drawn side by side: needs and done, times at the door, walks made and saved."""
_MOST = 40
"""Groups that fit."""


def draw(form: str, say: Speech, head: Sequence[str], rows: Sequence[Sequence[str]], groups: int) -> bytes:
    """The picture as a file: of more groups than fit, those with the most needs, and it says so.

    Args:
        form: `png` or `svg`.
        say: the texts.
        head: what stands above the columns.
        rows: a group each.
        groups: so many columns name the group; figures follow.
    """
    most = sorted(range(len(rows)), key=lambda place: -float(rows[place][groups] or 0))[:_MOST]
    shown = [rows[place] for place in sorted(most)]
    names = [" · ".join(row[:groups]) for row in shown]
    with style(chinese_font() if say.language == "zh" else None):
        figure = Figure(figsize=(14, 1.6 + 0.5 * len(shown)), layout="constrained")
        if len(shown) < len(rows):
            figure.suptitle(say("numbers.drawn", shown=len(shown), count=len(rows)))
        panels = figure.subplots(1, len(_PANELS), sharey=True, squeeze=False)[0]
        for axes, columns in zip(panels, _PANELS, strict=True):
            for place, column in enumerate(columns):
                values = [float(row[groups + column] or 0) for row in shown]
                places = [number + 0.4 * place for number in range(len(shown))]
                axes.barh(places, values, height=0.4, label=head[groups + column])
            axes.set_yticks([number + 0.2 for number in range(len(shown))], names)
            axes.grid(axis="x", alpha=0.3)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=1, frameon=False)
        panels[0].invert_yaxis()
        file = BytesIO()
        figure.savefig(file, format=form)
        return file.getvalue()
