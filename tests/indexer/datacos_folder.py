"""Writes small catalogues in the layout of Da-TACOS, as deepdish would, and breaks them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray


def made_up_chroma(seed: int, n_frames: int = 260) -> NDArray[np.float32]:
    """Chords of a second each, with noise: (n_frames, 12) float32 in [0, 1]."""
    rng = np.random.default_rng(seed)
    chords = np.repeat(rng.random((n_frames // 86 + 1, 12)) ** 4, 86, axis=0)[:n_frames]
    values = chords + 0.1 * rng.random((n_frames, 12))
    return (values / values.max()).astype(np.float32)


def write_feature_file(path: Path, work: str, performance: str, **datasets: NDArray[Any]) -> Path:
    """Write datasets and attributes as deepdish does: PyTables' own attributes beside ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in (
            ("CLASS", b"GROUP"),
            ("PYTABLES_FORMAT_VERSION", b"2.1"),
            ("VERSION", b"1.0"),
            ("label", work.encode()),
            ("track_id", performance.encode()),
        ):
            file.attrs[name] = np.bytes_(value)
        file.attrs["TITLE"] = h5py.Empty("S1")
        file.attrs["DEEPDISH_IO_VERSION"] = np.int64(12)
        for name, values in datasets.items():
            dataset = file.create_dataset(
                name, data=values, chunks=True, compression="gzip", shuffle=True
            )
            dataset.attrs["CLASS"] = np.bytes_(b"CARRAY")
    return path


@dataclass
class DatacosFolder:
    """A Da-TACOS root: feature files are written at once, metadata by `write_metadata`."""

    root: Path
    subset: str = "benchmark"
    feature: str = "hpcp"
    metadata: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    @property
    def features(self) -> Path:
        return self.root / f"da-tacos_{self.subset}_subset_{self.feature}"

    @property
    def metadata_path(self) -> Path:
        name = f"da-tacos_{self.subset}_subset_metadata.json"
        return self.root / "da-tacos_metadata" / name

    def path_of(self, work: str, performance: str) -> Path:
        if self.feature == "single_files":
            return self.features / work / f"{performance}.h5"
        return self.features / f"{work}_{self.feature}" / f"{performance}_{self.feature}.h5"

    def add(
        self, work: str, performance: str, *, describe: bool = True, **datasets: NDArray[Any]
    ) -> Path:
        """Write a feature file (hpcp made up unless given) and note its metadata."""
        if not datasets:
            seed = int.from_bytes(performance.encode()[-4:], "little")
            datasets = {"hpcp": made_up_chroma(seed)}
        if describe:
            self.describe(work, performance)
        return write_feature_file(self.path_of(work, performance), work, performance, **datasets)

    def describe(self, work: str, performance: str, **changes: Any) -> None:
        entry = {
            "work_title": f"Title of {work}",
            "work_artist": "",
            "perf_title": f"Title of {performance}",
            "perf_artist": "Anonymous",
            "release_year": "1976",
            "work_id": work,
            "perf_id": performance,
            "instrumental": "No",
        }
        self.metadata.setdefault(work, {})[performance] = entry | changes

    def write_metadata(self) -> Path:
        self.metadata_path.parent.mkdir(parents=True, exist_ok=True)
        self.metadata_path.write_text(json.dumps(self.metadata), encoding="utf-8")
        return self.metadata_path


def made_up_catalogue(
    root: Path, n_works: int, n_versions: int = 2, *, order: Iterable[int] | None = None
) -> DatacosFolder:
    """A healthy catalogue; `order` is the order in which the files are written."""
    folder = DatacosFolder(root)
    pairs = [
        (f"W_{work}", f"P_{work}{version}")
        for work in range(n_works)
        for version in range(n_versions)
    ]
    for i in order if order is not None else range(len(pairs)):
        folder.add(*pairs[i])
    folder.write_metadata()
    return folder
