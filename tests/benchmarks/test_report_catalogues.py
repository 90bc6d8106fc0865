"""What a benchmark makes of its catalogue: what cannot be read, and the order that it stands in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.benchmarks.report.commands import benchmark
from coverdex.benchmarks.report.run import run
from coverdex.benchmarks.report.spec import read_spec
from coverdex.encoder.chroma import Chroma
from coverdex.encoder.errors import CoverdexError
from coverdex.indexer import (
    PerformanceRecord,
    build_index,
    open_catalogue,
    write_parquet_catalogue,
)
from typer.testing import CliRunner

from .written_spec import written

WORKS = [f"W_{i // 3}" for i in range(12)] + ["N_1", "N_2"]
NAMES = [f"P_{i:02}" for i in range(14)]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A small catalogue in the order of its ids, with a perfect ranking beside it."""
    folder = tmp_path_factory.mktemp("catalogue")
    rng = np.random.default_rng(0)
    pairs = [
        (PerformanceRecord(p, w, f"Song {w}"), Chroma(rng.random((160, 12)), frame_rate=4.0))
        for p, w in zip(NAMES, WORKS, strict=True)
    ]
    write_parquet_catalogue(folder / "catalogue.parquet", pairs)
    np.save(folder / "perfect.npy", np.equal.outer(WORKS, WORKS).astype(np.float32))
    return folder / "catalogue.parquet"


@pytest.fixture
def damaged(catalogue, tmp_path):
    """A catalogue of which one performance can't be read, and the index of the others."""
    table = pq.read_table(catalogue)
    frames = table.column("n_frames").to_pylist()
    wrong = pa.array([1, *frames[1:]], pa.int32())
    table = table.set_column(table.column_names.index("n_frames"), table.field("n_frames"), wrong)
    pq.write_table(table, tmp_path / "damaged.parquet")
    built = build_index(open_catalogue(tmp_path / "damaged.parquet"), tmp_path / "my.index")
    assert len(built.rejections) == 1
    spec = """
        catalogue = "damaged.parquet"
        [[rankings]]
        name = "mine"
        path = "my.index"
    """
    return written(tmp_path, spec)


def test_an_index_fits_the_catalogue_of_which_it_holds_what_can_be_read(damaged):
    # Rows in another order than that of ids, which is the order of an index.
    table = pq.read_table(damaged.parent / "damaged.parquet")
    pq.write_table(table.take(pa.array(range(13, -1, -1))), damaged.parent / "damaged.parquet")
    results = run(read_spec(damaged))
    assert results.listed.performances == NAMES[1:]
    assert (results.n_rejected, results.rejections[0].performance) == (1, NAMES[0])


def test_what_could_not_be_read_is_named(damaged, tmp_path):
    pytest.importorskip("matplotlib")
    for arguments in (
        ["run", str(damaged), "--out", str(tmp_path / "out")],
        ["leakage", str(tmp_path / "damaged.parquet")],
    ):
        told = CliRunner().invoke(benchmark, arguments, catch_exceptions=False).stderr
        assert "1 performances could not be read" in told
        assert NAMES[0] in told


def test_a_matrix_with_a_row_for_what_could_not_be_read_is_told_which(damaged, catalogue, tmp_path):
    spec = f"""
        catalogue = "damaged.parquet"
        systems = ["2DFTM"]
        [[rankings]]
        name = "perfect"
        path = "{catalogue.parent / "perfect.npy"}"
    """
    message = rf"14 rows and the catalogue 13 performances without .* \({NAMES[0]}\)"
    with pytest.raises(CoverdexError, match=message):
        run(read_spec(written(tmp_path, spec)))


def test_where_nothing_can_be_read_the_reason_is_named(catalogue, tmp_path):
    spec = f"""
        catalogue = "{catalogue}"
        kind = "crema"
        systems = ["2DFTM"]
    """
    with pytest.raises(CoverdexError, match=r"no two of the 0 .*14 could not be read.* crema is"):
        run(read_spec(written(tmp_path, spec)))


def test_what_an_index_lacks_of_the_catalogue_is_named(catalogue, damaged, tmp_path):
    spec = damaged.read_text().replace("damaged.parquet", str(catalogue))
    with pytest.raises(CoverdexError, match=rf"holds 13 .*\(it lacks {NAMES[0]}\)"):
        run(read_spec(written(tmp_path, spec)))


@pytest.mark.parametrize("systems", ['systems = ["2DFTM"]', ""])
def test_rankings_stand_in_the_order_of_ids_whatever_the_order_of_the_catalogue(
    catalogue, tmp_path, systems
):
    table = pq.read_table(catalogue)
    order = np.random.default_rng(1).permutation(len(table))
    pq.write_table(table.take(pa.array(order)), tmp_path / "shuffled.parquet")
    build_index(open_catalogue(tmp_path / "shuffled.parquet"), tmp_path / "my.index")
    spec = f"""
        catalogue = "shuffled.parquet"
        {systems}
        [[rankings]]
        name = "perfect"
        path = "{catalogue.parent / "perfect.npy"}"
        [[rankings]]
        name = "mine"
        path = "my.index"
    """
    results = run(read_spec(written(tmp_path, spec)))
    assert results.listed.performances == NAMES
    assert {o.name: o.evaluation.map for o in results.outcomes}["perfect"] == 1
