"""Pieces of work side by side: at once, in order, each on one of torch's threads."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from coverdex.encoder import Chroma, Encoder
from coverdex.encoder.side_by_side import Piece, side_by_side
from torch import Tensor


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def threads_here() -> Tensor:
    return torch.tensor([torch.get_num_threads(), threading.get_ident()])


def test_pieces_run_at_once_and_answer_in_order() -> None:
    together = threading.Barrier(3)

    def meet(number: int) -> Tensor:
        together.wait(timeout=60)  # broken where fewer than three run at once
        return torch.tensor(number)

    given = side_by_side([Piece(partial(meet, number)) for number in range(6)])
    assert [int(each) for each in given] == list(range(6))


def test_each_piece_has_one_thread_and_a_large_one_all_of_the_callers() -> None:
    pieces = [Piece(threads_here, is_large=number == 1) for number in range(4)]
    given = side_by_side(pieces)
    assert [int(each[0]) for each in given] == [1, 3, 1, 1]
    assert [int(each[1]) == threading.get_ident() for each in given] == [False, True, False, False]


def test_with_one_thread_all_runs_in_the_callers() -> None:
    torch.set_num_threads(1)
    given = side_by_side([Piece(threads_here)] * 3)
    assert {int(each[1]) for each in given} == {threading.get_ident()}


def test_threads_of_others_stay_as_they_were() -> None:
    side_by_side([Piece(threads_here)] * 6)
    assert torch.get_num_threads() == 3
    with ThreadPoolExecutor(1) as later:
        assert later.submit(torch.get_num_threads).result() == 3


def test_what_a_piece_raises_is_raised_and_the_next_pieces_run() -> None:
    def fails() -> Tensor:
        raise ValueError("this one")

    with pytest.raises(ValueError, match="this one"):
        side_by_side([Piece(threads_here), Piece(fails), Piece(threads_here)])
    assert len(side_by_side([Piece(threads_here)] * 3)) == 3


def test_pieces_have_no_gradients_and_no_half_precision() -> None:
    weight = torch.ones(2, 2, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        given = side_by_side([Piece(lambda: weight @ weight)] * 3)
    assert all(each.dtype == torch.float32 and not each.requires_grad for each in given)


def test_embeddings_are_the_same_bytes_with_any_number_of_threads() -> None:
    rng = np.random.default_rng(5)
    chromas = [Chroma(rng.random((n, 12)), 4.0) for n in (300, 9000, 41, 8000, 300, 2000, 20_000)]
    encoder = Encoder.load()
    given = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        # The last one is large, and is divided among the threads, in whatever order.
        given.append(np.stack([*encoder.embed_many(chromas[:-1]), encoder.embed(chromas[1])]))
        assert np.allclose(encoder.embed(chromas[-1]) @ encoder.embed(chromas[-1]), 1, atol=1e-6)
    assert given[0].tobytes() == given[1].tobytes() == given[2].tobytes()


def test_several_callers_share_the_threads() -> None:
    rng = np.random.default_rng(6)
    chromas = [Chroma(rng.random((400, 12)), 4.0) for _ in range(12)]
    encoder = Encoder.load()
    alone = [encoder.embed(chroma) for chroma in chromas]

    def embed(chroma: Chroma) -> np.ndarray:
        torch.set_num_threads(3)
        return encoder.embed(chroma)

    with ThreadPoolExecutor(4) as callers:
        together = list(callers.map(embed, chromas))
    assert np.array_equal(alone, together)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_process_begins_threads_of_its_own() -> None:
    program = (
        "import os, torch; from coverdex.encoder.side_by_side import Piece, side_by_side\n"
        "torch.set_num_threads(2); pieces = [Piece(lambda: torch.zeros(1))] * 4\n"
        "side_by_side(pieces); child = os.fork()\n"
        "if child == 0:\n    os._exit(0 if len(side_by_side(pieces)) == 4 else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
