"""Curves: every measure of the history is drawn, and the file is a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from coverdex.encoder import TrainingError
from coverdex.encoder.training.curves import draw_curves, panels_of

HISTORY = [
    {
        "epoch": epoch,
        "step": 10 * epoch,
        "loss": 1 / epoch,
        "pair accuracy": 0.5 + 0.1 * epoch,
        "held-out loss": 1.2 / epoch,
        "learning_rate": 0.001,
        "seconds": 3.0,
        **({"validation": {"recordings": {"map": 0.1 * epoch}}} if epoch != 2 else {}),
    }
    for epoch in (1, 2, 3)
]


def test_panels_hold_every_measure() -> None:
    panels = panels_of(HISTORY)
    assert set(panels) == {"loss", "pair accuracy", "validation MAP"}
    assert panels["loss"]["training"] == ([1, 2, 3], pytest.approx([1, 1 / 2, 1 / 3]))
    assert panels["loss"]["held-out works"] == ([1, 2, 3], pytest.approx([1.2, 0.6, 0.4]))
    assert panels["validation MAP"]["recordings"] == ([1, 3], pytest.approx([0.1, 0.3]))


def test_the_figure_is_a_png_of_all_panels(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = draw_curves(HISTORY, tmp_path / "curves.png", title="siamese-cnn")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[i : i + 4], "big") for i in (16, 20))
    assert width > 2 * height


def test_no_history_no_figure(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="at least one epoch"):
        draw_curves([], tmp_path / "curves.png")
