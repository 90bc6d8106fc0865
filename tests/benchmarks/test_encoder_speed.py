"""The measurement of an encoder embeds what it should and writes what it measured; no times."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coverdex.benchmarks import encoder_speed as module
from coverdex.benchmarks.encoder_speed import PLAIN, WAYS, Clock, EncoderSpeed, measure_encoder
from coverdex.benchmarks.encoder_speed_table import encoder_speed_markdown, times_faster
from coverdex.benchmarks.report.commands import benchmark
from coverdex.encoder import Encoder, NotFoundError
from coverdex.indexer import open_catalogue
from coverdex.indexer.synthetic_catalogue import write_synthetic_catalogue
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five performances of a few seconds, and a file that is none."""
    root = write_synthetic_catalogue(tmp_path_factory.mktemp("speed") / "made-up", 5, n_frames=300)
    broken = next(root.rglob("P_3_hpcp.h5"))
    broken.write_text("no HDF5")
    return root


FIELDS = tuple(EncoderSpeed.__dataclass_fields__)


def speed(way: str, seconds: float, network: float) -> EncoderSpeed:
    rest = {"cpu_seconds": 1.0, "reading": 0.5, "preprocessing": 0.1, "network": network}
    memory = {"peak_memory": 300 << 20, "memory_before": 200 << 20}
    return EncoderSpeed(way, 1, 30, 7200.0, seconds, **rest, **memory, largest_difference=0.0)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_embeds_the_catalogue(catalogue: Path, way: str) -> None:
    encoder = Encoder.load("coverdex-64")
    opened = open_catalogue(catalogue)
    clock = Clock()
    vectors = WAYS[way](encoder, clock.prepared(opened, encoder))
    expected = [encoder.embed(chroma) for _, chroma in opened]
    assert len(expected) == 4
    np.testing.assert_allclose(vectors, expected, atol=1e-5)
    assert clock.reading > 0
    assert clock.preprocessing > 0
    assert clock.seconds_of_music == pytest.approx(sum(c.duration for _, c in opened))


def test_measuring_divides_the_time_and_compares_the_vectors(
    catalogue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAYS", {way: WAYS[way] for way in ("embed_many", PLAIN)})
    told: list[str] = []
    speeds = measure_encoder(catalogue, threads=[1], rounds=1, progress=told.append)
    assert [s.way for s in speeds] == ["embed_many", PLAIN]
    assert told == ["embed_many, 1 thread", "network, 1 thread"]
    for each in speeds:
        assert each.n_performances == 4
        assert each.reading + each.preprocessing + each.network == pytest.approx(each.seconds)
        assert each.peak_memory >= each.memory_before > 0
        assert each.largest_difference < 1e-5
    assert speeds[-1].largest_difference == 0


def test_what_is_not_there_is_said_before_a_process_is_started(catalogue: Path) -> None:
    with pytest.raises(NotFoundError, match="no catalogue at"):
        measure_encoder(catalogue / "nowhere")
    with pytest.raises(NotFoundError, match="no checkpoint"):
        measure_encoder(catalogue, encoder="nobody")


def test_ratios_are_to_the_plain_way() -> None:
    speeds = [speed("embed_many", 2.0, 1.0), speed("network", 6.0, 5.0)]
    assert times_faster(speeds) == [(3.0, 5.0), (1.0, 1.0)]
    assert (speeds[0].per_second, speeds[0].times_real_time) == (15.0, 3600.0)


def test_the_command_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a catalogue it makes one up, in the layout of Da-TACOS."""
    monkeypatch.setattr(module, "WAYS", {PLAIN: WAYS[PLAIN]})  # each is a process that loads torch
    monkeypatch.setattr(module, "MADE_UP_PERFORMANCES", 3)
    monkeypatch.setattr(module, "MADE_UP_FRAMES", 200)
    monkeypatch.setenv("COLUMNS", "80")
    arguments = ["encoder-speed", "--threads", "1", "--rounds", "1", "--out", str(tmp_path)]
    result = CliRunner().invoke(benchmark, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    for heading in ("x real", "x faster", "read", "prep", "net", "+MB"):
        assert heading in result.stdout
    document = json.loads((tmp_path / "encoder-speed.json").read_text())
    assert document["n_performances"] == 3
    assert document["encoder"] == Encoder.load().id
    assert document["environment"]["machine"]["cores"] >= 1
    assert [row["way"] for row in document["rows"]] == [PLAIN]
    markdown = (tmp_path / "encoder-speed.md").read_text()
    speeds = [EncoderSpeed(**{k: row[k] for k in FIELDS}) for row in document["rows"]]
    assert markdown == encoder_speed_markdown(document, speeds)
    assert "torch" in markdown
    assert "made up" in markdown
