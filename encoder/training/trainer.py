"""The trainer: the loop that every training run goes through.

It knows nothing of recordings, pairs or simulated covers: a :class:`~.batch.BatchSource` makes the
batches, a :class:`~.loss.Loss` judges them, and both come from the configuration or are given.

Every random choice is a function of ``(seed, step)``: the source's by its own promise, and torch's
generator (dropout) is seeded anew at every step. So the state of a run is its weights, its
optimizer and its step, and a run that was killed and resumed ends with the same weights, bit by bit
on the same machine.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import checkpoint as checkpoints
from ..checkpoint import Checkpoint
from ..encoder import Encoder
from ..errors import TrainingError
from . import provenance
from .averaging import WeightAverage
from .batch import Batch, BatchSource, HoldsOutRecordings, SourceContext, build_batch_source
from .config import TrainingConfig
from .discriminant import check_projects
from .distillation import StudentInput, with_teacher
from .epoch_totals import EpochTotals
from .finished_run import fit_discriminant, renew_card, take_discriminant_back
from .loss import Loss, LossOutput, build_loss
from .model_card import model_card
from .prefetch import Waiting, batches, worker_count
from .resuming import check_goes_on, described, outline
from .run_folder import RunFolder
from .run_lock import RunLock
from .run_report import StepReport, TrainingResult
from .schedule import learning_rate_factor
from .start import (
    adamw,
    choose_device,
    freeze_statistics,
    given_checkpoints,
    lists_joined,
    precision_context,
    seed_step,
    starting_point,
    take_up,
)
from .validation import ValidationSet, load_validation_set
from .world import TrainingWorld

#: A GPU is asked for the loss only so often, because every answer makes it wait.
REPORT_EVERY_ON_GPU = 20


class Trainer:
    """A training run.

    Parameters
    ----------
    config : TrainingConfig
        What to do.
    folder : path-like
        The run's folder. If it holds the state of the same configuration, the run goes on there.
    base : path-like, optional
        Folder from which relative paths of the configuration count; by default the working
        directory.
    world : TrainingWorld, optional
        Catalogues and evaluation, for sources and validation that need them.
    source : BatchSource, optional
        Instead of the one that the configuration names.
    loss : Loss, optional
        Instead of the one that the configuration names.
    prepared : path-like, optional
        A folder that holds the data ready (:mod:`.prepared_covers`), instead of where the
        configuration says that they are read from.
    fresh : bool, default False
        Start anew where the folder holds a run.

    Raises
    ------
    TrainingError, CheckpointError, NotFoundError
        Something that the configuration names is unknown, missing or does not fit; or another
        process trains in the folder.
    """

    def __init__(
        self,
        config: TrainingConfig,
        folder: str | Path,
        *,
        base: str | Path = ".",
        world: TrainingWorld | None = None,
        source: BatchSource | None = None,
        loss: Loss | None = None,
        prepared: str | Path | None = None,
        fresh: bool = False,
    ) -> None:
        self.config = config
        self.folder = RunFolder(Path(folder))
        self.world = world
        self.base = Path(base)
        self.prepared = None if prepared is None else Path(prepared)
        self._fresh = fresh
        self.device = choose_device(config.run.device)
        torch.manual_seed(config.seed)  # fresh weights
        self.architecture, self.preprocessing, self.network = starting_point(config, self.base)
        self.network.to(self.device)
        if config.discriminant is not None:
            check_projects(self.network)  # not when all steps are done
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self._kept: int | None = None  # the epoch of the checkpoint
        self.seconds = 0.0
        self._started = 0.0
        self._before: dict[str, Any] | None = None
        self._totals = EpochTotals()
        self._made = Waiting(iter(()))
        self._given = given_checkpoints(config, self.base)
        # Before the data are read, which may take long.
        self.loss = self._loss(loss or build_loss(config.loss)).to(self.device)
        self._lock = RunLock(self.folder.path)
        self._lock.take()
        with ExitStack() as refused:
            refused.callback(self._lock.abandon)
            # Before anything else is written to the folder.
            state = None if fresh else self.folder.load_state(config.digest)
            self.source = source or build_batch_source(config.data, self._context())
            self.optimizer = adamw(config.optimizer, self.network, self.loss)
            self.average = WeightAverage(self.network, config.optimizer.average_decay)
            if state is not None:
                self._resume(state)
            self._origins = {
                **({"checkpoints": self._given} if self._given else {}),
                "data": self.source.describe(),
                "commit": provenance.commit(),
                "versions": provenance.versions(),
                "machine": provenance.machine(str(self.device)),
            }
            self.training_list = lists_joined(config, self.base, self.source.training_list())
            self.validation = self._validation_sets()
            refused.pop_all()

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        steps = self.config.run.steps_per_epoch or self.source.steps_per_epoch
        if steps is None:
            raise TrainingError("run.steps_per_epoch is missing; this source has no end of its own")
        return steps

    @property
    def n_steps(self) -> int:
        """Steps of the whole run."""
        return self.config.run.epochs * self.steps_per_epoch

    def run(
        self,
        *,
        on_step: Callable[[StepReport], None] | None = None,
        on_epoch: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> TrainingResult:
        """Train to the end.

        Parameters
        ----------
        on_step : callable, optional
            Told after every step.
        on_epoch : callable, optional
            Told after every epoch, with its row of the history.

        Raises
        ------
        TrainingError
            The loss is no longer finite, or another process trains in the folder.
        """
        with self._lock:
            return self._train(on_step, on_epoch)

    def _train(
        self,
        on_step: Callable[[StepReport], None] | None,
        on_epoch: Callable[[Mapping[str, Any]], None] | None,
    ) -> TrainingResult:
        if self._fresh:
            # Not before the data are read: what is wrong with them must not cost the run before.
            self.folder.forget_state()
        if self.step == 0 and self.config.start_from is not None:
            self._before = self._validate(self.encoder())
        if self.step < self.n_steps:  # else what stands there says how the weights were made
            self.folder.write_record(self.record())
        self._started = time.perf_counter() - self.seconds
        reported = math.nan
        run = self.config.run
        pin = self.device.type == "cuda"
        workers = worker_count(run.workers, self.device)
        self._made = Waiting(
            batches(self.source, self.step, self.n_steps, workers=workers, pin=pin)
        )
        for batch in self._made:
            output = self._train_step(batch)
            if not pin or self.step % REPORT_EVERY_ON_GPU == 0:
                reported = self._checked(output.loss)
            epoch_ends = self.step % self.steps_per_epoch == 0
            if epoch_ends:
                self._end_epoch()
            if epoch_ends or (run.save_every and self.step % run.save_every == 0):
                self._save_state(batch)
            if epoch_ends and on_epoch:
                on_epoch(self.history[-1])
            if on_step:
                epoch = math.ceil(self.step / self.steps_per_epoch)
                on_step(StepReport(self.step, self.n_steps, epoch, reported))
        if not self.folder.checkpoint.is_dir():
            raise TrainingError(
                f"the run in {self.folder.path} is finished, but its checkpoint was moved away; "
                "put it back, or start afresh (--fresh)"
            )
        if self.config.discriminant is not None:
            fit_discriminant(
                self.folder,
                self.source,
                self.config.discriminant,
                n_steps=self.n_steps,
                device=self.device,
                validate=self._validate,
            )
        else:
            last = self._is_best() if self._kept is None else self._kept == len(self.history)
            take_discriminant_back(self.folder, self.average.weights if last else None)
        renew_card(self.folder, self.config, self.training_list)
        encoder = Encoder.load(self.folder.checkpoint)
        return TrainingResult(self.folder.checkpoint, encoder, self.history)

    def encoder(self) -> Encoder:
        """Return the encoder as it stands: averaged weights where there is an average."""
        return Encoder(self._checkpoint(), device=self.device)

    def record(self) -> dict[str, Any]:
        """Everything that makes the checkpoint, as plain values."""
        return {
            "config": self.config.model_dump(mode="json", exclude={"card"}, exclude_none=True),
            "config_digest": self.config.digest,
            **self._origins,
            "n_parameters": sum(p.numel() for p in self.network.parameters()),
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "result": self.history[-1] if self.history else None,
            **({} if self._before is None else {"validation before": self._before}),
        }

    def _loss(self, loss: Loss) -> Loss:
        """Add the teacher, where there is one."""
        settings = self.config.distillation
        if settings is None:
            return loss
        reads = StudentInput(self.config.kind, self.preprocessing)
        return with_teacher(loss, settings, self.base, reads, self.device)

    def _train_step(self, batch: Any) -> LossOutput:
        settings = self.config.optimizer
        factor = learning_rate_factor(settings.schedule, self.step, self.n_steps, settings.warm_up)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * factor
        seed_step(self.config.seed, self.step)
        self.network.train()
        if self.config.run.frozen_statistics:
            freeze_statistics(self.network)
        with precision_context(self.config.run.precision, self.device):
            output: LossOutput = self.loss(self.network, batch.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        output.loss.backward()  # type: ignore[no-untyped-call]
        if settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.average.update(self.network)
        self.step += 1
        self._totals.add(output)
        return output

    def _end_epoch(self) -> None:
        self._check_weights()  # before the checkpoint of a better epoch is replaced
        epoch = self.step // self.steps_per_epoch
        row: dict[str, Any] = {"epoch": epoch, "step": self.step, **self._totals.means()}
        self._totals = EpochTotals()
        row["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        encoder = self.encoder()
        row |= self._held_out(encoder)
        if epoch % self.config.run.validate_every == 0 or self.step == self.n_steps:
            row["validation"] = self._validate(encoder)
        self.seconds = time.perf_counter() - self._started
        row["seconds"] = round(self.seconds, 1)
        row["waiting"] = round(self._made.take_seconds(), 1)
        self.history.append(row)
        if self._is_best():
            self._kept = epoch
            checkpoints.save_checkpoint(self._checkpoint(), self.folder.checkpoint, overwrite=True)
        self.folder.write_history(self.history)
        self.folder.write_record(self.record())

    def _validate(self, encoder: Encoder) -> dict[str, Any]:
        return {v.name: v.evaluate(encoder, self._world) for v in self.validation}

    @torch.no_grad()
    def _held_out(self, encoder: Encoder) -> dict[str, float]:
        """Loss and measures on works that training does not see."""
        totals = EpochTotals()
        for batch in self.source.held_out():
            output = self.loss(encoder.network, batch.to(self.device))
            totals.add(output, weight=len(batch.work))
        return {f"held-out {name}": mean for name, mean in totals.means().items()}

    def _is_best(self) -> bool:
        """Whether the last epoch's weights are to become the checkpoint."""
        if self.config.run.keep == "last" or not self.validation:
            return True
        # Epochs of before a resume may have been validated on other sets, and the best of them may
        # be lost, where the last one was to be kept then.
        first = self.validation[0].name
        rows = [row.get("validation", {}) for row in self.history]
        if self._kept is not None:
            rows = [rows[self._kept - 1], rows[-1]]
        scores = [row[first]["map"] for row in rows if first in row]
        return first in rows[-1] and scores[-1] >= max(scores)

    def _checkpoint(self) -> Checkpoint:
        record = self.record()
        return Checkpoint(
            name=self.config.name,
            architecture=self.architecture,
            preprocessing=self.preprocessing,
            weights={name: value.clone() for name, value in self.average.weights.items()},
            kind=self.config.kind,
            training=record,
            card=model_card(self.config.name, self.config.card, record),
            training_list=self.training_list,
        )

    def _check_weights(self) -> None:
        kept = self.average.weights.values()
        if not all(bool(w.isfinite().all()) for w in (*self.network.parameters(), *kept)):
            raise self._diverged("weights are not finite")

    def _save_state(self, batch: Batch) -> None:
        self._check_weights()
        self.seconds = time.perf_counter() - self._started
        self.folder.save_state(
            {
                "config_digest": self.config.digest,
                "step": self.step,
                "network": self.network.state_dict(),
                "loss": self.loss.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": self.average.state_dict(),
                "totals": self._totals.state_dict(),
                "history": self.history,
                "kept": self._kept,
                "seconds": self.seconds,
                "before": self._before,
                "checkpoints": self._given,
                "batch": outline(batch),
                "data": described(self.source),
            }
        )

    def _resume(self, state: dict[str, Any]) -> None:
        given = check_goes_on(
            state, given=self._given, source=self.source, n_steps=self.n_steps, run=self.folder.path
        )
        self._given = given
        self.network.load_state_dict(state["network"])
        self.loss.load_state_dict(state["loss"])
        take_up(self.optimizer, state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.step = state["step"]
        self._totals = EpochTotals.from_state(state["totals"])
        self.history = state["history"]
        self._kept = state.get("kept")  # states of earlier versions don't say
        self.seconds = state["seconds"]
        self._before = state.get("before")

    def _checked(self, value: Tensor) -> float:
        number = float(value.detach())
        if not math.isfinite(number):
            raise self._diverged(f"loss is {number}")
        return number

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"the {what} at step {self.step}; lower optimizer.learning_rate or set "
            "optimizer.clip_norm (the last saved state is from before)"
        )

    def _context(self) -> SourceContext:
        return SourceContext(
            preprocessing=self.preprocessing,
            kind=self.config.kind,
            seed=self.config.seed,
            device=str(self.device),
            folder=self.folder.path,
            base=self.base,
            world=self.world,
            prepared=self.prepared,
        )

    def _validation_sets(self) -> list[ValidationSet]:
        encoder = self.encoder()
        trained = self.source.work_ids
        # What the checkpoints that the run builds on have seen is no validation either.
        trained = {*trained, *(p.work_id for p in self.training_list.performances)}
        sets = (
            load_validation_set(config, encoder, self.world, self.base, trained)
            for config in self.config.validation
        )
        held_out = (
            self.source.held_out_recordings()
            if isinstance(self.source, HoldsOutRecordings)
            else None
        )
        return [found for found in (*sets, held_out) if found is not None]

    @property
    def _world(self) -> TrainingWorld:
        assert self.world is not None  # validation sets exist only where a world opened them
        return self.world
