"""Sound files as a catalogue: what their performances are called, and what is rejected."""

from __future__ import annotations

import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from coverdex.encoder import ChromaKind, CoverdexError, Encoder, extract_hpcp
from coverdex.encoder.hpcp import SoundTags, read_tags
from coverdex.indexer import Catalogue, open_catalogue, read_rejections, rejection_report_path
from coverdex.indexer.preparation import default_workers
from coverdex.indexer.sound_files import SoundFileCatalogue
from coverdex.search import Index

from .typed_command import Run


def write_tune(path: Path, *semitones: int) -> Path:
    """Notes of half a second with harmonics, one after the other, as a WAV file."""
    seconds = np.arange(22_050) / 44_100
    notes = [
        sum(np.sin(2 * np.pi * k * 220 * 2 ** (note / 12) * seconds) / k for k in range(1, 6))
        for note in semitones
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 44_100, 0, "NONE", ""))
        file.writeframes((np.concatenate(notes) * 8_000).astype("<i2").tobytes())
    return path


def add_tags(path: Path, **frames: str) -> None:
    """Add ID3 version 2.4 to a WAV file, in a chunk of its own."""
    written = b""
    for name, text in frames.items():
        content = b"\x03" + text.encode()
        written += name.encode() + struct.pack(">I", len(content)) + b"\0\0" + content
    tag = b"ID3\x04\0\0" + struct.pack(">I", len(written)) + written  # short: no byte above 127
    chunk = b"id3 " + struct.pack("<I", len(tag)) + tag + b"\0" * (len(tag) % 2)
    riff = path.read_bytes() + chunk
    path.write_bytes(riff[:4] + struct.pack("<I", len(riff) - 8) + riff[8:])


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Three tunes at three depths, and things that are none."""
    pytest.importorskip("essentia")
    folder = tmp_path / "music"
    write_tune(folder / "one.wav", 0, 4, 7, 3)
    write_tune(folder / "Ä band" / "Album" / "01 two.WAV", 2, 2, 9, 5)
    write_tune(folder / "Ä band" / "three.v2.wav", 11, 0, 6, 1)
    write_tune(folder / ".trash" / "gone.wav", 0)
    write_tune(folder / "._one.wav", 0)
    (folder / "cover.jpg").write_bytes(b"no sound")
    return folder


def ids(catalogue: Catalogue) -> list[str]:
    return [record.performance_id for record in catalogue.performances]


def test_performances_are_called_by_their_paths(music: Path) -> None:
    catalogue = open_catalogue(music)
    assert ids(catalogue) == ["one", "Ä band/Album/01 two", "Ä band/three.v2"]
    read = {record.performance_id: chroma for record, chroma in catalogue}
    assert catalogue.rejections == []
    assert np.array_equal(read["one"].values, extract_hpcp(music / "one.wav").values)
    assert [len(part) for part in catalogue.parts()] == [1, 1, 1]


def test_sound_is_worth_a_process_on_every_core(
    music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert default_workers(open_catalogue(music)) == 0
    write_tune(music / "four.wav", 0)
    assert default_workers(open_catalogue(music)) == 64


def test_tags_give_title_artist_and_year(music: Path) -> None:
    add_tags(music / "one.wav", TIT2="Così è ", TPE1="Band", TDRC="1969-09-26")
    records = {record.performance_id: record for record, _ in open_catalogue(music)}
    one, two = records["one"], records["Ä band/Album/01 two"]
    assert (one.title, one.artist, one.year, one.work_id) == ("Così è", "Band", 1969, None)
    assert (two.title, two.artist, two.year) == (None, None, None)


@pytest.mark.parametrize(
    ("date", "year"), [("1969", 1969), ("26.9.1969", 1969), ("196", None), ("0000", None)]
)
def test_years_are_found_in_dates(music: Path, date: str, year: int | None) -> None:
    add_tags(music / "one.wav", TDRC=date)
    assert read_tags(music / "one.wav") == SoundTags(year=year)


def test_tags_of_what_is_no_sound_are_unknown(music: Path) -> None:
    assert read_tags(music / "cover.jpg") == read_tags(music / "not there.mp3") == SoundTags()


def test_what_is_no_sound_is_rejected_and_the_rest_is_indexed(
    music: Path, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    (music / "broken.mp3").write_bytes(b"no music" * 100)
    (music / "one.flac").write_bytes(b"")
    with wave.open(str(music / "silence.wav"), "wb") as file:
        file.setparams((1, 2, 44_100, 0, "NONE", ""))
        file.writeframes(bytes(2 * 44_100))
    out = tmp_path / "i"
    answer = run("index", "build", music, "--out", out, "--encoder", tiny_checkpoint)
    assert answer.code == 0, answer.err
    found = {
        r.performance: (r.reason, r.message) for r in read_rejections(rejection_report_path(out))
    }
    assert {name: reason for name, (reason, _) in found.items()} == {
        "broken": "unreadable",
        "one": "listed-twice",
        "silence": "no-energy",
    }
    assert "broken.mp3 cannot be decoded as sound" in found["broken"][1]


def test_a_sound_file_asks_an_index_of_sound_files(
    music: Path, tmp_path: Path, tiny_checkpoint: Path, run: Run
) -> None:
    out = tmp_path / "i"
    run("index", "build", music, "--out", out, "--encoder", tiny_checkpoint, "--workers", 2)
    new = write_tune(tmp_path / "new.wav", 5, 6, 7, 8)
    second = write_tune(tmp_path / "second.wav", 1, 6, 1, 8)
    answer = run("index", "add", out, new, second, "--encoder", tiny_checkpoint)
    assert answer.code == 0, answer.err
    assert len(Index.open(out)) == 5
    copy = music / "Ä band" / "three.v2.wav"
    asked = ("query", out, "--audio", copy, "--encoder", tiny_checkpoint, "--json")
    document = run(*asked).document
    assert document["query"]["path"] == str(copy)
    assert document["candidates"][0]["performance_id"] == "Ä band/three.v2"
    assert document["candidates"][0]["similarity"] == pytest.approx(1, abs=1e-5)
    absent = run("query", out, "--audio", tmp_path / "no.mp3", "--encoder", tiny_checkpoint)
    assert absent.code == 3
    assert "no.mp3; give an existing sound file" in absent.err
    for odd in (["--hpcp", copy], ["--frame-rate", "4"], ["--performance", "one"]):
        assert run("query", out, "--audio", copy, *odd).code == 2


def test_shards_of_sound_have_the_size_that_sound_asks_for(
    music: Path, tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coverdex.indexer import embed_catalogue

    monkeypatch.setattr(SoundFileCatalogue, "shard_size", 2)
    embed_catalogue(open_catalogue(music), tmp_path / "shards", encoder=tiny_encoder)
    shards = sorted((tmp_path / "shards").glob("*.parquet"))
    rows = [pq.read_metadata(shard).num_rows for shard in shards]
    assert sorted(rows)[-2:] == [1, 2]


def test_feature_files_beside_sound_go_before_it(music: Path) -> None:
    (music / "track.h5").write_bytes(b"")
    assert ids(open_catalogue(music)) == ["track"]


def test_other_chroma_and_options_of_datacos_are_refused(music: Path) -> None:
    with pytest.raises(CoverdexError, match="crema is wanted, and HPCP is all"):
        open_catalogue(music, kind=ChromaKind.CREMA)
    with pytest.raises(CoverdexError, match="is a folder of sound files; subset"):
        open_catalogue(music, subset="benchmark")


def test_a_missing_essentia_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tune(tmp_path / "music" / "one.wav", 0)
    monkeypatch.setitem(sys.modules, "essentia", None)
    with pytest.raises(CoverdexError, match=r"pip install 'coverdex\[audio\]'"):
        open_catalogue(tmp_path / "music")
