"""Any network with part templates at some of its layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor, nn

from filterscope.core.gate_points import gate_point
from filterscope.core.layers import find_layer
from filterscope.core.pretrained import (
    SavedForm,
    count_numbers,
    described_layers,
    fill_network,
    load_strictly,
    read_pretrained_config,
    read_tensors,
    stored_value,
    write_pretrained,
)
from filterscope.parts.categories import Statistic
from filterscope.parts.masking import PartTemplates
from filterscope.parts.settings import TemplateOptions, TemplateSettings

PART_TEMPLATES = "part-template-network"


class PartTemplateNetwork(nn.Module):
    """A network whose chosen layers end in part templates; `add_part_templates` makes it.

    ``net(x)`` runs the wrapped network, with the output of each chosen layer masked. The wrapped
    network keeps its parameters, keys and train flags: wrapping adds one hook a layer, which
    `unwrap` takes off.

    In the state dict, the wrapped network's own keys come after ``model.``, and what the templates
    of layer i learn after ``templates.i.``: ``beta`` where slopes are learned, ``class_strengths``
    and ``batches`` with several categories.

    Args:
        model: The network, called as ``model(x)``.
        layers: Names of the layers, in the order in which they run.
        num_filters: K of each layer.
        categories: Names of the object categories that filters are divided among.
        class_shares: See `PartTemplates`.
        class_statistic: See `PartTemplates`.
        **templates: See `PartTemplates`.

    Attributes:
        model: The wrapped network.
        layer_names: Names of the layers with templates, inside `model`.
        categories: Names of the categories.
        templates: The `PartTemplates` of each layer, in the order of `layer_names`.

    Raises:
        TypeError: `model` is scripted.
        ValueError: See `PartTemplates`; an unknown layer, or another number of `num_filters`.

    Source: Zhang et al., CVPR 2018, section 3.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[str],
        num_filters: Sequence[int],
        categories: Sequence[str],
        *,
        class_shares: Sequence[float] | None = None,
        class_statistic: Statistic = "peak",
        **templates: Unpack[TemplateOptions],
    ) -> None:
        super().__init__()
        if isinstance(model, torch.jit.ScriptModule):
            raise TypeError("`model` is scripted; give the Python module, hooks do not run in it")
        if len(layers) != len(num_filters) or not layers:
            raise ValueError(
                "`num_filters` must be a number for each of `layers`, at least one, got "
                f"{len(num_filters)} for {len(layers)}"
            )
        modules = [find_layer(model, name)[1] for name in layers]  # known before any mask is on
        self.layer_names, self.categories = tuple(layers), tuple(categories)
        self._class_shares = None if class_shares is None else [float(s) for s in class_shares]
        # before the model: who looks for the last layer of this network finds the model's
        self.templates = nn.ModuleList(
            PartTemplates(
                filters,
                len(self.categories),
                class_shares=class_shares,
                class_statistic=class_statistic,
                **templates,
            )
            for filters in num_filters
        )
        self.model = model
        self.training = model.training  # not train(), which would reach into the model
        self.templates.train(model.training)
        _match(self.templates, model)
        self._record_gate_point()
        # before other hooks: a gate on the same layer takes the masked maps
        self._handles = [
            module.register_forward_hook(part.on_layer_output, prepend=True)
            for module, part in zip(modules, self.masks, strict=True)
        ]

    @property
    def masks(self) -> tuple[PartTemplates, ...]:
        """The entries of `templates`."""
        return tuple(part for part in self.templates if isinstance(part, PartTemplates))

    def forward(self, x: Tensor) -> Tensor:
        """Run the network with its masks.

        Args:
            x: What the wrapped network takes, (N, channels, H, W).

        Returns:
            What the wrapped network gives.
        """
        output: Tensor = self.model(x)
        return output

    def unwrap(self) -> nn.Module:
        """Take the masks off and give the plain network back; this wrapper is then of no use."""
        for handle in self._handles:
            handle.remove()
        return self.model

    def save_pretrained(self, path: str | Path) -> None:
        """Write this network as a folder: ``config.json``, ``model`` and ``parts.safetensors``.

        The wrapped network's weights keep their own keys, so that they load without this library.

        Args:
            path: The folder; made if absent.

        Raises:
            ValueError: A shape that is a function of your own, which no file can hold.
        """
        form = self.filterscope_saved_form()
        write_pretrained(path, form.config, form.weights)

    def filterscope_saved_form(self) -> SavedForm:
        """Tell what is written of this network."""
        first = self.masks[0]
        config = {
            "kind": PART_TEMPLATES,
            "architecture": getattr(self.model, "filterscope_architecture", None),
            "described": described_layers(self.model),
            "layers": list(self.layer_names),
            "num_filters": [part.num_filters for part in self.masks],
            "categories": list(self.categories),
            "class_shares": self._class_shares,
            "class_statistic": first.class_statistic,
            "templates": first.settings.to_json(),
        }
        weights = {"model": self.model.state_dict(), "parts": self.templates.state_dict()}
        return SavedForm(config, weights)

    @classmethod
    def from_pretrained(cls, path: str | Path, model: nn.Module) -> PartTemplateNetwork:
        """Fill `model` with the weights of a saved network and give it the saved templates.

        Args:
            path: A folder that `save_pretrained` wrote.
            model: A network of the same architecture.

        Returns:
            The network with part templates, in eval mode.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: A file is damaged, or of another architecture.
        """
        return cls.from_config(read_pretrained_config(path), path, model)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], path: str | Path, model: nn.Module
    ) -> PartTemplateNetwork:
        """Do what `from_pretrained` does with a configuration that was read already.

        Args:
            config: What `filterscope_saved_form` gave.
            path: The folder of the weights.
            model: A network of the same architecture.

        Returns:
            The network with part templates, in eval mode.

        Raises:
            FileNotFoundError: A file is missing.
            ValueError: A file is damaged, or of another architecture.
        """
        if config.get("kind") != PART_TEMPLATES:
            raise ValueError(
                f"{path} holds a {config.get('kind')!r}, not a network with part templates"
            )
        options = _stored_options(config, path)
        fill_network(model, config, path)
        net = cls(model, **options)
        load_strictly(net.templates, read_tensors(Path(path) / "parts.safetensors"), str(path))
        return net.eval()

    def _record_gate_point(self) -> None:
        """Say where a gate on this network belongs, when it is known for the wrapped one."""
        known = gate_point(self.model)
        if known is not None:
            self.filterscope_gate_point = replace(known, layer=f"model.{known.layer}")


def _stored_options(config: Mapping[str, Any], path: str | Path) -> dict[str, Any]:
    """The arguments of a saved network, checked."""
    options: dict[str, Any] = {}
    for name, kind in (("layers", str), ("num_filters", int), ("categories", str)):
        options[name] = stored_value(config, name, list, path)
        if not options[name] or not all(type(value) is kind for value in options[name]):
            raise ValueError(
                f"`{name}` in the config.json of {path} must be a list of {kind.__name__}, got "
                f"{str(options[name])[:60]}"
            )
    counts, numbers = options["num_filters"], count_numbers(Path(path) / "model.safetensors")
    if len(counts) != len(options["layers"]) or max(counts) > numbers:
        raise ValueError(
            f"`num_filters` in the config.json of {path} must be a number for each of its layers, "
            f"of as many filters as the weights have room for, got {str(counts)[:60]}"
        )
    options["class_statistic"] = stored_value(config, "class_statistic", str, path)
    options["class_shares"] = config.get("class_shares")
    templates = stored_value(config, "templates", dict, path)
    try:
        return {**options, **TemplateSettings.from_json(templates).to_options()}
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"the config.json of {path} has no usable templates: {error}") from error


def _match(templates: nn.Module, model: nn.Module) -> None:
    """Bring the templates to the device and the dtype of the model's weights."""
    first = next((p for p in model.parameters() if p.is_floating_point()), None)
    if first is not None:
        templates.to(first.device, first.dtype)
