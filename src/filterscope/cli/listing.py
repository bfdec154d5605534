"""filterscope list: what there is to choose from."""

from __future__ import annotations

from collections.abc import Sequence

from filterscope.cli.parser import Parser
from filterscope.core.names import unknown_name

WHAT = ("models", "image-networks", "layers", "datasets", "presets", "studies")


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "list", "List models, image networks, the layers of a model, data sets, presets or studies."
    )
    parser.add_argument("what", type=str, help=", ".join(WHAT))
    parser.add_argument(
        "name",
        type=str,
        nargs="?",
        help="a pattern of model names such as 'resnet*', or the model whose layers are asked for",
    )
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    if arguments.what not in WHAT:
        raise unknown_name("list", arguments.what, WHAT)
    if arguments.name is not None and arguments.what not in ("models", "layers"):
        raise ValueError(f"`list {arguments.what}` takes no further word, got {arguments.name!r}")
    for line in {
        "models": _models,
        "image-networks": _image_networks,
        "layers": _layers,
        "datasets": _datasets,
        "presets": _presets,
        "studies": _studies,
    }[arguments.what](arguments.name):
        print(line)
    return 0


def _models(pattern: str | None) -> list[str]:
    from filterscope.models import list_models

    names = list_models(pattern or "*")
    if not names:
        raise unknown_name("model", pattern or "*", list_models("*"))
    return names


def _image_networks(_: str | None) -> list[str]:
    from filterscope.models import describe_image_network, list_image_networks

    return [f"{name:<14} {describe_image_network(name)}" for name in list_image_networks()]


def _layers(name: str | None) -> list[str]:
    if name is None:
        raise ValueError("`filterscope list layers MODEL` needs the name of a model")
    from filterscope.core.gate_points import gate_point
    from filterscope.models import create_model

    model = create_model(name, 1000)
    known = gate_point(model)
    lines = []
    for layer, module in model.named_modules():
        if layer:
            mark = ""
            if known is not None and layer == known.layer:
                mark = f"   <- gated by default, {known.num_filters} filters"
            lines.append(f"{layer:<32} {type(module).__name__}{mark}")
    return lines


def _datasets(_: str | None) -> list[str]:
    from filterscope.data import describe_dataset, list_datasets

    return [f"{name:<14} {describe_dataset(name)}" for name in list_datasets()]


def _presets(_: str | None) -> list[str]:
    from filterscope.training.presets import PRESETS

    return [f"{name:<18} {preset.summary}" for name, preset in PRESETS.items()]


def _studies(_: str | None) -> list[str]:
    from filterscope.studies.catalogue import STUDIES

    return [f"{name:<14} {title}" for name, title in STUDIES.items()]
