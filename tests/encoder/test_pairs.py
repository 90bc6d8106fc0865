"""Pairs: labels are right, works are on one side only, and the percentage is what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import TrainingError
from coverdex.encoder.training.pairs import (
    HELD_OUT,
    TRAIN,
    make_pairs,
    read_pairs,
    split_works,
    write_pairs,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def catalogue(*sizes: int) -> dict[str, str]:
    """Performances of works of the given sizes."""
    return {f"P_{w}_{v}": f"W_{w}" for w, size in enumerate(sizes) for v in range(size)}


catalogues = st.lists(st.integers(1, 4), min_size=4, max_size=14).map(
    lambda sizes: catalogue(2, 2, 2, 2, *sizes)
)


@settings(max_examples=50, deadline=None)
@given(work_of=catalogues, held_out=st.floats(0, 0.6), seed=st.integers(0, 99))
def test_no_work_is_on_both_sides(work_of: dict[str, str], held_out: float, seed: int) -> None:
    rows = make_pairs(work_of, held_out=held_out, seed=seed, dissimilar_percentage=30).to_pylist()
    works = {
        part: {row[key] for row in rows if row["split"] == part for key in ("work_a", "work_b")}
        for part in (TRAIN, HELD_OUT)
    }
    assert works[TRAIN].isdisjoint(works[HELD_OUT])
    performances = {
        part: {
            row[key]
            for row in rows
            if row["split"] == part
            for key in ("performance_a", "performance_b")
        }
        for part in (TRAIN, HELD_OUT)
    }
    assert performances[TRAIN].isdisjoint(performances[HELD_OUT])


@settings(max_examples=50, deadline=None)
@given(work_of=catalogues, percentage=st.floats(0, 60), seed=st.integers(0, 99))
def test_pairs_are_right_and_none_comes_twice(
    work_of: dict[str, str], percentage: float, seed: int
) -> None:
    rows = make_pairs(work_of, dissimilar_percentage=percentage, held_out=0, seed=seed).to_pylist()
    for row in rows:
        assert row["performance_a"] != row["performance_b"]
        assert row["work_a"] == work_of[row["performance_a"]]
        assert row["work_b"] == work_of[row["performance_b"]]
        assert row["different"] == (row["work_a"] != row["work_b"])
    pairs = [frozenset((row["performance_a"], row["performance_b"])) for row in rows]
    assert len(set(pairs)) == len(pairs)
    # Every pair of covers that exists is there.
    names = sorted(work_of)
    n_covers = sum(work_of[a] == work_of[b] for a in names for b in names if a < b)
    n_different = sum(row["different"] for row in rows)
    assert len(rows) - n_different == n_covers
    assert abs(n_different - len(rows) * percentage / 100) <= 1


def test_percentage_by_hand() -> None:
    work_of = catalogue(3, 3, 3)  # nine pairs of covers
    for percentage, n_different in ((0, 0), (10, 1), (50, 9), (75, 27)):
        pairs = make_pairs(work_of, dissimilar_percentage=percentage, held_out=0)
        assert sum(pairs["different"].to_pylist()) == n_different
        assert pairs.num_rows == 9 + n_different


def test_seed_decides() -> None:
    work_of = catalogue(*[2] * 20)
    first = make_pairs(work_of, seed=1)
    assert first.equals(make_pairs(dict(reversed(work_of.items())), seed=1))
    assert not first.equals(make_pairs(work_of, seed=2))


def test_share_of_held_out_works() -> None:
    works = [f"W_{i}" for i in range(50)]
    split = split_works(works * 2, 0.2, seed=0)
    assert sorted(split) == sorted(works)
    assert sum(part == HELD_OUT for part in split.values()) == 10


@pytest.mark.parametrize(
    ("work_of", "options", "message"),
    [
        (catalogue(1, 1, 1), {"held_out": 0}, "no pair of covers"),
        (catalogue(2), {"held_out": 0}, "0 exist"),
        (catalogue(2, 2), {"held_out": 0, "dissimilar_percentage": 90}, "4 exist"),
        (catalogue(2, 2), {"dissimilar_percentage": 100}, "dissimilar_percentage"),
        (catalogue(2, 2), {"held_out": 1}, "held_out"),
    ],
)
def test_what_cannot_be_paired(
    work_of: dict[str, str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        make_pairs(work_of, **options)


def test_tables_are_small_parquet_of_ids(tmp_path: Path) -> None:
    pairs = make_pairs(catalogue(*[3] * 30))
    write_pairs(pairs, tmp_path / "run" / "pairs.parquet")
    assert read_pairs(tmp_path / "run" / "pairs.parquet").equals(pairs)
    assert (tmp_path / "run" / "pairs.parquet").stat().st_size < 10_000


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    path.write_text("performance_a,performance_b")
    with pytest.raises(TrainingError, match="cannot be read as a table of pairs"):
        read_pairs(path)
    pq.write_table(pa.table({"performance_a": ["P_1"]}), path)
    with pytest.raises(TrainingError, match="performance_b"):
        read_pairs(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"split": "test"}, "row 2: split is 'test'"),
        ({"different": True}, "different is True, but the works are W_0 and W_0"),
        ({"work_b": "W_9"}, "different is False"),
        ({"performance_b": "P_0_0"}, "paired with itself"),
        ({"work_a": None}, "null"),
    ],
)
def test_a_pair_that_contradicts_itself_is_named(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    first, second, *_ = make_pairs(catalogue(3, 3), dissimilar_percentage=0).to_pylist()
    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.Table.from_pylist([first, {**second, **changed}]), path)
    with pytest.raises(TrainingError, match=said):
        read_pairs(path)


def test_no_work_is_held_out_that_may_be_a_trained_one() -> None:
    works = [f"W_{i}" for i in range(20)]
    plain = split_works(works, 0.5, seed=3)
    assert split_works(works, 0.5, seed=3, group_of={w: i for i, w in enumerate(works)}) == plain
    twins = {work: i // 2 for i, work in enumerate(works)}
    split = split_works(works, 0.5, seed=3, group_of=twins)
    for one, other in zip(works[::2], works[1::2], strict=True):
        alone = plain[one] != plain[other]
        assert split[one] == split[other] == (TRAIN if alone else plain[one])
    assert HELD_OUT in split.values()


def test_pairs_of_held_out_works_are_of_other_titles_than_those_of_training() -> None:
    work_of = {f"P_{i}_{k}": f"W_{i}" for i in range(20) for k in range(2)}
    titles = {p: f"Song {int(w[2:]) // 2}" for p, w in work_of.items()}
    rows = make_pairs(work_of, held_out=0.5, seed=3, titles=titles).to_pylist()
    heard: dict[str, set[str | None]] = {TRAIN: set(), HELD_OUT: set()}
    for row in rows:
        heard[row["split"]] |= {titles[row["performance_a"]], titles[row["performance_b"]]}
    assert heard[HELD_OUT]
    assert not heard[TRAIN] & heard[HELD_OUT]
