"""The flags that choose a network, for the verbs that look at any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from filterscope.cli.parser import Parser
    from filterscope.runs import Network

_FLAGS = (
    "run", "model", "weights", "pretrained", "random_weights", "seed", "classes", "image_size",
    "resize", "mean", "std",
)  # fmt: skip


def add_network_flags(parser: Parser) -> None:
    """Add the flags of `load_network`."""
    three = tuple[float, float, float] | None
    parser.add_argument("--run", type=str | None, help="a run folder, instead of --model")
    parser.add_argument("--model", type=str | None, help="see filterscope list models; timm:NAME")
    parser.add_argument("--weights", type=str | None, help="file: safetensors or a state dict")
    parser.add_argument(
        "--pretrained",
        type=str | None,
        help="the publisher's weights, fetched if absent: default, or a set such as IMAGENET1K_V1",
    )
    parser.add_switch("random_weights", False, "random weights, on purpose")
    parser.add_argument("--seed", type=int, default=0, help="of random weights")
    parser.add_argument("--classes", type=str | None, help="text file, one class name a line")
    parser.add_argument(
        "--image_size", type=int | None, help="side of the input; default: the publisher's"
    )
    parser.add_argument(
        "--resize", type=int | None, help="shorter side before the cut; default: the publisher's"
    )
    for name in ("mean", "std"):
        text = f"{name} of each channel in [0, 1]; default: the publisher's"
        parser.add_argument(f"--{name}", type=three, help=text)
        parser.lists.add(f"--{name}")


def chosen_network(arguments: Any) -> Network:
    """Load the network that the flags choose."""
    from filterscope.runs import load_network

    return load_network(**{name: getattr(arguments, name) for name in _FLAGS})
