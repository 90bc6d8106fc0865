from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coverdex.search import Index, IndexEditor, IndexPlanError
from coverdex.search.plan import FLAT_UP_TO, KINDS, n_lists, plan
from coverdex.search.structure import build_structure
from coverdex.search.vectors import Vectors, nearest_exactly
from hypothesis import given, settings
from hypothesis import strategies as st

from .made_up import DIMENSION, ENCODER_ID, MadeUp, make_up

MILLION = 1_000_000
CODES = "IVF{},PQ64x4fsr,Refine(SQfp16)"
OLDER_CODES = "PCA32,IVF{},PQ32x4fsr,Refine(SQfp16)"


@pytest.mark.parametrize(
    ("count", "options", "factory", "bytes_per_vector"),
    [
        (0, {}, "Flat", 0),
        (15_000, {}, "Flat", 256),
        (FLAT_UP_TO, {}, "Flat", 256),
        # Half the memory: float16; a quarter: bytes.
        (15_000, {"memory": 15_000 * 255}, "SQfp16", 128),
        (15_000, {"memory": 15_000 * 64}, "SQ8", 64),
        # 64 x 4 bits, 64 x 2 bytes and an id; 4,096 centroids of 256 bytes and 16 codes to spare.
        (MILLION, {}, CODES.format(4096), 32 + 128 + 8 + 4096 * (256 + 16 * 32) / MILLION),
        (
            10 * MILLION,
            {"recall": 0.9},
            CODES.format(16384),
            32 + 128 + 8 + 16384 * (256 + 16 * 32) / MILLION / 10,
        ),
        # 64 x 2 bytes and an id; 4,096 centroids of 256 bytes spread over a million.
        (
            MILLION,
            {"memory": 150 * MILLION},
            "IVF4096,SQfp16",
            128 + 8 + 4096 * 256 / MILLION,
        ),
        (MILLION, {"memory": 80 * MILLION}, "IVF4096,SQ8", 64 + 8 + 4096 * 256 / MILLION),
        (MILLION, {"recall": 1}, "Flat", 256),
        # What was measured to gain nothing is not planned again.
        (MILLION, {"kinds": KINDS[1:]}, "IVF4096,SQfp16", 128 + 8 + 4096 * 256 / MILLION),
        (MILLION, {"kinds": KINDS[2:]}, "Flat", 256),
    ],
)
def test_plans(count: int, options: dict, factory: str, bytes_per_vector: float) -> None:
    found = plan(count, 64, **options)
    assert found.factory == factory
    assert found.bytes_per_vector == pytest.approx(bytes_per_vector)


@pytest.mark.parametrize(
    "options",
    [
        {"memory": 15_000 * 63},
        {"memory": 15_000 * 255, "recall": 1},
        {"recall": 0},
        {"recall": 1.5},
        {"recall": float("nan")},
    ],
)
def test_what_cannot_be_planned(options: dict) -> None:
    with pytest.raises(IndexPlanError):
        plan(15_000, 64, **options)


@given(
    count=st.integers(1, 50 * MILLION),
    share=st.floats(0.05, 2),
    recall=st.floats(0.5, 1),
)
@settings(max_examples=50, deadline=None)
def test_a_plan_keeps_to_its_budget(count: int, share: float, recall: float) -> None:
    memory = int(count * 256 * share)
    try:
        found = plan(count, 64, memory=memory, recall=recall)
    except IndexPlanError:
        assert memory < count * (256 if recall == 1 else 64 + 8) + n_lists(count) * 256
    else:
        assert found.bytes_per_vector * count <= memory
        assert found == plan(count, 64, memory=memory, recall=recall)


def test_the_memory_planned_is_the_memory_taken(tmp_path: Path) -> None:
    catalogue = make_up(3_000)
    for factory, per_vector, per_list in (
        ("Flat", 256, 0),
        ("SQfp16", 128, 0),
        ("IVF32,SQ8", 72, 256),
        (CODES.format(32), 168, 256 + 16 * 32),
        (OLDER_CODES.format(32), 152, 128 + 16 * 16),
    ):
        catalogue.write(tmp_path / factory, factory=factory)
        size = (tmp_path / factory / "vectors.faiss").stat().st_size
        lists = 32 * per_list
        if factory == CODES.format(32):
            size -= 64 * 16 * 4  # the levels
        if factory == OLDER_CODES.format(32):
            size -= 32 * 64 * 4 + 32 * 16 * 4  # the rotation, the levels
        assert size == pytest.approx(3_000 * per_vector + lists, rel=0.02)


def recall_at_10(index: Index, catalogue: MadeUp) -> float:
    names = catalogue.ids[::7]
    rough = index.search_by_ids(names, limit=10)
    exact = index.search_by_ids(names, limit=10, exact=True)
    return float(
        np.mean(
            [
                len({c.performance_id for c in one} & {c.performance_id for c in other}) / 10
                for one, other in zip(rough, exact, strict=True)
            ]
        )
    )


def is_enough(entry: dict, recall: float) -> bool:
    return round(entry["recall_at_10"] - entry["recall_at_10_error"], 4) >= recall


@pytest.mark.parametrize("recall", [0.5, 0.9])
def test_codes_are_measured_with_what_is_compared_again(tmp_path: Path, recall: float) -> None:
    catalogue = make_up(3_000, versions=5)
    manifest = catalogue.write(tmp_path / "i", factory=CODES.format(64), recall=recall)
    measured = manifest.plan["measured"]
    assert measured["reached"]
    assert {entry["k_factor"] for entry in measured["tried"]} <= {4, 8, 16, 32}
    enough = [entry for entry in measured["tried"] if is_enough(entry, recall)]
    chosen = max(enough, key=lambda entry: entry["queries_per_second"])
    expected = {name: chosen[name] for name in ("nprobe", "k_factor", "gap") if name in chosen}
    if "gap" in chosen:  # beside it stands the one number of lists that reaches the recall, too
        alike = [e for e in enough if e["k_factor"] == chosen["k_factor"] and "gap" not in e]
        expected["nprobe"] = alike[0]["nprobe"]
    assert manifest.search_parameters == expected
    assert measured["queries_per_second"] == chosen["queries_per_second"]
    found = recall_at_10(Index.open(tmp_path / "i"), catalogue)
    assert found >= chosen["recall_at_10"] - 0.08  # compares a few more again than was measured


def test_codes_rank_by_the_inner_product_with_what_lies_off_centre() -> None:
    # All vectors lie around one direction, as embeddings do: subtracting their mean would rank
    # those far from it first.
    rng = np.random.default_rng(4)
    vectors = rng.standard_normal((3_000, 64)).astype(np.float32) * np.linspace(1, 0.1, 64) ** 2
    vectors[:, 0] += 2.5
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    structure = build_structure(vectors, factory=CODES.format(4), search_parameters={"nprobe": 4})
    asked = Vectors(structure.index, {"nprobe": 4, "k_factor": 1})
    _, rows = asked.search(vectors[:200], 10)
    truth = nearest_exactly(vectors, vectors[:200], 10)[1]
    shared = np.mean([len({*a} & {*b}) / 10 for a, b in zip(rows, truth, strict=True)])
    assert shared > 0.6


def test_the_next_simpler_structure_is_taken_where_one_gains_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coverdex.search.plan.FLAT_UP_TO", 100)
    monkeypatch.setattr("coverdex.search.tuning.WORTH_IT", 0.0)
    embeddings = make_up(600).embeddings
    assert build_structure(embeddings, recall=0.9).factory == CODES.format(128)
    built = []

    def refuse_codes(measured: dict) -> bool:
        built.append("k_factor" in measured["tried"][0])
        return not built[-1]

    monkeypatch.setattr("coverdex.search.structure.is_worth_it", refuse_codes)
    structure = build_structure(embeddings, recall=0.9)
    assert (structure.factory, built) == ("IVF128,SQfp16", [True, False])
    assert set(structure.search_parameters) == {"nprobe"}
    assert structure.plan["given_up"]["factory"] == CODES.format(128)
    assert "factory" not in structure.plan["measured"]


@pytest.mark.parametrize("recall", [0.6, 0.95])
def test_the_recall_measured_is_the_recall_had(tmp_path: Path, recall: float) -> None:
    catalogue = make_up(2_000, versions=5)
    manifest = catalogue.write(tmp_path / "i", factory="IVF64,SQfp16", recall=recall)
    measured = manifest.plan["measured"]
    assert measured["reached"]
    tried = measured["tried"]
    assert [entry["nprobe"] for entry in tried] == sorted({entry["nprobe"] for entry in tried})
    assert is_enough(tried[-1], recall)
    assert not any(is_enough(entry, recall) for entry in tried[:-1])
    assert manifest.search_parameters == {"nprobe": tried[-1]["nprobe"]}
    assert all(entry["queries_per_second"] > 0 for entry in tried)
    opened = Index.open(tmp_path / "i")
    assert recall_at_10(opened, catalogue) == pytest.approx(tried[-1]["recall_at_10"], abs=0.08)


def test_the_error_of_the_recall_is_that_of_a_mean_of_queries() -> None:
    catalogue = make_up(2_000, versions=5)
    lists = build_structure(catalogue.embeddings, factory="IVF64,SQfp16", recall=0.8)
    measured = lists.plan["measured"]
    entry = measured["tried"][-1]
    rng = np.random.default_rng(1)
    truth = nearest_exactly(catalogue.embeddings, catalogue.embeddings, 11)[1]
    vectors = Vectors(lists.index, lists.search_parameters)
    found = vectors.search(catalogue.embeddings, 11)[1]
    shares = np.array(
        [len({*a} & {*b} - {i}) / 10 for i, (a, b) in enumerate(zip(found, truth, strict=True))]
    )
    # What the recall of as many queries differs by when others are drawn.
    drawn = [rng.choice(shares, measured["n_queries"]).mean() for _ in range(400)]
    assert entry["recall_at_10_error"] == pytest.approx(np.std(drawn), rel=0.2)
    assert entry["recall_at_10"] == pytest.approx(shares.mean(), abs=4 * np.std(drawn))


def test_more_recall_asks_more_lists(tmp_path: Path) -> None:
    catalogue = make_up(2_000, versions=5)
    probes = [
        build_structure(
            catalogue.embeddings, factory="IVF64,SQfp16", recall=recall
        ).search_parameters["nprobe"]
        for recall in (0.3, 0.7, 0.97)
    ]
    assert probes == sorted(set(probes))


def test_a_recall_that_cannot_be_reached_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # So close together that 8 bits per component cannot tell them apart.
    close = np.zeros((400, DIMENSION)) + np.eye(DIMENSION)[0]
    close += 1e-4 * rng.standard_normal(close.shape)
    close[0, 1:] = 3
    close /= np.linalg.norm(close, axis=1, keepdims=True)
    structure = build_structure(close.astype(np.float32), factory="IVF8,SQ4", recall=0.99)
    assert structure.plan["measured"]["reached"] is False
    assert structure.search_parameters == {"nprobe": 8}


def test_an_inverted_file_that_gains_nothing_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverdex.search.plan.FLAT_UP_TO", 100)
    embeddings = make_up(600).embeddings
    # Codes don't fit into this memory, so the sequence begins with whole vectors.
    for worth, factory, parameters in ((1e9, "SQfp16", {}), (0.0, "IVF128,SQfp16", None)):
        monkeypatch.setattr("coverdex.search.tuning.WORTH_IT", worth)
        structure = build_structure(embeddings, memory=600 * 230, recall=0.9)
        assert structure.factory == factory
        assert structure.plan["measured"]["tried"]
        if parameters is not None:
            assert structure.search_parameters == parameters
            assert "gained too little" in structure.plan["reason"]
            assert structure.plan["measured"]["factory"] == "IVF128,SQfp16"
            assert structure.plan["bytes_per_vector"] == 128
        else:
            assert structure.search_parameters["nprobe"] >= 1


def test_the_plan_is_in_the_manifest_and_made_again_when_compacted(tmp_path: Path) -> None:
    catalogue = make_up(60)
    catalogue.write(tmp_path / "i", memory=60 * 130)
    manifest = Index.open(tmp_path / "i").manifest
    assert manifest.factory == "SQfp16"
    assert manifest.plan["memory_budget"] == 60 * 130
    assert "float16" in manifest.plan["reason"]
    with IndexEditor(tmp_path / "i") as editor:
        editor.remove(catalogue.ids[:40])
        assert editor.compact().factory == "Flat"  # twenty fit as they are
        editor.add([{"performance_id": "P_x"}], catalogue.embeddings[:1], encoder_id=ENCODER_ID)
        assert editor.compact(factory="SQ8").plan == {}
        editor.remove("P_x")
        assert editor.compact().factory == "SQ8"


def test_the_same_vectors_give_the_same_structure(tmp_path: Path) -> None:
    import faiss

    catalogue = make_up(1_500)
    built = [
        faiss.serialize_index(build_structure(catalogue.embeddings, factory="IVF16,SQfp16").index)
        for _ in range(2)
    ]
    assert np.array_equal(built[0], built[1])


def test_an_index_that_outgrew_its_memory_says_how_to_compact_it(tmp_path: Path) -> None:
    catalogue = make_up(60)
    catalogue.write(tmp_path / "i", memory=60 * 130)
    more = make_up(240, seed=1)
    rows = [{"performance_id": f"N_{i}"} for i in range(240)]
    with IndexEditor(tmp_path / "i") as editor:
        editor.add(rows, more.embeddings, encoder_id=ENCODER_ID)
        with pytest.raises(IndexPlanError, match=r"outgrown .* 19200 bytes .* factory string"):
            editor.compact()
        assert len(editor.index) == 300
        assert editor.compact(factory="SQ8").count == 300
