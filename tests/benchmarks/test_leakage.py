from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.benchmarks.leakage import Known, Learnt, check_leakage, chroma_digest
from coverdex.benchmarks.near_duplicates import near_duplicates_of
from coverdex.benchmarks.rankings import open_ranking
from coverdex.benchmarks.report.commands import benchmark
from coverdex.benchmarks.similarity import EmbeddingSimilarity
from coverdex.benchmarks.training_lists import (
    leakage_of_ranking,
    learnt_by,
    learnt_by_ranking,
    read_training_list,
)
from coverdex.encoder import Encoder, load_checkpoint, save_checkpoint
from coverdex.encoder.chroma import Chroma, ChromaKind
from coverdex.encoder.errors import CoverdexError, NotFoundError
from coverdex.encoder.training_list import TrainedPerformance, TrainingList
from coverdex.indexer import (
    PerformanceRecord,
    build_index,
    open_catalogue,
    write_parquet_catalogue,
)
from typer.testing import CliRunner

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
    leakage = check_leakage(CATALOGUE, [Learnt("list.csv", TRAINING)])
    (found,) = leakage.trainings
    assert found.shared_works == ["W_3"]
    assert found.shared_performances == ["P_2"]
    assert found.shared_recordings == [("T_1", "P_4")]
    assert found.shared_titles == ["hurt"]
    assert leakage.duplicates == [("P_1", "P_3")]
    assert leakage.titles_of_several_works == [("hurt", ["W_1", "W_2"])]
    assert (found.training, found.n_training) == ("list.csv", 3)
    assert "1 works, 1 performances, 1 recordings, 1 titles" in leakage.verdict
    assert leakage.summary()["trainings"][0]["verdict"] == found.verdict == leakage.verdict


def test_nothing_known_is_not_nothing_shared():
    unknown = check_leakage(CATALOGUE, unknown=["my-net"]).verdict
    assert "unknown for my-net" in unknown
    assert "benchmark leakage takes one, or the checkpoint's folder" in unknown
    other = Learnt("a list", [Known("x", "y", "z", "0")])
    assert "nothing found" in check_leakage(CATALOGUE, [other]).verdict
    assert "titles" not in check_leakage(CATALOGUE, [other]).verdict
    untitled = check_leakage([Known("one", None, None, None)], [other]).verdict
    assert untitled.endswith("titles could not be compared, the catalogue has none")
    assert check_leakage(CATALOGUE).verdict == "no system here was trained"


def test_several_systems_without_a_list_are_they():
    assert "what it was trained on" in check_leakage([], unknown=["one"]).verdict
    assert "what they were trained on" in check_leakage([], unknown=["one", "other"]).verdict


def test_what_was_not_compared_is_not_called_clean():
    titles = [Known("P_1", "W_1", "Hurt"), Known("P_2", "W_2", "Hurt (live)")]
    assert check_leakage(titles).within == (
        "within the catalogue 1 titles of several works, not compared: chroma, embeddings"
    )
    heard = [Known("P_1", digest="0"), Known("P_2", digest="0")]
    assert check_leakage(heard, near_duplicates=[]).within == (
        "within the catalogue 1 pairs of equal chroma, 0 pairs of nearly equal embeddings, "
        "not compared: titles"
    )


def test_every_list_has_a_verdict_of_its_own():
    lists = [Learnt("one", TRAINING), Learnt("other", [Known("x", "y")], complete=False)]
    leakage = check_leakage(CATALOGUE, lists, unknown=["third"])
    assert [bool(shared.shared_works) for shared in leakage.trainings] == [True, False]
    first, second, third = leakage.verdict.split("; ")
    assert first.startswith("shares 1 works")
    assert first.endswith("one (3 performances)")
    assert second.endswith("other (1 performances, a list that is not complete)")
    assert "third" in third


@pytest.mark.parametrize(
    ("listed", "given"),
    [
        ("Caught Up In The Rapture", "Caught up in the Rapture (Live)"),
        ("oldsnuffshop", "The Old Snuff Shop"),
        ("The Kiss", "Kiss"),
        ("The Man I Love", "Man I Love, The (Live)"),
    ],
)
def test_titles_are_compared_without_blanks_and_articles(listed, given):
    (found,) = check_leakage(
        [Known("P_1", "W_1", given), Known("P_2", "W_2", "Another")],
        [Learnt("list", [Known("T_1", "V_1", listed)])],
    ).trainings
    assert len(found.shared_titles) == 1


def test_recordings_embedded_alike_across_the_lists():
    one, other = np.float32([1, 0]), np.float32([0.9999, 0.01])
    far = np.float32([0, 1])
    catalogue = [Known("P_1", embedding=far), Known("P_2", embedding=one), Known("P_3")]
    learnt = Learnt("list", [Known("T_1", embedding=other), Known("T_2")])
    (found,) = check_leakage(catalogue, [learnt]).trainings
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


def test_where_all_are_alike_no_more_pairs_are_named_than_a_report_holds():
    names = [f"P_{i:03}" for i in range(500)]  # 124,750 pairs
    vectors = np.full((500, 16), 0.25, dtype=np.float32)
    found = near_duplicates_of(EmbeddingSimilarity(vectors), names)
    assert len(found) == 100_000
    known = [Known(name, name, None, "digest", vectors[0]) for name in names]
    leakage = check_leakage(known, [Learnt("list", known)], near_duplicates=found)
    assert len(leakage.duplicates) == 100_000
    assert "100,000 or more pairs of equal chroma" in leakage.within
    assert "100,000 or more pairs of nearly equal embeddings" in leakage.within
    (shared,) = leakage.trainings
    assert len(shared.shared_recordings) == len(shared.shared_embeddings) == 100_000
    assert "100,000 or more recordings, 100,000 or more near-duplicate" in shared.verdict


def test_training_lists_in_every_form(tmp_path):
    table = pa.table({"work_id": ["W_1"], "version_id": ["v1"], "title": ["Hurt"], "x": [1]})
    pq.write_table(table, tmp_path / "seeds.parquet")
    seeds = read_training_list(tmp_path / "seeds.parquet")
    assert seeds.performances == [Known("v1", "W_1", "Hurt")]
    (tmp_path / "works.csv").write_text("work_id\nW_1\n7\n")
    works = read_training_list(tmp_path / "works.csv")
    assert [k.work_id for k in works.performances] == ["W_1", "7"]
    for name, separator in (("list.tsv", "\t"), ("LIST.CSV", ",")):
        (tmp_path / name).write_text(f"work_id{separator}title\n0012{separator}Hurt\n")
        assert read_training_list(tmp_path / name).performances == [Known(None, "0012", "Hurt")]
    chroma = Chroma(np.random.default_rng(0).random((5, 12)), frame_rate=10.0)
    write_parquet_catalogue(
        tmp_path / "catalogue.parquet", [(PerformanceRecord("P_1", "W_1"), chroma)]
    )
    catalogue = tmp_path / "catalogue.parquet"
    (known,) = read_training_list(catalogue, embed=lambda c: c.values[0]).performances
    assert known.embedding is not None
    # A Parquet catalogue keeps eight bits of each value.
    assert known.embedding.tolist() == pytest.approx(chroma.values[0].tolist(), abs=0.003)
    assert known.performance_id == "P_1"
    assert known.digest is not None


def test_a_catalogue_that_was_trained_on_is_read_as_the_kind_that_is_evaluated(tmp_path):
    chroma = Chroma(np.random.default_rng(0).random((50, 12)), kind=ChromaKind.CREMA)
    catalogue = str(tmp_path / "catalogue.parquet")
    write_parquet_catalogue(catalogue, [(PerformanceRecord("P_1", "W_1"), chroma)])
    arguments = ["leakage", catalogue, "--training", catalogue, "--kind", "crema", "--json"]
    document = json.loads(CliRunner().invoke(benchmark, arguments).stdout)
    assert document["trainings"][0]["shared_recordings"] == [["P_1", "P_1"]]


def test_ids_that_are_numbers_with_gaps_among_them_are_the_same_ids(tmp_path):
    table = pa.table({"work_id": [12.0, None, float("nan"), 1.5], "track_id": [7.0, 8.0, 9.0, 1e3]})
    pq.write_table(table, tmp_path / "list.parquet")
    known = read_training_list(tmp_path / "list.parquet").performances
    assert [k.work_id for k in known] == ["12", None, None, "1.5"]
    assert [k.performance_id for k in known] == ["7", "8", "9", "1000"]


def test_numbers_with_gaps_among_them_are_the_same_ids_in_csv_too(tmp_path):
    (tmp_path / "list.csv").write_text("work_id,performance_id\n12.0,7.0\n,\n 13 ,1.5\n1.0,x\n")
    learnt = read_training_list(tmp_path / "list.csv")
    catalogue = [Known("7", "12"), Known("15", "13"), Known("1", "1.0"), Known("2", "130")]
    (shared,) = check_leakage(catalogue, [learnt]).trainings
    assert shared.shared_works == ["1.0", "12", "13"]
    assert shared.shared_performances == ["7"]


def test_a_blank_id_gives_way_to_one_of_another_column(tmp_path):
    (tmp_path / "list.csv").write_text("work_id,performance_id,track_id\nW_1,,P_7\n")
    (known,) = read_training_list(tmp_path / "list.csv").performances
    assert known.performance_id == "P_7"


def test_what_looks_like_numbers_in_a_training_list_is_text(tmp_path):
    (tmp_path / "list.csv").write_text("work_id,performance_id,title\n0012,007,1999\n0013,1e3,22\n")
    assert read_training_list(tmp_path / "list.csv").performances == [
        Known("007", "0012", "1999"),
        Known("1e3", "0013", "22"),
    ]
    columns = {"work_id": [12, None], "performance_id": [7, 8], "title": [1999, None]}
    pq.write_table(pa.table(columns), tmp_path / "list.parquet")
    learnt = read_training_list(tmp_path / "list.parquet")
    assert learnt.performances == [Known("7", "12", "1999"), Known("8", None, None)]
    (shared,) = check_leakage([Known("x", "y", "1999")], [learnt]).trainings
    assert shared.shared_titles == ["1999"]


def test_wrong_training_lists_are_refused(tmp_path):
    (tmp_path / "latin.csv").write_bytes("work_id,title\nW_1,Café\n".encode("latin-1"))
    with pytest.raises(CoverdexError, match="cannot be read"):
        read_training_list(tmp_path / "latin.csv")
    with pytest.raises(NotFoundError, match=r"none\.csv"):
        read_training_list(tmp_path / "none.csv")
    (tmp_path / "titles.csv").write_text("title\nHurt\n")
    with pytest.raises(CoverdexError, match="work_id"):
        read_training_list(tmp_path / "titles.csv")
    (tmp_path / "junk.parquet").write_bytes(b"no Parquet at all")
    with pytest.raises(CoverdexError, match="cannot be read"):
        read_training_list(tmp_path / "junk.parquet")


def test_a_training_list_with_another_ending_is_told_the_forms(tmp_path):
    (tmp_path / "seen.txt").write_text("work_id\nW_1\n")
    with pytest.raises(CoverdexError, match=r"give a \.csv, \.tsv or \.parquet file"):
        read_training_list(tmp_path / "seen.txt")


def test_an_index_leads_to_the_list_of_its_encoder(tmp_path):
    shipped = load_checkpoint()
    seen = TrainingList.of([TrainedPerformance("W_1", "T_9", "Unheard")], complete=False)
    named = replace(shipped, name="mine", training_list=seen)
    folder = save_checkpoint(named, tmp_path / "mine")
    rng = np.random.default_rng(0)
    pairs = [
        (PerformanceRecord(f"P_{i}", f"W_{i // 2}", "Tune"), Chroma(rng.random((90, 12)), 4.0))
        for i in range(4)
    ]
    write_parquet_catalogue(tmp_path / "catalogue.parquet", pairs)
    catalogue = open_catalogue(tmp_path / "catalogue.parquet")
    build_index(catalogue, tmp_path / "index", encoder=Encoder.load(folder))
    ranking = replace(open_ranking(tmp_path / "index"), encoder_name=str(folder))
    assert learnt_by_ranking(ranking) == learnt_by(load_checkpoint(folder))
    (found,) = leakage_of_ranking(ranking).trainings
    assert (found.training, found.shared_works, found.complete) == (named.id, ["W_1"], False)

    stranger = replace(ranking, encoder_id="mine-000000000000")
    assert leakage_of_ranking(stranger).unknown == ["mine-000000000000"]
    gone = replace(ranking, encoder_name=str(tmp_path / "gone"))
    assert leakage_of_ranking(gone).unknown == [named.id]
    assert leakage_of_ranking(replace(ranking, encoder_id=None)) is None
