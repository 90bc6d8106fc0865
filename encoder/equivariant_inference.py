"""The network of ``coverdex-64`` arranged for inference on a CPU: the same sums in a better order.

:class:`~coverdex.encoder.equivariant_cnn.EquivariantCNN` is written for training: its kernels are
put together anew in every pass, its normalisation is a layer of its own, and the tracks of a batch
are padded to one length. When the weights no longer change, all of that can be done once or not at
all:

* *Kernels* are laid out for matrix products when the encoder is loaded, one per frequency over
  pitch.
* *Normalisation* by the running statistics is a scale and a shift by channel. The scale goes into
  the kernels, the shift into the bias of frequency 0, which is the only one that sees a constant.
* *Tracks lie end to end* on one time axis with silence between them, as wide as the widest kernel
  needs, so that no track sees its neighbour and nothing is computed for padding. Each begins at a
  multiple of the product of all strides, so every stage meets it at a whole frame.
* *Convolutions are matrix products*: the frames under a kernel are one row (the arrangement known
  as im2col; Chellapilla, Puri and Simard 2006, "High performance convolutional neural networks for
  document processing"). They run block by block, each small enough to stay in the processor's
  caches, and blocks run at once where there are cores (:mod:`.side_by_side`).

The result is that of the network's own forward pass to 1e-5 (in practice 3e-7): the sums are those
of the same numbers in another order. ``docs/encoder-speed.md`` has what it brings.

Shapes: activations are ``(12, n_frames, channels)`` for a block of tracks; along the first axis lie
pitch classes, or frequencies in the order 0, 6, cosines of 1 to 5, sines of 1 to 5.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from .side_by_side import Piece, side_by_side

if TYPE_CHECKING:
    from .equivariant_cnn import AttentionPooling, ChannelNorm, EquivariantCNN, Stage

#: Frames of input that run together. A block's largest activation then has 3 MB; larger blocks
#: leave the caches, smaller ones spend their time on calls.
FRAMES_PER_BLOCK = 8192
#: A block of one track that is longer than this (68 minutes at 4 Hz, 34 MB) runs alone.
LONGEST_SIDE_BY_SIDE = 16_384

#: Rows of the network's Fourier basis in the order used here: all cosines, then all sines.
_COSINES_THEN_SINES = [0, 1, 2, 4, 6, 8, 10, 3, 5, 7, 9, 11]


@dataclass(frozen=True, eq=False)
class StageKernels:
    """One stage as matrices; see the module's text for what went into them.

    Parameters
    ----------
    ends : Tensor, shape (2, width * n_in, n_out)
        Of the frequencies 0 and 6.
    real, imaginary : Tensor, shape (5, width * n_in, n_out)
        Of the frequencies 1 to 5.
    bias : Tensor, shape (2, 1, n_out)
        Of the frequencies 0 and 6; the latter is zero.
    width, stride, dilation : int
        In frames, along time.
    shortcut : bool
        The stage's input is added to its output.
    """

    ends: Tensor
    real: Tensor
    imaginary: Tensor
    bias: Tensor
    width: int
    stride: int
    dilation: int
    shortcut: bool

    @classmethod
    def of(cls, stage: Stage) -> StageKernels:
        """Take a trained stage apart; its normalisation's statistics must be final."""
        convolution = stage.convolution
        scale, shift = _scale_and_shift(stage.norm)

        def as_matrices(kernels: Tensor) -> Tensor:
            scaled = kernels.detach().double() * scale[None, :, None, None]
            n_frequencies, n_out = kernels.shape[:2]
            return scaled.permute(0, 3, 2, 1).reshape(n_frequencies, -1, n_out).float().contiguous()

        bias = torch.zeros(2, 1, convolution.n_out, dtype=torch.float32)
        bias[0, 0] = shift * math.sqrt(12)  # the basis has length 1, so a constant weighs sqrt(12)
        return cls(
            as_matrices(convolution.ends),
            as_matrices(convolution.real),
            as_matrices(convolution.imaginary),
            bias,
            convolution.width,
            convolution.stride,
            convolution.dilation,
            stage.shortcut,
        )

    @property
    def reach(self) -> int:
        """Frames that the kernel sees on either side of its middle."""
        return self.dilation * (self.width // 2)


@dataclass(frozen=True, eq=False)
class Places:
    """Where tracks lie on a time axis.

    Parameters
    ----------
    starts, lengths : ndarray, shape (n_tracks,), int64
        First frame and number of frames of each.
    n_frames : int
        Of the whole axis.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    n_frames: int

    @classmethod
    def end_to_end(cls, lengths: Sequence[int], *, alignment: int, silence: int) -> Places:
        """Lay tracks out at multiples of ``alignment``, ``silence`` frames or more around each."""
        n = np.asarray(lengths, dtype=np.int64)
        ends = np.cumsum(-(-n // alignment) * alignment + silence) + silence
        return cls(np.concatenate([[silence], ends[:-1]]), n, int(ends[-1]))

    def strided(self, stride: int) -> Places:
        """Return the places after a stage that keeps every ``stride``-th frame."""
        lengths = -(-self.lengths // stride)
        return Places(self.starts // stride, lengths, self.n_frames // stride)

    def silent(self) -> Tensor:
        """Return the positions of all frames between tracks, int64."""
        silent = np.ones(self.n_frames, dtype=bool)
        for start, length in zip(self.starts, self.lengths, strict=True):
            silent[start : start + length] = False
        return torch.from_numpy(np.flatnonzero(silent))


class EquivariantInference:
    """A trained :class:`~coverdex.encoder.equivariant_cnn.EquivariantCNN`, frozen.

    Parameters
    ----------
    network : EquivariantCNN
        On the CPU; later changes of its weights are not seen.
    frames_per_block : int, default 8192
        See :data:`FRAMES_PER_BLOCK`.
    """

    def __init__(
        self, network: EquivariantCNN, *, frames_per_block: int = FRAMES_PER_BLOCK
    ) -> None:
        self._network = network
        self._frames_per_block = frames_per_block
        self._basis = network.read_out.basis[_COSINES_THEN_SINES].contiguous()
        self._inverse = self._basis.T.contiguous()
        scale, shift = _scale_and_shift(network.input_norm)
        self._input_scale, self._input_shift = np.float32(scale.item()), np.float32(shift.item())
        self._stages = [StageKernels.of(stage) for stage in _stages(network)]
        strides = np.cumprod([1, *(stage.stride for stage in self._stages)])
        self._alignment = int(strides[-1])
        widest = max(stage.reach * int(s) for stage, s in zip(self._stages, strides, strict=False))
        self._silence = max(1, -(-widest // self._alignment)) * self._alignment

    def __call__(self, tracks: Sequence[NDArray[np.float32]]) -> Tensor:
        """Embed tracks of any lengths.

        Parameters
        ----------
        tracks : sequence of numpy.ndarray, each of shape (n_frames, 12), float32
            Preprocessed chroma, at least one track and one frame each.

        Returns
        -------
        Tensor, shape (n_tracks, dimension), float32
            Of length 1.
        """
        with torch.inference_mode():
            return torch.cat(side_by_side(self.pieces(tracks)))

    def pieces(self, tracks: Sequence[NDArray[np.float32]]) -> list[Piece]:
        """Divide embedding the same tracks into pieces, whose rows are theirs one after another."""
        return [
            Piece(partial(self._embed_block, block), sum(map(len, block)) > LONGEST_SIDE_BY_SIDE)
            for block in self._blocks(tracks)
        ]

    def _blocks(self, tracks: Sequence[NDArray[np.float32]]) -> Iterator[list[NDArray[np.float32]]]:
        block: list[NDArray[np.float32]] = []
        n_frames = 0
        for track in tracks:
            if block and n_frames + len(track) > self._frames_per_block:
                yield block
                block, n_frames = [], 0
            block.append(track)
            n_frames += len(track) + self._silence
        if block:
            yield block

    def _embed_block(self, tracks: list[NDArray[np.float32]]) -> Tensor:
        places = Places.end_to_end(
            [len(track) for track in tracks], alignment=self._alignment, silence=self._silence
        )
        x = np.zeros((places.n_frames, 12), dtype=np.float32)
        for start, track in zip(places.starts, tracks, strict=True):
            x[start : start + len(track)] = track * self._input_scale + self._input_shift
        y = torch.from_numpy(np.ascontiguousarray(x.T))[:, :, None]
        for stage in self._stages:
            y, places = self._run_stage(stage, y, places)
        return self._network.embed_pooled(_pooled(self._network.pooling, y, places))

    def _run_stage(self, stage: StageKernels, x: Tensor, places: Places) -> tuple[Tensor, Places]:
        """Map (12, n_frames, n_in) to (12, n_frames // stride, n_out) and its places."""
        n_frames, n_in = x.shape[1:]
        spectrum = torch.mm(self._basis, x.reshape(12, -1)).reshape(x.shape)
        # Only frames whose kernel lies on the axis are computed; the others are silence anyway.
        first = -(-stage.reach // stage.stride)
        n_computed = (n_frames - 1 - stage.reach) // stage.stride + 1 - first
        rows = spectrum.as_strided(
            (12, n_computed, stage.width, n_in),
            (n_frames * n_in, stage.stride * n_in, stage.dilation * n_in, 1),
            (first * stage.stride - stage.reach) * n_in,
        ).reshape(12, n_computed, stage.width * n_in)
        ends, cosines, sines = rows[:2], rows[2:7], rows[7:]
        n_out = stage.bias.shape[2]
        product = x.new_empty(12, n_computed, n_out)
        torch.baddbmm(stage.bias, ends, stage.ends, out=product[:2])
        torch.bmm(cosines, stage.real, out=product[2:7])
        product[2:7].baddbmm_(sines, stage.imaginary, alpha=-1)
        torch.bmm(cosines, stage.imaginary, out=product[7:])
        product[7:].baddbmm_(sines, stage.real)
        places = places.strided(stage.stride)
        y = x.new_zeros(12, places.n_frames, n_out)
        inside = y[:, first : first + n_computed]
        pitches = torch.mm(self._inverse, product.reshape(12, -1)).reshape(product.shape)
        torch.clamp_min(pitches, 0, out=inside)
        if stage.shortcut:
            y += x
        return y.index_fill_(1, places.silent(), 0), places


def _pooled(pooling: AttentionPooling, x: Tensor, places: Places) -> Tensor:
    """Pool each track over its own frames: (12, n_frames, channels) to (n_tracks, 12, channels)."""
    scores = functional.linear(x.mean(dim=0), pooling.score.weight[..., 0], pooling.score.bias)
    grouped = x.reshape(12, x.shape[1], pooling.n_heads, -1)
    pooled = [
        torch.einsum("pnhc,nh->phc", grouped[:, a:b], scores[a:b].softmax(dim=0)).flatten(1)
        for a, b in zip(places.starts, places.starts + places.lengths, strict=True)
    ]
    return torch.stack(pooled)


def _scale_and_shift(norm: ChannelNorm) -> tuple[Tensor, Tensor]:
    """Return a normalisation by running statistics as ``scale * x + shift``, float64."""
    inner = norm.norm
    mean, variance = inner.running_mean, inner.running_var
    assert mean is not None
    assert variance is not None
    scale = inner.weight.detach().double() / torch.sqrt(variance.double() + inner.eps)
    return scale, inner.bias.detach().double() - mean.double() * scale


def _stages(network: EquivariantCNN) -> Iterator[Stage]:
    from .equivariant_cnn import Stage

    for stage in network.stages:
        assert isinstance(stage, Stage)
        yield stage
