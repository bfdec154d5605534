"""Any classifier with a class gate at one of its layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor, nn

from filterscope.core.contexts import pool_features
from filterscope.core.gate_points import gate_point
from filterscope.core.pretrained import SavedForm, read_pretrained_config, write_pretrained
from filterscope.core.recomputation import is_recomputed
from filterscope.gates.gate import ClassGate
from filterscope.gates.one_run import paths_share_a_run
from filterscope.gates.placement import (
    Activation,
    chosen_activation,
    chosen_layer,
    count_filters,
    placed_gate,
)
from filterscope.gates.saved import fill_gated, gated_form, stored_gate

Mode = Literal["gated", "both", "features"]

_outside_graphs: Any = torch.compiler.disable  # its own annotations are missing


class GatedClassifier(nn.Module):
    """A classifier whose features pass a class gate at one layer, when labels are given.

    ``net(x)`` is the standard path, the classifier as it was; ``net(x, labels)`` is the gated
    path, in train and eval mode alike. The wrapped classifier keeps its parameters, keys, train
    flags and outputs; wrapping adds one hook, which `unwrap` takes off.

    The gated path sees the label, so its accuracy says nothing about the network (the head can
    read the class from which filters survive). Use it to train and to diagnose.

    Args:
        model: Any classifier: torchvision's, timm's, your own. Called as ``model(x)``, it gives
            logits (N, C).
        layer: The layer to gate, by name or as the module; its output is a map (N, K, H, W) or
            features (N, K). The paper gates the last convolution after its ReLU. None takes the
            known place of a known architecture, with a warning that names it.
        num_classes: C.
        num_filters: K. When absent it is read off one forward pass of `example_input`, else it is
            known with the architecture.
        example_input: A batch for the model, (N, channels, H, W); one image is enough.
        gate: A gate made before, for instance ``ClassGate.fixed(...)``; it is moved to the
            model's device. None makes a learnable one.
        density_bound: See `ClassGate`; only for a gate made here.
        activation: What rectifies the layer's output before `features` are pooled: "relu" (the
            default, harmless where the layer ends in a ReLU), None for networks with signed
            activations (SiLU, hardswish, GELU), or a function. "auto" knows it with the
            architecture.

    Attributes:
        model: The wrapped classifier.
        gate: The `ClassGate`.
        layer_name: Dotted name of the gated layer inside `model`.

    Raises:
        TypeError: `model` is scripted, or `layer` is of a wrong type.
        ValueError: An unknown layer (with the near names), a layer that gives no feature map, a K
            that cannot be known, or a `gate` of other sizes than `num_classes` and `num_filters`.

    Source: Liang et al., ECCV 2020, section 3 (figure 2).

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        ...                       nn.Flatten(), nn.Linear(8, 5))
        >>> net = GatedClassifier(model, layer="1", num_classes=5, num_filters=8)
        >>> x, labels = torch.randn(2, 3, 9, 9), torch.tensor([0, 4])
        >>> standard, gated = net.both(x, labels)
        >>> torch.equal(standard, net(x)), net.features(x).shape
        (True, torch.Size([2, 8]))
    """

    def __init__(
        self,
        model: nn.Module,
        layer: str | nn.Module | None = None,
        num_classes: int | None = None,
        num_filters: int | None = None,
        example_input: Tensor | None = None,
        *,
        gate: ClassGate | None = None,
        density_bound: float | None = None,
        activation: Literal["auto", "relu"] | Activation = "auto",
    ) -> None:
        super().__init__()
        if isinstance(model, torch.jit.ScriptModule):
            raise TypeError("`model` is scripted; wrap the Python module, hooks do not run in it")
        if isinstance(model, GatedClassifier):
            raise TypeError("`model` is gated already; wrap its .unwrap()")
        known = gate_point(model)
        self.layer_name, module = chosen_layer(model, layer, known)
        known = known if known is not None and known.layer == self.layer_name else None
        self.activation = chosen_activation(activation, known)
        self.model = model
        self.training = model.training
        # what the hook is to do, set for the length of one call
        self._mode: Mode | None = None
        self._labels: Tensor | None = None
        self._fired = False
        self._pooled: Tensor | None = None
        self._shares_run: bool | None = None
        if gate is None:
            if num_classes is None:
                raise ValueError("`num_classes` is needed to make a gate")
            if num_filters is None:
                num_filters = count_filters(model, module, example_input, known)
            gate = ClassGate(num_classes, num_filters, density_bound)
        self.gate = placed_gate(gate, model, num_classes, num_filters, density_bound)
        self._handle = module.register_forward_hook(self._on_layer_output)

    @property
    def layer(self) -> nn.Module:
        """The gated layer."""
        return self.model.get_submodule(self.layer_name)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Classify on the standard path, or on the gated path of the given labels.

        Args:
            x: What the wrapped classifier takes, (N, channels, H, W).
            labels: True class of each image, (N,); None for the standard path.

        Returns:
            Logits, (N, C).

        Raises:
            ValueError: Labels that do not fit the batch or the gate.
            RuntimeError: The gated layer did not run, or ran more than once.
        """
        if labels is None:
            output: Tensor = self.model(x)
            return output
        return self._run("gated", x, labels)[0]

    def both(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Classify on both paths with one run of the trunk below the gate.

        The network runs twice where the paths may not share a batch: a batch norm follows the
        gate, or something bypasses it. The first call tries that out.

        Args:
            x: A batch, (N, channels, H, W).
            labels: True class of each image, (N,).

        Returns:
            Logits of the standard and of the gated path, (N, C) each.
        """
        if not self._paths_share_a_run(x):
            return self(x), self(x, labels)
        standard, gated = self._run("both", x, labels)[0].chunk(2)
        return standard, gated

    def features(self, x: Tensor) -> Tensor:
        """Pooled features of the gated layer: ungated, rectified, averaged over positions.

        Args:
            x: A batch, (N, channels, H, W).

        Returns:
            Features, (N, K).
        """
        pooled = self._run("features", x, None)[1]
        assert pooled is not None
        return pooled

    def unwrap(self) -> nn.Module:
        """Take the hook off and give the plain classifier back; this wrapper is then of no use."""
        self._handle.remove()
        return self.model

    def save_pretrained(self, path: str | Path) -> None:
        """Write this network as a folder: ``config.json``, ``model`` and ``gate.safetensors``.

        The classifier's weights keep their own keys, so that they load without this library.

        Args:
            path: The folder; made if absent.

        Raises:
            ValueError: An `activation` that is a function of your own, which no file can hold.
        """
        form = self.filterscope_saved_form()
        write_pretrained(path, form.config, form.weights)

    def filterscope_saved_form(self) -> SavedForm:
        """Tell what is written of this network."""
        return gated_form(self)

    @classmethod
    def from_pretrained(cls, path: str | Path, model: nn.Module) -> GatedClassifier:
        """Fill `model` with the weights of a saved network and gate it as it was.

        `filterscope.from_pretrained` also builds the model, for architectures it knows.

        Args:
            path: A folder that `save_pretrained` wrote.
            model: A network of the same architecture.

        Returns:
            The gated network, in eval mode.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: A file is damaged, or of another kind of network or architecture.
        """
        config = read_pretrained_config(path)
        fill_gated(config, path, model)
        layer, gate, activation = stored_gate(config, path)
        return cls(model, layer, gate=gate, activation=activation).eval()

    def _run(self, mode: Mode, x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Run the classifier with the hook switched on; give its output and pooled features."""
        self._mode, self._labels, self._fired, self._pooled = mode, labels, False, None
        try:
            output = self.model(x)
            if not self._fired:
                raise RuntimeError(
                    f"layer {self.layer_name!r} gave nothing to gate: it did not run in this "
                    "forward pass, or this network was unwrapped"
                )
            return output, self._pooled
        finally:
            self._mode, self._labels, self._pooled = None, None, None

    def _on_layer_output(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor | None:
        """Gate the layer's output.

        The one permanent hook: a bound method, so that copies and pickles of this network carry
        it, and `torch.compile` sees it.
        """
        if self._mode is None:
            _refuse_recomputation()
            return None
        if self._fired:
            raise RuntimeError(
                f"layer {self.layer_name!r} runs more than once in a forward pass; choose one "
                "that runs once"
            )
        self._fired = True
        if self._mode == "features":
            # pooled here, because a later in-place ReLU may rewrite the map
            self._pooled = pool_features(output, self.activation)
            return None
        assert self._labels is not None
        gated: Tensor = self.gate(output, self._labels)
        return gated if self._mode == "gated" else torch.cat([output, gated])

    def _paths_share_a_run(self, x: Tensor) -> bool:
        """Whether one run may serve both paths; found once, on one image."""
        if self._shares_run is None:
            self._shares_run = bool(_outside_graphs(self._try_one_run)(x))
        return self._shares_run

    def _try_one_run(self, x: Tensor) -> bool:
        def run_both(images: Tensor) -> Any:
            any_class = torch.zeros(len(images), dtype=torch.long, device=self.gate.matrix.device)
            return self._run("both", images, any_class)[0]

        return paths_share_a_run(run_both, self.model, self.layer, x)

    def _replicate_for_data_parallel(self) -> NoReturn:
        raise RuntimeError(
            "DataParallel copies the network without its gate; use DistributedDataParallel"
        )


def _refuse_recomputation() -> None:
    """Raise inside a backward pass: the layer is being recomputed, without its labels."""
    if is_recomputed():
        raise RuntimeError(
            "activation checkpointing over the gated layer would recompute it without its labels; "
            "checkpoint the blocks inside it or below it"
        )
