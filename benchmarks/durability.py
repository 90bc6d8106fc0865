"""Durability: an index must hold what was acknowledged, whenever its editor is killed.

A process changes an index, at random: it adds, replaces and removes performances and compacts. Each
change counts as acknowledged when its call returns. The process is killed with SIGKILL, the index
is opened again and compared with the acknowledged history: all of it must be there and nothing
else, but for the one change that was under way, which may be there or not. Then every byte is
checked (:func:`coverdex.search.verify_index`), and the next process goes on with what was left.

Half of the processes are killed by the clock, half at a moment that is drawn
(:mod:`.durability_victim`). SIGKILL takes the process and leaves the operating system alive, so
this says nothing about power cuts: what the files owe to ``fsync`` is not tested.

That the check can fail is shown by giving the editor a fault (:class:`.durability_fault.Fault`).
"""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from ..encoder.errors import CoverdexError
from ..search import Index, verify_index, write_index
from .durability_fault import Fault
from .durability_history import ENCODER_ID, State, Step, state_in, unit_vectors
from .durability_victim import MOMENTS, Moment, Orders, live

#: Performances that the index begins with.
_FIRST = 100
#: A victim of the clock dies this many acknowledged changes and milliseconds after its birth.
_MOST_CHANGES = 12
_MOST_MS = 12.0
#: A victim that does not die by itself in this time never met its moment.
_PATIENCE = 60.0

#: How a round can be told from its number: called with (rounds done, rounds in all).
ProgressCallback = Callable[[int, int], None]


@dataclass
class Durability:
    """What the rounds came to.

    Parameters
    ----------
    seed : int
    rounds : int
        Processes killed.
    acknowledged : Counter
        Steps that were acknowledged, by kind.
    under_way : Counter
        Changes under way at a kill: how many were there afterwards, how many not.
    kills : dict of str to Counter
        ``"clock"`` and ``"moment"``: how often a process died at, or just behind, each moment.
    failures : list of str
        What was wrong, one sentence each.
    seconds : float
    """

    seed: int
    rounds: int = 0
    acknowledged: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)
    kills: dict[str, Counter[str]] = field(
        default_factory=lambda: {"clock": Counter(), "moment": Counter()}
    )
    failures: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_document(self) -> dict[str, Any]:
        """Return plain values, for ``--json``."""
        return {
            "seed": self.seed,
            "rounds": self.rounds,
            "acknowledged": dict(self.acknowledged),
            "under_way": dict(self.under_way),
            "kills": {how: dict(kills) for how, kills in self.kills.items()},
            "failures": self.failures,
            "seconds": round(self.seconds, 1),
        }


def measure_durability(
    folder: Path,
    *,
    rounds: int,
    seed: int = 0,
    fault: Fault | None = None,
    progress: ProgressCallback | None = None,
) -> Durability:
    """Kill an editor again and again and compare the index with what was acknowledged.

    Parameters
    ----------
    folder : Path
        Where the index is made; must not exist.
    rounds : int
        How many times.
    seed : int, default 0
        Of the history and of the kills.
    fault : Fault, optional
        Give the editor a mistake, which is to be found.
    progress : callable, optional

    Raises
    ------
    IndexExistsError
        When something lies at ``folder``.
    CoverdexError
        When a process that changes the index says nothing for a minute.
    """
    started = time.monotonic()
    state = _first_index(folder, seed)
    found = Durability(seed)
    # Victims fork from a process that has loaded everything and has never run FAISS.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([live.__module__])
    rng = np.random.default_rng([seed, 1])
    done = 0
    for number in range(rounds):
        orders = _orders(folder, seed, done, number, rng, fault)
        acknowledged, moment = _one_life(context, orders, rng)
        if moment is None:
            found.failures.append(f"round {number + 1}: the editor ended by itself, with an error")
            break
        found.kills["moment" if orders.moment else "clock"][moment.value] += 1
        for step_number in range(done + 1, acknowledged + 1):
            step = Step.of(seed, step_number, state)
            found.acknowledged[step.kind.value] += 1
            state = step.apply_to_state(state)
        under_way = Step.of(seed, acknowledged + 1, state).apply_to_state(state)
        state, arrived, problem = _compared(folder, state, under_way)
        if problem:
            found.failures.append(f"round {number + 1}, {moment.value}: {problem}")
            break  # what comes after a failure says nothing
        if arrived is not None:
            found.under_way["arrived" if arrived else "did not"] += 1
        done = acknowledged + bool(arrived)
        found.rounds += 1
        if progress is not None:
            progress(number + 1, rounds)
    found.seconds = time.monotonic() - started
    return found


def _first_index(folder: Path, seed: int) -> State:
    names = [f"P_0_{i:03}" for i in range(_FIRST)]
    write_index(
        folder,
        embeddings=unit_vectors(_FIRST, np.random.default_rng([seed, 0])),
        performances=pa.table({"performance_id": names, "title": ["first"] * _FIRST}),
        encoder_id=ENCODER_ID,
        encoder_name="made-up",
        source="coverdex benchmark durability",
    )
    return state_in(Index.open(folder))


def _orders(
    folder: Path,
    seed: int,
    done: int,
    number: int,
    rng: np.random.Generator,
    fault: Fault | None,
) -> Orders:
    """Draw how the next victim dies: every other one by the clock, the others moment by moment."""
    if number % 2 == 0:
        return Orders(str(folder), seed, done, fault=fault)
    moment = MOMENTS[number // 2 % len(MOMENTS)]
    return Orders(str(folder), seed, done, moment, int(rng.integers(1, 5)), fault)


def _one_life(context: Any, orders: Orders, rng: np.random.Generator) -> tuple[int, Moment | None]:
    """Let a victim live; return the number of the last acknowledged step, and where it died.

    None for where if it ended by itself: an editor that cannot go on has failed, too.
    """
    receiver, sender = context.Pipe(duplex=False)
    passed = context.RawValue(ctypes.c_int, 0)
    victim = context.Process(target=live, args=(orders, sender, passed), daemon=True)
    victim.start()
    sender.close()
    fatal = orders.done + int(rng.integers(0, _MOST_CHANGES))
    wait = float(rng.uniform(0, _MOST_MS)) / 1000
    acknowledged = orders.done
    try:
        while orders.moment is not None or acknowledged < fatal:
            acknowledged = _next(receiver)
        time.sleep(wait)
        victim.kill()
        while True:  # what it acknowledged before it died
            acknowledged = _next(receiver)
    except EOFError:
        victim.join()
    finally:
        victim.kill()
    by_itself = victim.exitcode != -signal.SIGKILL
    return acknowledged, None if by_itself else MOMENTS[passed.value]


def _next(receiver: Connection) -> int:
    if not receiver.poll(_PATIENCE):
        raise CoverdexError(f"a process that changes an index said nothing for {_PATIENCE:g} s")
    return int(receiver.recv_bytes())


def _compared(
    folder: Path, state: State, under_way: State
) -> tuple[State, bool | None, str | None]:
    """Compare the index with what was acknowledged.

    Returns
    -------
    state : dict
        What it holds.
    arrived : bool or None
        Whether the change under way is there; None if it would change nothing.
    problem : str or None
    """
    try:
        held = state_in(Index.open(folder))
    except CoverdexError as error:
        return state, None, f"the index does not open: {error}"
    if problems := verify_index(folder).problems:
        return held, None, f"the index is damaged: {'; '.join(problems)}"
    if held == state == under_way:
        return held, None, None
    if held in (state, under_way):
        return held, held == under_way, None
    missing = [name for name in state if name not in held and name in under_way]
    extra = [name for name in held if name not in state and name not in under_way]
    other = [n for n in state if n in held and held[n] not in (state[n], under_way.get(n))]
    counted = f"{len(missing)} lost, {len(extra)} come back, {len(other)} with other content"
    example = [*missing, *extra, *other][0]
    return held, None, f"not what was acknowledged: {counted}, such as {example}"
