"""Ways to run a network of ``coverdex-64`` on a CPU: what was tried beside what is used.

Of an ensemble the first network is taken: the others are run like it.

Every trial embeds the same prepared tracks, in turns within one process, so that a busy moment of
the machine hits all of them; the quickest round of each counts, in CPU seconds and by the clock.
What must not get lost is measured with it: the largest difference of any number of any embedding
from the plain network's, and the MAP of the catalogue. Trials in lower precision run the network's
padded form in batches of 16, other runtimes as far as they can follow it; where one fails, or needs
a package that is not installed, the table says so.

``python -m coverdex.benchmarks.inference_trials CATALOGUE [--threads 1 --rounds 5 --only int8]``
prints a Markdown table; ``docs/encoder-speed.md`` has one with comments.
"""

from __future__ import annotations

import argparse
import copy
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..encoder import Encoder
from ..encoder.encoder import padded
from ..encoder.ensemble import Ensemble
from ..encoder.equivariant_cnn import CircularPitchConv, EquivariantCNN
from ..encoder.equivariant_inference import EquivariantInference
from .metrics import evaluate

Tracks = list[NDArray[np.float32]]
Run = Callable[[Tracks], NDArray[np.float32]]

#: Tracks per padded batch where a trial does not say otherwise.
BATCH = 16


@dataclass(frozen=True)
class Trial:
    """How one way did.

    Parameters
    ----------
    name : str
    cpu_seconds, seconds : float
        Of the quickest round; NaN where it could not run.
    largest_difference : float
        From the plain network's embeddings.
    map : float
        Mean average precision on the catalogue.
    failed : str, default ""
        Why it could not run.
    """

    name: str
    cpu_seconds: float = math.nan
    seconds: float = math.nan
    largest_difference: float = math.nan
    map: float = math.nan
    failed: str = ""


def in_batches(network: Callable[[Tensor, Tensor], Tensor], size: int, **options: Any) -> Run:
    """Run a padded form in batches of tracks of like length."""
    dtype = options.get("dtype", torch.float32)

    def run(tracks: Tracks) -> NDArray[np.float32]:
        order = sorted(range(len(tracks)), key=lambda i: len(tracks[i]))
        vectors: dict[int, NDArray[np.float32]] = {}
        with torch.inference_mode():
            for start in range(0, len(order), size):
                batch = order[start : start + size]
                x, n_valid = padded([tracks[i] for i in batch])
                embedded = network(x.to(dtype), n_valid).float().numpy()
                vectors.update(zip(batch, embedded, strict=True))
        return np.array([vectors[i] for i in range(len(tracks))])

    return run


def arranged(network: EquivariantCNN, frames_per_block: int) -> Run:
    """Run what the encoder runs, with blocks of another size."""
    inference = EquivariantInference(network, frames_per_block=frames_per_block)
    return lambda tracks: inference(tracks).numpy()


class AssembledConv(nn.Module):
    """A circular convolution with its kernels put together, and scaled by channel."""

    def __init__(self, layer: CircularPitchConv, scale: Tensor) -> None:
        super().__init__()
        self.layer, self.basis = layer, layer.basis
        upper = torch.cat([layer.real, -layer.imaginary], dim=2)
        lower = torch.cat([layer.imaginary, layer.real], dim=2)
        pairs = torch.cat([upper, lower], dim=1) * torch.cat([scale, scale])[None, :, None, None]
        ends = layer.ends * scale[None, :, None, None]
        self.ends, self.pairs = ends.flatten(0, 1), pairs.flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map as :class:`CircularPitchConv` does."""
        batch, _, n_in, n_frames = x.shape
        spectrum = torch.matmul(self.basis, x.reshape(batch, 12, -1)).reshape(batch, -1, n_frames)
        padding = self.layer.dilation * (self.layer.width // 2)
        how = (None, self.layer.stride, padding, self.layer.dilation)
        ends = torch.conv1d(spectrum[:, : 2 * n_in], self.ends, *how, 2)
        y = torch.cat([ends, torch.conv1d(spectrum[:, 2 * n_in :], self.pairs, *how, 5)], dim=1)
        y = torch.matmul(self.basis.T, y.reshape(batch, 12, -1))
        return y.reshape(batch, 12, self.layer.n_out, -1)


class Shift(nn.Module):
    """What is left of a normalisation whose scale is in the kernels."""

    def __init__(self, shift: Tensor) -> None:
        super().__init__()
        self.shift = shift[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Add the shift of each channel."""
        return x + self.shift


def assembled(network: EquivariantCNN) -> nn.Module:
    """Return a copy with assembled kernels and folded normalisations, padded as ever."""
    changed: Any = copy.deepcopy(network)
    for stage in changed.stages:
        norm = stage.norm.norm
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        stage.norm = Shift(norm.bias - norm.running_mean * scale)
        stage.convolution = AssembledConv(stage.convolution, scale)
    return cast(nn.Module, changed)


def autocast(network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """Leave it to torch which operations run in bfloat16."""

    def run(x: Tensor, n_valid: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            vectors: Tensor = network(x, n_valid)
        return vectors

    return run


def int8(network: nn.Module) -> nn.Module:
    """Quantise what torch quantises dynamically: the dense layer."""
    from torch.ao import quantization

    quantise: Any = quantization.quantize_dynamic
    return cast(nn.Module, quantise(copy.deepcopy(network), {nn.Linear}, torch.qint8))


class WholeTrack(nn.Module):
    """The network for one track of which all frames are real: nothing depends on the data."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, x: Tensor) -> Tensor:
        """Map (1, n_frames, 12) to (1, dimension)."""
        y = self.network.input_norm(x.transpose(1, 2)[:, :, None].contiguous())
        for stage in self.network.stages:
            made = torch.relu(stage.norm(stage.convolution(y)))
            y = y + made if stage.shortcut else made
        pooling = self.network.pooling
        weights = pooling.score(y.mean(dim=1)).softmax(dim=2)
        grouped = y.reshape(1, 12, pooling.n_heads, -1, y.shape[3])
        pooled = torch.einsum("bphcn,bhn->bphc", grouped, weights).reshape(1, 12, -1)
        vectors: Tensor = self.network.embed_pooled(pooled)
        return vectors


def onnx_runtime(network: nn.Module, example: NDArray[np.float32]) -> Run:
    """Export the network for one whole track of any length and run it with ONNX Runtime."""
    onnxruntime: Any = import_module("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "network.onnx")
        torch.onnx.export(
            WholeTrack(network).eval(),
            (torch.from_numpy(example)[None],),
            path,
            input_names=["x"],
            dynamic_shapes={"x": {1: torch.export.Dim.DYNAMIC}},
            dynamo=True,
            verbose=False,
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda tracks: np.concatenate([session.run(None, {"x": t[None]})[0] for t in tracks])


def trials(network: EquivariantCNN, example: NDArray[np.float32]) -> dict[str, Callable[[], Run]]:
    """Name every trial and how it is made ready."""
    made: dict[str, Callable[[], Run]] = {
        "plain, one by one": lambda: in_batches(network, 1),
        "arranged (used)": lambda: arranged(network, 8192),
    }
    for block in (1024, 2048, 4096, 16_384, 65_536):
        made[f"arranged, blocks of {block:,} frames"] = lambda n=block: arranged(network, n)  # type: ignore[misc]
    for size in (4, 8, 16, 32, 64):
        made[f"padded, {size} tracks"] = lambda n=size: in_batches(network, n)  # type: ignore[misc]
    low = torch.bfloat16
    return made | {
        "padded, assembled and folded": lambda: in_batches(assembled(network), BATCH),
        "padded, bfloat16": lambda: in_batches(copy.deepcopy(network).to(low), BATCH, dtype=low),
        "padded, bfloat16 by autocast": lambda: in_batches(autocast(network), BATCH),
        "padded, dynamic int8": lambda: in_batches(int8(network), BATCH),
        "padded, torch.compile": lambda: in_batches(torch.compile(network, dynamic=True), BATCH),
        "one by one, torch.compile": lambda: in_batches(torch.compile(network, dynamic=True), 1),
        "one by one, ONNX Runtime": lambda: onnx_runtime(network, example),
    }


def run_trials(
    encoder: Encoder,
    tracks: Tracks,
    works: Sequence[str | None],
    *,
    only: Sequence[str] = (),
    rounds: int = 5,
) -> Iterator[Trial]:
    """Run the trials whose names contain one of ``only`` (all if empty), and the plain network."""
    network: nn.Module = encoder.network
    if isinstance(network, Ensemble):
        network = network.members[0]
    if not isinstance(network, EquivariantCNN):
        raise TypeError(f"{encoder.name} is no equivariant-cnn; these trials are of that network")
    expected = in_batches(network, 1)(tracks)
    ready: dict[str, Run] = {}
    for name, make in trials(network, tracks[0]).items():
        if only and not any(word in name for word in (*only, "plain")):
            continue
        try:
            run = make()
            run(tracks)  # compiles, and warms up
        except Exception as error:  # whatever another runtime raises is the trial's result
            lines = str(error).strip().splitlines() or [""]
            yield Trial(name, failed=f"{type(error).__name__}: {lines[0][:100]}")
        else:
            ready[name] = run
    best = dict.fromkeys(ready, (math.inf, math.inf))
    vectors = {}
    for _ in range(rounds):
        for name, run in ready.items():
            start, busy = time.perf_counter(), time.process_time()
            vectors[name] = run(tracks)
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - busy
            best[name] = (min(best[name][0], cpu_seconds), min(best[name][1], seconds))
    for name, found in vectors.items():
        difference = float(np.abs(found - expected).max())
        yield Trial(name, *best[name], difference, evaluate(found @ found.T, works).map)


def as_markdown(results: Sequence[Trial]) -> str:
    """Write the trials as a table, times faster than the plain network beside the seconds."""
    first = next(r for r in results if r.name.startswith("plain"))
    lines = [
        "| way | CPU s | s | times faster | largest difference | MAP |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for r in results:
        if r.failed:
            lines.append(f"| {r.name} | | | | {r.failed.replace('|', '/')} | |")
            continue
        lines.append(
            f"| {r.name} | {r.cpu_seconds:.3f} | {r.seconds:.3f} | {first.seconds / r.seconds:.2f} "
            f"| {r.largest_difference:.1e} | {r.map:.4f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the trials on a catalogue and print them."""
    from ..indexer import open_catalogue

    parser = argparse.ArgumentParser(description="Ways to run the network on a CPU")
    parser.add_argument("catalogue", help="Da-TACOS folder, Parquet file of chroma, or 'demo'")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], help="words of the names to run")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    encoder = Encoder.load()
    records_and_chroma = list(open_catalogue(asked.catalogue, kind=encoder.kind))
    tracks = [encoder.prepare(chroma).values for _, chroma in records_and_chroma]
    works = [record.work_id for record, _ in records_and_chroma]
    results = list(run_trials(encoder, tracks, works, only=asked.only, rounds=asked.rounds))
    print(as_markdown(results), end="")


if __name__ == "__main__":
    main()
