"""filterscope export-filters: all rows and columns of a network as a page that needs no server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from filterscope.cli.parser import Parser

if TYPE_CHECKING:
    from filterscope.explorer.export_plan import Export


def make_parser() -> Parser:
    """Make the verb's parser."""
    parser = Parser(
        "export-filters",
        "Write the rows and columns of a network that gives a picture, at every pixel, and a page "
        "that shows them under the pointer without a server. Size and time are told first; the "
        "same command goes on with an export that was ended.",
    )
    parser.add_argument("out", type=str, help="folder: a new one, or one of the same export")
    parser.add_argument("--model", type=str, default="bicubic",
                        help="see filterscope list image-networks")  # fmt: skip
    parser.add_argument("--weights", type=str | None, help="file: safetensors or a state dict")
    parser.add_switch("random_weights", False, "random weights, on purpose")
    parser.add_argument("--seed", type=int, default=0, help="of random weights")
    parser.add_argument(
        "--scale", type=int | None, help="output side over input side; weights know theirs"
    )
    parser.add_argument("--image", type=str | None, help="image file; default: a drawn scene")
    parser.add_argument(
        "--side", type=int, default=64, help="longer side of the picture; larger ones are shrunk"
    )
    parser.add_argument("--what", type=str, default="both", help="both, rows or columns")
    parser.add_argument("--stride", type=int, default=1, help="every so manieth pixel")
    parser.add_argument("--chunk", type=int, default=16, help="probes that are computed at once")
    parser.add_switch("yes", False, "go on where the export is larger than 200 MB")
    parser.add_argument(
        "--video", type=str | None,
        help="also write an MP4 of a pointer path, with subtitles; needs filterscope[video]",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the video")
    return parser


def run(words: Sequence[str]) -> int:
    """Run the verb."""
    arguments = make_parser().parse(words)
    export = _chosen(arguments)
    if arguments.video is not None:
        from filterscope.explorer.export_video import check_video

        check_video(arguments.video, arguments.seconds)  # told before anything is computed

    from filterscope.explorer.export import export_filters
    from filterscope.explorer.export_size import size_text

    done = export_filters(export, arguments.out, agreed=arguments.yes, tell=_tell)
    print(f"page: {done.page}")
    print(
        f"{done.written} sheets written, {done.kept} kept; {size_text(done.bytes)}, "
        f"{done.raw / done.bytes:.0f} times less than the raw arrays ({size_text(done.raw)})"
    )
    if arguments.video is not None:
        from filterscope.explorer.export_video import write_video

        write_video(export, arguments.video, seconds=arguments.seconds)
        print(f"video: {arguments.video}")
    return 0


def _chosen(arguments: Any) -> Export:
    """What the flags choose."""
    from filterscope.explorer.export_plan import Export
    from filterscope.explorer.pictures import drawn_picture, read_pictures
    from filterscope.explorer.settings import Limits
    from filterscope.explorer.uploads import shrunk_pixels
    from filterscope.models.image_networks import create_image_network

    if arguments.side < 1:
        raise ValueError(f"`side` must be at least 1, got {arguments.side}")
    name, file = arguments.model, arguments.weights
    network = create_image_network(
        name, weights=file, seed=arguments.seed,
        random_weights=arguments.random_weights and name != "bicubic",
        scale=arguments.scale,
    )  # fmt: skip
    pixels = drawn_picture()
    if arguments.image is not None:
        pixels = next(iter(read_pictures([arguments.image], Limits()).values()))
    pixels = network.crop(shrunk_pixels(pixels, arguments.side)).contiguous()
    return Export(network, pixels, arguments.what, arguments.stride, arguments.chunk)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
