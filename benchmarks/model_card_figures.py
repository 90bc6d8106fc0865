"""Figures of a model card: what one evaluation found, as files that a card can quote.

A folder gets

* ``evaluation.md``: MAP with its 95% interval by work, MR1 and hits at 1 of every system, and how
  each encoder's result falls when the query is changed (:mod:`coverdex.benchmarks.robustness`),
  then the catalogue, the machine, the commit and the versions;
* ``evaluation.json``: the same and more, unrounded;
* ``<encoder>-changed-queries.png`` where matplotlib is installed and changes were measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from ..encoder.training.provenance import shortened
from .drawing import make_folder
from .robustness import RobustnessRow, as_markdown, draw

if TYPE_CHECKING:
    from .bootstrap import Interval
    from .side_by_side import SystemResult

#: Rows of :func:`~coverdex.benchmarks.robustness.measure_robustness` by the encoder's name.
ChangedQueries = Mapping[str, Sequence[RobustnessRow]]


def systems_markdown(results: Sequence[SystemResult]) -> str:
    """Write the systems side by side as a Markdown table."""
    lines = ["| method | MAP (95% by work) | MR1 (95% by work) | hits@1 |", "|---|---|---|---|"]
    for result in results:
        evaluation, intervals = result.evaluation, result.intervals
        lines.append(
            f"| {result.name} | {evaluation.map:.3f}{_interval(intervals['map'], 2)} "
            f"| {evaluation.mr1:.1f}{_interval(intervals['mr1'], 1)} "
            f"| {evaluation.hits_at_1:.3f} |"
        )
    return "\n".join(lines) + "\n"


def write_figures(
    folder: Path,
    document: Mapping[str, Any],
    results: Sequence[SystemResult],
    changed_queries: ChangedQueries,
) -> list[Path]:
    """Write the files that the module's text lists and return them.

    Parameters
    ----------
    folder : pathlib.Path
        Made if need be; files of these names are replaced.
    document : mapping
        What ``coverdex encoder evaluate --json`` prints: ``catalogue`` and ``environment`` are
        quoted in the Markdown.
    results : sequence of SystemResult
    changed_queries : mapping
        Empty where changes were not measured.
    """
    make_folder(folder)
    as_json = folder / "evaluation.json"
    as_json.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    counts = results[0].evaluation.counts
    parts = [
        f"{counts.n_performances:,} performances of {counts.n_works:,} works, "
        f"{counts.n_queries:,} queries.\n",
        systems_markdown(results),
    ]
    written = [as_json]
    for name, rows in changed_queries.items():
        parts += [f"## {name} when the query is changed\n", as_markdown(rows)]
        if find_spec("matplotlib") is not None:
            figure = folder / f"{name}-changed-queries.png"
            draw(rows, figure, title=f"{name}, {counts.n_performances:,} performances")
            written.append(figure)
    parts.append(_made_of(document))
    text = folder / "evaluation.md"
    text.write_text("\n".join(parts), encoding="utf-8")
    return [text, *written]


def _made_of(document: Mapping[str, Any]) -> str:
    environment = document["environment"]
    machine = environment["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items())
    parameters = [system["parameters"] for system in document["systems"]]
    encoders = ", ".join(each["encoder_id"] for each in parameters if "encoder_id" in each)
    named = "".join(f" -s {quote(system['system'])}" for system in document["systems"])
    kind = "" if document["kind"] == "hpcp" else f" --kind {document['kind']}"
    changed = " --changed" if document["changed_queries"] else ""
    return (
        f"`coverdex encoder evaluate {quote(document['catalogue'])}{named}{kind}{changed}`; "
        f"{encoders or 'no encoder'}; "
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}; "
        f"commit {shortened(environment['commit'])}; {versions}; {environment['date'][:10]}.\n"
    )


def _interval(interval: Interval | None, digits: int) -> str:
    return "" if interval is None else f" ({interval.low:.{digits}f}-{interval.high:.{digits}f})"
