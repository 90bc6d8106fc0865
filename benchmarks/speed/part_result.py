"""The result of one part of the speed benchmark: a table, and how it was made.

Each part writes two files, ``<part>.json`` with every number and ``<part>.md`` with the table as it
stands in ``docs/performance.md``; both name data, machine, commit and versions.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...encoder.training.provenance import shortened

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Column:
    """One column of a result's table.

    Parameters
    ----------
    key : str
        In the rows.
    heading : str
    form : str, default ""
        Format specification for numbers, such as ``",.0f"``; text stands as it is.
    """

    key: str
    heading: str
    form: str = ""

    def text(self, row: Mapping[str, Any]) -> str:
        """Write a row's value; a missing one is a dash."""
        value = row.get(self.key)
        if value is None:
            return "-"
        return value if isinstance(value, str) else format(value, self.form)


@dataclass(frozen=True)
class PartResult:
    """What one part measured.

    Parameters
    ----------
    part : str
        Its name, such as ``"query"``.
    title : str
    settings : mapping
        Data, sizes, threads and whatever else the numbers depend on; goes into the JSON file.
    columns : sequence of Column
        Of the table; the JSON file has all that is in the rows.
    rows : sequence of mapping
    notes : sequence of str
        Lines under the table: what is compared with what, what was left out and why.
    """

    part: str
    title: str
    settings: Mapping[str, Any]
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    notes: Sequence[str] = ()

    def as_markdown(self) -> str:
        """Write title, table and notes as Markdown."""
        head = "| " + " | ".join(column.heading for column in self.columns) + " |"
        lines = [f"### {self.title}", "", head, "|" + self._alignment() + "|"]
        lines += [
            "| " + " | ".join(column.text(row) for column in self.columns) + " |"
            for row in self.rows
        ]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)]) + "\n"

    def as_table(self) -> Table:
        """Lay the table out for a terminal."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(
            title=escape(self.title),
            title_justify="left",
            caption=escape("\n".join(self.notes)),
            caption_justify="left",
        )
        for column in self.columns:
            table.add_column(column.heading, justify="right" if column.form else "left")
        for row in self.rows:
            table.add_row(*(escape(column.text(row)) for column in self.columns))
        return table

    def document(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "part": self.part,
            "title": self.title,
            "settings": self.settings,
            "rows": self.rows,
            "notes": self.notes,
        }

    def write(self, folder: Path, environment: Mapping[str, Any]) -> None:
        """Write both files.

        Parameters
        ----------
        folder : Path
            Made if need be.
        environment : mapping
            When, on what machine, with which versions and at which commit; see
            :func:`coverdex.benchmarks.report.run.environment`.
        """
        folder.mkdir(parents=True, exist_ok=True)
        document = {"environment": environment, **self.document()}
        text = json.dumps(document, indent=2, ensure_ascii=False, default=list) + "\n"
        (folder / f"{self.part}.json").write_text(text, encoding="utf-8")
        made = "\n" + made_on(environment) + "\n"
        (folder / f"{self.part}.md").write_text(self.as_markdown() + made, encoding="utf-8")

    def _alignment(self) -> str:
        return "|".join("---:" if column.form else "---" for column in self.columns)


def made_on(environment: Mapping[str, Any]) -> str:
    """Say in a line when, where and with what something was measured."""
    machine, versions = environment["machine"], environment["versions"]
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    return (
        f"{environment['date'][:10]}, {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}; commit {shortened(environment['commit'])}; {named}"
    )
