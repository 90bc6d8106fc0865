"""The configuration of a training run: one TOML file that says everything.

::

    name = "siamese-cnn"                # of the checkpoint that comes out
    seed = 1

    [architecture]                      # or start_from = "coverdex-64" to go on from a checkpoint
    name = "siamese-cnn"

    [preprocessing]
    frame_rate = 4.0

    [data]
    source = "pairs"                    # a registered batch source; the rest is its own
    catalogue = "demo"

    [loss]
    name = "contrastive"                # a registered loss; the rest is its own

    [optimizer]
    learning_rate = 1e-3

    [run]
    epochs = 20

    [[validation]]
    name = "covers80"
    catalogue = "../shared/data/covers80_dev"

Relative paths count from the file's folder. Unknown keys are errors: a misspelt setting must not
pass for its default.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..chroma import ChromaKind
from ..errors import NotFoundError, TrainingError
from .schedule import Schedule


class SettingsTable(BaseModel):
    """A table that knows all of its keys, and does not turn text into numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


_Settings = TypeVar("_Settings", bound=SettingsTable)


class OptimizerConfig(SettingsTable):
    """AdamW (Loshchilov and Hutter 2019), its schedule and what follows it."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Peak learning rate."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Decay of matrices; biases and gains do not decay."""
    schedule: Schedule = "one-cycle"
    warm_up: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the run in which the learning rate rises."""
    clip_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Largest norm of the whole gradient."""
    average_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of the weight average that becomes the checkpoint; 0 takes the last weights."""


class RunConfig(SettingsTable):
    """How long and on what."""

    epochs: Annotated[int, Field(ge=1)]
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    """By default what the source says that an epoch is."""
    device: str = "auto"
    """``auto`` is the GPU where there is one, else the CPU."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """``auto`` is bfloat16 on a GPU and float32 on the CPU; weights are float32 in either case."""
    workers: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Processes that make batches ahead; 0 makes them in between. ``auto`` is 0 on the CPU, beside
    a GPU as many as there are cores to spare."""
    frozen_statistics: bool = False
    """True keeps the running statistics of batch normalisation as they are and trains with them:
    for fine-tuning, where the network is to go on as the function that its checkpoint is."""
    save_every: Annotated[int, Field(ge=1)] | None = None
    """Steps after which the state is saved, beside the end of each epoch."""
    validate_every: Annotated[int, Field(ge=1)] = 1
    """Epochs between validations; the last epoch is always validated."""
    keep: Literal["last", "best"] = "last"
    """Which epoch becomes the checkpoint; ``best`` is by MAP on the first validation set, which
    makes that figure optimistic."""


class ValidationConfig(SettingsTable):
    """A catalogue of recordings that training never sees, on which MAP is measured."""

    name: Annotated[str, Field(min_length=1)]
    catalogue: str
    """Path of a catalogue, or a name that :func:`coverdex.indexer.open_catalogue` knows."""
    subset: str | None = None
    """Of a Da-TACOS root that holds both."""
    unrelated_ids: bool = False
    """True where its work ids and those of the training data are of different collections, so
    that equal ones mean nothing. Otherwise a work in both stops the run."""
    optional: bool = False
    """True to go on without it where it is missing."""


#: Name of the recordings that a source keeps from training (:class:`.batch.HoldsOutRecordings`).
HELD_OUT_WORKS = "held-out works"


def _named_apart(sets: list[ValidationConfig]) -> list[ValidationConfig]:
    names = [each.name for each in sets]
    if len(set(names)) < len(names):
        raise ValueError("two [[validation]] tables have the same name; name them apart")
    if HELD_OUT_WORKS in names:
        raise ValueError(
            f"{HELD_OUT_WORKS!r} are those of the training data themselves; name the set otherwise"
        )
    return sets


#: Validation sets, each under a name of its own.
ValidationSets = Annotated[list[ValidationConfig], AfterValidator(_named_apart)]


class CardConfig(SettingsTable):
    """What only people know about a model, in Markdown, for its card."""

    summary: str = ""
    data: str = ""
    licences: str = ""
    limits: str = ""


class DiscriminantSettings(SettingsTable):
    """The last layer in closed form, when training is done (:mod:`.discriminant`)."""

    batches: Annotated[int, Field(ge=1)] = 200
    """How many further batches the scatter is taken from."""
    shrinkage: Annotated[float, Field(gt=0)] = 1.0
    """Added to the diagonal of the scatter within works, in units of its mean."""


class DistillationSettings(SettingsTable):
    """A teacher whose neighbourhoods the network learns beside its loss (:mod:`.distillation`)."""

    teacher: str
    """A checkpoint's name or folder, usually of more dimensions; a folder's path counts from the
    configuration's folder."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """Of what the teacher says, beside the loss."""
    temperature: Annotated[float, Field(ge=0.001)] = 0.1
    """Of the similarities: low ones look at the nearest tracks alone."""


class TrainingConfig(SettingsTable):
    """A training run; see the module's text."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    kind: Annotated[ChromaKind, Field(strict=False)] = ChromaKind.HPCP
    start_from: str | None = None
    """A checkpoint's name or folder, whose weights, architecture and preprocessing are the start;
    a folder's path counts from the configuration's folder."""
    architecture: dict[str, Any] | None = None
    preprocessing: dict[str, Any] | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    loss: dict[str, Any] = Field(default_factory=dict)
    distillation: DistillationSettings | None = None
    """Without it the loss is all that is learnt."""
    optimizer: OptimizerConfig = OptimizerConfig()
    run: RunConfig
    discriminant: DiscriminantSettings | None = None
    """Without it the last layer stays as training left it."""
    validation: ValidationSets = Field(default_factory=list)
    card: CardConfig = CardConfig()

    @model_validator(mode="after")
    def _one_origin(self) -> TrainingConfig:
        tables = (self.architecture, self.preprocessing)
        if self.start_from is None and None in tables:
            raise ValueError("give [architecture] and [preprocessing], or start_from")
        if self.start_from is not None and tables != (None, None):
            raise ValueError(
                "start_from brings its own architecture and preprocessing; leave those tables out"
            )
        if self.loss.get("name") == "contrastive" and self.loss.get("pairs", "given") == "given":
            for source in _sources(self.data):
                if source in ("cliques", "simulated-covers"):
                    raise ValueError(
                        f"the contrastive loss compares given pairs, which batches of {source!r} "
                        'do not hold; set loss.pairs = "all"'
                    )
        if self.run.keep == "best" and not self.validation:
            raise ValueError("run.keep is 'best' but there is no [[validation]] to judge by")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the weights: only a run with the same one may be resumed.

        The device, the number of workers, validation and the card may change in between, and so
        may what follows the last step.
        """
        decisive = self.model_dump(
            mode="json",
            include={
                "name": True,
                "seed": True,
                "kind": True,
                "start_from": True,
                "architecture": True,
                "preprocessing": True,
                "data": True,
                "loss": True,
                "optimizer": True,
                "run": {"epochs", "steps_per_epoch", "precision"},
            },
        )
        if self.run.frozen_statistics:  # only then, so that other runs keep their digest
            decisive["frozen_statistics"] = True
        if self.distillation is not None:  # likewise
            decisive["distillation"] = self.distillation.model_dump(mode="json")
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def read_config(path: str | Path, *, changes: Iterable[str] = ()) -> TrainingConfig:
    """Read a training configuration.

    Parameters
    ----------
    path : path-like
        The TOML file.
    changes : iterable of str
        Settings that differ from the file, such as ``"optimizer.learning_rate=3e-4"``: a dotted
        key and a TOML value; a value that is not TOML counts as text.

    Raises
    ------
    NotFoundError
        No such file.
    TrainingError
        It is not TOML, or a setting is unknown, missing or out of range.
    """
    tables = read_toml(path)
    for change in changes:
        _apply(change, tables)
    return parse_config(tables, where=str(path))


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read the tables of a TOML file.

    Raises
    ------
    NotFoundError
        No such file.
    TrainingError
        It is not TOML.
    """
    path = Path(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"no configuration at {path}; give the path of a TOML file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path} cannot be read as TOML: {error}") from error


def parse_config(tables: Mapping[str, Any], *, where: str = "configuration") -> TrainingConfig:
    """Validate the tables of a configuration.

    Raises
    ------
    TrainingError
        A setting is unknown, missing or out of range; all such settings are named.
    """
    return read_settings(TrainingConfig, tables, where=where)


def read_settings(model: type[_Settings], table: Mapping[str, Any], *, where: str) -> _Settings:
    """Validate one table; a batch source reads its own with this.

    Raises
    ------
    TrainingError
        A setting is unknown, missing or out of range; all such settings are named.
    """
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        problems = "; ".join(_in_words(e) for e in error.errors())
        raise TrainingError(f"{where}: {problems}") from None


def _sources(data: Mapping[str, Any]) -> Iterator[Any]:
    """Name the source of a table of data, and those among which it alternates."""
    yield data.get("source", "pairs")
    among = data.get("sources")
    for one in among if isinstance(among, list) else ():
        if isinstance(one, Mapping):
            yield from _sources(one)


def _in_words(error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"{key} is no setting; check its spelling and its table"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{key} is {error['input']!r}: {message}" if key else message


def _apply(change: str, tables: dict[str, Any]) -> None:
    key, equals, text = change.partition("=")
    if not equals or not key.strip():
        raise TrainingError(f"change {change!r} is not of the form key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *parents, last = key.strip().split(".")
    table = tables
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise TrainingError(f"change {change!r}: {parent} is a value, not a table")
    table[last] = value
