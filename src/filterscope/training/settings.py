"""Every setting of a training run, in one place: flags, types, help and YAML come from here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from filterscope.core.choices import refuse_other_numbers, refuse_other_words

Method = Literal["standard", "gated", "parts", "gated-parts"]
Scheme = Literal["alternate", "joint"]
TaskLoss = Literal["softmax", "logistic"]
FilterLoss = Literal["exact", "paper", "official"]


@dataclass(frozen=True)
class TrainSettings:
    """Settings of one training run.

    Args:
        data: Data set: digits, digit-parts, cifar10, cifar100, imagenet, voc-animals, folder:PATH
            (class folders or zip files), masked-folder:PATH (images and masks), or
            part-folder:PATH (images and landmarks of the object's parts).
        data_root: Folder that holds the named data sets. Default: $FILTERSCOPE_DATA, else ./data.
        image_size: Side of the network's input in pixels. Default: the data set's.
        limit: Use at most this many training images, the same share of each class.
        limit_test: Use at most this many test images.
        test_fraction: Share of images held out where the data has no test split.
        data_seed: Seed of the split and of the limited selection; the same for every training seed.
        download: Fetch a missing data set from its official source.
        repeat: Mirror and repeat the training images of part-folder as published; without, each
            comes once an epoch and is mirrored at random.
        official_leaky_split: Divide part-folder as the authors' code does, with repetitions on
            both sides; for comparisons with published numbers alone.
        max_unreadable: Share of unreadable images above which training is refused.
        class_weights: balanced weighs each class by N / (C n_c) in the loss.
        task_loss: softmax is the cross entropy; logistic asks yes or no of each logit, and has a
            single logit for one category against negatives. Default: logistic for such data,
            else softmax.
        model: Architecture, see `filterscope list models`.
        weights: Start from these weights (safetensors, or a state dict); a head of
            another size is left out.
        freeze: Parameters under these names are not trained.
        freeze_bn: Frozen batch norms keep their statistics, too.
        layer: Layer whose filters are gated and measured. Default: the architecture's.
        method: standard trains the plain network, gated trains it with a class-specific gate,
            parts with part templates, gated-parts with both.
        scheme: alternate has epochs on the gated path among standard ones; joint sums
            both paths' losses.
        warmup: Standard epochs before the first gated one.
        period: Length of a round of standard and gated epochs (alternate scheme).
        gated_epochs: Gated epochs at the end of each period.
        lambda1: Weight of the gated path's loss.
        lambda2: Weight of the penalty on a gate denser than its bound.
        psi: Shape of that penalty.
        density_bound: Largest mean gate entry without penalty. Default: 0.1 or 1 /
            classes, the larger.
        fixed_gate: Filters of each class alone and filters shared by all, for a gate that
            is not learned.
        template: Shape of the part templates.
        space: How a template counts distances, see `part_templates`.
        beta: Slope of the templates; where a learned one starts.
        gamma: Threshold of the uniform templates.
        mu: Unit that a template is centred on: the map's largest value, or its centroid.
        learn_beta: Each filter's slope follows the spread of its maps (l1 and l2, normalized).
        beta_rate: How far a learned slope goes to its target in a step.
        mask_layers: Layers whose maps the templates mask. Default: the two of the *_parts
            networks, the studied layer of others.
        second_mask: Whether the second mask of the *_parts networks follows their last pool.
        filter_statistic: What gives a filter one of several categories: the mean peak of its maps
            (the authors' code) or their mean sum (the paper).
        filter_loss: exact is minus the mutual information of maps and templates, paper has its
            approximate gradient, official is the surrogate of the authors' code.
        filter_weight: Weight of the filter losses in the first epoch. Default: 1e-6 for official,
            else 0.1.
        filter_schedule: How that weight changes: inverse divides it by the number of the epoch,
            magnitude multiplies this by the mean peak of the layer's maps, too; constant keeps it.
        category_factors: official scales rates and losses by the number of categories as the
            authors' code does, see `category_factors` of the training package.
        epochs: Passes over the training images.
        batch_size: Images in a step, over all processes.
        optimizer: Optimizer of the network's weights.
        lr: Learning rate of the weights at the start.
        momentum: Momentum (sgd only).
        nesterov: Nesterov momentum (sgd only).
        weight_decay: Weight decay of the weights; the gate never has any.
        bias_rate: Learning rate of biases, in that of the weights.
        bias_decay: Whether weight decay acts on biases, too.
        schedule: How the learning rate of the weights falls.
        warmup_lr_epochs: Epochs in which the learning rate first rises linearly.
        milestones: Shares of the epochs at which multistep multiplies the rate by 0.1.
        decay_epochs: Epochs in which logspace brings the rate down to a tenth, where it stays.
            Default: all.
        clock: global counts all epochs for the schedule; own counts standard and gated ones apart.
        gate_lr: Learning rate of the gate's own Adam. Default: 30 / gated steps, in [0.001, 0.1].
        gated_lr: Gives the weights a second optimizer for gated epochs, with this rate.
        gated_freeze: Parameters under these names learn nothing from the gated path: they are
            left alone in gated steps (alternate scheme), or get the standard path's gradient only
            (joint scheme). "head" stands for the layer that gives the logits.
        gradient_norms: Note after each epoch how large the gradients of the two paths are (gated
            runs), or of task and filter losses at the masked maps, on 256 training images.
        precision: Lightning Fabric's name; the gate is float32 in all of them.
        seed: Seed of initial weights, order and augmentation.
        device: auto, cpu, cuda or mps.
        devices: Processes (DDP) on this machine, one a device.
        compile: Compile the network with torch.compile.
        workers: Processes that load images that do not fit in memory.
        tensorboard: Write the history for TensorBoard, too, into the run's folder tensorboard.

    Raises:
        ValueError: A value out of its range; the message names the setting.
    """

    data: str = "digits"
    data_root: str | None = None
    image_size: int | None = None
    limit: int | None = None
    limit_test: int | None = None
    test_fraction: float = 0.2
    data_seed: int = 0
    download: bool = False
    repeat: bool = True
    official_leaky_split: bool = False
    max_unreadable: float = 0.01
    class_weights: Literal["none", "balanced"] = "none"
    task_loss: TaskLoss | None = None
    model: str = "resnet20"
    weights: str | None = None
    freeze: tuple[str, ...] = ()
    freeze_bn: bool = False
    layer: str | None = None
    method: Method = "standard"
    scheme: Scheme = "alternate"
    warmup: int = 10
    period: int = 3
    gated_epochs: int = 1
    lambda1: float = 1.0
    lambda2: float = 1e-3
    psi: Literal["l1", "l2", "smooth_l1"] = "l1"
    density_bound: float | None = None
    fixed_gate: tuple[int, int] | None = None
    template: Literal["l1", "l2", "uniform_l1", "uniform_l2"] = "l1"
    space: Literal["normalized", "index"] = "normalized"
    beta: float = 2.0
    gamma: float = 2.0
    mu: Literal["argmax", "centroid"] = "argmax"
    learn_beta: bool = False
    beta_rate: float = 0.02
    mask_layers: tuple[str, ...] = ()
    second_mask: Literal["after_pool", "before_pool"] = "after_pool"
    filter_statistic: Literal["peak", "sum"] = "peak"
    filter_loss: FilterLoss = "exact"
    filter_weight: float | None = None
    filter_schedule: Literal["inverse", "magnitude", "constant"] = "inverse"
    category_factors: Literal["none", "official"] = "none"
    epochs: int = 30
    batch_size: int = 128
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: float = 0.1
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    bias_rate: float = 1.0
    bias_decay: bool = True
    schedule: Literal["cosine", "multistep", "logspace", "constant"] = "cosine"
    warmup_lr_epochs: float = 0.0
    milestones: tuple[float, ...] = (0.4, 0.6, 0.8)
    decay_epochs: int | None = None
    clock: Literal["global", "own"] = "global"
    gate_lr: float | None = None
    gated_lr: float | None = None
    gated_freeze: tuple[str, ...] = ()
    gradient_norms: bool = False
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    seed: int = 0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    devices: int = 1
    compile: bool = False
    workers: int = 2
    tensorboard: bool = False

    def __post_init__(self) -> None:
        refuse_other_words(self)
        refuse_other_numbers(self)
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise ValueError(f"`{name}` must be at least {least}, got {value!r}")
        for name in ("lr", "bias_rate", "gate_lr", "gated_lr"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be above 0, got {value!r}")
        if not 0 <= self.max_unreadable <= 1:
            raise ValueError(f"`max_unreadable` must lie in [0, 1], got {self.max_unreadable}")
        if not 0 < self.test_fraction < 1:
            raise ValueError(f"`test_fraction` must lie between 0 and 1, got {self.test_fraction}")
        if self.gated_epochs > self.period:
            raise ValueError(
                f"`gated_epochs` ({self.gated_epochs}) must not exceed `period` ({self.period})"
            )
        if self.batch_size % self.devices:
            raise ValueError(
                f"`batch_size` ({self.batch_size}) counts the images of all {self.devices} "
                "processes and must divide by their number"
            )
        if not 0 < self.beta_rate <= 1:
            raise ValueError(f"`beta_rate` must lie in (0, 1], got {self.beta_rate!r}")
        if self.has_parts:
            self._check_templates()
        self._check_reach()

    @property
    def has_gate(self) -> bool:
        """Whether the network has a class-specific gate."""
        return "gated" in self.method

    @property
    def has_parts(self) -> bool:
        """Whether the network has part templates."""
        return "parts" in self.method

    def _check_templates(self) -> None:
        # imported here alone: the flags are told without torch
        from filterscope.parts.settings import TemplateSettings

        TemplateSettings(
            shape=self.template,
            space=self.space,
            beta=self.beta,
            gamma=self.gamma,
            mu=self.mu,
            learn_beta=self.learn_beta,
        )

    def _check_reach(self) -> None:
        """Refuse numbers that training could not compute with."""
        for name, value in vars(self).items():
            if isinstance(value, float) and not abs(value) <= _LARGEST:
                raise ValueError(f"`{name}` must be finite in single precision, got {value!r}")
        for name in ("seed", "data_seed"):
            if not abs(getattr(self, name)) <= _LARGEST_SEED:
                raise ValueError(
                    f"`{name}` must lie in [-{_LARGEST_SEED}, {_LARGEST_SEED}], "
                    f"got {getattr(self, name)}"
                )
        if not all(0 <= share <= 1 for share in self.milestones):
            raise ValueError(
                "`milestones` must be shares of the epochs, from 0 to 1, "
                f"got {', '.join(map(str, self.milestones))}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Every setting by name, as plain values that YAML and JSON can hold."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainSettings:
        """Build settings from what `to_dict` gave.

        Raises:
            ValueError: A name that is no setting.
        """
        unknown = sorted(values.keys() - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"unknown settings: {', '.join(unknown)}")
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**plain)


_LARGEST = 3.4e38  # of single precision
_LARGEST_SEED = 10**12  # a seed for each epoch is made of it, which must fit in 64 bits
_LEAST: dict[str, float] = {
    "image_size": 1,
    "limit": 1,
    "limit_test": 1,
    "warmup": 0,
    "period": 1,
    "gated_epochs": 1,
    "lambda1": 0,
    "lambda2": 0,
    "filter_weight": 0,
    "decay_epochs": 1,
    "epochs": 1,
    "batch_size": 1,
    "momentum": 0,
    "weight_decay": 0,
    "warmup_lr_epochs": 0,
    "devices": 1,
    "workers": 0,
}
