"""What can go wrong, as types: one root, so that a caller can catch all of Coverdex or one cause.

Every message says what came, what was wanted and what to do. The command line turns the types into
exit codes (:mod:`coverdex.cli`), the service into problem documents (:mod:`coverdex.service`);
neither looks at the text.

The root lives here because :mod:`coverdex.encoder` is the folder that all the others import.
"""

from __future__ import annotations


class CoverdexError(Exception):
    """Root of every error that Coverdex raises on purpose."""


class NotFoundError(CoverdexError):
    """Something asked for by name or path does not exist: a performance, a file, a checkpoint."""


class InvalidChromaError(CoverdexError, ValueError):
    """Chroma that cannot be embedded: wrong shape, NaN, no frames, no energy.

    Parameters
    ----------
    message : str
        What came, what was wanted, what to do.
    reason : str
        A short stable code for tables and tests, such as ``"wrong-shape"`` or ``"not-finite"``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class FeatureFileError(CoverdexError):
    """A feature file that cannot be read as chroma: truncated, a missing key, wrong attributes.

    Parameters
    ----------
    message : str
        What came, what was wanted, what to do.
    reason : str
        A short stable code for tables and tests, such as ``"missing-key"`` or ``"unreadable"``.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class CheckpointError(CoverdexError):
    """A checkpoint folder that is incomplete, damaged, or of an unknown architecture."""


class IncompatibleError(CoverdexError):
    """Two things that must not be used together.

    An index and an encoder that did not make it; an encoder and another kind of chroma than it was
    trained for.
    """


class TrainingError(CoverdexError):
    """A training run that cannot start or go on: its configuration, its data, its saved state."""
