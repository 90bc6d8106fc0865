"""How an encoder's result falls when the query is changed.

The catalogue stays as it is; every query is changed in one way, embedded again, and ranked against
the unchanged others. What a change does:

* ``transposition``: the chroma rolled by so many semitones;
* ``tempo``: played so many times as fast (every frame lasts so much less);
* ``excerpt``: so many seconds from the middle of the performance;
* ``duration``: the first part of the performance, as a share of the whole;
* ``noise``: to every value a random one is added, uniform from 0 to so many times the mean frame's
  peak, and each frame is scaled back to the peak that it had.

A performance or a changed query without an embedding (silence) is ranked last, as everywhere.

``coverdex encoder evaluate CATALOGUE --changed`` measures it for each encoder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..encoder import Chroma
from .baselines.system import Progress
from .bootstrap import Interval
from .encoder_system import embed_usable, similarities_of
from .metrics import evaluate
from .side_by_side import intervals_by_work

if TYPE_CHECKING:
    from rich.table import Table

    from ..encoder import Encoder

#: Changes and the strengths that are tried.
STRENGTHS: dict[str, tuple[float, ...]] = {
    "transposition": (1, 2, 3, 4, 5, 6),
    "tempo": (0.68, 0.8, 0.9, 1.1, 1.25, 1.47),
    "excerpt": (30, 60, 120),
    "duration": (0.25, 0.5, 0.75),
    "noise": (0.1, 0.25, 0.5, 1.0),
}
UNITS = {
    "transposition": "semitones",
    "tempo": "times as fast",
    "excerpt": "s",
    "duration": "of the whole",
    "noise": "of the peak",
}

#: Stands in where there are fewer than two works to draw from.
NO_INTERVAL = Interval(math.nan, math.nan)


@dataclass(frozen=True)
class RobustnessRow:
    """The result with one change.

    Parameters
    ----------
    change : str
        A key of :data:`STRENGTHS`, or ``"none"``.
    strength : float
        In the change's unit.
    map, low, high : float
        Mean average precision and its 95% interval by work; NaN where there is one work.
    mr1 : float
        Mean rank of the first cover.
    """

    change: str
    strength: float
    map: float
    low: float
    high: float
    mr1: float

    @property
    def what(self) -> str:
        """Change and strength in words."""
        if self.change == "none":
            return "unchanged"
        return f"{self.change} {self.strength:g} {UNITS[self.change]}"

    def summary(self) -> dict[str, Any]:
        """Give the figures for JSON; no interval where there are too few works."""
        interval = None if math.isnan(self.low) else [self.low, self.high]
        named = {"change": self.change, "strength": self.strength, "map": self.map}
        return {**named, "map_interval_95": interval, "mr1": self.mr1}


def changed(chroma: Chroma, change: str, strength: float, rng: np.random.Generator) -> Chroma:
    """Change one performance.

    Parameters
    ----------
    chroma : Chroma
    change : str
        See the module's text.
    strength : float
        In the change's unit.
    rng : numpy.random.Generator
        For noise.

    Raises
    ------
    ValueError
        Unknown change.
    """
    values, rate = chroma.values, chroma.frame_rate
    n = chroma.n_frames
    if change == "none":
        return chroma
    if change == "transposition":
        return chroma.transposed(int(strength))
    if change == "tempo":
        return Chroma(values, rate * strength, chroma.kind)
    if change == "excerpt":
        kept = min(n, max(1, round(strength * rate)))
        start = (n - kept) // 2
        return Chroma(values[start : start + kept], rate, chroma.kind)
    if change == "duration":
        return Chroma(values[: max(1, round(strength * n))], rate, chroma.kind)
    if change == "noise":
        level = strength * float(values.max(axis=1).mean())
        noisy = values + level * rng.random(values.shape, dtype=np.float32)
        peak = np.maximum(noisy.max(axis=1, keepdims=True), 1e-9)
        return Chroma(noisy / peak * values.max(axis=1, keepdims=True), rate, chroma.kind)
    raise ValueError(f"change is {change!r}; give one of {', '.join(STRENGTHS)} or none")


def measure_robustness(
    encoder: Encoder,
    performances: Sequence[tuple[str | None, Chroma]],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[RobustnessRow]:
    """Measure every change at every strength.

    Parameters
    ----------
    encoder : Encoder
    performances : sequence of (work id, Chroma)
    seed : int
        Of the noise.
    progress : callable, optional
        ``progress(done, total)``, changes at one strength each.

    Returns
    -------
    list of RobustnessRow
        First the unchanged result.
    """
    works = [work for work, _ in performances]
    catalogue, in_catalogue = embed_usable(encoder, [chroma for _, chroma in performances])
    rows = []
    plan = [("none", 0.0), *((c, s) for c, strengths in STRENGTHS.items() for s in strengths)]
    for done, (change, strength) in enumerate(plan, start=1):
        rng = np.random.default_rng(seed)
        changed_queries = _Changed(performances, change, strength, rng)
        queries, asked = embed_usable(encoder, changed_queries)
        evaluation = evaluate(similarities_of(queries, asked, catalogue, in_catalogue), works)
        interval = intervals_by_work(evaluation, works)["map"] or NO_INTERVAL
        row = RobustnessRow(
            change, strength, evaluation.map, interval.low, interval.high, evaluation.mr1
        )
        rows.append(row)
        if progress is not None:
            progress(done, len(plan))
    return rows


class _Changed(Sequence[Chroma]):
    """Performances that are changed when they are asked for, in order, once each."""

    def __init__(
        self,
        performances: Sequence[tuple[str | None, Chroma]],
        change: str,
        strength: float,
        rng: np.random.Generator,
    ) -> None:
        self._performances, self._change, self._strength = performances, change, strength
        self._rng = rng

    def __len__(self) -> int:
        return len(self._performances)

    def __getitem__(self, i: Any) -> Any:
        return changed(self._performances[i][1], self._change, self._strength, self._rng)


def as_markdown(rows: Sequence[RobustnessRow]) -> str:
    """Write the rows as a Markdown table."""
    lines = ["| query | MAP (95% by work) | MR1 |", "|---|---|---|"]
    for row in rows:
        interval = "" if math.isnan(row.low) else f" ({row.low:.3f}-{row.high:.3f})"
        lines.append(f"| {row.what} | {row.map:.3f}{interval} | {row.mr1:.1f} |")
    return "\n".join(lines) + "\n"


def robustness_table(rows: Sequence[RobustnessRow], *, title: str) -> Table:
    """Lay the rows out for a terminal."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("Query", no_wrap=True)
    for heading in ("MAP", "95%", "MR1"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        interval = "one work" if math.isnan(row.low) else f"{row.low:.2f} to {row.high:.2f}"
        table.add_row(row.what, f"{row.map:.3f}", interval, f"{row.mr1:.1f}")
    return table


def draw(rows: Sequence[RobustnessRow], path: Path, *, title: str) -> None:
    """Draw MAP against each change's strength, with intervals, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    unchanged = rows[0]
    figure = Figure(figsize=(13, 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(STRENGTHS), sharey=True)
    for axis, change in zip(axes, STRENGTHS, strict=True):
        of_change = [row for row in rows if row.change == change]
        x = [row.strength for row in of_change]
        y = np.array([row.map for row in of_change])
        spread = np.abs(np.array([[row.low, row.high] for row in of_change]).T - y)
        axis.axhline(unchanged.map, color="0.6", linestyle="--", linewidth=1)
        axis.errorbar(x, y, yerr=spread, marker="o", capsize=3)
        axis.set(title=change, xlabel=UNITS[change], ylim=(0, 1))
    axes[0].set_ylabel("MAP")
    figure.suptitle(title)
    figure.savefig(path, dpi=120)
