"""What is seen of a network that gives a picture: the pictures, rows and columns."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor

from filterscope.explorer.boxes import pack_boxes
from filterscope.explorer.errors import ExplorerError
from filterscope.explorer.interpreters import Reading
from filterscope.linear.probe_pictures import pixel_column, pixel_row

Side = Literal["input", "output"]
Colour = Literal["white", "block", "red", "green", "blue"]
_CHANNELS = {"red": 0, "green": 1, "blue": 2}


def open_pictures(reading: Reading) -> bytes:
    """Input and output, and the output's parts: y = F x0 + r."""
    interpreter, subject = reading.interpreter, reading.subject
    assert subject.finish is not None
    output = _picture(interpreter.output, "output")
    residual = _picture(interpreter.residual, "residual")
    size = float(output.norm())
    header: dict[str, Any] = {
        "kind": subject.kind,
        "channels": interpreter.images.shape[1],
        "outputs": output.shape[0],
        "residual_share": float(residual.norm()) / size if size else 0.0,
    }
    pictures = {
        "input": reading.pixels,
        "output": subject.finish(interpreter.output, reading.pixels),
        "linear": output - residual,
        "residual": residual,
    }
    return pack_boxes(header, pictures)


def probe_pictures(
    reading: Reading, side: Side, position: tuple[int, int], colour: Colour = "white"
) -> bytes:
    """The column of an input pixel and the row of the output pixel that belongs to it.

    Args:
        reading: Of a network that gives a picture.
        side: Where the position is; the other is the one at the same place.
        position: Row and column of the pixel.
        colour: "white" sums a pixel's channels; "block" gives what each of the three has of
            itself; a colour takes that one.

    Raises:
        ExplorerError: A position outside the picture, or a colour of a network without colours.
    """
    interpreter = reading.interpreter
    input_size = _size(interpreter.images)
    output_size = _size(interpreter.output)
    check_position(position, input_size if side == "input" else output_size)
    source = position if side == "input" else across(position, output_size, input_size)
    target = position if side == "output" else across(position, input_size, output_size)
    channels = interpreter.images.shape[1], interpreter.output.shape[1]
    if colour != "white" and channels != (3, 3):
        raise ExplorerError(422, "colour", f"this network has {channels[0]} channels: white only")
    if colour == "white" or colour == "block":
        row = pixel_row(interpreter, target, colour)
        column = pixel_column(interpreter, source, colour)
    else:
        row = interpreter.row((_CHANNELS[colour], *target))
        column = interpreter.column((_CHANNELS[colour], *source))
    header = {"input": source, "output": target, "colour": colour}
    return pack_boxes(header, {"row": row, "column": column})


def across(
    position: tuple[int, int], here: tuple[int, int], there: tuple[int, int]
) -> tuple[int, int]:
    """The pixel of another picture at the place of a pixel's middle.

    Examples:
        >>> across((1, 2), (4, 4), (12, 12)), across((5, 7), (12, 12), (4, 4))
        ((4, 7), (1, 2))
    """
    row, column = (
        min((2 * k + 1) * other // (2 * own), other - 1)
        for k, own, other in zip(position, here, there, strict=True)
    )
    return row, column


def check_position(position: tuple[int, int], size: tuple[int, int]) -> None:
    """Refuse a position outside a picture.

    Raises:
        ExplorerError: It is; the message tells the picture's size.
    """
    if not all(0 <= k < length for k, length in zip(position, size, strict=True)):
        raise ExplorerError(
            422,
            "position",
            f"row {position[0]}, column {position[1]} is outside the picture of {size[0]} rows "
            f"and {size[1]} columns",
        )


def _picture(values: Tensor, name: str) -> Tensor:
    if values.dim() != 4:
        raise ExplorerError(
            422, "network", f"the {name} is no picture: its shape is {tuple(values.shape)}"
        )
    return values[0]


def _size(values: Tensor) -> tuple[int, int]:
    height, width = _picture(values, "output").shape[-2:]
    return height, width
