"""The description of a catalogue as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from .dataset_description import DatasetDescription, Spread


def dataset_table(description: DatasetDescription, *, title: str) -> Table:
    """Lay out a description."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for section in (_size(description), _covers(description), _spreads(description)):
        for name, text in section:
            table.add_row(name, text)
        table.add_section()
    n = description.n_performances
    for column, missing in description.missing.items():
        if missing:
            table.add_row(f"without {column}", f"{missing:,} ({missing / n:.0%})" if n else "0")
    return table


def _size(d: DatasetDescription) -> list[tuple[str, str]]:
    largest = sorted(d.works_by_size.items(), reverse=True)
    sizes = ", ".join(f"{works:,} x {size}" for size, works in largest[:6])
    rows = [
        ("performances", f"{d.n_performances:,}"),
        ("works", f"{d.n_works:,}"),
        ("works by size", sizes + (", ..." if len(largest) > 6 else "")),
        ("pairs of covers", f"{d.n_pairs:,}"),
    ]
    return [*rows, ("could not be read", f"{d.rejected:,}")] if d.rejected else rows


def _covers(d: DatasetDescription) -> list[tuple[str, str]]:
    rows = []
    if d.titles.n_pairs:
        rows = [
            ("pairs with the same title", f"{d.titles.same:.1%}"),
            ("  but for remarks (live, remix, ...)", f"{d.titles.same_without_remarks:.1%}"),
            ("  TF-IDF cosine 0.5 or more", f"{d.titles.similar:.1%}"),
            ("  mean TF-IDF cosine", f"{d.titles.mean_cosine:.3f}"),
        ]
    if d.same_artist is not None:
        rows.append(("pairs with the same artist", f"{d.same_artist:.1%}"))
    return rows


def _spreads(d: DatasetDescription) -> list[tuple[str, str]]:
    rows = []
    if d.years is not None:
        rows.append(("years", _range(d.years, "")))
    if d.years_apart is not None:
        rows.append(("years between covers", _range(d.years_apart, "")))
    if d.durations is not None:
        rows.append(("seconds", _range(d.durations, " s")))
    if d.hours is not None:
        rows.append(("in all", f"{d.hours:.1f} hours"))
    return rows


def _range(spread: Spread, unit: str) -> str:
    return f"{spread.least:.0f} to {spread.largest:.0f}{unit}, median {spread.median:.0f}{unit}"
