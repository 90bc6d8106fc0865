"""The specification of a benchmark: a TOML file that says what is evaluated on what.

::

    title = "Encoders on the demo catalogue"
    catalogue = "demo"                     # or a folder or file, relative to this file
    systems = ["coverdex-64", "2DFTM", "Qmax"]

    # All further keys may be left out.
    kind = "hpcp"                          # hpcp, crema or cens
    subset = "benchmark"                   # of a Da-TACOS root that holds both
    protocol = "da-tacos-benchmark"        # or covers80; any by default
    ids = "da-tacos_benchmark_ids.csv"     # the protocol's official list
    training = "training-works.csv"        # instead of the encoders' own lists, for leakage

    [[rankings]]                           # any number of systems that ran elsewhere
    name = "another system"
    path = "similarity.npy"                # an index, a .npy matrix or a run file
    distances = false

A system is ``2DFTM``, ``SiMPle``, ``Qmax``, ``Dmax``, the name of a shipped encoder or a checkpoint
folder; one that has the name of another system is written with a ``./`` before it. The rows of a
matrix stand in the order of the performance ids, by code point, whatever that of the catalogue.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ...encoder.errors import CoverdexError, NotFoundError
from ...indexer.catalogue import DEMO, hides_demo
from ..side_by_side import BASELINES
from .names import file_name

#: Bytes of a name that a file of every system can have, with its ending.
_LONGEST_NAME = 240


class SpecError(CoverdexError):
    """A specification that cannot be run: an unknown key, a wrong type, no system."""


@dataclass(frozen=True)
class RankingSpec:
    """A ranking that exists as a file."""

    name: str
    path: str
    distances: bool = False


@dataclass(frozen=True)
class Spec:
    """What is evaluated on what; see the module for the keys.

    Raises
    ------
    SpecError
        If there is neither a system nor a ranking, or two have one name, or names of one file, or
        one too long for a file, or there are ids and no protocol whose list they are.
    """

    catalogue: str
    title: str = "Benchmark"
    systems: tuple[str, ...] = ()
    rankings: tuple[RankingSpec, ...] = ()
    kind: str = "hpcp"
    subset: str | None = None
    protocol: str = "any"
    ids: str | None = None
    training: str | None = None

    def __post_init__(self) -> None:
        names = [Path(system).name for system in self.systems] + [r.name for r in self.rankings]
        if not names:
            raise SpecError('the specification names no system; add systems = ["coverdex-64"]')
        if self.ids is not None and self.protocol == "any":
            raise SpecError("ids is the list of a protocol; say of which with protocol")
        check_names(names)


def check_names(names: Sequence[str]) -> None:
    """Raise where two systems could not be told apart in a report, or have no file of their own.

    Raises
    ------
    SpecError
        If two have one name, or names of one file, or a name is too long for one.
    """
    if len(set(names)) != len(names):
        raise SpecError(f"two systems have one name among {', '.join(names)}; rename one")
    if len({file_name(name).lower() for name in names}) != len(names):
        raise SpecError(
            f"the names {', '.join(names)} differ only in what a file's name leaves out, and "
            "the report has a file for each; rename one"
        )
    for name in names:
        if len(file_name(name).encode()) > _LONGEST_NAME:
            raise SpecError(
                f"the name {name[:40]}... is too long for the file that the report has for each "
                f"system; give one of {_LONGEST_NAME} bytes at most"
            )


def read_spec(path: str | Path) -> Spec:
    """Read a specification; paths in it become relative to the file.

    Raises
    ------
    NotFoundError
        If there is no such file.
    SpecError
        If it is no TOML, or a key is unknown, missing or of the wrong type.
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors mark it
    except FileNotFoundError:
        raise NotFoundError(f"no specification {path}; give a TOML file") from None
    except (ValueError, OSError) as error:
        raise SpecError(f"{path} is no TOML ({error})") from error
    _check_keys(content, {field.name for field in fields(Spec)}, str(path))
    if not isinstance(content.get("catalogue"), str):
        raise SpecError(f'{path} names no catalogue; add catalogue = "demo" or a path')
    systems = content.get("systems", [])
    if not isinstance(systems, list) or not all(isinstance(s, str) for s in systems):
        raise SpecError(f"systems is {systems!r} in {path}; give a list of names")
    for name in ("title", "kind", "subset", "protocol", "ids", "training"):
        if not isinstance(content.get(name, ""), str):
            raise SpecError(f"{name} is {content[name]!r} in {path}; give a text")
    folder = path.parent
    for name in ("catalogue", "ids", "training"):
        if name in content:
            content[name] = _beside(folder, content[name])
    content["systems"] = tuple(s if _is_known(s) else _beside(folder, s) for s in systems)
    rankings = content.get("rankings", [])
    if not isinstance(rankings, list):
        raise SpecError(f"rankings in {path} are tables: write [[rankings]]")
    content["rankings"] = tuple(_ranking(r, path) for r in rankings)
    return Spec(**content)


def _ranking(content: Any, path: Path) -> RankingSpec:
    if not isinstance(content, Mapping):
        raise SpecError(f"rankings in {path} are tables: write [[rankings]]")
    _check_keys(content, {field.name for field in fields(RankingSpec)}, f"[[rankings]] of {path}")
    if not all(isinstance(content.get(name), str) for name in ("name", "path")):
        raise SpecError(f"[[rankings]] of {path} needs name and path, both texts")
    distances = content.get("distances", False)
    if not isinstance(distances, bool):
        raise SpecError(f"distances is {distances!r} in {path}; give true or false")
    return RankingSpec(content["name"], _beside(path.parent, content["path"]), distances)


def _check_keys(content: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(set(content) - known):
        raise SpecError(
            f"{where} has the unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}"
        )


def _is_known(system: str) -> bool:
    """Tell whether a system is known by name: a folder so called, of results say, hides none."""
    from ...encoder import shipped_checkpoints

    baselines = {name.lower() for name in BASELINES}
    return system.lower() in baselines or system in shipped_checkpoints()


def _beside(folder: Path, name: str) -> str:
    """Make a path relative to the file; a name that is no file there (``demo``) stays."""
    beside = folder / name
    is_there = hides_demo(beside) if name == DEMO else beside.exists()
    return str(beside) if is_there else name
