"""HPCP of sound: what bins mean, and what is refused."""

from __future__ import annotations

import struct
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
from coverdex.encoder import DATACOS_FRAME_RATE, CoverdexError, NotFoundError, extract_hpcp
from numpy.typing import NDArray


def tone(semitones_above_a: int, sample_rate: int = 44_100) -> NDArray[np.float32]:
    """One second of a note with eight harmonics."""
    seconds = np.arange(sample_rate) / sample_rate
    pitch = 220 * 2 ** (semitones_above_a / 12)
    parts = [0.2 / k * np.sin(2 * np.pi * k * pitch * seconds) for k in range(1, 9)]
    return np.sum(parts, axis=0).astype(np.float32)


def write_wav(path: Path, channels: list[NDArray[np.float32]], sample_rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((len(channels), 2, sample_rate, 0, "NONE", ""))
        file.writeframes((np.stack(channels, axis=1) * 32_767).astype("<i2").tobytes())
    return path


def test_a_missing_essentia_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "essentia", None)
    with pytest.raises(CoverdexError, match=r"pip install 'coverdex\[audio\]'"):
        extract_hpcp(tone(0))


def test_bins_start_at_a_and_frames_are_scaled_to_their_greatest() -> None:
    pytest.importorskip("essentia")
    for semitones in (0, 3, 7):
        chroma = extract_hpcp(tone(semitones))
        assert chroma.frame_rate == DATACOS_FRAME_RATE
        assert chroma.duration == pytest.approx(1, abs=0.03)
        middle = chroma.values[10:-10]
        assert set(middle.argmax(axis=1)) == {semitones}
        np.testing.assert_allclose(middle.max(axis=1), 1.0)


def test_a_file_of_another_rate_and_two_channels_is_the_same_music(tmp_path: Path) -> None:
    pytest.importorskip("essentia")
    sound = tone(3, 22_050)
    path = write_wav(tmp_path / "c.wav", [sound, 0.5 * sound], 22_050)
    chroma = extract_hpcp(path)
    assert chroma.duration == pytest.approx(1, abs=0.03)
    assert set(chroma.values[10:-10].argmax(axis=1)) == {3}
    assert np.array_equal(extract_hpcp(str(path)).values, chroma.values)


def test_silence_is_chroma_without_energy() -> None:
    pytest.importorskip("essentia")
    assert not extract_hpcp(np.zeros(44_100, np.float32)).values.any()


@pytest.mark.parametrize(
    ("samples", "said"),
    [
        (np.zeros((2, 100), np.float32), r"float32 of shape \(2, 100\); give mono floats"),
        (np.zeros(0, np.float32), r"shape \(0,\)"),
        (np.zeros(100, np.int16), "int16 .*give mono floats"),
        (np.full(100, np.nan, np.float32), "not all finite"),
        (np.full(9000, 1e300), "not all finite"),  # no number of float32
    ],
)
def test_samples_that_are_no_sound_are_refused(samples: NDArray[np.float32], said: str) -> None:
    pytest.importorskip("essentia")
    with pytest.raises(CoverdexError, match=said):
        extract_hpcp(samples)


def test_files_that_are_no_sound_are_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("essentia")
    with pytest.raises(NotFoundError, match=r"nothing\.wav"):
        extract_hpcp(tmp_path / "nothing.wav")
    for name, content in (("empty.wav", b""), ("text.mp3", b"not music at all" * 300)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CoverdexError, match=f"{name} cannot be decoded as sound"):
            extract_hpcp(tmp_path / name)
    with pytest.raises(CoverdexError, match=r"none\.wav"):
        extract_hpcp(write_wav(tmp_path / "none.wav", [np.zeros(0, np.float32)], 44_100))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_file_of_floats_that_are_not_all_finite_is_refused(tmp_path: Path, bad: float) -> None:
    pytest.importorskip("essentia")
    samples = np.full(20_000, 0.1, "<f4")
    samples[5_000] = bad
    data = samples.tobytes()
    layout = struct.pack("<IHHIIHH", 16, 3, 1, 44_100, 4 * 44_100, 4, 32)  # 3: IEEE floats
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + layout
    (tmp_path / "bad.wav").write_bytes(head + b"data" + struct.pack("<I", len(data)) + data)
    with pytest.raises(CoverdexError, match=r"bad\.wav has samples that are NaN or infinite"):
        extract_hpcp(tmp_path / "bad.wav")
