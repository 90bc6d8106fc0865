"""Training curves: loss, accuracy on pairs and validation MAP over the epochs, as a PNG.

Drawn with matplotlib, which is the extra ``coverdex[plots]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import TrainingError

HELD_OUT = "held-out "

#: Columns of the history that are not curves.
_NOT_CURVES = {"epoch", "step", "seconds", "waiting", "validation", "learning_rate"}


def draw_curves(history: Sequence[Mapping[str, Any]], path: str | Path, *, title: str = "") -> Path:
    """Draw one panel per measure, held-out works beside training, and one for validation MAP.

    Parameters
    ----------
    history : sequence of mappings
        One row per epoch, as :mod:`.run_folder` describes.
    path : path-like
        The PNG file.
    title : str
        Above the figure.

    Raises
    ------
    TrainingError
        There is no epoch to draw, or matplotlib is not installed.
    """
    if not history:
        raise TrainingError("the history is empty; train for at least one epoch before drawing")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise TrainingError(
            "matplotlib is not installed; curves need it: pip install 'coverdex[plots]'"
        ) from None
    panels = panels_of(history)
    figure = Figure(figsize=(4.2 * len(panels), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for position, (name, curves) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(1, len(panels), position)
        for label, (epochs, values) in curves.items():
            axes.plot(epochs, values, marker="." if len(epochs) < 30 else None, label=label)
        axes.set_xlabel("epoch")
        axes.set_title(name)
        axes.grid(alpha=0.3)
        axes.legend()
    if title:
        figure.suptitle(title)
    path = Path(path)
    figure.savefig(path, dpi=110, format="png")
    return path


def panels_of(
    history: Sequence[Mapping[str, Any]],
) -> dict[str, dict[str, tuple[list[int], list[float]]]]:
    """Sort a history into panels: measure, then curve, then epochs and values."""
    panels: dict[str, dict[str, tuple[list[int], list[float]]]] = {}

    def add(panel: str, curve: str, epoch: int, value: float | None) -> None:
        if value is not None:
            epochs, values = panels.setdefault(panel, {}).setdefault(curve, ([], []))
            epochs.append(epoch)
            values.append(value)

    for row in history:
        for name, value in row.items():
            if name not in _NOT_CURVES:
                curve = "held-out works" if name.startswith(HELD_OUT) else "training"
                add(name.removeprefix(HELD_OUT), curve, row["epoch"], value)
        for name, figures in row.get("validation", {}).items():
            add("validation MAP", name, row["epoch"], figures["map"])
    return panels
