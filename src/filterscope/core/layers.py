"""Finding a layer of a network, by name or as the module itself."""

from __future__ import annotations

from torch import nn

from filterscope.core.names import unknown_name


def find_layer(model: nn.Module, layer: str | nn.Module) -> tuple[str, nn.Module]:
    """Find a layer of `model` and give its name and the module.

    Args:
        model: Any network.
        layer: The layer's dotted name as in ``model.named_modules()``, or the module itself, of
            whose names the first counts.

    Returns:
        The dotted name and the module.

    Raises:
        TypeError: `layer` is neither a string nor a module.
        ValueError: `model` has no such layer; the message lists the near names.

    Examples:
        >>> from torch import nn
        >>> name, module = find_layer(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), "1")
        >>> name, type(module).__name__
        ('1', 'ReLU')
    """
    if not isinstance(layer, (str, nn.Module)):
        raise TypeError(f"`layer` must be a name or a module, got {type(layer).__name__}")
    modules = dict(model.named_modules(remove_duplicate=False))  # each name of a shared module
    if isinstance(layer, str):
        if not layer or layer not in modules:
            raise unknown_name(f"layer of {type(model).__name__}", layer, filter(None, modules))
        return layer, modules[layer]
    for name, module in modules.items():
        if module is layer and name:
            return name, module
    raise ValueError(f"`layer` ({type(layer).__name__}) is not a submodule of the model")
