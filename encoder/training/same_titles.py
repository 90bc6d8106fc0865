"""Works of recordings that may be the same one, by their titles.

A catalogue of recordings can have one song under two ids. As negatives of each other in one batch
the two would teach the opposite of the task, so works whose recordings share a title count as one
*group*, and a batch holds at most one work of a group. Covers are often named as the original is,
but two songs may share a name: a group costs a few negatives and nothing else, so it is drawn
generously. "Unit 7" and "Unit Seven" are one title, as are "Cold Sweat, Pt. 2" and "Cold Sweat
Part II", "The Blue Room" and "Blue Room", and "Rock & Roll" and "Rock and Roll".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_ARTICLE = re.compile(r"^\s*(?:the|an|a)\s+(?=\w)")
#: A part or the end of a title; a lone "I", "V" or "X" at the end is a word.
_ROMAN = re.compile(
    r"\b(?:pt|part)\b\.?\s*(?P<part>viii|vii|vi|v|iv|ix|x|iii|ii|i)?\b"
    r"|(?<=\s)(?P<end>viii|vii|vi|iv|ix|iii|ii)\s*$"
)
_DIGITS = re.compile(r"(?<![0-9])([0-9]{1,3})(st|nd|rd|th)?(?![0-9])")
_ROMAN_NUMERALS = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")

_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth",
    "nine": "ninth", "twelve": "twelfth",
}  # fmt: skip


def plain_title(title: str) -> str:
    """Keep the letters of a title: lower case, no accents, no brackets, no article before it.

    Numbers are in words, those of parts too; ``&`` is "and".

    >>> plain_title("Déjà Vu (Live)")
    'dejavu'
    >>> plain_title("The 59th Street Bridge Song, Pt. II")
    'fiftyninthstreetbridgesongparttwo'
    """
    bare = _BRACKETED.sub("", title)
    folded = unicodedata.normalize("NFKD", bare if bare.strip() else title).casefold()
    return letters_alone(folded)


def letters_alone(title: str) -> str:
    """Write the numbers of a lower-case title in words, and leave out what is no letter.

    Digits of more than three places, such as years, stay.
    """
    spelt = _ROMAN.sub(_part_in_words, _ARTICLE.sub("", title.replace("&", " and ")))
    return "".join(c for c in _DIGITS.sub(_number_in_words, spelt) if c.isalnum())


def _part_in_words(found: re.Match[str]) -> str:
    number = _ROMAN_NUMERALS.index(found["part"] or found["end"] or "")
    return ("" if found["end"] else "part ") + (_SMALL[number] if number else "")


def _number_in_words(found: re.Match[str]) -> str:
    words = _in_words(int(found[1]))
    if found[2]:
        last = words[-1]
        words[-1] = _ORDINALS.get(last) or (f"{last[:-1]}ie" if last[-1] == "y" else last) + "th"
    return "".join(words)


def _in_words(number: int) -> list[str]:
    """Give a number below 1000 in words: 121 is one, hundred, twenty, one."""
    hundreds, rest = divmod(number, 100)
    words = [_SMALL[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words += [_TENS[rest // 10]] + ([_SMALL[rest % 10]] if rest % 10 else [])
    elif rest or not hundreds:
        words.append(_SMALL[rest])
    return words


def groups_by_title(titles: Sequence[Sequence[str | None]]) -> NDArray[np.int64]:
    """Group works that share a title, directly or through others.

    Parameters
    ----------
    titles : sequence of sequence of str or None
        Of the recordings of each work.

    Returns
    -------
    numpy.ndarray, shape (n_works,), int64
        Equal numbers may be the same work: the first work of each group. Works without titles are
        groups of their own.
    """
    first = list(range(len(titles)))

    def leader(work: int) -> int:
        while first[work] != work:
            work = first[work]
        return work

    seen: dict[str, int] = {}
    for work, of_work in enumerate(titles):
        for key in {plain_title(title) for title in of_work if title} - {""}:
            one, other = sorted((leader(seen.setdefault(key, work)), leader(work)))
            first[other] = one
    return np.array([leader(work) for work in range(len(titles))], dtype=np.int64)


def batches_apart(
    order: NDArray[np.int64], groups: NDArray[np.int64], size: int
) -> Iterator[NDArray[np.int64]]:
    """Cut an order of works into batches, no two works of a group in one.

    A work whose group is in a batch already waits for the next. The last batch is filled up from
    the beginning of the order. Where no two works are of one group, batches are the order's pieces.

    Parameters
    ----------
    order : numpy.ndarray, shape (n_works,), int64
        Works, each once.
    groups : numpy.ndarray, shape (n_works,), int64
        As :func:`groups_by_title` gives them; ``size`` different ones at least.
    size : int

    Yields
    ------
    numpy.ndarray, shape (size,), int64
    """
    waiting = order.tolist()
    while waiting:
        batch: dict[int, int] = {}
        rest = []
        for work in waiting:
            if len(batch) < size and int(groups[work]) not in batch:
                batch[int(groups[work])] = work
            else:
                rest.append(work)
        for work in order.tolist():
            if len(batch) == size:
                break
            batch.setdefault(int(groups[work]), work)
        waiting = rest
        yield np.array(list(batch.values()), dtype=np.int64)
