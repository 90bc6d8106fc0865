"""The figures of a report, one PNG each, all systems in each."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..drawing import PALETTE, bare, figure, legend_above, literally, whole_numbers
from .run import Outcome

#: Inches; the page shows two figures side by side, and letters must stay readable there.
_WIDTH = 5.8
_GREY = "#999999"
#: Letters of the name of a system; figures have room for one beside what is drawn.
_LONGEST_NAME = 36
#: Letters of all labels that fit side by side below a figure.
_MOST_LETTERS = 45
#: Sizes of works that the figure has room for.
_MOST_SIZES = 12


def draw_all(outcomes: Sequence[Outcome], folder: Path) -> dict[str, Path]:
    """Draw every figure into ``folder``; return caption -> file, in the order of the report."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "Mean average precision, with 95% intervals by work": _draw_map(outcomes, folder),
        "Recall: share of the covers among the first k": _draw_recall(outcomes, folder),
        "Rank of the first cover, queries by rank": _draw_ranks(outcomes, folder),
        "Average precision by performances of the work: quartiles, median (line), mean (dot)": (
            _draw_by_size(outcomes, folder)
        ),
        "Similarities of covers and of other candidates": _draw_similarities(outcomes, folder),
        "Hubness: queries that have a performance among their first 10": _draw_hubness(
            outcomes, folder
        ),
    }


def _colour(at: int) -> str:
    return PALETTE[at % len(PALETTE)]


def _shown(name: str) -> str:
    """Make the name of a system fit for a figure: of a long one, its beginning and its end."""
    short = name if len(name) <= _LONGEST_NAME else f"{name[:22]}\u2026{name[-12:]}"
    return literally(short)


def _name_systems(drawn: Any, outcomes: Sequence[Outcome], **others: str) -> None:
    """Name the systems above a figure, and ``others`` with their colours."""
    names, colours = (
        [_shown(o.name) for o in outcomes],
        [_colour(at) for at in range(len(outcomes))],
    )
    legend_above(drawn, [*names, *others], [*colours, *others.values()])


def _draw_map(outcomes: Sequence[Outcome], folder: Path) -> Path:
    path = folder / "map.png"
    with figure(path, width=_WIDTH, height=max(2.2, 1.0 + 0.42 * len(outcomes))) as drawn:
        axes = drawn.add_subplot()
        for at, outcome in enumerate(outcomes):
            mean, interval = outcome.evaluation.map, outcome.evaluation.intervals["map"]
            axes.barh(at, mean, color=_colour(at), height=0.62)
            right = mean
            if interval is not None:
                axes.plot([interval.low, interval.high], [at, at], color="#222222", linewidth=1.6)
                right = interval.high
            axes.text(right + 0.012, at, f"{mean:.3f}", va="center", fontsize=9)
        axes.set_yticks(range(len(outcomes)), [_shown(o.name) for o in outcomes])
        axes.invert_yaxis()
        axes.set_xlim(0, 1.08)
        axes.set_xlabel("MAP")
        bare(axes, grid="x")
    return path


def _draw_recall(outcomes: Sequence[Outcome], folder: Path) -> Path:
    path = folder / "recall.png"
    n_candidates = max(1, outcomes[0].evaluation.counts.n_performances - 1)
    with figure(path, width=_WIDTH, height=3.6) as drawn:
        axes = drawn.add_subplot()
        for at, outcome in enumerate(outcomes):
            ks, recall = outcome.recall_curve
            axes.plot(ks, recall, color=_colour(at), linewidth=1.8)
        chance = np.geomspace(1, n_candidates)
        axes.plot(chance, chance / n_candidates, color=_GREY, linestyle=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("k")
        axes.set_ylabel("recall")
        bare(axes)
        _name_systems(drawn, outcomes, chance=_GREY)
    return path


def _draw_ranks(outcomes: Sequence[Outcome], folder: Path) -> Path:
    path = folder / "ranks.png"
    edges = _rank_edges(outcomes[0].evaluation.counts.n_performances - 1)
    names = [_span(low, high - 1) for low, high in itertools.pairwise(edges)]
    width = 0.8 / len(outcomes)
    with figure(path, width=_WIDTH, height=3.6) as drawn:
        axes = drawn.add_subplot()
        for at, outcome in enumerate(outcomes):
            counts, _ = np.histogram(np.floor(outcome.evaluation.first_rank), bins=edges)
            places = np.arange(len(names)) + (at - (len(outcomes) - 1) / 2) * width
            axes.bar(places, counts, width=width * 0.92, color=_colour(at))
        axes.set_xticks(range(len(names)), names)
        if len(names) * max(map(len, names)) > _MOST_LETTERS:
            axes.tick_params(axis="x", rotation=45)
            for label in axes.get_xticklabels():
                label.set(ha="right", rotation_mode="anchor")
        axes.set_xlabel("rank of the first cover")
        axes.set_ylabel("queries")
        whole_numbers(axes)
        bare(axes)
        _name_systems(drawn, outcomes)
    return path


def _rank_edges(n_candidates: int) -> list[int]:
    steps = [1, 2, 3, 6, 11, 21, 51, 101, 201, 501, 1001, 2001, 5001, 10001]
    return [*(step for step in steps if step <= n_candidates), n_candidates + 1]


def _span(low: int, high: int) -> str:
    return f"{low:,}" if low == high else f"{low:,}\u2013{high:,}"


def _draw_by_size(outcomes: Sequence[Outcome], folder: Path) -> Path:
    path = folder / "by-size.png"
    first = outcomes[0].evaluation
    sizes = np.unique(first.n_covers + 1)
    if sizes.size > _MOST_SIZES:
        sizes = sizes[np.linspace(0, sizes.size - 1, _MOST_SIZES).round().astype(int)]
    with figure(path, width=_WIDTH, height=3.6) as drawn:
        axes = drawn.add_subplot()
        labels = []
        for place, size in enumerate(sizes):
            values = [
                o.evaluation.average_precision[o.evaluation.n_covers + 1 == size] for o in outcomes
            ]
            labels.append(f"{size}\n({values[0].size:,} queries)")
            for at, of_system in enumerate(values):
                offset = (at - (len(outcomes) - 1) / 2) * 0.8 / len(outcomes)
                _draw_box(axes, of_system, place + offset, 0.7 / len(outcomes), _colour(at))
        axes.set_xticks(range(len(labels)), labels)
        axes.set_xlabel("performances of the work")
        axes.set_ylabel("average precision")
        axes.set_ylim(-0.02, 1.05)
        middle, half = (len(labels) - 1) / 2, max(1.0, len(labels) / 2)
        axes.set_xlim(middle - half, middle + half)  # one size alone does not fill the width
        bare(axes)
        _name_systems(drawn, outcomes)
    return path


def _draw_box(axes: Any, values: Any, place: float, width: float, colour: str) -> None:
    """Quartiles as a box, the mean as a dot."""
    low, median, high = np.percentile(values, [25, 50, 75])
    axes.bar(place, high - low, bottom=low, width=width, color=colour, alpha=0.45)
    axes.plot([place - width / 2, place + width / 2], [median, median], color=colour, linewidth=2)
    axes.plot(place, values.mean(), marker="o", color=colour, markersize=5, markeredgecolor="white")


def _draw_similarities(outcomes: Sequence[Outcome], folder: Path) -> Path:
    path = folder / "similarities.png"
    covers, others = PALETTE[4], _GREY
    with figure(path, width=_WIDTH, height=0.6 + 1.3 * len(outcomes)) as drawn:
        grid = np.atleast_1d(drawn.subplots(len(outcomes), 1))
        for axes, outcome in zip(grid, outcomes, strict=True):
            profile = outcome.profile
            listed = [v[np.isfinite(v)] for v in (profile.others, profile.covers)]
            bins = _bins(listed[1], listed[0])
            for values, colour in zip(listed, (others, covers), strict=True):
                if values.size:
                    weights = np.full(values.size, 1 / values.size)
                    axes.hist(
                        values,
                        bins,
                        weights=weights,
                        color=colour,
                        alpha=0.6,
                    )
            axes.set_yticks([])
            closer = (
                "there are no other candidates"
                if math.isnan(profile.separation)
                else f"a cover is closer with probability {profile.separation:.3f}"
            )
            axes.set_title(f"{_shown(outcome.name)}: {closer}", fontsize=10, loc="left")
            bare(axes, grid="")
        legend_above(drawn, ["covers", "other candidates"], [covers, others])
        grid[-1].set_xlabel("similarity (each system has its own scale)")
    return path


def _bins(covers: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Edges that hold all of a few hundred values, and of more all but a few outliers.

    Outliers would squeeze the rest together. As many edges as the covers, of which there are fewer,
    can fill.
    """
    both = [values for values in (covers, others) if values.size]
    low = min((float(np.percentile(v, 0.2, method="lower")) for v in both), default=0.0)
    high = max((float(np.percentile(v, 99.8, method="higher")) for v in both), default=1.0)
    n_bins = int(np.clip(2 * np.sqrt(covers.size), 12, 60))
    return np.linspace(low, high if high > low else low + 1, n_bins + 1)


def _draw_hubness(outcomes: Sequence[Outcome], folder: Path) -> Path:
    path = folder / "hubness.png"
    with figure(path, width=_WIDTH, height=3.6) as drawn:
        axes = drawn.add_subplot()
        labels = []
        for at, outcome in enumerate(outcomes):
            ordered = np.sort(outcome.profile.occurrences)[::-1]
            labels.append(f"{_shown(outcome.name)} (skewness {outcome.profile.hubness:.2f})")
            places = np.arange(1, ordered.size + 1) / ordered.size
            axes.plot(places, ordered, color=_colour(at), linewidth=1.8)
        axes.set_xlabel("share of the performances, most frequent neighbours first")
        axes.set_ylabel("queries that have it near")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        whole_numbers(axes)
        bare(axes)
        legend_above(drawn, labels, [_colour(at) for at in range(len(outcomes))])
    return path
