"""The encoder: a network, its weights and its preprocessing as one thing.

>>> from coverdex.encoder import Encoder, read_chroma
>>> encoder = Encoder.load()                                            # doctest: +SKIP
>>> encoder.embed(read_chroma("W_14_hpcp/P_15_hpcp.h5").chroma).shape   # doctest: +SKIP
(64,)

Embeddings are L2-normalised: the inner product of two is their cosine similarity, from -1 to 1, and
larger is closer. The same chroma gives the same bytes by :meth:`Encoder.embed` on the same machine
with the same number of threads, and with ``coverdex-64`` with any number up to 68 minutes of music;
in a batch (:meth:`Encoder.embed_many`) the arithmetic runs in another order and the values agree to
1e-5.

Threads are torch's: ``OMP_NUM_THREADS`` in the environment or ``torch.set_num_threads``. Several
threads of a program may share an encoder. Other processes get it pickled, or load their own; start
them with ``spawn`` or ``forkserver``: with ``fork``, whose children lack the threads that torch has
started already, embedding may wait for ever unless torch has one thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .architectures import EncoderNetwork, build_architecture
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .chroma import N_PITCH_CLASSES, Chroma, ChromaKind
from .errors import CheckpointError, IncompatibleError, InvalidChromaError
from .preprocessing import PreparedChroma as PreparedChroma
from .preprocessing import Preprocessing

#: Tracks are gathered from the iterator in groups of this many batches, and sorted by length within
#: a group, so that a batch wastes little on padding.
BATCHES_PER_GROUP = 8
#: A group is also cut when its tracks have this many preprocessed frames together (96 MB), and a
#: batch when its padded tracks have so many: long tracks make small batches, memory stays bounded.
MAX_FRAMES_PER_GROUP = 2_000_000
MAX_FRAMES_PER_BATCH = 65_536


class Encoder:
    """Turns chroma into L2-normalised embeddings.

    Made by :meth:`load`, or from a :class:`Checkpoint` in memory.

    Parameters
    ----------
    checkpoint : Checkpoint
        Weights and settings.
    device : str or torch.device, default "cpu"
        Where the network runs.

    Raises
    ------
    CheckpointError
        The architecture is unknown or the weights are not of its shape.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str | torch.device = "cpu") -> None:
        self._checkpoint = checkpoint
        self._device = torch.device(device)
        self._network = _network_of(checkpoint).to(self._device)
        self._inference = self._network.for_inference() if self._device.type == "cpu" else None
        self._id = checkpoint.id

    @classmethod
    def load(
        cls, name_or_path: str | Path | None = None, *, device: str | torch.device = "cpu"
    ) -> Encoder:
        """Load a shipped checkpoint by name, or one of your own by folder.

        Parameters
        ----------
        name_or_path : str or path, optional
            A name of :func:`shipped_checkpoints`, or a folder; by default
            :data:`DEFAULT_CHECKPOINT`.
        device : str or torch.device, default "cpu"
            Where the network runs.

        Raises
        ------
        NotFoundError
            No such checkpoint.
        CheckpointError
            It is incomplete, damaged or of an unknown architecture.
        """
        return cls(load_checkpoint(name_or_path), device=device)

    @property
    def name(self) -> str:
        """The checkpoint's name."""
        return self._checkpoint.name

    @property
    def id(self) -> str:
        """The checkpoint's content-derived id, ``<name>-<12 hex digits>``."""
        return self._id

    @property
    def dimension(self) -> int:
        """Length of an embedding."""
        return self._network.dimension

    @property
    def kind(self) -> ChromaKind:
        """The kind of chroma that this encoder reads."""
        return self._checkpoint.kind

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to chroma before the network."""
        return self._checkpoint.preprocessing

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that this encoder runs, with its card and its training record."""
        return self._checkpoint

    @property
    def network(self) -> EncoderNetwork:
        """The network, in evaluation mode, without gradients."""
        return self._network

    @property
    def runs_in_pieces(self) -> bool:
        """Whether the network runs in pieces that do not wait for each other.

        So do those that are arranged for a CPU (:mod:`.side_by_side`): their threads share cores
        with other processes.
        """
        return self._inference is not None

    @property
    def n_parameters(self) -> int:
        """Number of weights of the network."""
        return sum(parameter.numel() for parameter in self._network.parameters())

    def prepare(self, chroma: Chroma) -> PreparedChroma:
        """Preprocess one track; this is where an unusable one is found out.

        Parameters
        ----------
        chroma : Chroma
            Any length and frame rate, of this encoder's kind.

        Raises
        ------
        InvalidChromaError
            ``reason="no-energy"``: silence or constant chroma.
        IncompatibleError
            The chroma is of another kind than the encoder was trained for.
        TypeError
            It is no Chroma.
        """
        if not isinstance(chroma, Chroma):
            raise TypeError(
                f"chroma is {type(chroma).__name__}; give a Chroma, which says the frame rate too: "
                "Chroma(values, frame_rate)"
            )
        if chroma.kind is not self.kind:
            raise IncompatibleError(
                f"encoder {self.name} reads {self.kind} chroma and was given {chroma.kind}; "
                f"give {self.kind}, or an encoder trained for {chroma.kind}"
            )
        return PreparedChroma(self.preprocessing.apply(chroma))

    def embed(self, chroma: Chroma | PreparedChroma) -> NDArray[np.float32]:
        """Embed one track.

        Parameters
        ----------
        chroma : Chroma or PreparedChroma
            From one frame to hours.

        Returns
        -------
        numpy.ndarray, shape (dimension,), float32
            Finite, L2 norm 1.

        Raises
        ------
        InvalidChromaError, IncompatibleError
            As :meth:`prepare`; and with ``reason="not-finite"`` where NaN or infinite values came
            in after the chroma was checked.
        """
        return _finite(self._embed_batch([self._values(chroma)])[0])

    def embed_many(
        self, chromas: Iterable[Chroma | PreparedChroma], *, batch_size: int = 16
    ) -> Iterator[NDArray[np.float32]]:
        """Embed a stream of tracks in batches, in order, within bounded memory.

        Tracks are taken from the iterator as needed: at most eight batches, or two million
        preprocessed frames (96 MB), at a time. They are sorted by length within such a group only,
        so the padding is small and the order of the results is that of the input.

        Parameters
        ----------
        chromas : iterable of Chroma or PreparedChroma
            May be a generator that reads files. To go on after unusable tracks, call
            :meth:`prepare` in it and leave out those that raise.
        batch_size : int, default 16
            Most tracks per batch. Larger ones leave the processor's caches and are slower.

        Yields
        ------
        numpy.ndarray, shape (dimension,), float32
            One per track, in order; as :meth:`embed` gives to 1e-5.

        Raises
        ------
        InvalidChromaError, IncompatibleError
            As :meth:`embed`, when the track is reached: after the embeddings of all before it. So
            is whatever ``chromas`` raises.
        ValueError
            ``batch_size`` is no whole number from 1 up.
        """
        # A number between two whole ones is never reached by counting: all would be one batch.
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise ValueError(f"batch_size is {batch_size!r}; give a whole number, 1 or more")
        return self._embedded(chromas, int(batch_size))

    def _embedded(
        self, chromas: Iterable[Chroma | PreparedChroma], batch_size: int
    ) -> Iterator[NDArray[np.float32]]:
        group: list[NDArray[np.float32]] = []
        n_frames = 0
        tracks = map(self._values, chromas)
        while True:
            try:
                values = next(tracks)
            except StopIteration:
                break
            except Exception:
                yield from map(_finite, self._embed_group(group, batch_size))
                raise
            group.append(values)
            n_frames += len(values)
            if len(group) == BATCHES_PER_GROUP * batch_size or n_frames >= MAX_FRAMES_PER_GROUP:
                yield from map(_finite, self._embed_group(group, batch_size))
                group, n_frames = [], 0
        yield from map(_finite, self._embed_group(group, batch_size))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the checkpoint alone: what is arranged for inference is made again from it."""
        return _unpickled, (self._checkpoint, str(self._device))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> Path:
        """Write this encoder as a checkpoint folder; see :func:`save_checkpoint`."""
        return save_checkpoint(self._checkpoint, folder, overwrite=overwrite)

    def __repr__(self) -> str:
        return f"<Encoder {self.id}: {self.kind} -> {self.dimension} on {self._device}>"

    def _values(self, chroma: Chroma | PreparedChroma) -> NDArray[np.float32]:
        return (chroma if isinstance(chroma, PreparedChroma) else self.prepare(chroma)).values

    def _embed_group(
        self, group: list[NDArray[np.float32]], batch_size: int
    ) -> list[NDArray[np.float32]]:
        results: dict[int, NDArray[np.float32]] = {}
        for batch in _batches_by_length([len(values) for values in group], batch_size):
            vectors = self._embed_batch([group[i] for i in batch])
            results.update(zip(batch, vectors, strict=True))
        return [results[i] for i in range(len(group))]

    @torch.inference_mode()
    def _embed_batch(self, tracks: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Embed ``(n_frames, 12)`` arrays as one batch: ``(n, dimension)`` float32."""
        # In float32 also where the caller computes something of its own in half of it.
        with torch.autocast(self._device.type, enabled=False):
            if self._inference is not None:
                embeddings = self._inference(tracks)
            else:
                x, n_valid = padded(tracks)
                embeddings = self._network(x.to(self._device), n_valid.to(self._device)).cpu()
        vectors: NDArray[np.float32] = embeddings.numpy()
        return vectors


def _finite(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """Refuse the embedding of a track that was changed after it was checked, and of no other."""
    if not np.isfinite(vector).all():
        raise InvalidChromaError(
            "chroma has NaN or infinite values that came in after it was checked; "
            "don't write to the values of a Chroma, make a new one",
            reason="not-finite",
        )
    return vector


def _unpickled(checkpoint: Checkpoint, device: str) -> Encoder:
    return Encoder(checkpoint, device=device)


def padded(tracks: list[NDArray[np.float32]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack tracks of different lengths.

    Parameters
    ----------
    tracks : list of numpy.ndarray, each of shape (n_frames, 12), float32
        Preprocessed chroma.

    Returns
    -------
    x : torch.Tensor, shape (batch, longest, 12), float32
        Zero frames after the end of each track.
    n_valid : torch.Tensor, shape (batch,), int64
        The tracks' own lengths.
    """
    n_valid = torch.tensor([len(track) for track in tracks])
    x = torch.zeros(len(tracks), int(n_valid.max()), N_PITCH_CLASSES, dtype=torch.float32)
    for row, track in zip(x, tracks, strict=True):
        row[: len(track)] = torch.from_numpy(track)
    return x, n_valid


def _batches_by_length(lengths: list[int], batch_size: int) -> Iterator[list[int]]:
    """Cut positions, sorted by length, into batches within both limits."""
    batch: list[int] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        # Sorted upwards, so this track is the longest and sets the padded length.
        if batch and (
            len(batch) == batch_size or (len(batch) + 1) * lengths[i] > MAX_FRAMES_PER_BATCH
        ):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _network_of(checkpoint: Checkpoint) -> EncoderNetwork:
    network = build_architecture(checkpoint.architecture).float()  # whatever torch's default is
    weights: dict[str, Any] = dict(checkpoint.weights)
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights of {checkpoint.name} do not fit its architecture "
            f"{checkpoint.architecture.get('name')}: {error}"
        ) from error
    if unsound := sorted(n for n, w in checkpoint.weights.items() if not w.isfinite().all()):
        raise CheckpointError(
            f"{len(unsound)} tensors of {checkpoint.name} have NaN or infinite weights "
            f"({unsound[0]} for one); its training diverged, take an earlier checkpoint"
        )
    return network.eval().requires_grad_(False)
