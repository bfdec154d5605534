"""The linear interpreter: a network at an image as the affine map y = F x + r."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, get_args, overload

import torch
from scipy.sparse.linalg import LinearOperator
from torch import Tensor, nn

from filterscope.core.layers import find_layer
from filterscope.linear.checks import (
    Versions,
    check_choice,
    check_no_autocast,
    prepared_images,
    prepared_network,
)
from filterscope.linear.contributions import Contributions, split_scores
from filterscope.linear.crop import apply_program
from filterscope.linear.errors import ConservationError
from filterscope.linear.filters import FilterContributions, LayerGraph, split_filters
from filterscope.linear.frozen import Select, freeze, unattributed
from filterscope.linear.graph import Graph
from filterscope.linear.grouping import By, constant_names, layer_names
from filterscope.linear.operator import linear_operator
from filterscope.linear.probes import Index, map_probes, target_positions, unit, units_at
from filterscope.linear.rules.table import NormFreeze, Options, Smooth
from filterscope.linear.singular import singular_triplets


class LinearInterpreter:
    """A network read as the affine map y = F x + r that it is at given images.

    Each non-linear unit is replaced by a linear one that gives the same value at the image and is
    kept for every other argument; what is left is linear in the image but for constants. F x0 + r
    is the network's output exactly. F is the Jacobian where all units are piecewise linear.

    Args:
        model: Any network of plain PyTorch operations. It is put in eval mode for a moment and
            restored; its weights are not changed. A compiled one is unwrapped. The interpreter
            holds for the one pass that it records: a network that draws at random or keeps a
            state is refused where its modules, buffers or the global generators show it; what
            hides elsewhere (a global, a generator of its own in a list) is not noticed.
        images: x0, (N, ...), prepared as the network expects them. Each image has a map of its
            own; rows, columns and the operator want N = 1.
        smooth: How sigmoid, softplus and other smooth units are frozen: "chord" through h(0)
            (default: bounded), "gain" h(y) / y (the paper's masks), "tangent" (the Jacobian). Units
            h(y) = y g(y) such as SiLU and GELU keep the gate g except under "tangent".
        norm_freeze: What norms by the image's own statistics keep: "mean+var" (default, the
            paper's), "var" (subtracting the mean stays linear), "none" (the Jacobian).
        freeze_gates: Whether gates (squeeze and excitation, a * sigmoid(b)) and attention keep
            their value at the image. The paper has none: without it such a product is refused.
        include_preprocess: Applied to the images first, as a part of the network: its constants
            (mean subtraction) then count for r. None: the images come prepared, x0 is what the
            network is given.
        dtype: torch.float32 or torch.float64: converts a copy of the network and the images.
            None keeps their precision.
        output: What y is where the network returns no single tensor, or where only a part is
            wanted: a key, a position or a function of what it returns.

    Attributes:
        output: y, as the network gives it.

    Raises:
        UnsupportedOperation: An operation without a rule, or one that is refused; it names the
            operation, the module and, where there is one, the option that allows it.
        TypeError: Arguments of a wrong type, scripted networks, an output that is no tensor.
        ValueError: Images or weights that are not finite, half precision, integers, an unknown
            option, or a network that draws at random.

    Source: Navarrete Michelini et al., "A Tour of Convolutional Networks Guided by Linear
    Interpreters", ICCV 2019; gates, attention and other norms are this library's extension.

    Examples:
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
        >>> image = torch.rand(1, 1, 4, 4)
        >>> interpreter = LinearInterpreter(model, image)
        >>> interpreter.row(2).shape, interpreter.column((0, 3, 3)).shape
        (torch.Size([1, 4, 4]), torch.Size([3]))
        >>> y = interpreter.apply(image) + interpreter.residual
        >>> torch.allclose(y, model(image), atol=1e-6)
        True
        >>> [name for name, value in interpreter.contributions(2).layers]
        ['0', '3']
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        *,
        smooth: Smooth = "chord",
        norm_freeze: NormFreeze = "mean+var",
        freeze_gates: bool = False,
        include_preprocess: Callable[[Tensor], Tensor] | None = None,
        dtype: torch.dtype | None = None,
        output: Select = None,
    ) -> None:
        check_choice("smooth", smooth, get_args(Smooth))
        check_choice("norm_freeze", norm_freeze, get_args(NormFreeze))
        self._network = prepared_network(model, dtype)
        self._model = self._network.model
        self.images = prepared_images(images, self._network, dtype)
        self._options = Options(smooth, norm_freeze, freeze_gates)
        self._settings: dict[str, Any] = {"preprocess": include_preprocess, "output": output}
        frozen = freeze(self._network, self.images, self._options, **self._settings)
        self._program, self.output = frozen.program, frozen.output
        self._graph = Graph(self._program, self.images, frozen.recording)
        self._layer_graph: LayerGraph | None = None
        self._versions = Versions(self._network)

    def __repr__(self) -> str:
        images, output = tuple(self.images.shape), tuple(self.output.shape)
        return f"LinearInterpreter({type(self._model).__name__}, images {images}, output {output})"

    @cached_property
    def residual(self) -> Tensor:
        """The constant part r = y - F x0, in the shape of the output."""
        self._check_ready()
        with torch.no_grad():
            return self.output - self._program.run(self.images)

    def apply(self, v: Tensor) -> Tensor:
        """Send probes through the frozen network without its constants: F v.

        Args:
            v: (..., N, C, H, W), any leading axes; for one image the N may be missing. Converted
                to the precision of the interpreter.

        Returns:
            F v, (..., N, *output); without the N where `v` has none.
        """
        self._check_ready()

        def run(probes: Tensor) -> Tensor:
            return apply_program(self._program, probes)

        with torch.no_grad():
            return map_probes(run, v, self.images, "v")

    def adjoint(self, u: Tensor) -> Tensor:
        """Send probes backwards: F^T u.

        Args:
            u: (..., N, *output), any leading axes; for one image the N may be missing.

        Returns:
            F^T u, (..., N, C, H, W); without the N where `u` has none.
        """
        self._check_ready()
        return map_probes(self._graph.adjoint, u, self.output, "u")

    def row(self, index: Index) -> Tensor:
        """Row of F: which inputs make one output, (C, H, W).

        Args:
            index: Flat position in the image's output, or one position an axis.

        Raises:
            ValueError: Out of range, or more than one image.
        """
        self._check_single()
        return self.adjoint(unit(index, self.output))

    def column(self, index: Index) -> Tensor:
        """Column of F: what one input paints, in the shape of an image's output.

        Args:
            index: Flat position in the image, or one position an axis, (c, h, w).

        Raises:
            ValueError: Out of range, or more than one image.
        """
        self._check_single()
        return self.apply(unit(index, self.images))

    def as_linear_operator(self) -> LinearOperator:
        """F as a SciPy operator of shape (outputs, inputs), on flat NumPy vectors.

        Raises:
            ValueError: More than one image.
        """
        self._check_single()
        return linear_operator(
            self.apply, self.adjoint, self.images.shape[1:], self.output.shape[1:], self.images
        )

    svd = singular_triplets

    @overload
    def contributions(self, target: Index, by: By = ...) -> Contributions: ...

    @overload
    def contributions(
        self, target: list[int] | Tensor, by: By = ...
    ) -> tuple[Contributions, ...]: ...

    def contributions(
        self, target: Index | list[int] | Tensor, by: By = "stage"
    ) -> Contributions | tuple[Contributions, ...]:
        """Split an output into what the image and each layer's constants contribute to it.

        One backward pass gives all parts. That they add up is checked at each call, to 1e-10
        (float64) or 1e-4 (float32) of the largest term.

        Args:
            target: Flat position of the output, or one position an axis (a tuple). For several
                images a list or tensor with the flat position for each.
            by: "stage" sums over a layer with weights and the norm and activation on it; "block"
                over the outermost modules that are no containers (a residual block); "op" over
                nothing; a function or mapping from module path to name over that.

        Returns:
            The parts; for a list or tensor of targets a tuple, one for each image.

        Raises:
            ConservationError: The parts do not add up; it names the operation that is to blame.
            TypeError: Targets that are no integers.
            ValueError: A target out of range, another number of targets, or an unknown `by`.
        """
        self._check_ready()
        targets = target_positions(target, self.output)
        units = units_at(targets, self.output)
        scores = (self.output * units).flatten(1).sum(1)
        inputs, constants = self._graph.products(units, self.images)
        layers = layer_names(self._program, self._model, by)
        names = constant_names(self._program)
        try:
            found = split_scores(
                targets, scores, inputs, constants, list(names.values()), list(layers.values())
            )
        except ConservationError as error:
            raise self._explained(error) from error
        return found if isinstance(target, (list, Tensor)) else found[0]

    @overload
    def filter_contributions(
        self, target: Index, layer: str | nn.Module
    ) -> FilterContributions: ...

    @overload
    def filter_contributions(
        self, target: list[int] | Tensor, layer: str | nn.Module
    ) -> tuple[FilterContributions, ...]: ...

    def filter_contributions(
        self, target: Index | list[int] | Tensor, layer: str | nn.Module
    ) -> FilterContributions | tuple[FilterContributions, ...]:
        """Split an output into what each filter of a layer contributes to it.

        The frozen network above a layer is affine in the layer's output: a filter's part is the
        gradient there times the value at the image, summed over positions.

        Args:
            target: As in `contributions`.
            layer: Dotted name of the layer or the module itself. Where it ran several times, its
                last call counts.

        Returns:
            The parts; for a list or tensor of targets a tuple, one for each image.

        Raises:
            TypeError: Targets that are no integers; a layer that is neither name nor module.
            ValueError: A target out of range; an unknown layer, one that did not run, one whose
                output is no tensor (N, filters, ...), or one that the output does not depend on.

        Examples:
            >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
            >>> interpreter = LinearInterpreter(model, torch.rand(1, 1, 4, 4))
            >>> interpreter.filter_contributions(2, "1").values.shape
            torch.Size([2])
        """
        self._check_ready()
        targets = target_positions(target, self.output)
        name, _ = find_layer(self._model, layer)
        if self._layer_graph is None or self._layer_graph.layer != name:
            self._layer_graph = LayerGraph(self._program, self.images, name)
        units = units_at(targets, self.output)
        scores = (self.output * units).flatten(1).sum(1)
        found = split_filters(targets, name, scores, self._layer_graph.products(units))
        return found if isinstance(target, (list, Tensor)) else found[0]

    def _explained(self, error: ConservationError) -> ConservationError:
        """Name the operation that the gap comes from."""
        culprit = unattributed(self._network, self.images, self._options, **self._settings)
        reason = culprit or (
            "each operation is right to rounding: either numbers cancel (`dtype=torch.float64` "
            "helps), or images are mixed, or the batch is not the first axis inside the network"
        )
        return ConservationError(f"{error}: {reason}")

    def _check_single(self) -> None:
        if len(self.images) != 1:
            raise ValueError(
                f"this wants an interpreter of one image; there are {len(self.images)} images"
            )

    def _check_ready(self) -> None:
        """Refuse a mode that would round the replay, and weights that are no longer those."""
        check_no_autocast(self.images)
        self._versions.check()
