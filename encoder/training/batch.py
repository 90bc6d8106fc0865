"""Batches, and where they come from.

Every kind of training here sees the same thing: some tracks, and which of them are of one work.

* Labelled *pairs* (the method's own training) are a batch in which rows 2i and 2i + 1 make a pair,
  covers where their works are equal.
* *Views* (training on simulated covers) are a batch in which each work has two or more rows; every
  other row is a negative.

A source is a function of the step number: ``source.batch(step)`` depends on its settings, its seed
and the step, and on nothing that happened before. So a run that was killed goes on where it was
without any saved state of the source, and batches may be made ahead in worker processes.

A source joins by name, which a configuration gives in ``[data] source = "..."``::

    @register_batch_source("my-source")
    def my_source(settings: Mapping[str, Any], context: SourceContext) -> BatchSource: ...
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from ..chroma import ChromaKind
from ..errors import TrainingError

if TYPE_CHECKING:
    from ..preprocessing import Preprocessing
    from ..training_list import TrainingList
    from .validation import ValidationSet
    from .world import TrainingWorld


class Batch(NamedTuple):
    """Tracks, and which of them are of one work.

    Parameters
    ----------
    x : torch.Tensor, shape (n_tracks, n_frames, 12), float32
        Preprocessed chroma, zero after the end of each track.
    n_valid : torch.Tensor, shape (n_tracks,), int64
        Real frames of each track, 1 to ``n_frames``.
    work : torch.Tensor, shape (n_tracks,), int64
        Equal numbers are covers of one another.
    """

    x: Tensor
    n_valid: Tensor
    work: Tensor

    def to(self, device: Any) -> Batch:
        """Return the batch on a device."""
        return Batch(*(part.to(device, non_blocking=True) for part in self))


class BatchSource(Protocol):
    """Makes the batches of a training run."""

    @property
    def steps_per_epoch(self) -> int | None:
        """Steps that see everything once; None where views are drawn without end."""
        ...

    @property
    def work_ids(self) -> Collection[str]:
        """Works that training sees; no validation set of the same ids may hold one of them."""
        ...

    def batch(self, step: int) -> Batch:
        """Make the batch of a step, the same one whenever it is asked for."""
        ...

    def held_out(self) -> Iterable[Batch]:
        """Batches of works that training does not see, always the same ones; may be none."""
        ...

    def training_list(self) -> TrainingList:
        """List the performances that training sees, without the held-out ones."""
        ...

    def describe(self) -> dict[str, Any]:
        """Say for the record what the data are: counts, settings, hashes of files."""
        ...


@runtime_checkable
class HoldsOutRecordings(Protocol):
    """A source that keeps recordings with covers from training, on which MAP can be measured."""

    def held_out_recordings(self) -> ValidationSet | None:
        """Give the recordings of the held-out works; None where none are held out."""
        ...


@dataclass(frozen=True)
class SourceContext:
    """What a source may need beside its own settings.

    Parameters
    ----------
    preprocessing : Preprocessing
        What the network's input went through.
    kind : ChromaKind
        The kind of chroma that is trained for.
    seed : int
        The run's seed.
    device : str
        Where the run computes; a source may make its batches there if ``workers`` is 0.
    folder : pathlib.Path
        The run's own folder, for what the source writes down (its pairs, for instance).
    base : pathlib.Path
        The folder of the configuration file, from which relative paths in it count.
    world : TrainingWorld or None
        Catalogues and evaluation.
    prepared : pathlib.Path or None
        A folder that holds the data ready (:mod:`.prepared_covers`), instead of where they are
        read from.
    """

    preprocessing: Preprocessing
    kind: ChromaKind
    seed: int
    device: str
    folder: Path
    base: Path
    world: TrainingWorld | None = None
    prepared: Path | None = None

    def path(self, path: str) -> Path:
        """Resolve a path of the configuration."""
        return (self.base / Path(path).expanduser()).resolve()


SourceFactory = Callable[[Mapping[str, Any], SourceContext], BatchSource]

_REGISTERED: dict[str, SourceFactory] = {}

#: Sources of this package, by the module that registers them; it is imported on first use.
_BUILT_IN = {
    "alternating": "alternating_batches",
    "cliques": "clique_batches",
    "pairs": "pair_batches",
    "simulated-covers": "cover_batches",
}
#: Sources whose data can be prepared.
PREPARABLE = ("simulated-covers",)


def register_batch_source(name: str) -> Callable[[SourceFactory], SourceFactory]:
    """Make a factory of batch sources known under ``name``, as a decorator."""

    def register(factory: SourceFactory) -> SourceFactory:
        _REGISTERED[name] = factory
        return factory

    return register


def build_batch_source(settings: Mapping[str, Any], context: SourceContext) -> BatchSource:
    """Make the source that the ``[data]`` table of a configuration asks for.

    Raises
    ------
    TrainingError
        Unknown source, or settings that it refuses.
    """
    arguments = dict(settings)
    name = arguments.pop("source", None)
    known = sorted(_REGISTERED.keys() | _BUILT_IN.keys())
    if not isinstance(name, str) or name not in known:
        raise TrainingError(f"[data] source is {name!r}; give one of {', '.join(known)}")
    if name not in _REGISTERED:
        import_module(f".{_BUILT_IN[name]}", __package__)
    if context.prepared is not None and name not in PREPARABLE:
        raise TrainingError(
            f"the source {name} reads its data itself; only {', '.join(PREPARABLE)} takes what was "
            "prepared"
        )
    return _REGISTERED[name](arguments, context)
