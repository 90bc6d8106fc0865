"""Titles of seeds, for the list of what was trained on.

A table may have a column ``title``. Other collections write the title into the work's id:
``coco_Artist_TheTitle_1965.varms``, ``tune_thetitle_0012``. A title that a training list has under
its plain name is found in any catalogue, whose ids mean nothing outside of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

#: Ids that hold a title, by what they begin with.
_IN_ID = {
    "coco": re.compile(r"coco_[^_]+_(?P<title>[^_]+?)(?:\.varms|_repeat|_\d{4})*$"),
    "tune": re.compile(r"tune_(?P<title>.+)_\d+$"),
}

#: Where a word begins in a title without blanks.
_WORD_STARTS = re.compile(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z0-9])(?=[A-Z][a-z])")


def titles_in_tables(paths: Iterable[Path]) -> dict[str, str]:
    """Read the titles of versions from the tables that have them.

    Parameters
    ----------
    paths : iterable of Path
        Seeds; folders and tables without a column ``title`` are passed over.

    Returns
    -------
    dict of str to str
        Version id, as :class:`~.corpus.Version` has it, to title.
    """
    titles: dict[str, str] = {}
    for path in paths:
        if path.is_dir() or "title" not in (names := pq.read_schema(path).names):
            continue
        columns = [name for name in ("source", "version_id", "title") if name in names]
        for row in pq.read_table(path, columns=columns).to_pylist():
            if row["title"]:
                source = f"{row['source']}/" if row.get("source") else ""
                titles[f"{source}{row['version_id']}"] = row["title"]
    return titles


def title_in_id(work_id: str) -> str | None:
    """Read a title from the id of a work; None where there is none in it.

    >>> title_in_id("coco_TheKinks_BetterThings_1981.varms")
    'Better Things'
    >>> title_in_id("pop909_006") is None
    True
    """
    pattern = _IN_ID.get(work_id.partition("_")[0])
    found = pattern.match(work_id) if pattern else None
    return words_apart(found["title"]) if found else None


def words_apart(title: str) -> str:
    """Put blanks into a title without any: ``ColdSweatPart1`` is ``Cold Sweat Part 1``."""
    return _WORD_STARTS.sub(" ", title)
