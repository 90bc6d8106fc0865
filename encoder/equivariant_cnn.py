"""The network of ``coverdex-64``: equivariant to transposition all the way up, then invariant.

A cover in another key is the same chroma rolled along pitch. Instead of learning that from
examples, or trying all twelve keys at query time, every layer here commutes with the roll: a layer
maps ``(channels, 12, n_frames)`` to the same shape by a convolution over (pitch class, time) that
is **circular** along pitch with a kernel of all 12 semitones. In the terms of Cohen and Welling
(2016, "Group equivariant convolutional networks") it is a convolution on the cyclic group Z12.
It is computed where such a convolution is cheapest, in the Fourier domain over pitch: one small
matrix product per frequency, 22 real products instead of 144. Strides shorten time from stage to
stage, so that a frame of the last stage sees some twenty seconds.

Attention pooling over time (as in Yesiler, Serrà and Gómez 2020, "Accurate and scalable version
identification using musically-motivated embeddings") makes one ``(channels, 12)`` picture of the
performance. Only then is transposition removed: by the magnitudes of its Fourier transform over
pitch, and by the maximum and the mean over pitch of one more circular layer, which keeps what
magnitudes lose (how channels lie relative to each other). A dense layer gives 64 numbers, scaled to
length 1. Rolling the input by any k therefore gives the same vector to rounding.

For inference on a CPU the trained network is arranged anew: :mod:`.equivariant_inference`.

Frames from ``n_valid`` on count as silence after the end: every layer sees zeros there and the
pooling ignores them, so a performance embeds the same alone and beside longer ones.

Shapes: inside the network, ``(batch, 12, channels, n_frames)``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .architectures import EncoderNetwork, TrackEmbedder, register_architecture

N_FREQUENCIES = 7


def pitch_fourier_basis() -> Tensor:
    """Return the real Fourier basis over 12 pitch classes, orthonormal.

    Returns
    -------
    Tensor, shape (12, 12), float32
        Rows: frequency 0, frequency 6, then cosine and sine of frequencies 1 to 5.
    """
    pitch = torch.arange(12, dtype=torch.float64)
    rows = [
        torch.ones(12, dtype=torch.float64) / math.sqrt(12),
        torch.cos(math.pi * pitch) / math.sqrt(12),
    ]
    for k in range(1, 6):
        angle = 2 * math.pi * k * pitch / 12
        rows += [torch.cos(angle) / math.sqrt(6), torch.sin(angle) / math.sqrt(6)]
    return torch.stack(rows).to(torch.float32)


class CircularPitchConv(nn.Module):
    """Convolution over (pitch class, time), circular along all 12 pitch classes.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    width : int
        Frames that the kernel covers; odd.
    stride : int, default 1
        Along time.
    dilation : int, default 1
        Along time.

    Notes
    -----
    A real circular kernel turns into a complex matrix per frequency. Frequencies 0 and 6 are real;
    for the others the product ``(A + iB)(x + iy)`` is the real product of
    ``[[A, -B], [B, A]]`` with ``[x, y]``. The tensors ``real`` and ``imaginary`` hold A and B.
    """

    basis: Tensor

    def __init__(
        self, n_in: int, n_out: int, width: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__()
        if width % 2 == 0:
            raise ValueError(f"width is {width}; give an odd number of frames")
        self.n_in, self.n_out, self.width = n_in, n_out, width
        self.stride, self.dilation = stride, dilation
        scale = math.sqrt(2.0 / (n_in * width))
        self.ends = nn.Parameter(torch.randn(2, n_out, n_in, width) * scale)
        self.real = nn.Parameter(torch.randn(5, n_out, n_in, width) * scale / math.sqrt(2))
        self.imaginary = nn.Parameter(torch.randn(5, n_out, n_in, width) * scale / math.sqrt(2))
        self.register_buffer("basis", pitch_fourier_basis(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 12, n_in, n_frames) to (batch, 12, n_out, ceil(n_frames / stride))."""
        batch, _, n_in, n_frames = x.shape
        spectrum = torch.matmul(self.basis, x.reshape(batch, 12, n_in * n_frames))
        spectrum = spectrum.reshape(batch, 12 * n_in, n_frames)
        padding = self.dilation * (self.width // 2)
        ends = functional.conv1d(
            spectrum[:, : 2 * n_in],
            self.ends.reshape(2 * self.n_out, n_in, self.width),
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            groups=2,
        )
        upper = torch.cat([self.real, -self.imaginary], dim=2)
        lower = torch.cat([self.imaginary, self.real], dim=2)
        pairs = functional.conv1d(
            spectrum[:, 2 * n_in :],
            torch.cat([upper, lower], dim=1).reshape(10 * self.n_out, 2 * n_in, self.width),
            stride=self.stride,
            padding=padding,
            dilation=self.dilation,
            groups=5,
        )
        y = torch.cat([ends, pairs], dim=1)
        n_frames = y.shape[2]
        y = torch.matmul(self.basis.T, y.reshape(batch, 12, self.n_out * n_frames))
        return y.reshape(batch, 12, self.n_out, n_frames)


class ChannelNorm(nn.Module):
    """Batch normalisation by channel: over items, pitch classes and frames alike."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(n_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 12, n_channels, n_frames) to the same shape."""
        normed: Tensor = self.norm(x.reshape(-1, *x.shape[2:]))
        return normed.reshape(x.shape)


class Stage(nn.Module):
    """Circular convolution, normalisation, rectifier; with a shortcut where the shape allows it."""

    def __init__(self, n_in: int, n_out: int, width: int, stride: int, dilation: int = 1) -> None:
        super().__init__()
        self.convolution = CircularPitchConv(n_in, n_out, width, stride, dilation)
        self.norm = ChannelNorm(n_out)
        self.stride = stride
        self.shortcut = n_in == n_out and stride == 1

    def forward(self, x: Tensor, n_valid: Tensor) -> tuple[Tensor, Tensor]:
        """Map (batch, 12, n_in, n_frames) and its valid lengths to the next stage's."""
        y = functional.relu(self.norm(self.convolution(x)))
        if self.shortcut:
            y = x + y
        n_valid = torch.div(n_valid + self.stride - 1, self.stride, rounding_mode="floor")
        return _silence_after(y, n_valid), n_valid


def _silence_after(x: Tensor, n_valid: Tensor) -> Tensor:
    """Zero the frames of (batch, 12, channels, n_frames) from each item's ``n_valid`` on."""
    inside = torch.arange(x.shape[3], device=x.device)[None] < n_valid[:, None]
    # A GPU is not asked: it would have to finish first what it was given before.
    if x.device.type == "cpu" and bool(inside.all()):
        return x
    return x * inside[:, None, None].to(x.dtype)


class AttentionPooling(nn.Module):
    """Weighted mean over time; each group of channels has weights of its own.

    The weights come from the mean over pitch, so they do not change when the music is transposed.
    """

    def __init__(self, n_channels: int, n_heads: int) -> None:
        super().__init__()
        if n_channels % n_heads:
            raise ValueError(f"{n_heads} heads do not divide {n_channels} channels")
        self.n_heads = n_heads
        self.score = nn.Conv1d(n_channels, n_heads, 1)
        nn.init.zeros_(self.score.weight)

    def forward(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Map (batch, 12, n_channels, n_frames) to (batch, 12, n_channels)."""
        batch, _, n_channels, n_frames = x.shape
        scores = self.score(x.mean(dim=1))
        inside = torch.arange(n_frames, device=x.device)[None] < n_valid[:, None]
        weights = scores.masked_fill(~inside[:, None], -math.inf).softmax(dim=2)
        grouped = x.reshape(batch, 12, self.n_heads, n_channels // self.n_heads, n_frames)
        pooled = torch.einsum("bphcn,bhn->bphc", grouped, weights)
        return pooled.reshape(batch, 12, n_channels)


@register_architecture("equivariant-cnn")
class EquivariantCNN(EncoderNetwork):
    """Chroma to a 64-dimensional vector that transposition does not change.

    Parameters
    ----------
    channels : sequence of int
        Of each stage.
    widths : sequence of int
        Frames that each stage's kernel covers; odd.
    strides : sequence of int
        Along time, of each stage.
    dilations : sequence of int, optional
        Along time; all 1 when left out.
    heads : int
        Of the attention pooling; divides the last stage's channels.
    read_out : int
        Channels of the circular layer after the pooling.
    dimension : int, default 64
        Of the embedding.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 64, 96, 96),
        widths: Sequence[int] = (9, 5, 3, 3, 3),
        strides: Sequence[int] = (4, 2, 2, 1, 2),
        dilations: Sequence[int] | None = None,
        heads: int = 8,
        read_out: int = 192,
        dimension: int = 64,
    ) -> None:
        super().__init__()
        if not len(channels) == len(widths) == len(strides):
            raise ValueError(
                f"{len(channels)} channels, {len(widths)} widths and {len(strides)} strides: "
                "give one of each per stage"
            )
        dilations = dilations or [1] * len(channels)
        counts = {
            "channels": channels, "widths": widths, "strides": strides, "dilations": dilations,
            "heads": [heads], "read_out": [read_out], "dimension": [dimension],
        }  # fmt: skip
        for name, values in counts.items():
            if not values or min(values) < 1:
                raise ValueError(f"{name} is {list(values)!r}; give whole numbers from 1")
        n_in = [1, *channels[:-1]]
        self.input_norm = ChannelNorm(1)
        self.stages = nn.ModuleList(
            Stage(*shape) for shape in zip(n_in, channels, widths, strides, dilations, strict=True)
        )
        last = channels[-1]
        self.pooling = AttentionPooling(last, heads)
        self.read_out = CircularPitchConv(last, read_out, 1)
        self.read_out_norm = ChannelNorm(read_out)
        n_features = N_FREQUENCIES * last + 2 * read_out
        self.feature_norm = nn.BatchNorm1d(n_features)
        self.dense = nn.Linear(n_features, dimension, bias=False)
        self.output_norm = nn.BatchNorm1d(dimension)
        self.dimension = dimension

    def forward(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Embed a batch.

        Parameters
        ----------
        x : Tensor, shape (batch, n_frames, 12), float32
            Preprocessed chroma; frames from ``n_valid`` on are ignored.
        n_valid : Tensor, shape (batch,), int64
            Frames of each performance, at least 1.

        Returns
        -------
        Tensor, shape (batch, dimension), float32
            Of length 1.
        """
        pooled = self._pooled(x, n_valid)
        # In the weights' own precision also where autocast computes the layers before in half of
        # it: it is little work, and three digits are too few to rank by.
        with torch.autocast(pooled.device.type, enabled=False):
            return self.embed_pooled(pooled.to(self.dense.weight.dtype))

    def embed_pooled(self, pooled: Tensor) -> Tensor:
        """Map (batch, 12, channels), pooled over time, to (batch, dimension) of length 1."""
        return functional.normalize(self.output_norm(self.dense(self._invariants(pooled))), dim=1)

    def features(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Map a batch as :meth:`forward` does, up to the last layer: (batch, n_features)."""
        return self._invariants(self._pooled(x, n_valid))

    @torch.no_grad()
    def set_projection(self, directions: Tensor, mean: Tensor) -> None:
        """Make the last layer a given projection.

        Parameters
        ----------
        directions : Tensor, shape (n_features, dimension), float32
        mean : Tensor, shape (n_features,), float32
            Subtracted from the features first.
        """
        norm = self.output_norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        self.dense.weight.copy_(directions.T)
        norm.running_mean.copy_(mean @ directions)
        norm.running_var.fill_(1.0)
        norm.weight.fill_(1.0)
        norm.bias.fill_(0.0)

    def _pooled(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Map a batch to (batch, 12, channels), one picture of each performance."""
        y = self.input_norm(x.transpose(1, 2)[:, :, None].contiguous())
        y = _silence_after(y, n_valid)
        for stage in self.stages:
            y, n_valid = stage(y, n_valid)
        pooled: Tensor = self.pooling(y, n_valid)
        return pooled

    def for_inference(self) -> TrackEmbedder:
        """Return this network with its present weights arranged for a CPU."""
        from .equivariant_inference import EquivariantInference

        return EquivariantInference(self)

    def _invariants(self, pooled: Tensor) -> Tensor:
        """Map (batch, 12, channels) to (batch, n_features) that a roll along pitch leaves alone."""
        spectrum = torch.matmul(self.read_out.basis, pooled)
        power = spectrum[:, 2:].reshape(len(pooled), 5, 2, -1).square().sum(dim=2)
        magnitude = torch.cat([spectrum[:, :2].square(), power], dim=1).add(1e-8).sqrt()
        related = functional.relu(self.read_out_norm(self.read_out(pooled[..., None])))[..., 0]
        features: Tensor = self.feature_norm(
            torch.cat([magnitude.flatten(1), related.amax(dim=1), related.mean(dim=1)], dim=1)
        )
        return features
