"""The encoder of an index: chroma that is asked about or added goes through the one that made it.

An index knows its encoder's id and the name under which it is loaded. That name is enough for
encoders that come with Coverdex; one that somebody trained lies in a folder that only they know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..encoder.errors import NotFoundError

if TYPE_CHECKING:
    from ..encoder import Encoder
    from .index import Index


def load_encoder_of(index: Index, encoder: str | None = None) -> Encoder:
    """Load the encoder that is to go with an index.

    Parameters
    ----------
    index : Index
    encoder : str, optional
        Name of a shipped checkpoint or folder of one; by default the one that the index names.
        Whether it made the index is not looked at: :meth:`Index.check_encoder` does that.

    Raises
    ------
    NotFoundError
        No such checkpoint.
    CheckpointError
        It is damaged.
    """
    from ..encoder import Encoder

    name = index.manifest.encoder_name
    try:
        return Encoder.load(encoder or name)
    except NotFoundError as error:
        if encoder is not None:
            raise
        raise NotFoundError(
            f"the index {index.path} was made by encoder {name!r}, which does not come with "
            "Coverdex; give its folder with --encoder"
        ) from error
