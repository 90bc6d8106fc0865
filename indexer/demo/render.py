"""Render the demo catalogue: from ABC to one Parquet file of HPCP.

``python -m coverdex.indexer.demo.render --out catalogue.parquet`` reads the tunes of the music21
corpus, plays each setting as :mod:`.arrangement` decides, records it with FluidSynth, extracts HPCP
and writes it in groups of four frames averaged, 21.53 Hz, as 8-bit codes. The same versions of the
tools give the same file; ``README.md`` in this folder names them.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from ...encoder.chroma import DATACOS_FRAME_RATE, Chroma
from ...encoder.errors import CoverdexError, NotFoundError
from ...encoder.hpcp import extract_hpcp
from ..parquet_catalogue_writer import write_parquet_catalogue
from ..performance import PerformanceRecord
from .arrangement import SOUNDFONTS, Arrangement, arrange_work
from .averaged_frames import averaged
from .notation import Tune, read_tune
from .performance import perform
from .synthesis import SOUNDFONT_FOLDER, synthesise, write_midi
from .tunes import Setting, read_works

#: Frames averaged into one: Da-TACOS's 86.13 frames a second become 21.53.
GROUP = 4
FRAME_RATE = DATACOS_FRAME_RATE / GROUP

_MODULES = ("music21", "mido", "essentia")


def missing_tools() -> list[str]:
    """Return what rendering needs and this machine lacks, empty if it can render."""
    missing = [f"Python package {name}" for name in _MODULES if find_spec(name) is None]
    if shutil.which("fluidsynth") is None:
        missing.append("program fluidsynth")
    missing += [
        f"soundfont {SOUNDFONT_FOLDER / name}"
        for name in SOUNDFONTS
        if not (SOUNDFONT_FOLDER / name).is_file()
    ]
    return missing


def _check_tools() -> None:
    missing = missing_tools()
    if missing:
        raise NotFoundError(
            f"rendering needs {', '.join(missing)}; see indexer/demo/README.md for what to install"
        )


def render_catalogue(
    works: list[list[Setting]],
) -> Iterator[tuple[PerformanceRecord, Chroma]]:
    """Play and analyse every setting of some works, one after the other.

    Raises
    ------
    NotFoundError
        If a tool or soundfont is missing; the message names all of them.
    """
    _check_tools()
    corpus = _corpus_folder()
    for settings in works:
        tunes = [read_tune(corpus / s.file, s.position) for s in settings]
        arrangements = arrange_work(settings, tunes)
        for setting, tune, arrangement in zip(settings, tunes, arrangements, strict=True):
            chroma = render_performance(setting, tune, arrangement)
            yield _record(setting, tune, arrangement), chroma


def render_performance(setting: Setting, tune: Tune, arrangement: Arrangement) -> Chroma:
    """Play one setting and extract its chroma, at 21.53 Hz."""
    fluidsynth = shutil.which("fluidsynth")
    assert fluidsynth is not None
    with tempfile.TemporaryDirectory() as folder:
        midi = Path(folder) / f"{setting.performance_id}.mid"
        write_midi(midi, perform(setting, tune, arrangement), arrangement)
        samples = synthesise(midi, arrangement, fluidsynth=fluidsynth)
    return Chroma(averaged(extract_hpcp(samples).values, GROUP), FRAME_RATE)


def _corpus_folder() -> Path:
    import music21

    return Path(music21.__file__).parent / "corpus"


def _record(setting: Setting, tune: Tune, arrangement: Arrangement) -> PerformanceRecord:
    collection = setting.collection
    return PerformanceRecord(
        performance_id=setting.performance_id,
        work_id=setting.work_id,
        title=setting.title,
        artist=collection.editor,
        work_title=setting.work_title,
        work_artist="Traditional",
        year=collection.year,
        instrumental=True,
        extra={
            "collection": collection.name,
            "key": f"{arrangement.key_name} {setting.mode}",
            "printed_key": setting.key,
            "metre": tune.metre,
            "tempo": arrangement.tempo,
            "instrument": arrangement.lead.name,
            "instruments": arrangement.instruments,
            "accompaniment": arrangement.style,
            "soundfont": arrangement.soundfont,
            "source": f"{setting.file}#{setting.position}",
        },
    )


def tool_versions() -> dict[str, str]:
    """Name the versions of what makes the file, for its metadata."""
    versions = {}
    for name in (*_MODULES, "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # built from source without metadata
            versions[name] = "unknown"
    return {**versions, "fluidsynth": _fluidsynth_version()}


def _fluidsynth_version() -> str:
    output = subprocess.run(
        ["fluidsynth", "--version"], capture_output=True, text=True, check=False
    ).stdout
    match = re.search(r"version (\S+)", output)
    return match.group(1) if match else "unknown"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m coverdex.indexer.demo.render",
        description="Render the demo catalogue of Coverdex.",
    )
    parser.add_argument("--out", type=Path, required=True, help="the Parquet file to write")
    parser.add_argument("--tunes", type=int, help="render only the first so many tunes")
    options = parser.parse_args(arguments)
    works = read_works()[: options.tunes]

    try:
        _check_tools()
        write_parquet_catalogue(options.out, _announced(works), file_metadata=tool_versions())
    except CoverdexError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3 if isinstance(error, NotFoundError) else 1
    return 0


def _announced(works: list[list[Setting]]) -> Iterator[tuple[PerformanceRecord, Chroma]]:
    """Render, with a line for each performance: it takes minutes."""
    total = sum(map(len, works))
    for number, (record, chroma) in enumerate(render_catalogue(works), start=1):
        print(
            f"{number}/{total} {record.performance_id} {record.title}: "
            f"{record.extra['key']}, {record.extra['instruments']}, {chroma.duration:.0f} s",
            file=sys.stderr,
        )
        yield record, chroma


if __name__ == "__main__":
    sys.exit(main())
