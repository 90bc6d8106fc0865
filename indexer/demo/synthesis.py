"""From notes to a recording: a MIDI file, FluidSynth with a General MIDI soundfont, and noise.

FluidSynth (LGPL) runs as a program, offline and on one core, so that the same MIDI file and
soundfont give the same samples. A little pink noise is added, because no recording is without it
and because the spectral whitening before HPCP makes digital silence look unlike any real record.
"""

from __future__ import annotations

import subprocess
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .arrangement import Arrangement, Instrument
from .stage import Sound

if TYPE_CHECKING:
    import mido  # in the extra demo-render: only rendering needs it

SAMPLE_RATE = 44_100
SOUNDFONT_FOLDER = Path("/usr/share/sounds/sf2")

_CHANNELS = {"lead": 0, "doubling": 1, "chords": 2, "bass": 3, "drone": 4, "drums": 9}
_TICKS_A_SECOND = 960
_CENTS_APART = 4.0  # standard deviation of a player's tuning from the band's
_CHORUS = 40  # how much of a player's sound goes through the chorus effect, 0 to 127
_NOISE_SAMPLES = 2**19  # 12 s
_SECONDS_AFTER = 1.5  # for the last notes to die away


def write_midi(path: Path, sounds: list[Sound], arrangement: Arrangement) -> None:
    """Write a performance as a standard MIDI file; one tick is 1/960 s."""
    import mido

    events: list[tuple[int, int, mido.Message]] = []
    for sound in sounds:
        channel = _CHANNELS[sound.player]
        start = round(sound.onset * _TICKS_A_SECOND)
        end = max(start + 1, round((sound.onset + sound.duration) * _TICKS_A_SECOND))
        on = mido.Message("note_on", channel=channel, note=sound.pitch, velocity=sound.velocity)
        off = mido.Message("note_off", channel=channel, note=sound.pitch)
        events += [(start, 1, on), (end, 0, off)]  # at one tick, notes end before others start
    events.sort(key=lambda event: event[:2])
    last = events[-1][0] + round(_SECONDS_AFTER * _TICKS_A_SECOND)

    track = mido.MidiTrack()
    track.append(mido.MetaMessage("set_tempo", tempo=1_000_000))
    for message in _setup(arrangement):
        track.append(message)
    now = 0
    for tick, _, message in events:
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=last - now))
    mido.MidiFile(type=0, ticks_per_beat=_TICKS_A_SECOND, tracks=[track]).save(path)


def _setup(arrangement: Arrangement) -> list[mido.Message]:
    """Choose voices, levels, reverberation and tuning of each channel."""
    import mido

    players: dict[str, Instrument | None] = {
        "lead": arrangement.lead,
        "doubling": arrangement.doubling,
        "chords": arrangement.chords,
        "bass": arrangement.bass,
        "drone": arrangement.drone,
    }
    rng = np.random.default_rng([arrangement.seed, 3])
    messages = []
    for name, channel in _CHANNELS.items():
        level = arrangement.accompaniment_level
        if name in ("lead", "doubling"):
            level = arrangement.lead_level
        controls = [(7, level), (91, round(127 * arrangement.room.level)), (93, _CHORUS)]
        player = players.get(name)
        if player is not None:
            # Registered parameter 1, fine tuning: 14 bits, 8192 in the middle, 100 cents a side.
            cents = arrangement.detune + rng.normal(0.0, _CENTS_APART)
            tuning = round(8192 + 8192 * cents / 100)
            vibrato = int(rng.integers(0, 70)) if player.sustained else 0
            messages.append(mido.Message("program_change", channel=channel, program=player.program))
            controls += [(1, vibrato), (101, 0), (100, 1), (6, tuning >> 7), (38, tuning & 127)]
        messages += [
            mido.Message("control_change", channel=channel, control=control, value=value)
            for control, value in controls
        ]
    return messages


def synthesise(midi: Path, arrangement: Arrangement, *, fluidsynth: str) -> NDArray[np.float32]:
    """Render a MIDI file.

    Parameters
    ----------
    midi : Path
        Standard MIDI file; the sound file is written beside it.
    arrangement : Arrangement
        For the soundfont, the room and the noise.
    fluidsynth : str
        The program.

    Returns
    -------
    ndarray of float32, shape (n_samples,)
        Mono, 44,100 Hz, within -1 and 1.
    """
    wav = midi.with_suffix(".wav")
    room = arrangement.room
    settings = {
        "synth.cpu-cores": 1,
        "synth.dynamic-sample-loading": 1,  # only the voices that play, not 150 MB
        "synth.gain": 0.4,
        "synth.chorus.active": 1,
        "synth.reverb.active": 1,
        "synth.reverb.room-size": room.size,
        "synth.reverb.damp": room.damping,
        "synth.reverb.level": room.level,
        "synth.reverb.width": 0.8,
    }
    options = [part for name, value in settings.items() for part in ("-o", f"{name}={value}")]
    soundfont = SOUNDFONT_FOLDER / arrangement.soundfont
    subprocess.run(
        [fluidsynth, "-n", "-i", "-q", *options, "-r", str(SAMPLE_RATE), "-O", "s16", "-T", "wav",
         "-F", str(wav), str(soundfont), str(midi)],
        check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    return _with_noise(_read_mono(wav), arrangement)


def _read_mono(path: Path) -> NDArray[np.float32]:
    with wave.open(str(path), "rb") as recording:
        frames = recording.readframes(recording.getnframes())
        n_channels = recording.getnchannels()
    samples = np.frombuffer(frames, dtype="<i2").reshape(-1, n_channels)
    mono: NDArray[np.float32] = samples.astype(np.float32).sum(axis=1) / np.float32(
        32768 * n_channels
    )
    return mono


def _with_noise(samples: NDArray[np.float32], arrangement: Arrangement) -> NDArray[np.float32]:
    """Add pink noise, power falling by 3 dB an octave, at the arrangement's ratio."""
    rng = np.random.default_rng([arrangement.seed, 2])
    spectrum = np.fft.rfft(rng.standard_normal(_NOISE_SAMPLES))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[0] = 0
    noise = np.resize(np.fft.irfft(spectrum), len(samples))  # goes round without a seam
    loudness = np.sqrt(np.mean(samples**2))
    noise *= loudness * 10 ** (-arrangement.signal_to_noise / 20) / np.sqrt(np.mean(noise**2))
    noisy: NDArray[np.float32] = np.clip(samples + noise, -1, 1).astype(np.float32)
    return noisy
