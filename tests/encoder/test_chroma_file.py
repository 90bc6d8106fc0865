"""Files of the Da-TACOS layout are read back as written, and every fault has its own reason."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from coverdex.encoder import (
    DATACOS_FRAME_RATE,
    Chroma,
    ChromaKind,
    FeatureFileError,
    InvalidChromaError,
    NotFoundError,
    chroma_file,
    read_chroma,
    write_chroma,
)
from hypothesis import given, settings
from hypothesis import strategies as st

VALUES = np.random.default_rng(0).random((30, 12)).astype(np.float32)


def write_as_deepdish(
    path: Path, *, label: str | None = "W_14", track_id: str | None = "P_15", **features: object
) -> Path:
    """Write a file as Da-TACOS has it: features as datasets, ids as bytes on the root."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["DEEPDISH_IO_VERSION"] = 12
        for name, value in features.items():
            file[name] = value
        for name, value in (("label", label), ("track_id", track_id)):
            if value is not None:
                file.attrs[name] = np.bytes_(value.encode())
    return path


def reason_of(path: Path, **options: object) -> str:
    with pytest.raises((FeatureFileError, InvalidChromaError)) as caught:
        read_chroma(path, **options)  # type: ignore[arg-type]
    assert str(path) in str(caught.value)  # in a catalogue of thousands, say which
    return str(caught.value.reason)


@pytest.mark.parametrize(
    ("dataset", "stored", "kind"),
    [
        ("hpcp", VALUES, ChromaKind.HPCP),
        ("crema", VALUES.T, ChromaKind.CREMA),
        ("chroma_cens", VALUES.astype(np.float64), ChromaKind.CENS),
    ],
)
def test_feature_files_of_each_kind(
    tmp_path: Path, dataset: str, stored: object, kind: ChromaKind
) -> None:
    path = write_as_deepdish(
        tmp_path / f"W_14_{dataset}" / f"P_15_{dataset}.h5", **{dataset: stored}
    )
    read = read_chroma(path)
    assert (read.work_id, read.performance_id, read.path) == ("W_14", "P_15", path)
    assert read.chroma.kind is kind
    assert read.chroma.frame_rate == DATACOS_FRAME_RATE
    first = 0 if kind is ChromaKind.HPCP else 3  # the others are stored from C, and bin 3 is C
    np.testing.assert_array_equal(read.chroma.values[:, first], VALUES[:, 0])
    np.testing.assert_array_equal(np.roll(read.chroma.values, -first, axis=1), VALUES)


def test_single_file_holds_all_features_and_the_caller_picks(tmp_path: Path) -> None:
    path = write_as_deepdish(
        tmp_path / "W_14" / "P_15.h5",
        hpcp=VALUES,
        crema=2 * VALUES.T,
        chroma_cens=3 * VALUES,
        mfcc_htk=np.zeros((13, 30)),
        key_extractor=np.zeros(3),
    )
    assert read_chroma(path).chroma.kind is ChromaKind.HPCP
    for kind, factor in (("hpcp", 1), ("crema", 2), ("cens", 3)):
        assert read_chroma(path, kind=kind).chroma.values.sum() == pytest.approx(
            factor * VALUES.sum(), rel=1e-5
        )


@settings(max_examples=25, deadline=None)
@given(
    n_frames=st.integers(1, 50),
    kind=st.sampled_from(list(ChromaKind)),
    rate=st.floats(0.1, 1000),
    ids=st.one_of(
        st.just((None, None)), st.tuples(st.just("W_ä 1"), st.text("abcP_1", min_size=1))
    ),
)
def test_written_files_are_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory,
    n_frames: int,
    kind: ChromaKind,
    rate: float,
    ids: tuple[str | None, str | None],
) -> None:
    path = tmp_path_factory.mktemp("chroma") / "somewhere" / "track.h5"
    values = np.random.default_rng(n_frames).random((n_frames, 12)).astype(np.float32)
    write_chroma(path, Chroma(values, rate, kind), work_id=ids[0], performance_id=ids[1])
    read = read_chroma(path)
    np.testing.assert_array_equal(read.chroma.values, values)
    assert (read.chroma.frame_rate, read.chroma.kind) == (rate, kind)
    assert (read.work_id, read.performance_id) == ids
    assert [p.name for p in path.parent.iterdir()] == ["track.h5"]


def test_written_layout_is_that_of_datacos(tmp_path: Path) -> None:
    path = tmp_path / "P_15_crema.h5"
    write_chroma(path, Chroma(VALUES, kind=ChromaKind.CREMA), performance_id="P_15")
    with h5py.File(path) as file:
        assert file["crema"].shape == (12, 30)
        assert bytes(file.attrs["track_id"]) == b"P_15"


def test_ids_come_from_the_path_where_the_file_is_silent(tmp_path: Path) -> None:
    path = tmp_path / "W_14_hpcp" / "P_15_hpcp.h5"
    read = read_chroma(write_as_deepdish(path, label=None, track_id=None, hpcp=VALUES))
    assert (read.work_id, read.performance_id) == ("W_14", "P_15")
    nameless = write_as_deepdish(tmp_path / "take five.h5", label=None, track_id=None, hpcp=VALUES)
    assert read_chroma(nameless).performance_id is None


def test_given_rate_beats_the_file(tmp_path: Path) -> None:
    path = write_as_deepdish(tmp_path / "a.h5", hpcp=VALUES)
    assert read_chroma(path, frame_rate=10).chroma.frame_rate == 10
    assert reason_of(path, frame_rate=0) == "frame-rate"


def test_unknown_kind(tmp_path: Path) -> None:
    path = write_as_deepdish(tmp_path / "a.h5", hpcp=VALUES)
    with pytest.raises(InvalidChromaError, match="mfcc"):
        read_chroma(path, kind="mfcc")


def test_other_files_are_not_read_through_this_one(tmp_path: Path) -> None:
    other = write_as_deepdish(tmp_path / "other.h5", hpcp=VALUES)
    (tmp_path / "values.raw").write_bytes(VALUES.tobytes())
    linked, raw, virtual = (tmp_path / f"{name}.h5" for name in ("linked", "raw", "virtual"))
    with h5py.File(linked, "w") as file:
        file["hpcp"] = h5py.ExternalLink(str(other), "hpcp")
    with h5py.File(raw, "w") as file:
        file.create_dataset(
            "hpcp",
            shape=VALUES.shape,
            dtype="f4",
            external=[(str(tmp_path / "values.raw"), 0, VALUES.nbytes)],
        )
    with h5py.File(virtual, "w") as file:
        layout = h5py.VirtualLayout(shape=VALUES.shape, dtype="f4")
        layout[:] = h5py.VirtualSource(str(other), "hpcp", shape=VALUES.shape)
        file.create_virtual_dataset("hpcp", layout)
    assert reason_of(linked) == "missing-key"
    assert reason_of(raw) == "unreadable"
    assert reason_of(virtual) == "unreadable"


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="absent"):
        read_chroma(tmp_path / "absent.h5")


def test_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.touch()
    assert reason_of(path) == "empty"


def test_truncated_file(tmp_path: Path) -> None:
    path = write_as_deepdish(tmp_path / "a.h5", hpcp=np.tile(VALUES, (100, 1)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reason_of(path) == "truncated"


def test_file_that_is_no_hdf5_and_folder(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_text("an HTML page that says 404")
    assert reason_of(path) == "unreadable"
    assert reason_of(tmp_path) == "unreadable"


def test_damaged_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = np.random.default_rng(0).random((500, 12))
        dataset = file.create_dataset("hpcp", data=data, compression="gzip", chunks=(500, 12))
        where = dataset.id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[where + 100 : where + 200] = bytes(100)
    path.write_bytes(content)
    assert reason_of(path) == "unreadable"


def test_missing_key_names_what_there_is(tmp_path: Path) -> None:
    path = write_as_deepdish(tmp_path / "a.h5", mfcc_htk=np.zeros((13, 30)))
    assert reason_of(path) == "missing-key"
    with pytest.raises(FeatureFileError, match="mfcc_htk"):
        read_chroma(path)
    path = write_as_deepdish(tmp_path / "b.h5", hpcp=VALUES)
    assert reason_of(path, kind="crema") == "missing-key"


def test_a_group_in_place_of_the_dataset_is_a_missing_key(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_group("hpcp")
        file.create_group("crema")
        file["chroma_cens"] = h5py.SoftLink("/crema")
    assert reason_of(path) == "missing-key"
    with pytest.raises(
        FeatureFileError, match=r"chroma_cens, which is a link.*hpcp, which is a gr"
    ):
        read_chroma(path)
    with pytest.raises(
        FeatureFileError, match=r"no dataset crema \(.*crema, which is a group, hpcp"
    ):
        read_chroma(path, kind="crema")


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (VALUES.T, "wrong-shape"),
        (VALUES[0], "wrong-shape"),
        (VALUES[:0], "no-frames"),
        (np.full((3, 12), np.nan), "not-finite"),
        (np.full((3, 12), np.inf), "not-finite"),
        (-VALUES, "negative"),
        (np.full((3, 12), b"x"), "wrong-dtype"),
        (h5py.Empty("f4"), "wrong-dtype"),
    ],
)
def test_values_that_are_no_chroma(tmp_path: Path, stored: object, reason: str) -> None:
    assert reason_of(write_as_deepdish(tmp_path / "a.h5", hpcp=stored)) == reason


def test_crema_must_lie_as_datacos_has_it(tmp_path: Path) -> None:
    assert reason_of(write_as_deepdish(tmp_path / "a.h5", crema=VALUES)) == "wrong-shape"


def test_frame_rate_attribute_is_checked(tmp_path: Path) -> None:
    path = write_as_deepdish(tmp_path / "a.h5", hpcp=VALUES)
    with h5py.File(path, "r+") as file:
        file.attrs["frame_rate"] = -1.0
    assert reason_of(path) == "frame-rate"


def test_a_frame_rate_in_an_array_of_one(tmp_path: Path) -> None:
    path = write_as_deepdish(tmp_path / "a.h5", hpcp=VALUES)
    with h5py.File(path, "r+") as file:  # MATLAB and R know no other attributes
        file.attrs["frame_rate"] = np.array([21.5])
    assert read_chroma(path).chroma.frame_rate == 21.5


def test_names_and_ids_that_are_no_utf_8_can_be_written_down(tmp_path: Path) -> None:
    path = write_as_deepdish(tmp_path / "a.h5", track_id=None, hpcp=VALUES)
    with h5py.File(path, "r+") as file:
        file.attrs["track_id"] = b"M\xfcller"  # Latin-1, which h5py reads as text
    assert read_chroma(path).performance_id == "M\ufffdller"

    path = write_as_deepdish(tmp_path / "b.h5", tempo=VALUES)
    with h5py.File(path, "r+") as file:
        file.create_dataset(b"m\xfcller", data=VALUES)
    with pytest.raises(FeatureFileError, match=r"it holds m\\xfcller, tempo") as caught:
        read_chroma(path)
    assert str(caught.value).encode()


@pytest.mark.parametrize(
    ("folder", "name", "options"),
    [
        ("W_99_hpcp", "P_15_hpcp.h5", {}),
        ("W_14_hpcp", "P_99_hpcp.h5", {}),
        ("W_99", "P_15.h5", {}),
        ("anywhere", "a.h5", {"expect_work": "W_99"}),
        ("anywhere", "a.h5", {"expect_performance": "P_99"}),
    ],
)
def test_attributes_that_disagree(
    tmp_path: Path, folder: str, name: str, options: dict[str, str]
) -> None:
    path = write_as_deepdish(tmp_path / folder / name, hpcp=VALUES)
    assert reason_of(path, **options) == "attributes-disagree"


def test_a_declared_giant_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:  # takes no space on disk, and would take 4 TB of memory
        file.create_dataset("hpcp", shape=(10**11, 12), dtype="f4", chunks=(1024, 12))

    assert reason_of(path) == "too-long"
    with h5py.File(path, "w") as file:  # as many frames as may be, and 178 TB
        file.create_dataset("hpcp", shape=(7 * 10**6,) * 2, dtype="f4", chunks=(1024, 12))
    assert reason_of(path) == "wrong-shape"

    monkeypatch.setattr(chroma_file, "MAX_FRAMES", 29)
    assert reason_of(write_as_deepdish(tmp_path / "b.h5", hpcp=VALUES)) == "too-long"


@pytest.mark.shared
def test_original_datacos_files(shared_data: Path) -> None:
    root = shared_data / "datacos_sample"
    hpcp = read_chroma(
        root / "da-tacos_coveranalysis_subset_hpcp" / "W_163992_hpcp" / "P_547131_hpcp.h5"
    )
    crema = read_chroma(
        root / "da-tacos_coveranalysis_subset_crema" / "W_163992_crema" / "P_547131_crema.h5"
    )
    assert (hpcp.work_id, hpcp.performance_id) == ("W_163992", "P_547131")
    assert hpcp.chroma.values.shape == (15227, 12)
    assert crema.chroma.values.shape == (15226, 12)
    # The same recording, and both start at A: they agree best where neither is turned.
    agreement = [
        np.corrcoef(
            hpcp.chroma.values[:15226].ravel(), np.roll(crema.chroma.values, k, axis=1).ravel()
        )[0, 1]
        for k in range(12)
    ]
    assert np.argmax(agreement) == 0
    assert agreement[0] > 0.5
