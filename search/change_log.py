"""The change log: what was done to an index since its files were written.

A write-ahead log in the sense of Mohan et al. (1992, "ARIES", ACM TODS 17): a change is appended
here and flushed to the disk before it counts as done, and whoever opens the index replays it. Its
layout, all integers little-endian::

    header   8 bytes "CVDXLOG1" | generation u32 | dimension u32 | CRC-32 of these 16 bytes
    record   4 bytes "CHNG" | sequence u64 | payload length u64 | CRC-32 of these 20 bytes
             payload | CRC-32 of the payload
    payload  length of the JSON u32 | JSON {"operation", "performances"} | float32 embeddings

Records are numbered from 1 in their order.

A record that is cut off by the end of the file was being written when its writer was killed or the
disk was full; it was never acknowledged, and counts as not there. So does one that zeros cut off,
from somewhere within it to the end of the file: a power cut can leave a file as long as it was to
be without all its blocks. A record that is complete and
does not match its checksum was damaged later: that is an error, never passed over in silence,
because it was acknowledged. CRC-32 finds every flipped bit and every burst of up to 32.

A complete record can be read by others before it is flushed. If the disk then refuses, its writer
takes it away again, and the next one takes its place. So whoever reads on from where it stopped
compares the four bytes before that place with those it read; where they are others, or are not
there, the last record was taken back and the log is to be read from its beginning. Only the last
one can have been: a record is followed by another only once it was acknowledged.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .changes import Change, Operation
from .durability import naming, sync
from .errors import IndexFormatError

_MAGIC = b"CVDXLOG1"
_HEADER = struct.Struct("<8sII")
_RECORD_MAGIC = b"CHNG"
_RECORD = struct.Struct("<4sQQ")
_CRC = struct.Struct("<I")
_LENGTH = struct.Struct("<I")

HEADER_SIZE = _HEADER.size + _CRC.size


class LogPlace(NamedTuple):
    """How far a log was read: behind its header or behind one of its records.

    Parameters
    ----------
    end : int
        The byte behind it; 0 if not even the header is there.
    sequence : int
        The number of the record; 0 for the header.
    checksum : bytes
        The four bytes before ``end``: the checksum of the record's payload, or the header's.
    """

    end: int = 0
    sequence: int = 0
    checksum: bytes = b""


#: Before the header.
BEGINNING = LogPlace()


class LogTakenBackError(Exception):
    """What was read last is not in the log any more: read it from its beginning."""


def log_name(generation: int) -> str:
    """Name the file of a generation's log."""
    return f"changes-{generation:06d}.log"


def encode(change: Change, sequence: int) -> bytes:
    """Render a change as one record.

    Raises
    ------
    IndexFormatError
        When the metadata cannot be written as JSON.
    """
    document = {
        "operation": change.operation.value,
        "performances": [dict(performance) for performance in change.performances],
    }
    try:
        text = json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:  # a column of a kind that is not written any more
        raise IndexFormatError(
            f"the metadata cannot be logged: {error}; build the index again"
        ) from None
    vectors = np.ascontiguousarray(change.embeddings, dtype="<f4").tobytes()
    payload = _LENGTH.pack(len(text)) + text + vectors
    head = _RECORD.pack(_RECORD_MAGIC, sequence, len(payload))
    return head + _crc(head) + payload + _crc(payload)


def read_log(
    path: Path, *, generation: int, dimension: int, after: LogPlace = BEGINNING
) -> tuple[list[Change], LogPlace]:
    """Read the changes of a log.

    Parameters
    ----------
    path : Path
        The log; one that does not exist, or whose header was cut off or never reached the disk
        (nothing but zeros, which a power cut can leave), holds no changes.
    generation, dimension : int
        Of the index that it should belong to.
    after : LogPlace, optional
        Go on from where an earlier reading stopped.

    Returns
    -------
    changes : list of Change
        Those behind ``after``.
    place : LogPlace
        Where this reading stopped, to go on from there.

    Raises
    ------
    IndexFormatError
        When the log is damaged or belongs to another index.
    LogTakenBackError
        When what stands before ``after`` is not what was read then.
    """
    known = len(after.checksum)
    try:
        with path.open("rb") as file:
            file.seek(after.end - known)
            content = file.read()
    except FileNotFoundError:
        content = b""
    if content[:known] != after.checksum:
        raise LogTakenBackError(path)
    place, at = after, known
    if after == BEGINNING:
        header = content[:HEADER_SIZE]
        if len(header) < HEADER_SIZE or not content.strip(b"\0"):
            return [], BEGINNING
        _check_header(header, path, generation, dimension)
        place, at = LogPlace(HEADER_SIZE, 0, header[-_CRC.size :]), HEADER_SIZE
    changes = []
    while (found := _read_record(content, at, path, place.sequence + 1, dimension)) is not None:
        change, length = found
        at += length
        place = LogPlace(place.end + length, place.sequence + 1, content[at - _CRC.size : at])
        changes.append(change)
    return changes, place


class ChangeLog:
    """The log of an index, open for appending. Only one may be open, see :mod:`.locks`.

    Parameters
    ----------
    path : Path
        The log; made with the first change.
    generation, dimension : int
        Of the index.
    after : LogPlace, default BEGINNING
        Behind the last good record, as :func:`read_log` says.
    durable : bool, default True
        Flush every record to the disk before :meth:`append` returns. Without it a change survives
        the death of the process, not that of the machine.
    """

    def __init__(
        self,
        path: Path,
        *,
        generation: int,
        dimension: int,
        after: LogPlace = BEGINNING,
        durable: bool = True,
    ) -> None:
        self.generation = generation
        self._path = path
        self._durable = durable
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        self._has_remains = False
        # One attribute, so that an interrupt never finds the one set and the other not.
        self._end_and_sequence = after.end, after.sequence
        try:
            os.ftruncate(self._file, after.end)  # what was cut off was never acknowledged
            if after.end == 0:
                header = _HEADER.pack(_MAGIC, generation, dimension)
                self._write(header + _crc(header), sequence=0)
            # Also where the header is there: who wrote it may have been killed before it came here.
            sync(path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, change: Change) -> None:
        """Add a change; it is on the disk when this returns.

        Interrupted from the keyboard, the change is in the log as a whole or not at all.

        Raises
        ------
        OSError
            When the disk refuses, for example because it is full. The change then did not happen.
        """
        sequence = self._end_and_sequence[1] + 1
        self._write(encode(change, sequence), sequence=sequence)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _write(self, content: bytes, *, sequence: int) -> None:
        if self._has_remains:
            self._cut()
        end = self._end_and_sequence[0]
        done = end + len(content), sequence
        written = 0
        # What remains of a record would look like damage behind the next one. This is said before
        # there is anything, because an interrupt can come between any two steps.
        self._has_remains = True
        try:
            with naming(self._path):
                while written < len(content):
                    written += os.pwrite(self._file, content[written:], end + written)
                if self._durable:
                    _flush(self._file)
        except BaseException as error:
            if written < len(content) or isinstance(error, OSError):
                self._cut()
            else:  # interrupted when all was written: others have seen it, so it stays
                self._keep(done)
            raise
        self._keep(done)

    def _keep(self, end_and_sequence: tuple[int, int]) -> None:
        self._end_and_sequence = end_and_sequence
        self._has_remains = False

    def _cut(self) -> None:
        os.ftruncate(self._file, self._end_and_sequence[0])
        self._has_remains = False


def _flush(file: int) -> None:
    if hasattr(os, "fdatasync"):  # leaves out the times of access and change
        os.fdatasync(file)
    else:
        os.fsync(file)


def _check_header(header: bytes, path: Path, generation: int, dimension: int) -> None:
    body, crc = header[: _HEADER.size], header[_HEADER.size :]
    magic, found_generation, found_dimension = _HEADER.unpack(body)
    if magic != _MAGIC or _crc(body) != crc:
        raise IndexFormatError(f"the header of {path} is damaged; restore it from a copy")
    if (found_generation, found_dimension) != (generation, dimension):
        raise IndexFormatError(
            f"{path} belongs to generation {found_generation} of dimension {found_dimension}, the "
            f"index is generation {generation} of dimension {dimension}"
        )


def _read_record(
    content: bytes, at: int, path: Path, sequence: int, dimension: int
) -> tuple[Change, int] | None:
    """Read the record at byte ``at`` of ``content``; None where the log ends."""
    head = content[at : at + _RECORD.size]
    head_crc = content[at + _RECORD.size : at + _RECORD.size + _CRC.size]
    if len(head_crc) < _CRC.size:
        return None
    if _crc(head) != head_crc:
        if _crc(head).startswith(_before_zeros(content, at + _RECORD.size)):
            return None  # the head is cut off, or its checksum is
        raise _damaged(path, sequence)
    magic, found_sequence, length = _RECORD.unpack(head)
    begin = at + _RECORD.size + _CRC.size
    payload = content[begin : begin + length]
    crc = content[begin + length : begin + length + _CRC.size]
    if len(crc) < _CRC.size:
        return None
    if magic != _RECORD_MAGIC or found_sequence != sequence:
        raise _damaged(path, sequence)
    if _crc(payload) != crc:
        if not _before_zeros(content, begin + length):
            return None
        raise _damaged(path, sequence)
    return _decode(payload, dimension), begin + length + _CRC.size - at


def _before_zeros(content: bytes, at: int) -> bytes:
    """Return what stands from ``at`` on without the zeros at the end, which a power cut leaves."""
    return content[at:].rstrip(b"\0")


def _decode(payload: bytes, dimension: int) -> Change:
    (length,) = _LENGTH.unpack_from(payload)
    document = json.loads(payload[_LENGTH.size : _LENGTH.size + length])
    vectors: NDArray[np.float32] = np.frombuffer(
        payload, dtype="<f4", offset=_LENGTH.size + length
    ).reshape(-1, dimension)
    return Change(Operation(document["operation"]), tuple(document["performances"]), vectors)


def _crc(content: bytes) -> bytes:
    return _CRC.pack(zlib.crc32(content))


def _damaged(path: Path, sequence: int) -> IndexFormatError:
    return IndexFormatError(
        f"record {sequence} of {path} is damaged, and what stands behind it cannot be trusted; "
        "restore the file from a copy"
    )
