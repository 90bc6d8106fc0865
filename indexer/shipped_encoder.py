"""The encoder behind an id: embeddings made elsewhere say who made them, not where to load it.

An index remembers the name under which its encoder is loaded, because chroma that comes as a query
must go through the same one. Where shards give an id alone, the encoders that come with Coverdex
are asked whether it is one of theirs.
"""

from __future__ import annotations

from ..encoder.checkpoint import shipped_checkpoints
from ..encoder.encoder import Encoder


def shipped_encoder(encoder_id: str) -> Encoder | None:
    """Return the shipped encoder of this id, None where it is of another origin.

    Raises
    ------
    CheckpointError
        If the checkpoint of this name is damaged.
    """
    for name in shipped_checkpoints():
        if encoder_id.startswith(f"{name}-"):  # or every checkpoint would be loaded
            encoder = Encoder.load(name)
            if encoder.id == encoder_id:
                return encoder
    return None
