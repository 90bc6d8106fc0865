"""How all figures of the benchmarks are drawn: one size, one palette, no display needed.

Drawn with matplotlib, which is the extra ``coverdex[plots]``.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..encoder.errors import CoverdexError

_log = logging.getLogger(__name__)

#: Colours that stay apart for the colour-blind (after Okabe and Ito 2008).
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D31", "#444444")
DOTS_PER_INCH = 130


class DrawingError(CoverdexError):
    """Figures cannot be drawn: matplotlib is missing."""


def require_matplotlib() -> None:
    """Raise where figures cannot be drawn, for commands that would find out after hours.

    Raises
    ------
    DrawingError
        If matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise DrawingError(
            "matplotlib is not installed; figures need it: pip install 'coverdex[plots]'"
        )


def make_folder(folder: Path, option: str = "--out") -> None:
    """Make a folder for figures, for commands that would find out after hours that they can't.

    Parameters
    ----------
    folder : pathlib.Path
    option : str
        By which it was given, for the message.

    Raises
    ------
    CoverdexError
        If there is a file of that name.
    OSError
        If the disk refuses.
    """
    if folder.exists() and not folder.is_dir():
        raise CoverdexError(f"{folder} is a file, and a folder is written; give another {option}")
    folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def figure(path: str | Path, *, width: float = 7.0, height: float = 4.0) -> Iterator[Any]:
    """Give an empty figure (size in inches) and write it to ``path`` (PNG) at the end.

    Raises
    ------
    DrawingError
        If matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawn)
    with _letters_without_a_shape_told_once():  # legends are measured before they are saved
        yield drawn
        # No creation date and no version in the file: the same data give the same bytes.
        drawn.savefig(path, dpi=DOTS_PER_INCH, format="png", metadata={"Software": None})


@contextmanager
def _letters_without_a_shape_told_once() -> Iterator[None]:
    """Say in one line what matplotlib warns of for every letter, in every figure, with its code."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    for warning in told:
        if "missing from font" in str(warning.message):
            _tell_of_boxes()
        else:
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )


@cache
def _tell_of_boxes() -> None:
    _log.warning(
        "the font of the figures has no shape for some letters of names and titles; they are drawn "
        "as boxes"
    )


def literally(text: str) -> str:
    """Make names and titles fit for a figure: matplotlib takes what is between dollars for TeX."""
    return text.replace("$", r"\$")


def bare(axes: Any, *, grid: str = "y") -> None:
    """Remove the box around a plot and draw a light grid behind it."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color="#dddddd", linewidth=0.8)


def legend_above(drawn: Any, names: Sequence[str], colours: Sequence[str]) -> None:
    """Name colours above all plots of a figure, in rows that are read from left to right.

    As many in a row as there is room for, at most four; what is more than two rows heightens the
    figure.
    """
    from matplotlib.patches import Patch

    for n_columns in range(min(4, len(names)), 0, -1):
        # The library fills columns first; taken in steps, the names come out row by row.
        order = [at for column in range(n_columns) for at in range(column, len(names), n_columns)]
        patches = [Patch(color=colours[at], label=names[at]) for at in order]
        made = drawn.legend(
            handles=patches, loc="outside upper center", ncols=n_columns, frameon=False
        )
        if made.get_window_extent(drawn.canvas.get_renderer()).width <= drawn.bbox.width:
            break
        if n_columns > 1:
            made.remove()
    rows = -(-len(names) // n_columns)
    drawn.set_figheight(drawn.get_figheight() + 0.2 * max(0, rows - 2))


def whole_numbers(axes: Any) -> None:
    """Mark the y axis of counts: at whole numbers only, thousands apart."""
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.set_major_formatter("{x:,.0f}")
