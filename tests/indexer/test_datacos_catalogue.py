"""Da-TACOS folders: every layout is found, and every kind of wrong file becomes one rejection."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from coverdex.encoder import Chroma, CoverdexError, NotFoundError
from coverdex.indexer import FileListCatalogue, PerformanceRecord, open_catalogue
from coverdex.indexer.datacos_metadata import read_datacos_metadata

from .datacos_folder import DatacosFolder, made_up_catalogue, made_up_chroma, write_feature_file


def ids(catalogue: object) -> list[str]:
    return [record.performance_id for record, _ in catalogue]  # type: ignore[attr-defined]


def test_healthy_folder(datacos: DatacosFolder) -> None:
    catalogue = open_catalogue(datacos.root)
    assert len(catalogue) == 6
    assert ids(catalogue) == ["P_00", "P_01", "P_10", "P_11", "P_20", "P_21"]
    assert catalogue.rejections == []
    assert catalogue.performances[0] == PerformanceRecord(
        "P_00", "W_0", "Title of P_00", "Anonymous", "Title of W_0", None, 1976, False
    )


def test_order_of_files_changes_nothing(tmp_path: Path) -> None:
    shuffled = made_up_catalogue(tmp_path / "b", 3, order=[4, 2, 5, 0, 3, 1])
    straight = made_up_catalogue(tmp_path / "a", 3)
    for (one, first), (other, second) in zip(
        open_catalogue(straight.root), open_catalogue(shuffled.root), strict=True
    ):
        assert one == other
        assert np.array_equal(first.values, second.values)


@pytest.mark.parametrize("subset", ["benchmark", "coveranalysis"])
@pytest.mark.parametrize(
    ("feature", "kind", "dataset"),
    [
        ("hpcp", "hpcp", "hpcp"),
        ("crema", "crema", "crema"),
        ("cens", "cens", "chroma_cens"),
        ("single_files", "hpcp", "hpcp"),
        ("single_files", "crema", "crema"),
    ],
)
def test_layouts(tmp_path: Path, subset: str, feature: str, kind: str, dataset: str) -> None:
    folder = DatacosFolder(tmp_path, subset, feature)
    values = made_up_chroma(1)
    folder.add("W_14", "P_15", **{dataset: values.T if kind == "crema" else values})
    folder.write_metadata()
    for path in (folder.root, folder.features):
        catalogue = open_catalogue(path, kind=kind)
        ((record, chroma),) = catalogue
        assert (record.work_id, record.title) == ("W_14", "Title of P_15")
        assert chroma.kind == kind
        assert chroma.values.shape == values.shape
        assert catalogue.rejections == []


def test_feature_folder_comes_before_single_files(datacos: DatacosFolder) -> None:
    single = DatacosFolder(datacos.root, feature="single_files")
    single.add("W_0", "P_99", hpcp=made_up_chroma(1))
    assert len(open_catalogue(datacos.root)) == 6


def test_both_subsets_need_a_choice(datacos: DatacosFolder) -> None:
    other = DatacosFolder(datacos.root, subset="coveranalysis")
    other.add("W_8", "P_9")
    other.write_metadata()
    with pytest.raises(CoverdexError, match="both subsets"):
        open_catalogue(datacos.root)
    assert ids(open_catalogue(datacos.root, subset="coveranalysis")) == ["P_9"]
    with pytest.raises(NotFoundError, match="benchmark, coveranalysis"):
        open_catalogue(datacos.root, subset="training")


def test_without_metadata_one_warning_and_everything_read(
    datacos: DatacosFolder, caplog: pytest.LogCaptureFixture
) -> None:
    datacos.metadata_path.unlink()
    with caplog.at_level(logging.WARNING):
        catalogue = open_catalogue(datacos.root)
    assert [record.message.split(":")[0] for record in caplog.records] == [
        f"no metadata beside {datacos.features}"
    ]
    assert len(ids(catalogue)) == 6
    assert catalogue.rejections == []
    assert catalogue.performances[0] == PerformanceRecord("P_00", "W_0")


def test_metadata_elsewhere(datacos: DatacosFolder, tmp_path: Path) -> None:
    moved = datacos.metadata_path.rename(tmp_path / "elsewhere.json")
    assert open_catalogue(datacos.root, metadata=moved).performances[0].year == 1976
    with pytest.raises(NotFoundError, match="nowhere"):
        open_catalogue(datacos.root, metadata=tmp_path / "nowhere.json")


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _with_values(values: object) -> Callable[[Path], None]:
    def rewrite(path: Path) -> None:
        write_feature_file(path, "W_0", "P_00", hpcp=np.asarray(values))

    return rewrite


def _poisoned(value: float) -> np.ndarray:
    values = made_up_chroma(0)
    values[17, 3] = value
    return values


#: What is done to the file of P_00, and the reason that it should be rejected for.
WRONG_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing key": (
        lambda path: write_feature_file(path, "W_0", "P_00", mfcc=made_up_chroma(0)),
        "missing-key",
    ),
    "turned round": (_with_values(made_up_chroma(0).T), "wrong-shape"),
    "one dimension": (_with_values(made_up_chroma(0).ravel()), "wrong-shape"),
    "thirteen bins": (_with_values(np.ones((50, 13), np.float32)), "wrong-shape"),
    "no frames": (_with_values(np.empty((0, 12), np.float32)), "no-frames"),
    "NaN": (_with_values(_poisoned(np.nan)), "not-finite"),
    "infinite": (_with_values(_poisoned(np.inf)), "not-finite"),
    "text": (_with_values(np.full((50, 12), b"x")), "wrong-dtype"),
    "empty file": (lambda path: path.write_bytes(b""), "empty"),
    "truncated file": (_truncate, "truncated"),
    "not HDF5": (lambda path: path.write_bytes(b"<html>404</html>" * 100), "unreadable"),
    "attributes of another performance": (
        lambda path: write_feature_file(path, "W_0", "P_77", hpcp=made_up_chroma(0)),
        "attributes-disagree",
    ),
    "attributes of another work": (
        lambda path: write_feature_file(path, "W_77", "P_00", hpcp=made_up_chroma(0)),
        "attributes-disagree",
    ),
}


@pytest.mark.parametrize("fault", WRONG_FILES)
def test_each_wrong_file_is_one_rejection(datacos: DatacosFolder, fault: str) -> None:
    path = datacos.path_of("W_0", "P_00")
    spoil, reason = WRONG_FILES[fault]
    spoil(path)
    catalogue = open_catalogue(datacos.root)
    assert ids(catalogue) == ["P_01", "P_10", "P_11", "P_20", "P_21"]
    (rejection,) = catalogue.rejections
    assert (rejection.path, rejection.performance) == (str(path), "P_00")
    assert rejection.reason == reason
    assert "P_00" in rejection.message


def test_a_performance_listed_twice(datacos: DatacosFolder) -> None:
    """In two folders: the one of the work that the metadata names is used."""
    second = datacos.path_of("W_00", "P_10")  # sorts before W_1
    write_feature_file(second, "W_00", "P_10", hpcp=made_up_chroma(5))
    catalogue = open_catalogue(datacos.root)
    assert len(ids(catalogue)) == 6
    (rejection,) = catalogue.rejections
    assert (rejection.path, rejection.reason) == (str(second), "listed-twice")


def test_metadata_and_files_that_miss_each_other(datacos: DatacosFolder) -> None:
    datacos.describe("W_9", "P_90")  # no file
    stray = datacos.add("W_9", "P_91", describe=False)  # no metadata
    moved = datacos.path_of("W_2", "P_20")
    astray = datacos.path_of("W_1", "P_20")
    moved.rename(astray)  # in the folder of another work
    datacos.write_metadata()
    catalogue = open_catalogue(datacos.root)
    assert ids(catalogue) == ["P_00", "P_01", "P_10", "P_11", "P_21"]
    assert {(r.path, r.performance, r.reason) for r in catalogue.rejections} == {
        (str(datacos.metadata_path), "P_90", "no-feature-file"),
        (str(stray), "P_91", "no-metadata"),
        (str(astray), "P_20", "metadata-disagrees"),
    }


def test_files_that_are_no_feature_files(datacos: DatacosFolder) -> None:
    (datacos.features / "README").write_text("read me")
    (datacos.features / "W_0_hpcp" / "P_00_hpcp.h5.part").write_text("half")
    (datacos.features / ".DS_Store").write_text("hidden files are no matter")
    (datacos.features / "W_0_hpcp" / "._P_00_hpcp.h5").write_text("nor these")
    catalogue = open_catalogue(datacos.root)
    assert len(ids(catalogue)) == 6
    assert sorted(Path(r.path).name for r in catalogue.rejections) == [
        "P_00_hpcp.h5.part",
        "README",
    ]
    assert {r.reason for r in catalogue.rejections} == {"unrecognised-file"}


def test_a_file_that_vanishes_is_rejected(datacos: DatacosFolder) -> None:
    catalogue = open_catalogue(datacos.root)
    datacos.path_of("W_0", "P_00").unlink()
    assert len(ids(catalogue)) == 5
    assert [r.reason for r in catalogue.rejections] == ["no-feature-file"]


def test_metadata_that_contradicts_itself(datacos: DatacosFolder) -> None:
    datacos.describe("W_9", "P_10")  # P_10 under a second work
    datacos.describe("W_1", "P_11", work_id="W_7")
    datacos.write_metadata()
    catalogue = open_catalogue(datacos.root)
    by_performance = [(r.performance, r.reason) for r in catalogue.rejections]
    # One each: the file of P_11 is not called unknown to the metadata as well.
    assert sorted(by_performance) == [("P_10", "listed-twice"), ("P_11", "metadata-disagrees")]
    assert "P_10" in ids(catalogue)  # its file lies in the folder of W_1, which is listed
    assert "P_11" not in ids(catalogue)


def test_metadata_with_a_key_twice(tmp_path: Path) -> None:
    path = tmp_path / "metadata.json"
    path.write_text('{"W_1": {"P_1": {"perf_title": "first"}, "P_1": {"perf_title": "second"}}}')
    metadata = read_datacos_metadata(path)
    assert [r.title for r in metadata.records["P_1"]] == ["first"]
    assert [(r.performance, r.reason) for r in metadata.rejections] == [("P_1", "listed-twice")]


def test_metadata_values(tmp_path: Path) -> None:
    entry = {
        "work_title": "Summertime",
        "work_artist": "Abbie Mitchell",
        "perf_title": "Summertime",
        "perf_artist": "",
        "release_year": "c. 1936",
        "instrumental": "Yes",
        "perf_artist_mbid": "d59c4cda",
        "mb_performances": {"f4f1": {"title": "Summertime", "length": "187000"}},
        "title": "a key of theirs that is a name of ours",
    }
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"W_1": {"P_1": entry}}))
    (record,) = read_datacos_metadata(path).records["P_1"]
    assert record.artist is None
    assert record.year is None
    assert record.extra["release_year"] == "c. 1936"
    assert record.instrumental is True
    assert record.extra["perf_artist_mbid"] == "d59c4cda"
    assert json.loads(record.extra["mb_performances"]) == entry["mb_performances"]
    assert record.title == "Summertime"
    assert record.extra["metadata_title"] == entry["title"]


@pytest.mark.parametrize("text", ["", "[]", '{"W_1": []}', "{", '"P_1"'])
def test_metadata_of_another_layout_is_refused(datacos: DatacosFolder, text: str) -> None:
    datacos.metadata_path.write_text(text)
    with pytest.raises(CoverdexError, match="metadata"):
        open_catalogue(datacos.root)


def test_folders_that_are_no_catalogue(tmp_path: Path, datacos: DatacosFolder) -> None:
    (tmp_path / "music").mkdir()
    with pytest.raises(CoverdexError, match="it holds nothing"):
        open_catalogue(tmp_path / "music")
    (tmp_path / "music" / "album").mkdir()
    with pytest.raises(CoverdexError, match=r"it holds album.*below: coverdex embed --list"):
        open_catalogue(tmp_path / "music")
    with pytest.raises(CoverdexError, match="no crema features"):
        open_catalogue(datacos.root, kind="crema")
    wanted = "no hpcp features of the coveranalysis subset.*da-tacos_coveranalysis_subset_hpcp/W_"
    with pytest.raises(CoverdexError, match=wanted):
        open_catalogue(datacos.root, subset="coveranalysis")
    with pytest.raises(CoverdexError, match="holds hpcp and crema is wanted"):
        open_catalogue(datacos.features, kind="crema")
    (tmp_path / "da-tacos_benchmark_subset_hpcp").mkdir()
    with pytest.raises(CoverdexError, match="no feature files"):
        open_catalogue(tmp_path / "da-tacos_benchmark_subset_hpcp")


def test_loose_files(tmp_path: Path) -> None:
    write_feature_file(tmp_path / "P_2_hpcp.h5", "W_1", "P_2", hpcp=made_up_chroma(2))
    write_feature_file(tmp_path / "take five.h5", "W_1", "P_1", hpcp=made_up_chroma(1))
    (tmp_path / "broken.h5").write_bytes(b"")
    catalogue = open_catalogue(tmp_path)
    assert {(r.performance_id, r.work_id) for r, _ in catalogue} == {("P_1", "W_1"), ("P_2", "W_1")}
    assert [r.reason for r in catalogue.rejections] == ["empty"]
    # The same of those that have not been read; of the broken one no more is known than its name.
    known = [(r.performance_id, r.work_id) for r in catalogue.performances]
    assert known == [("P_1", "W_1"), ("P_2", "W_1"), ("broken", None)]


def test_loose_files_of_either_ending(tmp_path: Path) -> None:
    write_feature_file(tmp_path / "P_1.h5", "W_1", "P_1", hpcp=made_up_chroma(1))
    write_feature_file(tmp_path / "P_2.hdf5", "W_1", "P_2", hpcp=made_up_chroma(2))
    (tmp_path / "notes.txt").write_text("not music")
    (tmp_path / "._P_1.h5").write_bytes(b"what macOS leaves beside a file")
    catalogue = open_catalogue(tmp_path)
    assert {record.performance_id for record, _ in catalogue} == {"P_1", "P_2"}
    assert catalogue.rejections == []


@pytest.mark.parametrize("option", [{"subset": "benchmark"}, {"metadata": "metadata.json"}])
def test_loose_files_take_no_options_of_datacos(tmp_path: Path, option: dict[str, str]) -> None:
    write_feature_file(tmp_path / "P_1.h5", "W_1", "P_1", hpcp=made_up_chroma(1))
    with pytest.raises(CoverdexError, match="loose files; subset and metadata are for Da-TACOS"):
        open_catalogue(tmp_path, **option)


def test_listed_files_of_one_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_feature_file(tmp_path / folder / "P_2.h5", "W_1", "P_2", hpcp=made_up_chroma(2))
    catalogue = FileListCatalogue([tmp_path / "b" / "P_2.h5", tmp_path / "a" / "P_2.h5"])
    ((record, chroma),) = catalogue
    assert isinstance(chroma, Chroma)
    assert record.performance_id == "P_2"
    (rejection,) = catalogue.rejections
    assert (rejection.path, rejection.reason) == (str(tmp_path / "b" / "P_2.h5"), "listed-twice")
    with pytest.raises(CoverdexError, match="name at least one"):
        FileListCatalogue([])


def test_files_of_one_name_are_told_apart_by_their_attributes(tmp_path: Path) -> None:
    paths = [
        write_feature_file(tmp_path / folder / "hpcp.h5", "W_1", own, hpcp=made_up_chroma(1))
        for folder, own in (("1", "P_1"), ("2", "P_2"), ("3", "P_3"), ("4", "P_2"), ("6", ""))
    ]
    (tmp_path / "5").mkdir()
    (tmp_path / "5" / "hpcp.h5").write_bytes(b"")
    catalogue = FileListCatalogue([*paths, tmp_path / "5" / "hpcp.h5"])
    assert sorted(ids(catalogue)) == ["P_1", "P_2", "P_3"]
    found = sorted((Path(r.path).parent.name, r.reason) for r in catalogue.rejections)
    assert found == [("4", "listed-twice"), ("5", "empty"), ("6", "listed-twice")]


@pytest.mark.shared
def test_real_recordings(covers80_dev: Path) -> None:
    catalogue = open_catalogue(covers80_dev)
    assert len(catalogue) == 41
    assert len({record.work_id for record in catalogue.performances}) == 20
    _, chroma = next(iter(catalogue))
    assert chroma.n_frames > 1000
    assert catalogue.rejections == []


@pytest.mark.shared
@pytest.mark.parametrize("kind", ["hpcp", "crema"])
def test_original_files(shared_data: Path, kind: str) -> None:
    catalogue = open_catalogue(shared_data / "datacos_sample", kind=kind)
    ((record, chroma),) = catalogue
    assert (record.performance_id, record.work_id) == ("P_547131", "W_163992")
    assert chroma.kind == kind
    assert abs(chroma.n_frames - 15_227) <= 1
