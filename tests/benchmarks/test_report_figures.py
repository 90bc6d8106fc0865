"""What can go wrong in a figure without an error: names on top of each other, values left out."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from coverdex.benchmarks import MatrixSimilarity, drawing, evaluate
from coverdex.benchmarks.drawing import figure, legend_above, whole_numbers
from coverdex.benchmarks.planted_catalogue import planted_embeddings
from coverdex.benchmarks.report import figures
from coverdex.benchmarks.report.run import Outcome
from coverdex.benchmarks.similarity_profile import similarity_profile

pytest.importorskip("matplotlib")


def outcome_of(works, name="a system"):
    embeddings = planted_embeddings(works)
    source = MatrixSimilarity(embeddings @ embeddings.T)
    evaluation = evaluate(source, works)
    return Outcome(name, {}, evaluation, similarity_profile(source, evaluation.cliques))


@pytest.fixture
def kept(monkeypatch):
    """The figures that are drawn, kept for a look at what is in them."""
    drawn = []

    class Keeping:
        def __init__(self, *arguments, **options):
            self._manager = figure(*arguments, **options)

        def __enter__(self):
            drawn.append(self._manager.__enter__())
            return drawn[-1]

        def __exit__(self, *error):
            return self._manager.__exit__(*error)

    monkeypatch.setattr(figures, "figure", Keeping)
    return drawn


@pytest.mark.parametrize("n_candidates", [8, 139, 14_999])
def test_names_of_ranks_do_not_overlap(n_candidates, kept, monkeypatch, tmp_path):
    edges = figures._rank_edges(n_candidates)
    monkeypatch.setattr(figures, "_rank_edges", lambda _: edges)
    figures._draw_ranks([outcome_of(["a", "a", "b", "b", "n"])], tmp_path)
    (axes,) = kept[0].axes
    labels = axes.get_xticklabels()
    assert len(labels) == len(edges) - 1
    boxes = [label.get_window_extent() for label in labels]
    if labels[0].get_rotation() == 0:
        assert all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))
    else:  # slanted lines of text: their distance is that of their ends, by the sine of the slant
        gaps = np.diff([box.x1 for box in boxes]) * np.sin(np.pi / 4)
        assert gaps.min() > labels[0].get_fontsize() * kept[0].dpi / 72


def test_one_size_of_works_does_not_fill_the_width(kept, tmp_path):
    figures._draw_by_size([outcome_of(["a", "a", "b", "b"])], tmp_path)
    low, high = kept[0].axes[0].get_xlim()
    assert all(bar.get_width() < (high - low) / 2 for bar in kept[0].axes[0].patches)


def test_names_above_a_figure_read_row_by_row(tmp_path):
    names = list("abcdef")
    with figure(tmp_path / "x.png") as drawn:
        drawn.add_subplot()
        legend_above(drawn, names, ["#000000"] * 6)
    boxes = {t.get_text(): t.get_window_extent() for t in drawn.legends[0].get_texts()}
    assert sorted(names, key=lambda name: (-round(boxes[name].y0), boxes[name].x0)) == names


@pytest.mark.parametrize("name", ["coverdex-64-b5b5a6bb3a27", "a name with " * 12])
def test_names_of_many_systems_lie_within_the_figures(name, kept, tmp_path):
    works = [f"W_{i // 2}" for i in range(12)]
    figures.draw_all([outcome_of(works, f"{name} {at}") for at in range(9)], tmp_path)
    for drawn in kept:
        drawn.canvas.draw()
        texts = [text for legend in drawn.legends for text in legend.get_texts()]
        texts += [label for axes in drawn.axes for label in axes.get_yticklabels()]
        boxes = [text.get_window_extent() for text in texts]
        assert all(box.x0 >= 0 and box.x1 <= drawn.bbox.width for box in boxes)
        assert all(box.y0 >= 0 and box.y1 <= drawn.bbox.height for box in boxes)
        assert all(axes.bbox.height > drawn.dpi / 3 for axes in drawn.axes)


def test_counts_are_marked_at_whole_numbers(tmp_path):
    with figure(tmp_path / "x.png") as drawn:
        axes = drawn.add_subplot()
        axes.bar([0, 1], [1, 2])
        whole_numbers(axes)
    assert all(tick == int(tick) for tick in axes.get_yticks())


def test_histograms_hold_all_of_few_values_and_no_outlier_of_many():
    few = np.float32([-3, 0, 1, 9])
    edges = figures._bins(few, np.float32([0, 1]))
    assert (edges[0], edges[-1]) == (-3, 9)
    many = np.append(np.random.default_rng(0).random(10_000), [-50, 50]).astype(np.float32)
    edges = figures._bins(np.float32([0.5]), many)
    assert 0 <= edges[0] < edges[-1] <= 1


def test_dollars_in_a_name_are_dollars(tmp_path):
    works = [f"W_{i // 2}" for i in range(12)]
    names = [r"$\foo{$ model", "Ke$ha $"]
    drawn = figures.draw_all([outcome_of(works, name) for name in names], tmp_path)
    assert drawn


def test_where_all_are_covers_nothing_is_nan(kept, tmp_path):
    outcome = outcome_of(["W_1"] * 4)
    assert json.loads(json.dumps(outcome.summary(), allow_nan=False))["separation"] is None
    figures.draw_all([outcome], tmp_path)
    titles = [axes.get_title(loc="left") for drawn in kept for axes in drawn.axes]
    assert "a system: there are no other candidates" in titles


def test_letters_that_the_font_lacks_are_told_in_one_line(tmp_path, caplog, recwarn):
    drawing._tell_of_boxes.cache_clear()
    for path in (tmp_path / "x.png", tmp_path / "y.png"):
        with figure(path) as drawn:
            drawn.suptitle("\U00012000\U00012001")  # cuneiform
            drawing.legend_above(drawn, ["\U00012002"], ["black"])
    assert [record.getMessage().split(";")[0] for record in caplog.records] == [
        "the font of the figures has no shape for some letters of names and titles"
    ]
    assert [str(warning.message) for warning in recwarn.list] == []
