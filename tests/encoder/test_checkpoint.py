"""A checkpoint is complete or not there, and what was changed in it is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from coverdex.encoder import (
    DEFAULT_CHECKPOINT,
    Checkpoint,
    CheckpointError,
    Encoder,
    NotFoundError,
    Preprocessing,
    load_checkpoint,
    missing_references,
    save_checkpoint,
    shipped_checkpoints,
)
from coverdex.encoder import checkpoint as module
from safetensors.torch import load_file, save_file


@pytest.fixture
def folder(tiny_checkpoint: Checkpoint, tmp_path: Path) -> Path:
    return save_checkpoint(tiny_checkpoint, tmp_path / "tiny")


def test_what_is_saved_is_loaded(tiny_checkpoint: Checkpoint, folder: Path) -> None:
    loaded = load_checkpoint(folder)
    assert loaded.id == tiny_checkpoint.id
    assert loaded.preprocessing == tiny_checkpoint.preprocessing
    assert loaded.architecture == tiny_checkpoint.architecture
    assert (loaded.card, loaded.training) == (tiny_checkpoint.card, tiny_checkpoint.training)
    for name, weight in tiny_checkpoint.weights.items():
        assert torch.equal(loaded.weights[name], weight)
    assert sorted(p.name for p in folder.parent.iterdir()) == ["tiny"]


def test_id_is_the_name_and_twelve_digits(tiny_checkpoint: Checkpoint) -> None:
    name, digits = tiny_checkpoint.id.rsplit("-", 1)
    assert name == "tiny"
    assert len(digits) == 12
    assert tiny_checkpoint.digest.startswith(digits)


def test_id_follows_what_decides_an_embedding(tiny_checkpoint: Checkpoint) -> None:
    name, weight = next(iter(tiny_checkpoint.weights.items()))
    nudged = weight.clone()
    nudged.view(-1)[0] = torch.nextafter(nudged.view(-1)[0], torch.tensor(9.0))
    others = [
        replace(tiny_checkpoint, name="other"),
        replace(tiny_checkpoint, preprocessing=Preprocessing(5.5)),
        replace(tiny_checkpoint, architecture={**tiny_checkpoint.architecture, "dropout": 0.0}),
        replace(tiny_checkpoint, weights={**tiny_checkpoint.weights, name: nudged}),
    ]
    digests = {tiny_checkpoint.digest, *(other.digest for other in others)}
    assert len(digests) == 1 + len(others)


def test_id_does_not_follow_the_card_and_the_record(tiny_checkpoint: Checkpoint) -> None:
    assert replace(tiny_checkpoint, card="# corrected", training={}).id == tiny_checkpoint.id


def edit_weights(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["output.bias"][3] += 1e-6
    save_file(weights, folder / "model.safetensors")


def edit_config(**changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "config.json"
        config = json.loads(path.read_text())
        for key, value in changes.items():
            if value is None:
                del config[key]
            else:
                config[key] = value
        path.write_text(json.dumps(config))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (edit_weights, "damaged or was edited"),
        (edit_config(preprocessing={"frame_rate": 5.1}), "damaged or was edited"),
        (edit_config(name="famous"), "damaged or was edited"),
        (edit_config(kind="crema"), "damaged or was edited"),
        (edit_config(digest="0" * 64), "damaged or was edited"),
        (edit_config(digest=None), "digest"),
        (edit_config(architecture="siamese-cnn"), "architecture"),
        (edit_config(kind="mfcc"), "mfcc"),
        (edit_config(training="by hand"), "training"),
        (edit_config(format_version=2), "format version 2"),
        (edit_config(preprocessing={"frame_rate": -1}), "frame_rate"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "format version"),
        (lambda folder: (folder / "config.json").write_text("[" * 100_000), "cannot be read"),
        (lambda folder: (folder / "config.json").unlink(), "no complete checkpoint"),
        (lambda folder: (folder / "model.safetensors").unlink(), "cannot be read"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\x80\x04"), "cannot be read"),
    ],
)
def test_damage_is_noticed(folder: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        Encoder.load(folder)


def test_weights_of_another_shape_are_refused(tiny_checkpoint: Checkpoint) -> None:
    wider = {**tiny_checkpoint.architecture, "hidden": 33}
    with pytest.raises(CheckpointError, match="do not fit"):
        Encoder(replace(tiny_checkpoint, architecture=wider))


def test_a_missing_card_is_no_damage(folder: Path) -> None:
    (folder / "README.md").unlink()
    assert load_checkpoint(folder).card == ""


def test_a_card_that_is_not_utf_8_is_no_damage(folder: Path) -> None:
    (folder / "README.md").write_bytes("Modèle".encode("latin-1"))
    assert load_checkpoint(folder).card == "Mod\ufffdle"


def test_nothing_is_overwritten_unasked(tiny_checkpoint: Checkpoint, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="exists"):
        save_checkpoint(tiny_checkpoint, folder)
    other = replace(tiny_checkpoint, name="other")
    save_checkpoint(other, folder, overwrite=True)
    assert load_checkpoint(folder).id == other.id
    assert sorted(p.name for p in folder.parent.iterdir()) == ["tiny"]


def test_an_overwritten_checkpoint_is_there_at_every_moment(
    tiny_checkpoint: Checkpoint, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed: list[Path] = []
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda one, to: renamed.append(one) or rename(one, to))
    (tmp_path / "link").symlink_to("tiny")
    other = replace(tiny_checkpoint, name="other")
    save_checkpoint(other, tmp_path / "link", overwrite=True)
    assert folder not in renamed  # it was exchanged
    assert (tmp_path / "link").is_symlink()
    assert load_checkpoint(folder).id == other.id
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "tiny"]


def test_only_a_checkpoint_is_overwritten(tiny_checkpoint: Checkpoint, tmp_path: Path) -> None:
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").touch()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        save_checkpoint(tiny_checkpoint, precious, overwrite=True)
    assert (precious / "chapter1.tex").exists()


def test_a_failed_write_leaves_nothing(
    tiny_checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: object) -> bytes:
        raise OSError("no space left on device")

    monkeypatch.setattr(module, "save_safetensors", full_disk)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(tiny_checkpoint, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(NotFoundError, match=DEFAULT_CHECKPOINT):
        Encoder.load("coverdex-65")


def test_an_absent_reference_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert missing_references() == {}  # a checkout has it
    (tmp_path / DEFAULT_CHECKPOINT).symlink_to(module.SHIPPED / DEFAULT_CHECKPOINT)
    monkeypatch.setattr(module, "SHIPPED", tmp_path)  # as it is installed
    assert list(shipped_checkpoints()) == [DEFAULT_CHECKPOINT]
    assert list(missing_references()) == ["siamese-cnn"]
    with pytest.raises(NotFoundError, match=r"not installed .*configs/siamese-cnn\.toml"):
        Encoder.load("siamese-cnn")


def test_a_shipped_name_wins_over_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rename(folder.with_name(DEFAULT_CHECKPOINT))
    monkeypatch.chdir(folder.parent)
    assert Encoder.load(DEFAULT_CHECKPOINT).id == Encoder.load().id
    assert Encoder.load(f"./{DEFAULT_CHECKPOINT}").name == "tiny"


def test_shipped_checkpoints_load_and_have_a_card() -> None:
    shipped = shipped_checkpoints()
    assert DEFAULT_CHECKPOINT in shipped
    for name, folder in shipped.items():
        encoder = Encoder.load(name)
        assert encoder.id.startswith(f"{name}-")
        assert encoder.dimension == 64
        assert f"# {name}" in encoder.checkpoint.card
        assert (folder / "model.safetensors").stat().st_size < 20_000_000
