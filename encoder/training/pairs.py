"""Pairs: which performances are compared in training, and which works training never sees.

Twin networks learn from labelled pairs: two performances, and whether they are covers (y = 0) or of
different works (y = 1). A table of pairs holds ids, not features, and is kept as Parquet beside the
run, so that anyone can see what was trained on.

Works, not pairs, are divided into training and held-out ones, and pairs are made within each part.
Were pairs divided, the same recordings would be on both sides and the held-out accuracy would
measure memory.

=================  =======  ==========================================================
column             type     meaning
=================  =======  ==========================================================
``performance_a``  string   id of one performance
``performance_b``  string   id of the other, not the same
``work_a``         string   work of the first
``work_b``         string   work of the second
``different``      bool     y: false for covers, true for different works
``split``          string   ``train`` or ``held-out``; all pairs of a work are in one
=================  =======  ==========================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import TrainingError
from .same_titles import groups_by_title

TRAIN = "train"
HELD_OUT = "held-out"

PAIR_SCHEMA = pa.schema(
    [
        pa.field("performance_a", pa.string(), nullable=False),
        pa.field("performance_b", pa.string(), nullable=False),
        pa.field("work_a", pa.string(), nullable=False),
        pa.field("work_b", pa.string(), nullable=False),
        pa.field("different", pa.bool_(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
    ]
)


def split_works(
    works: Sequence[str],
    held_out: float,
    seed: int,
    *,
    group_of: Mapping[str, int] | None = None,
) -> dict[str, str]:
    """Divide works into training and held-out ones.

    Parameters
    ----------
    works : sequence of str
        Work ids, in any order and number of repetitions.
    held_out : float
        Share of the works that are held out, 0 to below 1.
    seed : int
        Decides which.
    group_of : mapping of str to int, optional
        Works with equal numbers may be the same one (:mod:`.same_titles`). A work that was to be
        held out is trained on if another of its group is: it would be no unseen one.

    Returns
    -------
    dict of str to str
        Work to ``"train"`` or ``"held-out"``.
    """
    if not 0 <= held_out < 1:
        raise TrainingError(f"held_out is {held_out!r}; give a share from 0 to below 1")
    distinct = sorted(set(works))
    chosen = np.random.default_rng([seed, 0]).permutation(len(distinct))
    n_held_out = round(held_out * len(distinct))
    held = {distinct[i] for i in chosen[:n_held_out]}
    if group_of is not None:
        trained = {group_of[work] for work in distinct if work not in held}
        held = {work for work in held if group_of[work] not in trained}
    return {work: HELD_OUT if work in held else TRAIN for work in distinct}


def make_pairs(
    work_of: Mapping[str, str],
    *,
    dissimilar_percentage: float = 50.0,
    held_out: float = 0.2,
    seed: int = 0,
    titles: Mapping[str, str | None] | None = None,
) -> pa.Table:
    """Make all pairs of covers, and as many others as the percentage asks for.

    Parameters
    ----------
    work_of : mapping of str to str
        Performance id to work id.
    dissimilar_percentage : float, default 50
        Percentage of all pairs that are of different works, 0 to below 100.
    held_out : float, default 0.2
        Share of the works whose pairs are held out. Where they are too few for the percentage, they
        have fewer pairs of different works.
    seed : int
        Decides the division and the pairs of different works.
    titles : mapping of str to str or None, optional
        Performance id to title. Works that share one may be the same (:mod:`.same_titles`) and make
        no pair of different works.

    Returns
    -------
    pyarrow.Table
        As described above, each unordered pair at most once, training pairs first.

    Raises
    ------
    TrainingError
        Training has no pair of covers, or there are too few works for the pairs asked for.
    """
    if not 0 <= dissimilar_percentage < 100:
        raise TrainingError(
            f"dissimilar_percentage is {dissimilar_percentage!r}; give 0 to below 100"
        )
    group_of = _groups(work_of, titles or {})
    group_of_work = {work: group_of[performance] for performance, work in work_of.items()}
    split_of = split_works(list(work_of.values()), held_out, seed, group_of=group_of_work)
    rng = np.random.default_rng([seed, 1])
    rows: list[tuple[str, str]] = []
    for split in (TRAIN, HELD_OUT):
        performances = sorted(p for p, work in work_of.items() if split_of[work] == split)
        covers = _cover_pairs(performances, work_of)
        if split == TRAIN and not covers:
            raise TrainingError(
                "no work of the training part has two performances, so there is no pair of "
                "covers; give a catalogue with covers or a smaller held_out"
            )
        n_different = round(len(covers) * dissimilar_percentage / (100 - dissimilar_percentage))
        n_existing = _count_different_pairs(performances, group_of)
        if split == TRAIN and n_different > n_existing:
            raise TrainingError(
                f"{n_different} training pairs of different works are wanted and {n_existing} "
                "exist; lower dissimilar_percentage or give more works"
            )
        rows += covers
        rows += _different_pairs(performances, group_of, min(n_different, n_existing), rng)
    return _table(rows, work_of, split_of)


def write_pairs(pairs: pa.Table, path: Path) -> None:
    """Write a table of pairs as Parquet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pairs, path, compression="zstd")


def read_pairs(path: Path) -> pa.Table:
    """Read a table of pairs.

    Raises
    ------
    TrainingError
        It is no Parquet file of pairs, or a row contradicts itself.
    """
    try:
        table = pq.read_table(path)
        pairs = table.select(PAIR_SCHEMA.names).cast(PAIR_SCHEMA)
    except (OSError, KeyError, ValueError, pa.ArrowException) as error:  # ValueError: a null
        raise TrainingError(
            f"{path} cannot be read as a table of pairs ({error}); give Parquet with the columns "
            f"{', '.join(PAIR_SCHEMA.names)}"
        ) from error
    for number, row in enumerate(pairs.to_pylist(), 1):
        if problem := _contradiction(row):
            raise TrainingError(f"{path}, row {number}: {problem}")
    return pairs


def _contradiction(row: Mapping[str, Any]) -> str | None:
    """Say what is wrong with a pair, if anything is; a label must not be passed over."""
    if row["split"] not in (TRAIN, HELD_OUT):
        return f"split is {row['split']!r}; give {TRAIN!r} or {HELD_OUT!r}"
    if row["performance_a"] == row["performance_b"]:
        return f"{row['performance_a']} is paired with itself; give two performances"
    if row["different"] != (row["work_a"] != row["work_b"]):
        return (
            f"different is {row['different']}, but the works are {row['work_a']} and "
            f"{row['work_b']}; covers are of one work, others of two"
        )
    return None


def _cover_pairs(performances: list[str], work_of: Mapping[str, str]) -> list[tuple[str, str]]:
    versions: dict[str, list[str]] = {}
    for performance in performances:
        versions.setdefault(work_of[performance], []).append(performance)
    return [pair for work in sorted(versions) for pair in combinations(versions[work], 2)]


def _groups(work_of: Mapping[str, str], titles: Mapping[str, str | None]) -> dict[str, int]:
    """Map each performance to a number that works which may be the same have in common."""
    of_work: dict[str, list[str | None]] = {}
    for performance, work in work_of.items():
        of_work.setdefault(work, []).append(titles.get(performance))
    group = dict(zip(of_work, groups_by_title(list(of_work.values())).tolist(), strict=True))
    return {performance: group[work] for performance, work in work_of.items()}


def _count_different_pairs(performances: list[str], group_of: Mapping[str, int]) -> int:
    sizes = Counter(group_of[performance] for performance in performances).values()
    return (len(performances) ** 2 - sum(size * size for size in sizes)) // 2


def _different_pairs(
    performances: list[str], group_of: Mapping[str, int], n_wanted: int, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """Draw pairs of different works, none twice, uniformly among all there are."""
    if 2 * n_wanted > _count_different_pairs(performances, group_of):
        # Most of them: listing beats drawing and missing.
        everything = [
            (a, b) for a, b in combinations(performances, 2) if group_of[a] != group_of[b]
        ]
        return [everything[i] for i in sorted(rng.permutation(len(everything))[:n_wanted])]
    drawn: set[tuple[str, str]] = set()
    while len(drawn) < n_wanted:
        i, j = sorted(rng.integers(0, len(performances), 2).tolist())
        if group_of[performances[i]] != group_of[performances[j]]:
            drawn.add((performances[i], performances[j]))
    return sorted(drawn)


def _table(
    rows: list[tuple[str, str]], work_of: Mapping[str, str], split_of: Mapping[str, str]
) -> pa.Table:
    works = [(work_of[a], work_of[b]) for a, b in rows]
    return pa.table(
        {
            "performance_a": [a for a, _ in rows],
            "performance_b": [b for _, b in rows],
            "work_a": [a for a, _ in works],
            "work_b": [b for _, b in works],
            "different": [a != b for a, b in works],
            "split": [split_of[a] for a, _ in works],
        },
        schema=PAIR_SCHEMA,
    )
