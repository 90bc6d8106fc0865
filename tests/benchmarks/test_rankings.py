"""Rankings of other systems: matrices, runs, lists of works."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coverdex.benchmarks import evaluate
from coverdex.benchmarks.rankings import listed_in_words, open_ranking, share_listed
from coverdex.benchmarks.run_files import read_run
from coverdex.benchmarks.similarity import InvalidSimilarityError
from coverdex.benchmarks.similarity_profile import similarity_profile
from coverdex.benchmarks.work_lists import WorkListError, read_work_list
from coverdex.encoder.errors import CoverdexError, NotFoundError
from coverdex.search import write_index

from .conftest import SIX_NAMES, SIX_WORKS


@pytest.fixture
def works_file(tmp_path):
    path = tmp_path / "works.csv"
    rows = [f"{w},{p}" for w, p in zip(SIX_WORKS, SIX_NAMES, strict=True)]
    path.write_text("\n".join(["work_id,track_id", *rows]))
    return path


def trec_lines(six, *, most=5):
    for query, row in zip(SIX_NAMES, six, strict=True):
        order = [c for c in np.argsort(-row) if SIX_NAMES[c] != query][:most]
        for rank, c in enumerate(order, start=1):
            yield f"{query} Q0 {SIX_NAMES[c]} {rank} {row[c]} mine"


@pytest.fixture
def files(six, tmp_path):
    """The same ranking in every form; rows shuffled, because order must not matter."""
    rng = np.random.default_rng(1)
    np.save(tmp_path / "similarity.npy", six)
    np.save(tmp_path / "distance.npy", 1 - six)
    lines = list(trec_lines(six))
    rng.shuffle(lines)
    (tmp_path / "mine.run").write_text("\n".join(lines) + "\n")
    fields = [line.split() for line in lines]
    columns = {"query": [f[0] for f in fields], "candidate": [f[2] for f in fields]}
    scores = pa.array([float(f[4]) for f in fields])
    pq.write_table(pa.table({**columns, "similarity": scores}), tmp_path / "scores.parquet")
    ranks = pa.array([int(f[3]) for f in fields])
    pq.write_table(pa.table({**columns, "rank": ranks}), tmp_path / "ranks.parquet")
    return tmp_path


@pytest.mark.parametrize(
    "name", ["similarity.npy", "distance.npy", "mine.run", "scores.parquet", "ranks.parquet"]
)
def test_every_form_of_a_ranking_gives_the_same(name, files, works_file, six, six_works):
    ranking = open_ranking(files / name, works_file, distances=name == "distance.npy")
    result = evaluate(ranking.source, ranking.listed.works)
    assert result.average_precision.tolist() == evaluate(six, six_works).average_precision.tolist()
    assert share_listed(ranking, result.queries) == 1


def test_matrix_is_mapped_not_read(files, works_file):
    ranking = open_ranking(files / "similarity.npy", works_file)
    assert isinstance(ranking.source._matrix, np.memmap)


@pytest.mark.parametrize("distances", [False, True])
def test_the_diagonal_may_be_anything_and_nothing_else_may_be_nan(
    six, six_works, works_file, tmp_path, distances
):
    matrix = 1 - six if distances else six.copy()
    np.fill_diagonal(matrix, np.nan)
    np.save(tmp_path / "diagonal.npy", matrix)
    ranking = open_ranking(tmp_path / "diagonal.npy", works_file, distances=distances)
    result = evaluate(ranking.source, ranking.listed.works)
    assert result.average_precision.tolist() == evaluate(six, six_works).average_precision.tolist()
    matrix[2, 3] = np.nan
    np.save(tmp_path / "other.npy", matrix)
    ranking = open_ranking(tmp_path / "other.npy", works_file, distances=distances)
    last = r"\(inf ranks" if distances else r"\(-inf ranks"
    with pytest.raises(InvalidSimilarityError, match=f"row 2 .* column 3; .* {last}"):
        evaluate(ranking.source, ranking.listed.works)
    matrix[2, 3] = np.inf if distances else -np.inf
    np.save(tmp_path / "last.npy", matrix)
    ranking = open_ranking(tmp_path / "last.npy", works_file, distances=distances)
    ranked = np.argsort(-ranking.source.rows(np.array([2]))[0])
    assert ranked.tolist()[-1] == 3


def test_distances_of_anything_but_a_matrix_are_refused(files, works_file):
    for name in ("mine.run", "scores.parquet"):
        with pytest.raises(CoverdexError, match=r"no \.npy matrix"):
            open_ranking(files / name, works_file, distances=True)
    with pytest.raises(CoverdexError, match=r"no \.npy matrix"):
        open_ranking(files, distances=True)


def test_a_folder_that_is_no_index_is_not_called_one(files, works_file):
    with pytest.raises(CoverdexError, match="is not an index"):
        open_ranking(files, works_file)


def test_candidates_that_a_run_leaves_out_are_tied_last(six, works_file, tmp_path):
    path = tmp_path / "short.run"
    path.write_text("\n".join(trec_lines(six, most=1)))
    ranking = open_ranking(path, works_file)
    result = evaluate(ranking.source, ranking.listed.works)
    # a1, a2 find each other first; all other covers are among the four or five left, or tied.
    assert result.first_rank.tolist() == [1, 1, 1 + 5 / 3, 1 + 5 / 2, 1 + 5 / 2]
    assert share_listed(ranking, result.queries) == pytest.approx(1 / 5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a1 Q0 a2 1 0.5", "line 1 .* is no line of a TREC run"),
        ("a1 Q0 a2 1 high mine", "line 1 .* is no line of a TREC run"),
        ("a1 Q0 zz 1 0.5 mine", "'zz'"),
        ("a1 Q0 a2 1 nan mine", "NaN .* candidate 'a2' of the query 'a1'"),
        ("a1 Q0 a2 1 0.5 mine\na1 Q0 a2 2 0.4 mine", "'a2' of the query 'a1' twice"),
    ],
)
def test_wrong_run_is_refused(line, message, works_file, tmp_path):
    path = tmp_path / "wrong.run"
    path.write_text(line)
    with pytest.raises(InvalidSimilarityError, match=message):
        open_ranking(path, works_file)


def test_a_query_among_its_own_candidates_is_ignored_whatever_its_score(six, works_file, tmp_path):
    scores = [9, "nan"] * 3
    own = [f"{p} Q0 {p} 1 {score} mine" for p, score in zip(SIX_NAMES, scores, strict=True)]
    (tmp_path / "own.run").write_text("\n".join([*trec_lines(six), *own]))
    ranking = open_ranking(tmp_path / "own.run", works_file)
    result = evaluate(ranking.source, ranking.listed.works)
    assert result.average_precision.tolist() == evaluate(six, SIX_WORKS).average_precision.tolist()
    assert share_listed(ranking, result.queries) == 1
    profile = similarity_profile(ranking.source, result.cliques)
    assert np.isfinite(profile.occurrences).all()


def test_run_without_its_columns_is_refused(works_file, tmp_path):
    pq.write_table(pa.table({"query": ["a1"]}), tmp_path / "x.parquet")
    with pytest.raises(InvalidSimilarityError, match="columns query"):
        open_ranking(tmp_path / "x.parquet", works_file)


def test_a_matrix_in_another_form_is_told_that_of_numpy(six, works_file, tmp_path):
    np.savez(tmp_path / "matrix.npz", six)
    np.savetxt(tmp_path / "matrix.csv", six, delimiter=",")
    columns = {f"column_{at}": six[:, 0] for at in range(1000)}
    pq.write_table(pa.table(columns), tmp_path / "matrix.parquet")
    for name in ("matrix.npz", "matrix.csv", "matrix.parquet"):
        with pytest.raises(InvalidSimilarityError, match=r"as numpy\.save writes it") as told:
            open_ranking(tmp_path / name, works_file)
        assert len(str(told.value)) < 600 + len(str(tmp_path)), name


@pytest.mark.parametrize(
    "columns",
    [
        {"similarity": ["high"]},
        {"similarity": [2**60 + 1]},
        {"query": [[1]]},
        {"candidate": [b"\xff"]},
    ],
)
def test_columns_of_a_run_that_are_no_ids_or_numbers_are_refused(columns, works_file, tmp_path):
    sound = {"query": ["a1"], "candidate": ["a2"], "similarity": [0.5]}
    pq.write_table(pa.table({**sound, **columns}), tmp_path / "x.parquet")
    with pytest.raises(InvalidSimilarityError, match=f"column {next(iter(columns))}"):
        open_ranking(tmp_path / "x.parquet", works_file)


def test_a_run_may_begin_with_a_byte_order_mark(six, works_file, tmp_path):
    (tmp_path / "marked.run").write_text("\n".join(trec_lines(six)), encoding="utf-8-sig")
    ranking = open_ranking(tmp_path / "marked.run", works_file)
    assert share_listed(ranking, np.arange(5)) == 1


def test_what_is_not_all_is_never_called_all():
    assert listed_in_words(0.9999) == "99.9% of the candidates"
    assert listed_in_words(0.25) == "25.0% of the candidates"


def test_what_is_missing_is_named(files, works_file, tmp_path):
    with pytest.raises(CoverdexError, match="--works"):
        open_ranking(files / "mine.run")
    with pytest.raises(NotFoundError, match=r"none\.npy"):
        open_ranking(tmp_path / "none.npy", works_file)
    with pytest.raises(NotFoundError, match="list of works"):
        open_ranking(files / "mine.run", tmp_path / "none.csv")
    (tmp_path / "broken.npy").write_bytes(b"no array")
    with pytest.raises(InvalidSimilarityError, match="no array"):
        open_ranking(tmp_path / "broken.npy", works_file)


def test_lists_of_works_in_every_form(works_file, tmp_path):
    expected = read_work_list(works_file)
    table = pa.table({"performance_id": list(SIX_NAMES), "work_id": list(SIX_WORKS)})
    pq.write_table(table, tmp_path / "works.parquet")
    assert read_work_list(tmp_path / "works.parquet") == expected
    table = table.rename_columns({"performance_id": "track_id"})
    pq.write_table(table, tmp_path / "tracks.parquet")
    assert read_work_list(tmp_path / "tracks.parquet") == expected
    metadata = {}
    for work, performance in zip(SIX_WORKS, SIX_NAMES, strict=True):
        metadata.setdefault(work, {})[performance] = {"perf_title": "x"}
    (tmp_path / "works.json").write_text(json.dumps(metadata))
    assert read_work_list(tmp_path / "works.json") == expected
    assert len(read_work_list("demo")) == 140
    works_file.rename(tmp_path / "WORKS.CSV")
    assert read_work_list(tmp_path / "WORKS.CSV") == expected
    tabs = (tmp_path / "WORKS.CSV").read_text().replace(",", "\t")
    (tmp_path / "works.tsv").write_text(tabs)
    assert read_work_list(tmp_path / "works.tsv") == expected


def test_blank_works_of_a_list_are_unknown(tmp_path):
    pairs = {"performance_id": ["1", "2", "3"], "work_id": ["", "  ", "a"]}
    (tmp_path / "works.csv").write_text("work_id,performance_id\n,1\n  ,2\na,3\n")
    pq.write_table(pa.table(pairs), tmp_path / "works.parquet")
    metadata = {w: {p: {}} for p, w in zip(*pairs.values(), strict=True)}
    (tmp_path / "works.json").write_text(json.dumps(metadata))
    for name in ("works.csv", "works.parquet", "works.json"):
        assert read_work_list(tmp_path / name).works == [None, None, "a"], name


def test_works_that_are_numbers_with_nan_where_none_is_known(tmp_path):
    table = pa.table({"performance_id": [3, 4, 5, 6], "work_id": [12.0, np.nan, np.nan, None]})
    pq.write_table(table, tmp_path / "works.parquet")
    listed = read_work_list(tmp_path / "works.parquet")
    assert listed.performances == ["3", "4", "5", "6"]
    assert listed.works == ["12", None, None, None]


def test_a_list_of_works_with_another_ending_is_told_the_forms(works_file, tmp_path):
    for name in ("works.txt", "works"):
        (tmp_path / name).write_bytes(works_file.read_bytes())
        with pytest.raises(WorkListError, match=r"read from \.csv, \.tsv, \.parquet and .* \.json"):
            read_work_list(tmp_path / name)


def test_wrong_list_of_works_is_refused(tmp_path):
    path = tmp_path / "works.csv"
    path.write_text("work,track\nW_1,P_1\n")
    with pytest.raises(WorkListError, match="columns work, track"):
        read_work_list(path)
    path.write_text("work_id,performance_id\nW_1,P_1\nW_2,P_1\n")
    with pytest.raises(WorkListError, match=r"works\.csv: performance 'P_1' is listed twice"):
        read_work_list(path)
    pq.write_table(pa.table({"work_id": ["a"]}), tmp_path / "w.parquet")
    with pytest.raises(WorkListError, match="performance_id"):
        read_work_list(tmp_path / "w.parquet")
    (tmp_path / "w.parquet").write_bytes(b"no Parquet at all")
    with pytest.raises(WorkListError, match="cannot be read as Parquet"):
        read_work_list(tmp_path / "w.parquet")
    pq.write_table(pa.table({"performance_id": [[1]], "work_id": ["a"]}), tmp_path / "w.parquet")
    with pytest.raises(WorkListError, match="cannot be read as Parquet"):
        read_work_list(tmp_path / "w.parquet")
    for rows in ("W_1,P_1\nW_1\n", "W_1,P_1\nW_1,\n", "W_1,P_1\nW_1, \n"):
        path.write_text(f"work_id,performance_id\n{rows}")
        with pytest.raises(WorkListError, match=r"works\.csv: row 2 .*W_1.* names no performance"):
            read_work_list(path)
    path.write_text("work_id,performance_id\nW_1," + "x" * 200_000)
    with pytest.raises(WorkListError, match="cannot be read as CSV"):
        read_work_list(path)
    path.write_bytes("work_id,performance_id\nW_1,Café\n".encode("latin-1"))
    with pytest.raises(WorkListError, match="not UTF-8"):
        read_work_list(path)


def test_damaged_runs_are_refused(tmp_path):
    (tmp_path / "run.parquet").write_bytes(b"no Parquet at all")
    with pytest.raises(InvalidSimilarityError, match="cannot be read as Parquet"):
        read_run(tmp_path / "run.parquet", SIX_NAMES)
    (tmp_path / "binary.run").write_bytes(b"\xff\xfe\x00\n")
    with pytest.raises(InvalidSimilarityError, match=r"line 1 of .* is no line of a TREC run"):
        read_run(tmp_path / "binary.run", SIX_NAMES)


@pytest.fixture
def embeddings():
    made = np.random.default_rng(5).standard_normal((6, 8)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def written_index(path, embeddings, works):
    table = pa.table({"performance_id": SIX_NAMES, "work_id": pa.array(works, pa.string())})
    write_index(
        path,
        embeddings=embeddings,
        performances=table,
        encoder_id="made-up-0123456789ab",
        encoder_name="made-up",
        source="a test",
    )
    return path


def test_an_index_without_works_takes_them_from_a_list_in_any_order(
    embeddings, works_file, tmp_path, caplog
):
    header, *rows = works_file.read_text().splitlines()
    works_file.write_text("\n".join([header, "W_9,P_absent", *reversed(rows[1:])]))
    ranking = open_ranking(written_index(tmp_path / "i", embeddings, [None] * 6), works_file)
    assert ranking.listed.performances == list(SIX_NAMES)
    assert ranking.listed.works == [None, *SIX_WORKS[1:]]
    assert "lacks 1 performances of the list of works: P_absent" in caplog.text


def test_an_index_takes_no_list_where_it_has_works_or_the_list_is_of_others(
    embeddings, works_file, tmp_path
):
    knows = written_index(tmp_path / "knows", embeddings, [None] * 5 + ["W_1"])
    with pytest.raises(CoverdexError, match="knows its works; leave --works out"):
        open_ranking(knows, works_file)
    works_file.write_text("work_id,track_id\nW_1,a\nW_1,b\n")
    with pytest.raises(CoverdexError, match="none of the 2 performances of the list of works"):
        open_ranking(written_index(tmp_path / "i", embeddings, [None] * 6), works_file)
