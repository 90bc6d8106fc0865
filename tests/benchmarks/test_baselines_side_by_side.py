"""Encoders and baselines in one table: the comparison, its intervals, its command."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from coverdex.benchmarks import evaluate
from coverdex.benchmarks.baselines import Qmax
from coverdex.benchmarks.baselines.commands import evaluate_systems
from coverdex.benchmarks.baselines.system import Progress
from coverdex.benchmarks.encoder_system import EncoderSystem
from coverdex.benchmarks.robustness import STRENGTHS
from coverdex.benchmarks.side_by_side import (
    compare_systems,
    default_systems,
    intervals_by_work,
    system_named,
)
from coverdex.encoder import Encoder, checkpoint, write_chroma
from coverdex.encoder.chroma import Chroma
from coverdex.encoder.errors import CoverdexError, NotFoundError
from coverdex.indexer import PerformanceRecord
from typer.testing import CliRunner

from .baselines_songs import catalogue_of_covers

WORKS = [f"W_{i % 5}" for i in range(10)]


class CatalogueInMemory:
    """Two performances of each of five works."""

    source = "memory"

    def __init__(self, chromas: Sequence[Chroma], works: Sequence[str | None]) -> None:
        self.chromas, self.works = chromas, works

    def __iter__(self) -> Iterator[tuple[PerformanceRecord, Chroma]]:
        for i, (chroma, work) in enumerate(zip(self.chromas, self.works, strict=True)):
            yield PerformanceRecord(f"P_{i}", work_id=work), chroma


class Oracle:
    """Knows the works."""

    name = "oracle"
    parameters: dict[str, Any] = {"knows": "everything"}  # noqa: RUF012 (a protocol's attribute)

    def similarity_matrix(
        self, chromas: Sequence[Chroma], *, progress: Progress | None = None
    ) -> np.ndarray:
        if progress is not None:
            progress(1, 1)
        return np.equal.outer(WORKS, WORKS).astype(np.float32)


def test_systems_are_measured_on_the_same_catalogue() -> None:
    catalogue: Any = CatalogueInMemory(catalogue_of_covers(semitones=3), WORKS)
    oracle, qmax = compare_systems(catalogue, [Oracle(), Qmax(engine="numpy")])
    assert oracle.evaluation.map == 1.0
    assert qmax.evaluation.map == 1.0  # these covers are easy
    assert qmax.evaluation.counts == oracle.evaluation.counts
    summary = qmax.summary()
    assert summary["system"] == "Qmax"
    assert summary["parameters"]["kappa"] == 0.095
    assert summary["intervals_95"]["map"] == [1.0, 1.0]
    assert summary["seconds"] > 0


def test_a_catalogue_without_covers_is_refused() -> None:
    works = [None, *(f"W_{i}" for i in range(9))]
    catalogue: Any = CatalogueInMemory(catalogue_of_covers(), works)
    with pytest.raises(CoverdexError, match="none of the 10 performances of memory has a cover"):
        compare_systems(catalogue, [Oracle()])


def test_intervals_draw_whole_works() -> None:
    # Ten queries of work a, which all fail alike, and two of work b, which succeed.
    works = ["a"] * 10 + ["b"] * 2
    similarities = np.zeros((12, 12))
    similarities[10, 11] = similarities[11, 10] = 1.0
    similarities[:10, 10:] = 1.0
    evaluation = evaluate(similarities, works)
    of_a = evaluation.average_precision[:10].mean()
    assert evaluation.average_precision[10:].tolist() == [1.0, 1.0]
    interval = intervals_by_work(evaluation, works)["map"]
    # Two works drawn with replacement: only a, only b, or both. All three are likely.
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((of_a, 1.0))
    of_one_work = evaluate(np.ones((3, 3)), ["a"] * 3)
    assert intervals_by_work(of_one_work, ["a"] * 3)["map"] is None


def test_systems_by_name() -> None:
    assert system_named("qMAX") == Qmax()
    assert system_named("siamese-cnn").name == "siamese-cnn"
    names = [system.name for system in default_systems()]
    assert names[-2:] == ["2DFTM", "Qmax"]
    assert "siamese-cnn" in names
    with pytest.raises(NotFoundError):
        system_named("no-such-system")


def test_encoder_ranks_by_inner_product_and_silence_last() -> None:
    encoder = Encoder.load("siamese-cnn")
    chromas = [*catalogue_of_covers()[:3], Chroma(np.zeros((300, 12)), frame_rate=20.0)]
    system = EncoderSystem(encoder)
    similarities = system.similarity_matrix(chromas)
    one, other = (encoder.embed(chromas[i]) for i in (0, 2))
    assert similarities[0, 2] == pytest.approx(float(one @ other), abs=1e-5)
    assert (similarities[:3, 3] < similarities[:3, :3].min()).all()
    assert len(set(similarities[3])) == 1
    assert system.parameters["encoder_id"] == encoder.id


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The five songs and their covers in the layout of Da-TACOS."""
    root = tmp_path / "da-tacos_benchmark_subset_hpcp"
    metadata: dict[str, dict[str, Any]] = {}
    for i, (chroma, work) in enumerate(zip(catalogue_of_covers(), WORKS, strict=True)):
        path = root / f"{work}_hpcp" / f"P_{i}_hpcp.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        at_datacos_rate = Chroma(np.repeat(chroma.values, 4, axis=0))
        write_chroma(path, at_datacos_rate, work_id=work, performance_id=f"P_{i}")
        metadata.setdefault(work, {})[f"P_{i}"] = {"perf_title": f"song {i}"}
    described = tmp_path / "da-tacos_metadata" / "da-tacos_benchmark_subset_metadata.json"
    described.parent.mkdir()
    described.write_text(json.dumps(metadata))
    return tmp_path


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(evaluate_systems)
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_command_gives_one_json_document(folder: Path) -> None:
    result = run(str(folder), "--json", "-s", "qmax", "-s", "siamese-cnn", "-s", "2DFTM")
    document = json.loads(result.stdout)
    assert [system["system"] for system in document["systems"]] == ["Qmax", "siamese-cnn", "2DFTM"]
    assert document["systems"][0]["map"] == 1.0
    assert document["systems"][0]["counts"]["n_queries"] == 10
    assert document["bootstrap"]["by"] == "work"
    assert [bool(system["leakage"]) for system in document["systems"]] == [False, True, False]
    (training,) = document["systems"][1]["leakage"]["trainings"]
    assert training["n_training"] > 1000  # the list that the checkpoint carries
    assert training["shared_works"] == []
    assert "Qmax" in result.stderr  # progress stays off stdout


def test_command_prints_a_table(folder: Path) -> None:
    result = run(str(folder), "-s", "qmax")
    assert "10 performances of 5 works, 10 queries" in result.stdout
    assert "Qmax" in result.stdout
    assert "1.000" in result.stdout


def test_command_says_what_could_not_be_read(folder: Path) -> None:
    files = sorted(folder.rglob("*.h5"))
    files[0].write_bytes(b"no HDF5")
    result = run(str(folder), "--json", "-s", "2DFTM")
    (rejection,) = json.loads(result.stdout)["rejections"]
    assert rejection["performance"] == files[0].name.removesuffix("_hpcp.h5")
    assert "1 performances could not be read" in result.stderr
    assert files[0].name in result.stderr
    for file in files:  # then there is nothing to compare, and this is why
        file.write_bytes(b"no HDF5")
    with pytest.raises(CoverdexError, match="has a cover"):
        run(str(folder), "-s", "2DFTM")


def test_command_leaves_out_an_encoder_that_is_not_installed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "coverdex-64").symlink_to(checkpoint.SHIPPED / "coverdex-64")
    monkeypatch.setattr(checkpoint, "SHIPPED", installed)
    result = run(str(folder), "--json")
    systems = [system["system"] for system in json.loads(result.stdout)["systems"]]
    assert systems == ["coverdex-64", "2DFTM", "Qmax"]
    assert "no column for siamese-cnn" in result.stderr
    assert "siamese-cnn.toml" in result.stderr


@pytest.mark.shared
def test_qmax_on_real_recordings(covers80_dev: Path) -> None:
    (qmax,) = json.loads(run(str(covers80_dev), "--json", "-s", "Qmax").stdout)["systems"]
    # Exhaustive alignment reaches .65 on the whole set of 160, whose distractors are four times
    # as many; with every cover at random the figure here would be .11.
    assert qmax["map"] > 0.7


def test_one_command_gives_a_model_card_its_figures(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures"
    result = run(str(folder), "-s", "coverdex-64", "-s", "2DFTM", "--changed", "--out", str(out))
    assert "coverdex-64 when the query is changed" in result.stdout
    document = json.loads((out / "evaluation.json").read_text())
    (name, rows), *others = document["changed_queries"].items()
    assert (name, others) == ("coverdex-64", [])
    assert rows[0]["map"] == pytest.approx(document["systems"][0]["map"])
    kept = [row["map"] for row in rows if row["change"] in ("none", "transposition")]
    assert kept == pytest.approx([rows[0]["map"]] * 7)  # this encoder does not hear the key
    assert {row["change"] for row in rows} == {"none", *STRENGTHS}
    assert document["environment"]["machine"]["cores"] >= 1
    text = (out / "evaluation.md").read_text()
    evaluation = document["systems"][0]
    assert f"| coverdex-64 | {evaluation['map']:.3f} (" in text
    assert "| 2DFTM |" in text
    assert "| excerpt 60 s |" in text
    assert document["systems"][0]["parameters"]["encoder_id"] in text
    # The command gives these columns again, and not those of other systems.
    assert f"`coverdex encoder evaluate {folder} -s coverdex-64 -s 2DFTM --changed`" in text
    assert (out / "coverdex-64-changed-queries.png").stat().st_size > 1000


def test_a_folder_that_cannot_be_made_is_named_before_systems_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Qmax, "similarity_matrix", lambda *_, **__: pytest.fail("it ran"))
    (tmp_path / "a-file").touch()
    with pytest.raises(CoverdexError, match="a-file is a file"):
        run(str(folder), "-s", "Qmax", "--out", str(tmp_path / "a-file"))
    with pytest.raises(OSError, match="a-file"):
        run(str(folder), "-s", "Qmax", "--out", str(tmp_path / "a-file" / "figures"))


def test_two_encoders_of_one_name_are_told_apart(folder: Path, tmp_path: Path) -> None:
    """Two runs of one training bear one name: neither's figures take the place of the other's."""
    other = replace(checkpoint.load_checkpoint("siamese-cnn"), name="coverdex-64")
    checkpoint.save_checkpoint(other, tmp_path / "other")
    asked = (str(folder), "-s", "coverdex-64", "-s", str(tmp_path / "other"))
    document = json.loads(run(*asked, "--changed", "--json").stdout)
    ids = [checkpoint.load_checkpoint("coverdex-64").id, other.id]
    assert [system["system"] for system in document["systems"]] == ids
    assert list(document["changed_queries"]) == ids
    printed = run(*asked).stdout
    assert f"{document['systems'][1]['map']:.3f}" in printed


def test_figures_are_of_the_last_run_and_changes_are_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "figures"
    result = run(str(folder), "-s", "coverdex-64", "--out", str(out), "--json")
    document = json.loads(result.stdout)
    assert document == json.loads((out / "evaluation.json").read_text())
    assert document["changed_queries"] == {}
    assert "changed" not in (out / "evaluation.md").read_text()
