"""The folder that a benchmark leaves behind.

::

    out/
        report.html          the page, with all figures in it
        report.md            the table
        results.json         everything in numbers: spec, environment, protocol, leakage, systems
        queries/NAME.parquet one row per query and system
        figures/*.png

It is written beside its place and renamed when complete. A symbolic link stays one: what it points
to is replaced.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...encoder.errors import CoverdexError, NotFoundError
from ...search.durability import folder_in_the_making, publish_folder
from .comparison import COLUMNS, Comparison, compare
from .figures import draw_all
from .names import file_name
from .page import html, markdown
from .run import Results

if TYPE_CHECKING:
    import pyarrow as pa

#: The results in numbers; a folder without them is no report.
RESULTS = "results.json"
#: All that a report holds. A folder that holds anything else is somebody's and is not replaced.
PARTS = frozenset({RESULTS, "report.html", "report.md", "queries", "figures"})


def write_report(results: Results, out: str | Path) -> Path:
    """Write the report of a run; replaces an older report at the same place.

    Raises
    ------
    CoverdexError
        If there is something at ``out`` that is no report.
    """
    import pyarrow.parquet as pq

    out = Path(out)
    refuse_other_folder(out)
    with folder_in_the_making(out) as new:
        (new / "queries").mkdir()
        tables = query_tables(results)
        for name, table in tables.items():
            pq.write_table(table, new / "queries" / f"{file_name(name)}.parquet")
        figures = draw_all(results.outcomes, new / "figures")
        against = against_best(results, tables)
        (new / "report.html").write_text(html(results, figures, against), encoding="utf-8")
        (new / "report.md").write_text(markdown(results), encoding="utf-8")
        content = as_document(results, against)
        document = json.dumps(content, indent=2, ensure_ascii=False, default=str)
        (new / RESULTS).write_text(document + "\n", encoding="utf-8")
        publish_folder(new, out)
    return out


def check_that_it_can_be_written(out: Path) -> None:
    """Try to make a folder beside ``out``, before systems run whose results it is for.

    Raises
    ------
    CoverdexError
        If there is something at ``out`` that is no report.
    OSError
        If the disk refuses.
    """
    refuse_other_folder(out)
    with folder_in_the_making(out):
        pass


def refuse_other_folder(out: Path) -> None:
    """Raise if there is something at ``out`` that is neither empty nor a report.

    Raises
    ------
    CoverdexError
        What is there would be lost: a report is replaced as a whole.
    """
    if out.name in ("", ".."):
        raise CoverdexError(f"{out} has no name to write a report under; give a folder in it")
    if not out.exists():
        return
    found = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    if not out.is_dir() or (found and RESULTS not in found):
        raise CoverdexError(f"{out} exists and is no report; give another --out")
    if others := sorted(found - PARTS):
        raise CoverdexError(
            f"{out} holds {others[0]}, which is no part of a report and would be lost; give "
            "another --out, or move it away"
        )


def query_tables(results: Results) -> dict[str, pa.Table]:
    """Give the per-query table of every system."""
    return {
        outcome.name: outcome.evaluation.per_query(
            results.listed.performances, results.listed.works
        )
        for outcome in results.outcomes
    }


def against_best(results: Results, tables: dict[str, pa.Table]) -> dict[str, Comparison]:
    """Compare every system with the one of the largest MAP."""
    best = max(results.outcomes, key=lambda outcome: outcome.evaluation.map).name
    return {name: compare(tables[best], table) for name, table in tables.items() if name != best}


def as_document(results: Results, against: dict[str, Comparison]) -> dict[str, Any]:
    """Give all for JSON."""
    return {
        "spec": asdict(results.spec),
        "environment": results.environment,
        "n_rejected": results.n_rejected,
        "failed": {name: str(error) for name, error in results.failed.items()},
        "protocol": results.check.summary(),
        "leakage": results.leakage.summary(),
        "systems": [outcome.summary() for outcome in results.outcomes],
        "against_best": {name: c.summary() for name, c in against.items()},
    }


def read_query_table(report: str | Path, system: str | None = None) -> tuple[str, pa.Table]:
    """Read one system's per-query table of a report; the first one if no name is given.

    The table of one evaluation, a Parquet file, is read as well: its name is that of the file.

    Raises
    ------
    NotFoundError
        If there is no such report or system.
    CoverdexError
        If the report is damaged, or a file is no table of queries.
    """
    report = Path(report)
    if report.is_file():
        return report.name, _table_of_evaluation(report, system)
    names = [name for name, _ in _systems_of(report)]
    name = names[0] if system is None else system
    if name not in names:
        raise NotFoundError(f"{report} has no system {name!r}; it has {', '.join(names)}")
    import pyarrow as pa

    path = report / "queries" / f"{file_name(name)}.parquet"
    try:
        return name, _read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def read_n_candidates(report: str | Path, system: str) -> int:
    """Read among how many candidates a system of a report ranked; as :func:`read_query_table`."""
    report = Path(report)
    if report.is_file():
        return int(_table_of_evaluation(report, None).column("n_candidates")[0].as_py())
    return dict(_systems_of(report))[system] - 1


def _table_of_evaluation(path: Path, system: str | None) -> pa.Table:
    """Read what ``coverdex evaluate`` has saved of every query."""
    import pyarrow as pa

    if system is not None:
        raise NotFoundError(f"{path} is of one system and names none; leave {system!r} out")
    try:
        table = _read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise CoverdexError(
            f"{path} is no report and no Parquet file ({error}); give the folder of a report, or "
            "the figures of every query that 'coverdex evaluate' saves as Parquet"
        ) from error
    if missing := COLUMNS - set(table.column_names):
        raise CoverdexError(
            f"{path} lacks the column {min(missing)}; give the figures of every query that "
            "'coverdex evaluate' saves"
        )
    if table.num_rows == 0:
        raise CoverdexError(f"{path} has no queries; give the figures of an evaluation")
    return table


def _read_table(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path)


def _systems_of(report: Path) -> list[tuple[str, int]]:
    """Name the systems of a report, with the performances of their catalogue."""
    if not (report / RESULTS).is_file():
        raise NotFoundError(f"no report at {report}; make one with 'coverdex benchmark run'")
    try:
        document = json.loads((report / RESULTS).read_text(encoding="utf-8"))
        found = [(each["system"], each["counts"]["n_performances"]) for each in document["systems"]]
        if not found:
            raise ValueError("no system")
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(report / RESULTS, error) from error
    return found


def _damaged(path: Path, error: Exception) -> CoverdexError:
    return CoverdexError(
        f"{path} is not what a report holds ({error}); run 'coverdex benchmark run' again"
    )
