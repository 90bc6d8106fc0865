"""The metadata of Da-TACOS: one JSON file per subset, works on the outside, performances inside.

``da-tacos_metadata/da-tacos_benchmark_subset_metadata.json`` (Yesiler et al. 2019) reads::

    {"W_163992": {"P_547131": {"work_title": ..., "work_artist": ..., "perf_title": ...,
                               "perf_artist": ..., "release_year": "1976", "instrumental": "No",
                               "work_id": "W_163992", "perf_id": "P_547131",
                               "perf_artist_mbid": ..., "mb_performances": {...}}}}

Everything is text, and what is unknown is an empty string. The last two keys are there only where
the performance was matched with MusicBrainz; ``mb_performances`` stays JSON text in our tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..encoder.errors import CoverdexError, NotFoundError
from .performance import CHROMA_COLUMNS, RECORD_SCHEMA, PerformanceRecord
from .rejection import LISTED_TWICE, METADATA_DISAGREES, Rejection

_NAME_OF_KEY = {
    "perf_title": "title",
    "perf_artist": "artist",
    "work_title": "work_title",
    "work_artist": "work_artist",
}
_OWN_KEYS = {*_NAME_OF_KEY, "release_year", "instrumental", "work_id", "perf_id"}
_TRUTH = {"yes": True, "true": True, "no": False, "false": False}


@dataclass
class DatacosMetadata:
    """The records of one metadata file.

    Parameters
    ----------
    path : pathlib.Path
    records : dict of str to list of PerformanceRecord
        By performance id, sorted by work id; more than one where a performance is listed under
        several works. Whoever knows the feature files decides which one is right.
    rejections : list of Rejection
        Entries that contradict themselves.
    """

    path: Path
    records: dict[str, list[PerformanceRecord]] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as its pairs: a dict would drop a key that comes twice."""


def read_datacos_metadata(path: str | Path) -> DatacosMetadata:
    """Read a metadata file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    CoverdexError
        If it is no JSON of this layout at all; single wrong entries become rejections.
    """
    path = Path(path)
    try:
        works = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_Pairs)
    except FileNotFoundError:
        raise NotFoundError(f"no metadata file {path}; give an existing one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise CoverdexError(f"metadata {path} is no JSON ({error}); fetch it again") from error
    if not isinstance(works, _Pairs) or not all(isinstance(w, _Pairs) for _, w in works):
        raise CoverdexError(
            f"metadata {path} is not in the layout of Da-TACOS; "
            "give {work_id: {performance_id: {...}}}"
        )
    metadata = DatacosMetadata(path)
    for work_id, performances in works:
        for performance_id, entry in performances:
            _add(metadata, work_id, performance_id, entry)
    for records in metadata.records.values():
        records.sort(key=lambda record: record.work_id or "")
    return metadata


def _add(metadata: DatacosMetadata, work_id: str, performance_id: str, pairs: Any) -> None:
    def reject(reason: str, message: str) -> None:
        metadata.rejections.append(Rejection(str(metadata.path), performance_id, reason, message))

    if not isinstance(pairs, _Pairs) or not performance_id:
        reject(
            METADATA_DISAGREES,
            f"metadata of {performance_id!r} in {work_id} is no JSON object; "
            "give its titles and artists",
        )
        return
    entry = dict(pairs)
    for name, outside in (("work_id", work_id), ("perf_id", performance_id)):
        inside = entry.get(name) or outside
        if inside != outside:
            reject(
                METADATA_DISAGREES,
                f"metadata lists {performance_id} under {outside} but its own {name} is {inside}; "
                "correct one of them",
            )
            return
    listed = metadata.records.setdefault(performance_id, [])
    if any(record.work_id == work_id for record in listed):
        reject(
            LISTED_TWICE,
            f"metadata lists {performance_id} twice in {work_id}; the first entry is kept",
        )
        return
    listed.append(_record(work_id, performance_id, entry))


def _record(work_id: str, performance_id: str, entry: Mapping[str, Any]) -> PerformanceRecord:
    row: dict[str, Any] = {
        _free_name(key): _flat(value) for key, value in entry.items() if key not in _OWN_KEYS
    }
    row |= {name: _text(entry.get(key)) for key, name in _NAME_OF_KEY.items()}
    row |= {"performance_id": performance_id, "work_id": work_id}
    row["year"] = _year(entry.get("release_year"))
    if row["year"] is None and entry.get("release_year"):
        row["release_year"] = str(entry["release_year"])  # "c. 1930": kept as it is written
    row["instrumental"] = _TRUTH.get(str(entry.get("instrumental", "")).strip().lower())
    return PerformanceRecord.from_row(row)


def _free_name(key: str) -> str:
    return f"metadata_{key}" if key in RECORD_SCHEMA.names or key in CHROMA_COLUMNS else key


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _flat(value: Any) -> str | None:
    """Everything Da-TACOS adds is text or an object; objects stay JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, _Pairs):
        return {key: _plain(inner) for key, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _year(value: Any) -> int | None:
    """Return the year of "1976" and "1976-05-03"."""
    text = str(value or "").strip()[:4]
    return int(text) if len(text) == 4 and text.isascii() and text.isdigit() else None
