"""The training loop."""

from __future__ import annotations

import time
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from filterscope.data import ImageDataset, batches, class_weights, num_batches
from filterscope.runs.folder import Row, RunFolder
from filterscope.training.checkpoint import (
    restore_checkpoint,
    write_checkpoint,
)
from filterscope.training.gradients import gradient_notes
from filterscope.training.losses import EpochCounts, Objective, step_loss, take_back
from filterscope.training.network import Network, build_network, set_train_mode
from filterscope.training.optimizers import (
    Optimizers,
    make_optimizers,
    set_learning_rate,
    ungated_parameters,
)
from filterscope.training.part_training import FilterLosses
from filterscope.training.progress import Reporter
from filterscope.training.schedule import (
    CategoryFactors,
    category_factors,
    filter_weight,
    gate_learning_rate,
    learning_rate_factor,
    phase_of,
)
from filterscope.training.settings import TrainSettings
from filterscope.training.testing import path_sums
from filterscope.training.writing import write_description, write_weights


class Loop:
    """One process's part of a run."""

    def __init__(
        self,
        fabric: Fabric,
        settings: TrainSettings,
        folder: RunFolder,
        dataset: ImageDataset,
        *,
        resume: bool,
    ) -> None:
        self.fabric, self.settings, self.folder, self.dataset = fabric, settings, folder, dataset
        if settings.batch_size % fabric.world_size:
            raise ValueError(
                f"`batch_size` ({settings.batch_size}) counts the images of all "
                f"{fabric.world_size} processes and must divide by their number"
            )
        self.batch_size = min(settings.batch_size, len(dataset.train))
        self.steps = num_batches(dataset.train, self.batch_size, drop_last=True)
        self.gate_lr = gate_learning_rate(settings, self.steps)
        self.network: Network = build_network(settings, dataset)
        self.factors: CategoryFactors = category_factors(
            settings, self.network.task_loss, self.network.num_logits
        )
        # channels last is what convolutions are fastest in, on CPU as on tensor cores
        self.network.module.to(fabric.device).to(memory_format=torch.channels_last)
        self.optimizers: Optimizers = make_optimizers(self.network, settings, self.gate_lr)
        joint = settings.has_gate and settings.scheme == "joint"
        classifier = self.network.classifier
        self.ungated = ungated_parameters(classifier, settings) if joint else []
        self.rows: list[Row] = []
        if resume and folder.checkpoint.is_file():
            self.rows = restore_checkpoint(
                folder.checkpoint, self.network, self.optimizers, settings
            )
        self.objective = self._objective()
        self.parallel, self.steppers = self._set_up()

    def _objective(self) -> Objective:
        settings, dataset, parts = self.settings, self.dataset, self.network.parts
        weights: Tensor | None = None
        if settings.class_weights == "balanced":
            weights = class_weights(dataset.train.labels, len(dataset.classes))
            weights = weights.to(self.fabric.device, torch.float32)
        filters = None if parts is None else FilterLosses.of(parts, settings, dataset)
        return Objective(self.network.task_loss, weights, self.factors.task, filters)

    def _set_up(self) -> tuple[Any, dict[int, Any]]:
        """Hand network and optimizers to Fabric; the optimizers by the identity of ours."""
        module = self.network.module
        if self.settings.compile:
            self.network.classifier.compile()
        optimizers = [optimizer for _, optimizer in self.optimizers.all()]
        parallel, *wrapped = self.fabric.setup(module, *optimizers, move_to_device=False)
        if self.network.gate is not None:
            parallel.mark_forward_method("both")
        return parallel, {
            id(ours): theirs for ours, theirs in zip(optimizers, wrapped, strict=True)
        }

    def run(self, reporter: Reporter) -> None:
        """Train the epochs that are left and write what a finished run holds."""
        if self.fabric.is_global_zero:
            write_description(self.folder, self.network, self.dataset, self.fabric, self.settings)
            if self.rows:  # a kill between checkpoint and history leaves a row too few
                self.folder.write_metrics(self.rows)
        for epoch in range(len(self.rows), self.settings.epochs):
            start = time.perf_counter()
            trained = self._train_epoch(epoch, reporter)
            tested = self._test()
            pulls = self._gradients(epoch)
            seconds = time.perf_counter() - start
            row = {"epoch": epoch, **trained, **tested, **pulls, "seconds": seconds}
            self.rows.append(row)
            if self.fabric.is_global_zero:
                write_checkpoint(
                    self.folder.checkpoint, self.network, self.optimizers, self.settings, self.rows
                )
                self.folder.write_metrics(self.rows)
            reporter.epoch_finished(row)
        if self.fabric.is_global_zero:
            write_weights(self.folder, self.network)
        self.fabric.barrier()

    def _train_epoch(self, epoch: int, reporter: Reporter) -> Row:
        settings, gate = self.settings, self.network.gate
        phase = phase_of(epoch, settings)
        stepping = [self.steppers[id(o)] for o in self.optimizers.stepping(phase)]
        moves_gate = phase != "standard" and gate is not None and gate.learnable
        counts = EpochCounts(self.fabric.device, self.network.task_loss)
        weights = self._filter_weights(epoch)
        set_train_mode(self.network.module, freeze_bn=settings.freeze_bn)
        # dropout and the like draw from the global generator: its state must not hang on the past
        torch.manual_seed(_mixed_seed(settings.seed, epoch, self.fabric.global_rank))
        reporter.epoch_started(epoch, phase, self.steps)
        for step, batch in enumerate(self._train_batches(epoch)):
            set_learning_rate(
                self.optimizers, settings, self._rate_factor(epoch, step / self.steps)
            )
            self.network.module.zero_grad(set_to_none=True)
            loss = step_loss(
                self.parallel,
                gate,
                phase,
                batch.images.contiguous(memory_format=torch.channels_last),
                batch.labels,
                settings,
                self.objective,
                weights,
                self.ungated,
            )
            counts.update(loss, batch.labels)
            counts.check_finite(epoch, self.steps)  # before anything moves
            self.fabric.backward(loss.total)
            take_back(loss, self.fabric.world_size)
            for optimizer in stepping:
                optimizer.step()
            if moves_gate and gate is not None:
                counts.repaired += gate.project_()
            reporter.step()
        return {"phase": phase, **self._training_row(counts, epoch, moves_gate)}

    def _rate_factor(self, epoch: int, fraction: float) -> float:
        return self.factors.rate * learning_rate_factor(epoch, fraction, self.settings)

    def _filter_weights(self, epoch: int) -> Tensor | None:
        """Weight of each layer's filter loss in this epoch."""
        filters, device = self.objective.filters, self.fabric.device
        if filters is None:
            return None
        weight = filter_weight(epoch, self.settings) * self.factors.filters
        if self.settings.filter_schedule != "magnitude":
            return torch.full((len(filters.network.masks),), weight, device=device)
        return weight * filters.map_sizes(self.dataset.train, self.dataset.transform, device)

    def _train_batches(self, epoch: int) -> Any:
        return batches(
            self.dataset.train,
            self.batch_size,
            transform=self.dataset.transform,
            augmentation=self.dataset.augmentation,
            device=self.fabric.device,
            shuffle=True,
            seed=self.settings.seed,
            epoch=epoch,
            rank=self.fabric.global_rank,
            world_size=self.fabric.world_size,
            drop_last=True,
            workers=self.settings.workers,
        )

    def _training_row(self, counts: EpochCounts, epoch: int, moves_gate: bool) -> Row:
        loss, correct, wrong, count, filters = self._summed(
            counts.loss, counts.correct, counts.wrong, counts.count, counts.filters
        )
        factor = self._rate_factor(epoch, 0.0)
        rate = self.settings.lr
        if moves_gate and self.optimizers.gated_weights is not None:
            rate = self.settings.gated_lr or rate
        return {
            "lr": rate * factor,
            "gate_lr": self.gate_lr if moves_gate else None,
            "train_loss": loss / count,
            "train_accuracy": correct / count,
            "train_error": wrong / count,
            "filter_loss": None if self.network.parts is None else filters / count,
            "penalty": float(counts.penalty) / max(1, counts.steps) if moves_gate else None,
            "repaired": counts.repaired if moves_gate else None,
        }

    def _test(self) -> Row:
        """Loss and accuracy of both paths on the test split, each sample counted once."""
        self._share_buffers()
        gate = self.network.gate
        sums = path_sums(
            self.fabric,
            self.network.module,
            self.dataset,
            max(256, self.batch_size),
            self.settings.workers,
            self.network.task_loss,
        )
        loss, correct, gated_loss, gated_correct, wrong, count = self._summed(*sums)
        gated = gate is not None
        return {
            "test_loss": loss / count,
            "test_accuracy": correct / count,
            "test_error": wrong / count,
            "test_gated_loss": gated_loss / count if gated else None,
            "test_gated_accuracy": gated_correct / count if gated else None,
            "gap": (gated_correct - correct) / count if gated else None,
            "density": None if gate is None else gate.l1_density(),
        }

    def _gradients(self, epoch: int) -> Row:
        """How hard the parts of the objective pull, on some training images as they are."""
        if not self.settings.gradient_norms:
            return {}
        return dict(
            gradient_notes(
                self.network.module,
                self.objective,
                self._filter_weights(epoch),
                self.dataset,
                self.fabric.device,
                self.batch_size,
            )
        )

    def _summed(self, *values: Tensor) -> list[float]:
        """Add up over processes."""
        total = self.fabric.all_reduce(torch.stack(values), reduce_op="sum")
        return [float(value) for value in total]

    def _share_buffers(self) -> None:
        """Give every process the first one's batch statistics, so that all test one network."""
        if self.fabric.world_size > 1:
            for buffer in self.network.module.buffers():
                torch.distributed.broadcast(buffer, src=0)


def _mixed_seed(*parts: int) -> int:
    """One seed out of several numbers; neighbours give unrelated ones."""
    seed = 0
    for part in parts:
        seed = (seed * 1_000_003 + part + 1) % (2**63 - 1)
    return seed
