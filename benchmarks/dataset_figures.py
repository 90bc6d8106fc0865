"""Figures that describe a catalogue: titles, works by size, years, durations, chroma of a track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..encoder.chroma import PITCH_CLASSES
from .drawing import PALETTE, bare, figure, literally, whole_numbers

if TYPE_CHECKING:
    from ..encoder import Chroma
    from ..indexer import PerformanceRecord
    from .dataset_description import DatasetDescription

#: Seconds of a track that the chroma figure shows: more, and frames are thinner than a pixel.
SHOWN_SECONDS = 20.0
#: Standard deviation of the noise of the third panel, on the scale of 0 to 1.
NOISE = 0.1
#: C is the lowest row; in chroma, bin 0 is A.
_C = PITCH_CLASSES.index("C")


def draw_dataset(
    description: DatasetDescription,
    records: Sequence[PerformanceRecord],
    durations: Mapping[str, float],
    folder: Path,
) -> list[Path]:
    """Draw all that the catalogue has data for; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [draw_works_by_size(description, folder / "works-by-size.png")]
    if description.titles.n_pairs:
        drawn.append(draw_titles(description, folder / "titles.png"))
    years = [record.year for record in records if record.year is not None]
    if years:
        drawn.append(_histogram(years, "year of release", folder / "years.png"))
    if durations:
        minutes = [seconds / 60 for seconds in durations.values()]
        drawn.append(_histogram(minutes, "duration (minutes)", folder / "durations.png"))
    return drawn


def draw_titles(description: DatasetDescription, path: Path) -> Path:
    """Draw what becomes of the title between two covers, as a pie chart."""
    titles = description.titles
    similar = max(titles.similar, titles.same_without_remarks)
    parts = {
        "the same": titles.same,
        "the same but\nfor remarks": titles.same_without_remarks - titles.same,
        "similar\n(cosine 0.5 or more)": similar - titles.same_without_remarks,
        "another": 1 - similar,
    }
    shown = {name: share for name, share in parts.items() if share > 1e-9}
    colours = dict(zip(parts, PALETTE, strict=False))
    with figure(path, width=6.4, height=4.4) as drawn:
        axes = drawn.add_subplot()
        axes.pie(
            list(shown.values()),
            labels=[f"{name}\n{share:.1%}" for name, share in shown.items()],
            colors=[colours[name] for name in shown],
            startangle=90,
            counterclock=False,
            wedgeprops={"edgecolor": "white", "linewidth": 2},
        )
        axes.set_title(f"Titles of {titles.n_pairs:,} pairs of covers")
    return path


def draw_works_by_size(description: DatasetDescription, path: Path) -> Path:
    """Draw how many works have how many performances."""
    sizes = description.works_by_size
    with figure(path, width=6.4, height=3.6) as drawn:
        axes = drawn.add_subplot()
        places = range(len(sizes))
        bars = axes.bar(places, list(sizes.values()), color=PALETTE[0], width=0.7)
        step = max(1, len(sizes) // 20)
        axes.set_xticks(list(places)[::step], [str(size) for size in sizes][::step])
        if len(sizes) <= 20:
            axes.bar_label(bars, fmt="{:,.0f}", padding=2)
        axes.set_xlabel("performances of a work")
        axes.set_ylabel("works")
        axes.margins(y=0.12)
        whole_numbers(axes)
        bare(axes)
    return path


def _histogram(values: Sequence[float], label: str, path: Path) -> Path:
    with figure(path, width=6.4, height=3.6) as drawn:
        axes = drawn.add_subplot()
        bins = np.histogram_bin_edges(values, bins=min(40, max(8, int(len(values) ** 0.5))))
        axes.hist(values, bins=bins, color=PALETTE[0], edgecolor="white", linewidth=0.6)
        axes.set_xlabel(label)
        axes.set_ylabel("performances")
        whole_numbers(axes)
        bare(axes)
    return path


def draw_chroma(chroma: Chroma, path: Path, *, title: str, seed: int = 0) -> Path:
    """Draw a track's chroma as it is, normalised per track, and with noise; C lowest, B highest.

    Parameters
    ----------
    chroma : Chroma
        The middle 20 seconds are shown.
    path : path
        The PNG file.
    title : str
    seed : int
        Of the noise.
    """
    n_shown = min(chroma.n_frames, max(1, round(SHOWN_SECONDS * chroma.frame_rate)))
    first = (chroma.n_frames - n_shown) // 2
    normalised = scaled_per_track(chroma.values)
    noise = np.random.default_rng(seed).normal(scale=NOISE, size=normalised.shape)
    panels: dict[str, NDArray[Any]] = {
        f"{chroma.kind.value.upper()} as extracted": chroma.values,
        "normalised: least 0, largest 1 over the track": normalised,
        f"with Gaussian noise (deviation {NOISE:g}), cut at 0 and 1": np.clip(
            normalised + noise, 0, 1
        ),
    }
    with figure(path, width=8.4, height=8.0) as drawn:
        grid = drawn.subplots(len(panels), 1, sharex=True)
        for axes, (name, values) in zip(grid, panels.items(), strict=True):
            shown = from_c_to_b(values[first : first + n_shown])
            _heat_map(drawn, axes, shown, first, name)
        grid[-1].set_xlabel(f"frame ({chroma.frame_rate:.2f} frames per second)")
        drawn.suptitle(literally(title))
    return path


def from_c_to_b(values: NDArray[Any]) -> NDArray[Any]:
    """Reorder chroma (n_frames, 12) from A..G# to C..B and lay it with time along x, (12, n)."""
    return np.roll(values, -_C, axis=1).T


def scaled_per_track(values: NDArray[Any]) -> NDArray[np.float64]:
    """Map the least value of a track to 0 and the largest to 1 (all 0 if it is constant)."""
    low, high = float(values.min()), float(values.max())
    return np.asarray((values - low) / (high - low or 1.0), np.float64)


def _heat_map(drawn: Any, axes: Any, shown: NDArray[Any], first: int, name: str) -> None:
    image = axes.imshow(
        shown,
        aspect="auto",
        origin="lower",
        interpolation="nearest",
        cmap="magma",
        vmin=0.0,
        extent=(first, first + shown.shape[1], -0.5, len(PITCH_CLASSES) - 0.5),
    )
    axes.set_yticks(range(len(PITCH_CLASSES)), [*PITCH_CLASSES[_C:], *PITCH_CLASSES[:_C]])
    axes.tick_params(axis="y", labelsize=8, length=0)
    axes.set_ylabel("pitch class")
    axes.set_title(name, fontsize=10, loc="left")
    drawn.colorbar(image, ax=axes, pad=0.01)
