from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.benchmarks.leakage import (
    Known,
    check_leakage,
    chroma_digest,
    near_duplicates_of,
    read_training_list,
)
from coverdex.benchmarks.similarity import EmbeddingSimilarity
from coverdex.encoder.chroma import Chroma
from coverdex.encoder.errors import CoverdexError, NotFoundError
from coverdex.indexer import PerformanceRecord, write_parquet_catalogue

CATALOGUE = [
    Known("P_1", "W_1", "Hurt", "aa"),
    Known("P_2", "W_1", "Hurt (Live)", "bb"),
    Known("P_3", "W_2", "HURT", "aa"),
    Known("P_4", "W_3", "La Mer", "cc"),
    Known("P_5", None, None, None),
]
TRAINING = [
    Known("T_1", "W_3", "The Sea", "cc"),
    Known("P_2", "W_9", "hurt - remastered 2011", "dd"),
    Known("T_3", None, "", None),
]


def test_everything_that_both_have_is_named():
    found = check_leakage(CATALOGUE, TRAINING, training_name="list.csv")
    assert found.shared_works == ["W_3"]
    assert found.shared_performances == ["P_2"]
    assert found.shared_recordings == [("T_1", "P_4")]
    assert found.shared_titles == ["hurt"]
    assert found.duplicates == [("P_1", "P_3")]
    assert found.titles_of_several_works == [("hurt", ["W_1", "W_2"])]
    assert (found.training, found.n_training) == ("list.csv", 3)
    assert "1 works, 1 performances, 1 recordings, 1 titles" in found.verdict


def test_nothing_known_is_not_nothing_shared():
    assert "unknown" in check_leakage(CATALOGUE).verdict
    other = [Known("x", "y", "z", "0")]
    assert "nothing shared" in check_leakage(CATALOGUE, other).verdict


def test_recordings_embedded_alike_across_the_lists():
    one, other = np.float32([1, 0]), np.float32([0.9999, 0.01])
    far = np.float32([0, 1])
    catalogue = [Known("P_1", embedding=far), Known("P_2", embedding=one), Known("P_3")]
    found = check_leakage(catalogue, [Known("T_1", embedding=other), Known("T_2")])
    assert found.shared_embeddings == [("T_1", "P_2", pytest.approx(0.9999))]
    assert "1 near-duplicate recordings" in found.verdict


def test_digest_is_of_values_rate_and_kind():
    values = np.random.default_rng(0).random((5, 12))
    chroma = Chroma(values, frame_rate=10.0)
    assert chroma_digest(chroma) == chroma_digest(Chroma(values.copy(), frame_rate=10.0))
    values[2, 3] += 1e-6
    assert chroma_digest(chroma) != chroma_digest(Chroma(values, frame_rate=10.0))
    assert chroma_digest(chroma) != chroma_digest(Chroma(chroma.values, frame_rate=20.0))


def test_near_duplicates_across_blocks():
    rng = np.random.default_rng(4)
    vectors = rng.normal(size=(600, 64))
    vectors[577] = vectors[3] + 0.001 * rng.normal(size=64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = near_duplicates_of(EmbeddingSimilarity(vectors), [f"P_{i:03}" for i in range(600)])
    assert [(a, b) for a, b, _ in found] == [("P_003", "P_577")]
    assert found[0][2] == pytest.approx(1, abs=1e-4)


def test_training_lists_in_every_form(tmp_path):
    table = pa.table({"work_id": ["W_1"], "version_id": ["v1"], "title": ["Hurt"], "x": [1]})
    pq.write_table(table, tmp_path / "seeds.parquet")
    assert read_training_list(tmp_path / "seeds.parquet") == [Known("v1", "W_1", "Hurt")]
    (tmp_path / "works.csv").write_text("work_id\nW_1\n7\n")
    assert [k.work_id for k in read_training_list(tmp_path / "works.csv")] == ["W_1", "7"]
    chroma = Chroma(np.random.default_rng(0).random((5, 12)), frame_rate=10.0)
    write_parquet_catalogue(
        tmp_path / "catalogue.parquet", [(PerformanceRecord("P_1", "W_1"), chroma)]
    )
    (known,) = read_training_list(tmp_path / "catalogue.parquet", embed=lambda c: c.values[0])
    assert known.embedding is not None
    # A Parquet catalogue keeps eight bits of each value.
    assert known.embedding.tolist() == pytest.approx(chroma.values[0].tolist(), abs=0.003)
    assert known.performance_id == "P_1"
    assert known.digest is not None


def test_wrong_training_lists_are_refused(tmp_path):
    with pytest.raises(NotFoundError, match=r"none\.csv"):
        read_training_list(tmp_path / "none.csv")
    (tmp_path / "titles.csv").write_text("title\nHurt\n")
    with pytest.raises(CoverdexError, match="work_id"):
        read_training_list(tmp_path / "titles.csv")
