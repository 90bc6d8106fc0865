"""The method's own network: 1D convolutions over time, twins with shared weights (``siamese-cnn``).

The original reads each performance's HPCP, brought to one fixed length, as a sequence of
12-vectors: 1D convolutions over time with max-pooling and dropout, flattened, then fully connected
layers to 64 outputs. Two copies with shared weights embed a pair, and the cosine distance 1 - cos
in [0, 2] says whether they are covers. Here it is for tracks of any length, with the known faults
of the original put right:

* Per-pitch-class min-max scaling broke the chroma's rotation; scaling is per track
  (:mod:`coverdex.encoder.preprocessing`).
* Transposition in training rolled the time axis; it rolls the pitch axis
  (:mod:`coverdex.encoder.training.augmentation`).
* Noise in training had a positive mean, which taught the level of a recording; its mean is zero.
* A ReLU before the cosine left only distances in [0, 1] and let units die; the last layer is
  linear.
* The padded part counted, so that the length of the batch changed the vector. Here it is cleared
  after every layer, and instead of flattening a fixed length the network pools the mean and the
  maximum over real frames only, so that one frame and three hours both have an embedding.

One thing is added. The pooled features of any two tracks are all positive and so point nearly the
same way, and from there the contrastive loss sinks into giving every pair the distance of margin/2.
Batch normalisation of the pooled and the hidden features takes away what all tracks share. At
inference it is a fixed scale and shift, and the batch does not matter.

The network is not invariant to transposition: it only meets all twelve in training.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from .architectures import EncoderNetwork, register_architecture
from .chroma import N_PITCH_CLASSES

#: Each convolution is followed by max-pooling over this many frames.
POOLING = 2


@register_architecture("siamese-cnn")
class SiameseCNN(EncoderNetwork):
    """Convolutions over time, masked pooling, dense layers, a unit vector.

    Parameters
    ----------
    channels : sequence of int
        Output channels of each convolution; each halves the time resolution.
    kernel : int
        Frames that each convolution sees, odd.
    hidden : int
        Width of the fully connected layer before the last.
    dropout : float
        Share of units dropped in training, 0 to below 1.
    dimension : int
        Length of the embedding.
    """

    def __init__(
        self,
        channels: Sequence[int] = (64, 128, 128, 256),
        kernel: int = 5,
        hidden: int = 256,
        dropout: float = 0.1,
        dimension: int = 64,
    ) -> None:
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"channels is {channels!r}; give one or more positive widths")
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel!r}; give an odd number of frames")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is {dropout!r}; give a share from 0 to below 1")
        if min(hidden, dimension) < 1:
            raise ValueError(f"hidden is {hidden!r}, dimension {dimension!r}; give 1 or more")
        self.dimension = dimension
        widths = [N_PITCH_CLASSES, *channels]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel, padding=kernel // 2)
            for before, after in pairwise(widths)
        )
        self.dropout = nn.Dropout(dropout)
        self.pooled_norm = nn.BatchNorm1d(2 * channels[-1], affine=False)
        self.hidden = nn.Linear(2 * channels[-1], hidden, bias=False)
        self.hidden_norm = nn.BatchNorm1d(hidden)
        self.output = nn.Linear(hidden, dimension)

    def forward(self, x: Tensor, n_valid: Tensor) -> Tensor:
        """Embed ``(batch, n_frames, 12)`` with ``n_valid`` (batch,) real frames each."""
        x = x.transpose(1, 2)  # (batch, 12, n_frames)
        x = x * frame_mask(n_valid, x.shape[2])
        for convolution in self.convolutions:
            x = functional.relu(convolution(x)) * frame_mask(n_valid, x.shape[2])
            # Every value is 0 or more, so zeros in a last, half-padded window never win.
            x = functional.max_pool1d(x, POOLING, ceil_mode=True)
            n_valid = torch.div(n_valid + POOLING - 1, POOLING, rounding_mode="floor")
            x = self.dropout(x)
        mean = x.sum(dim=2) / n_valid[:, None].to(x.dtype)
        pooled = torch.cat([mean, x.amax(dim=2)], dim=1)  # (batch, 2 * channels[-1])
        hidden = self.hidden_norm(self.hidden(self.pooled_norm(pooled)))
        hidden = self.dropout(functional.relu(hidden))
        return functional.normalize(self.output(hidden).float(), dim=1)


def frame_mask(n_valid: Tensor, n_frames: int) -> Tensor:
    """Say which frames are real.

    Parameters
    ----------
    n_valid : torch.Tensor, shape (batch,), int64
        Real frames of each track.
    n_frames : int
        Length of the padded batch.

    Returns
    -------
    torch.Tensor, shape (batch, 1, n_frames), bool
    """
    return (torch.arange(n_frames, device=n_valid.device) < n_valid[:, None])[:, None, :]
