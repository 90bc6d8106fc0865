"""An evaluation as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from .bootstrap import Interval
    from .evaluation import Evaluation
    from .published_codes import Figures

#: (figure, name, decimals, what it is), in the order of the table.
FIGURES = (
    ("map", "MAP", 4, "mean average precision"),
    ("mr1", "MR1", 2, "mean rank of the first cover"),
    ("mrr", "MRR", 4, "mean reciprocal of that rank"),
    ("hits_at_1", "hits@1", 4, "a cover at rank 1"),
    ("hits_at_10", "hits@10", 4, "a cover among the first 10"),
    ("precision_at_10", "P@10", 4, "of the first 10 are covers"),
    ("recall_at_10", "recall@10", 4, "of the covers in the first 10"),
    ("recall_at_100", "recall@100", 4, "of the covers in the first 100"),
    ("nar", "nAR", 4, "normalised rank: 0 to 0.5 = chance"),
)

#: Of these a table has one.
RECALLS = ("recall_at_10", "recall_at_100")


def recall_shown(evaluation: Evaluation) -> str:
    """Name the recall that a table has: at 100, or at 10 where there are 100 candidates or less."""
    few = evaluation.counts.n_performances - 1 <= 100
    return "recall_at_10" if few else "recall_at_100"


def evaluation_table(evaluation: Evaluation, *, title: str) -> Table:
    """Lay out figures, 95% intervals and counts."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    table.add_column("")
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("95% by work", justify="right", no_wrap=True)
    table.add_column("", style="dim")
    means = evaluation.means()
    left_out = set(RECALLS) - {recall_shown(evaluation)}
    for name, shown, decimals, what in FIGURES:
        if name in left_out:
            continue
        value = means[name]
        text = "-" if value is None else f"{value:.{decimals}f}"
        table.add_row(shown, text, interval_text(evaluation.intervals[name], decimals), what)
    table.add_section()
    for name, count, what in _counts(evaluation):
        table.add_row(name, f"{count:,}", "", what)
    return table


def _counts(evaluation: Evaluation) -> list[tuple[str, int, str]]:
    counts = evaluation.counts
    rows = [
        ("queries", counts.n_queries, f"of {counts.n_query_works:,} works with covers"),
        ("candidates", counts.n_performances - 1, "all other performances"),
        ("noise", counts.n_noise, "candidates without a cover"),
    ]
    if evaluation.n_tied:
        best = evaluation.with_ties_broken(best=True).map
        worst = evaluation.with_ties_broken(best=False).map
        bounds = f"queries; MAP {worst:.4f} to {best:.4f}"
        rows.append(("tied", evaluation.n_tied, bounds))
    return rows


def interval_text(interval: Interval | None, decimals: int) -> str:
    """Write an interval as ``0.512 to 0.634``."""
    if interval is None:
        return "-"
    return f"{interval.low:.{decimals}f} to {interval.high:.{decimals}f}"


def published_table(name: str, figures: Figures) -> Table:
    """Lay out what a public code would have printed."""
    from rich.table import Table

    table = Table(title=f"as {name} prints it", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    for figure, value in figures.items():
        table.add_row(figure, "-" if value is None else _shown(value))
    return table


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.4f}"
