"""Pictures of simulated days, the policies side by side; drawn with matplotlib, which no service brings along."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure

from deploy.cli.speech import Speech
from deploy.simulation.figures import LATE, URGENCIES, Figures
from deploy.simulation.story import Outcome

CHINESE = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "SimHei")
"""Fonts that can write Chinese, the first that the machine has is taken; Debian's fonts-noto-cjk brings the first."""

Day = tuple[Outcome, Figures]


def chinese_font() -> str | None:
    """A font of this machine that can write Chinese."""
    known = set(font_manager.get_font_names())
    return next((name for name in CHINESE if name in known), None)


def draw(folder: Path, say: Speech, days: Sequence[Day]) -> list[Path]:
    """Four PNG in the folder, which must be there; in Chinese only where there is a font for it."""
    pictures = {"waits": _waits, "walks": _walks, "load": _load, "late": _late}
    with style(chinese_font() if say.language == "zh" else None):
        return [_saved(picture(say, days), folder / f"{name}.png") for name, picture in pictures.items()]


@contextmanager
def style(font: str | None) -> Iterator[None]:
    look: dict[Any, Any] = {
        "axes.axisbelow": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": "medium",
        "axes.unicode_minus": False,
        "figure.dpi": 120,
        "font.family": [*([font] if font else []), "DejaVu Sans"],
    }
    with rc_context(look):
        yield


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path)
    return path


def _figure(panels: int, height: float, width: float = 12) -> tuple[Figure, list[Any]]:
    """A row of panels that share what stands on the left."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])


def _waits(say: Speech, days: Sequence[Day]) -> Figure:
    """Half of all waited as long as the boxes are wide; the whiskers leave out one in twenty at each end."""
    figure, panels = _figure(len(URGENCIES), 1.6 + 0.5 * len(days))
    most = max((one for outcome, _ in days for urgency in URGENCIES for one in _minutes(outcome, urgency)), default=1)
    for axes, urgency in zip(panels, URGENCIES, strict=True):
        axes.boxplot(
            [_minutes(outcome, urgency) for outcome, _ in days],
            orientation="horizontal",
            whis=(5, 95),
            widths=0.6,
            flierprops={"marker": ".", "markersize": 3, "markerfacecolor": "0.5", "markeredgecolor": "none"},
            medianprops={"color": "tab:red"},
            patch_artist=True,
            boxprops={"facecolor": "tab:blue", "alpha": 0.35},
        )
        axes.set_xlim(0, most * 1.03)
        axes.set_title(say("simulate.picture_door", urgency=say(f"simulate.{urgency}")))
        axes.grid(axis="x", alpha=0.3)
    figure.supxlabel(say("simulate.picture_minutes"), fontsize="medium")
    _named(panels[0], days)
    return figure


def _walks(say: Speech, days: Sequence[Day]) -> Figure:
    figure, panels = _figure(3, 1.4 + 0.4 * len(days))
    columns: tuple[tuple[str, Callable[[Day], float]], ...] = (
        (say("simulate.metres_per_delivery"), lambda day: day[1].metres_per_delivery or 0),
        (say("simulate.picture_ways"), lambda day: len(day[0].trips)),
        (say("simulate.picture_way_metres"), lambda day: day[1].metres / max(len(day[0].trips), 1)),
    )
    for axes, (title, value) in zip(panels, columns, strict=True):
        bars = axes.barh(range(1, len(days) + 1), [value(day) for day in days], color="tab:blue", alpha=0.6)
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.margins(x=0.2)
        axes.set_title(title)
    _named(panels[0], days)
    return figure


def _load(say: Speech, days: Sequence[Day]) -> Figure:
    """Each worker's tasks; the line is the mean of all but coordinators."""
    workers = sorted({name for _, found in days for name in found.deliveries_by})
    figure, panels = _figure(len(days), 1.4 + 0.22 * len(workers))
    most = max((count for _, found in days for count in found.deliveries_by.values()), default=1)
    for axes, (outcome, found) in zip(panels, days, strict=True):
        bars = axes.barh(workers, [found.deliveries_by.get(name, 0) for name in workers], color="tab:blue", alpha=0.6)
        axes.bar_label(bars, padding=3, fontsize="small")
        helped = [found.deliveries_by[name] for name in outcome.helpers]
        axes.axvline(sum(helped) / max(len(helped), 1), color="tab:red", linewidth=1)
        axes.set_xlim(0, most * 1.2)
        axes.set_title(found.policy)
    figure.supxlabel(say("simulate.picture_load"), fontsize="medium")
    panels[0].invert_yaxis()
    return figure


def _late(say: Speech, days: Sequence[Day]) -> Figure:
    figure, (axes,) = _figure(1, 1.8 + 0.4 * len(days))
    before = [0] * len(days)
    for why in LATE:
        counts = [found.late_because.get(why, 0) for _, found in days]
        if any(counts):
            label = say(f"simulate.late_{why}").strip()
            bars = axes.barh(range(1, len(days) + 1), counts, left=before, label=label, alpha=0.7)
            axes.bar_label(bars, labels=[str(one) if one else "" for one in counts], label_type="center")
            before = [one + other for one, other in zip(before, counts, strict=True)]
    axes.set_title(say("simulate.picture_late"))
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlim(0, max(*before, 1) * 1.1)
    _named(axes, days)
    if any(before):
        figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure


def _named(axes: Any, days: Sequence[Day]) -> None:
    """The policies from above, on the left of a row of panels that share them."""
    axes.set_yticks(range(1, len(days) + 1), [found.policy for _, found in days])
    axes.invert_yaxis()


def _minutes(outcome: Outcome, urgency: str) -> list[float]:
    stories = (one for one in outcome.stories.values() if one.order.facts.urgency == urgency)
    return [(one.done - one.order.at) / timedelta(minutes=1) for one in stories if one.done is not None]
