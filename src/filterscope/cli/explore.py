"""filterscope explore: rows, columns and filters live in the browser."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from filterscope.cli.parser import Parser
from filterscope.core.names import unknown_name

if TYPE_CHECKING:
    from filterscope.explorer.settings import Limits
    from filterscope.explorer.subjects import Subject

_HINT = (
    "This is bicubic upscaling by a fixed kernel: its filters are the same everywhere. Networks "
    "and pictures of your own: filterscope explore --model espcn --weights FILE --image FILE, or "
    "filterscope explore --run RUN"
)
_UNSCALED = ("cyclegan", "fast_style")


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "explore",
        "Open networks in the browser: under the pointer what an input pixel paints (its column "
        "of F) and what an output pixel reads (its row); for classifiers the rows, discussions, "
        "contributions and votes of labels. Without a network: bicubic upscaling.",
    )
    several: dict[str, Any] = {"type": str, "nargs": "*", "default": []}
    parser.add_argument(
        "--model", **several,
        help="bicubic, espcn, edsr_baseline, edsr, cyclegan, fast_style; or a classifier, see "
        "filterscope list models; several with spaces",
    )  # fmt: skip
    parser.add_argument(
        "--weights", **several, help="a file for each --model that has weights, in their order"
    )
    parser.add_argument("--run", **several, help="run folders")
    parser.add_argument("--image", **several, help="image files; further ones by upload")
    parser.add_argument("--pretrained", type=str | None, help="classifiers: the publisher's")
    parser.add_switch("random_weights", False, "random weights, on purpose")
    parser.add_argument("--seed", type=int, default=0, help="of random weights")
    parser.add_argument("--scale", type=int | None, help="of super-resolution without weights")
    parser.add_argument("--classes", type=str | None, help="text file, one class name a line")
    parser.add_argument("--image_size", type=int | None, help="classifiers: side of the input")
    parser.add_argument(
        "--side", type=int, default=128,
        help="longer side of what networks that give pictures look at; larger ones are shrunk",
    )  # fmt: skip
    parser.add_argument("--cache_mb", type=int, default=1024, help="memory that is kept, in MB")
    parser.add_argument("--host", type=str, default="127.0.0.1", help="another one needs --token")
    parser.add_argument("--port", type=int, default=8765, help="0 for any that is free")
    parser.add_argument(
        "--token", type=str | None,
        help="what browsers must know; auto makes one; also from FILTERSCOPE_TOKEN",
    )  # fmt: skip
    parser.add_switch("open", False, "open the browser here")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        raise ModuleNotFoundError(
            f"this needs {' and '.join(missing)}: pip install 'filterscope[explorer]'"
        )
    from filterscope.explorer.pictures import drawn_picture, read_pictures
    from filterscope.explorer.security import Access
    from filterscope.explorer.server import serve
    from filterscope.explorer.session import Session
    from filterscope.explorer.settings import Limits

    token = arguments.token or os.environ.get("FILTERSCOPE_TOKEN")
    token = secrets.token_urlsafe(24) if token == "auto" else token
    Access(arguments.host, arguments.port, token)  # told before anything is loaded
    for name in ("side", "cache_mb"):
        if getattr(arguments, name) < 1:
            raise ValueError(f"`{name}` must be at least 1, got {getattr(arguments, name)}")
    limits = Limits(network_side=arguments.side, cache_bytes=arguments.cache_mb * 2**20)
    pictures = read_pictures(arguments.image, limits) or {"drawn scene": drawn_picture()}
    is_bare = not arguments.model and not arguments.run
    session = Session(_subjects(arguments, limits), pictures, limits, _HINT if is_bare else "")
    serve(session, arguments.host, arguments.port, token, tell=_tell, open_browser=arguments.open)
    return 0


def _subjects(arguments: Any, limits: Limits) -> list[Subject]:
    """The networks that the flags choose; bicubic upscaling where they choose none."""
    from filterscope.explorer.subjects import classifier_subject, image_subject
    from filterscope.models import create_image_network, list_image_networks, list_models
    from filterscope.models.registry import TIMM
    from filterscope.runs import load_network, load_run

    found: list[Subject] = []
    models = list(arguments.model) or ([] if arguments.run else ["bicubic"])
    known = [*list_image_networks(), *list_models()]
    for name in models:  # told before any of them is built
        if name not in known and not name.startswith(TIMM):
            raise unknown_name("model", name, known, "filterscope list models")
    weights = _matched(models, arguments)
    for name in models:
        if name in list_image_networks():
            file = weights.pop(0) if name != "bicubic" else None
            is_free = file is None and name not in _UNSCALED
            network = create_image_network(
                name, weights=file, seed=arguments.seed,
                random_weights=arguments.random_weights and name != "bicubic",
                scale=arguments.scale if is_free else None,
            )  # fmt: skip
            found.append(image_subject(network, limits))
            continue
        classifier = load_network(
            model=name, weights=weights.pop(0), pretrained=arguments.pretrained,
            random_weights=arguments.random_weights, seed=arguments.seed,
            classes=arguments.classes, image_size=arguments.image_size,
        )  # fmt: skip
        found.append(classifier_subject(classifier))
    for path in arguments.run:
        found.append(classifier_subject(load_network(path), load_run(path)))
    return found


def _matched(models: Sequence[str], arguments: Any) -> list[str | None]:
    """A file of weights for each network that has weights; None where none are given at all."""
    count = sum(name != "bicubic" for name in models)
    if not arguments.weights:
        return [None] * count
    if len(arguments.weights) != count:
        raise ValueError(
            f"`weights` must hold one file for each --model but bicubic, in their order: "
            f"{count}, got {len(arguments.weights)}"
        )
    return list(arguments.weights)


def _tell(address: str) -> None:
    print(f"explorer: {address}", flush=True)
    print("Ctrl-C ends it", file=sys.stderr, flush=True)
