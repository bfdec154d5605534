"""How much each pixel of an image speaks for a label: the pixel discussion."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import torch
from torch import Tensor

from filterscope.core.integers import as_integer, as_integers
from filterscope.linear.cut import BUDGET, affordable, find_cut
from filterscope.linear.errors import ConservationError
from filterscope.linear.interpreter import LinearInterpreter
from filterscope.linear.literal import backprojected_biases
from filterscope.linear.pixels import CHUNK, TOLERANCE, CutReader, Method, PixelReader
from filterscope.linear.spread import Place, find_places

_CANCELLING = 1e-3


def pixel_discussion(
    interpreter: LinearInterpreter, label: int | Sequence[int], method: Method = "conserving"
) -> Tensor:
    """Share the score of a label out over the pixels: who speaks for it, who against.

    The pixels sum to the score y_l. Channels are summed. The methods:

    - "conserving" (default): x0 times the row F_l, and each constant's contribution map, its
      cells shared evenly over the pixels that they cover. Flips, crops and padding are followed,
      what lies in padding goes to the border; a convolution's or pool's map covers evenly what
      its input covers, whatever its own padding. Constants without a place, as in a fully
      connected layer, go to all pixels. It sums to the score by itself, which is checked.
    - "literal": the printed formula, Z = F_l + sum_i P_i b_i, the rows and masked biases sent back
      to the image, scaled to y_l Z / sum(Z).
    - "literal_times_input": x0 times that Z, scaled alike.
    - "backprojected": x0 times F_l, and the contribution maps sent back, scaled alike.

    The printed formula has a stray bracket, so that its reading is not certain; the default is
    the one that keeps the score without a scale.

    Args:
        interpreter: Of a classifier: one image (1, C, H, W), output (1, L).
        label: A label, or several.
        method: One of the above.

    Returns:
        (H, W); for several labels (labels, H, W). Zero where Z is zero, as for a label that a last
        ReLU switched off.

    Warns:
        UserWarning: sum(Z) is below a thousandth of sum |Z|: the scale blows up what cancels, and
            its sign may be turned.

    Raises:
        ConservationError: The pixels do not add up; it names the operation that is to blame.
        TypeError: No interpreter, or labels that are no integers.
        ValueError: An unknown method, a label out of range, several images, an output that is no
            row of scores.

    Source: Navarrete Michelini et al., ICCV 2019, equation 10 of the appendix; "conserving" and
    "backprojected" are this library's.

    Examples:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
        >>> interpreter = LinearInterpreter(model, torch.rand(1, 3, 2, 2))
        >>> pixels = pixel_discussion(interpreter, 1)
        >>> pixels.shape, torch.allclose(pixels.sum(), interpreter.output[0, 1])
        (torch.Size([2, 2]), True)
    """
    check_classifier(interpreter)
    single = as_integer(label) is not None
    labels = checked_labels([label] if single else label, interpreter, "label")
    discussion = Discussion(interpreter, labels, method)
    found = [discussion.read(labels[k : k + CHUNK]) for k in range(0, len(labels), CHUNK)]
    discussion.warn()
    return found[0][0] if single else torch.cat(found)


class Discussion:
    """Reads one method's pixel discussions of any labels from one frozen network.

    Args:
        interpreter: Of a classifier at one image.
        labels: All labels that will be read.
        method: One of the methods of `pixel_discussion`.
        budget: Bytes that the maps of the features of a cut may take.
    """

    def __init__(
        self,
        interpreter: LinearInterpreter,
        labels: Sequence[int],
        method: Method,
        budget: int = BUDGET,
    ) -> None:
        if method not in get_args(Method):
            raise ValueError(f"`method` must be one of {', '.join(get_args(Method))}, "
                             f"got {method!r}")  # fmt: skip
        interpreter._check_ready()
        self._interpreter = interpreter
        self._method = method
        program, images = interpreter._program, interpreter.images
        places = find_places(program, images)
        self._reader = _reader(interpreter, labels, method, places, budget)
        self._factor: Tensor = torch.ones_like(interpreter.output[0])
        self._shared: Tensor = images.new_zeros(())
        self._read, self._cancelling = 0, 0
        if method in ("literal", "literal_times_input"):
            biases, last = backprojected_biases(program, interpreter._graph, images, places)
            self._factor = 1 + last
            self._shared = (biases if method == "literal" else biases * images[0]).sum(0)

    def read(self, labels: Sequence[int]) -> Tensor:
        """The discussions of labels, (P, H, W)."""
        scores = self._interpreter.output[0, list(labels)]
        maps, terms = self._reader.read(unit_labels(self._interpreter, labels))
        if self._method == "conserving":
            self._check(maps, terms, scores)
            return maps
        maps = maps * self._factor[list(labels), None, None] + self._shared
        return self._scaled(maps, scores)

    def warn(self, stacklevel: int = 3) -> None:
        """Tell of the labels read so far whose scale is not to be trusted."""
        if self._cancelling:
            warnings.warn(
                f"the pixels of {self._cancelling} of {self._read} labels cancel to less than a "
                f'thousandth: the scale of method "{self._method}" blows them up and may turn '
                'their sign; "conserving" needs no scale',
                stacklevel=stacklevel,
            )

    def _scaled(self, maps: Tensor, scores: Tensor) -> Tensor:
        """Scale maps to their scores; those whose sum is zero to zero."""
        totals = maps.sum((1, 2), dtype=torch.float64)
        sizes = maps.abs().sum((1, 2), dtype=torch.float64)
        self._read += len(maps)
        # a score of zero is met by zeros, whatever the scale
        weak = (totals.abs() <= _CANCELLING * sizes) & (scores != 0)
        self._cancelling += int(weak.sum())
        scales = torch.where(totals == 0, 0, scores / torch.where(totals == 0, 1, totals))
        return maps * scales.to(maps)[:, None, None]

    def _check(self, maps: Tensor, terms: Tensor, scores: Tensor) -> None:
        """Refuse pixels that do not add up to the scores."""
        gaps = (maps.sum((1, 2), dtype=torch.float64) - scores).abs()
        scales = torch.maximum(terms, scores.abs())
        # written so that a gap that is not a number is refused, too
        if not bool((gaps <= TOLERANCE[maps.dtype] * scales).all()):
            worst = int(gaps.argmax())
            raise self._interpreter._explained(
                ConservationError(
                    f"{float(gaps[worst]):.3g} of a score of {float(scores[worst]):.3g} is in no "
                    "pixel"
                )
            )


def _reader(
    interpreter: LinearInterpreter,
    labels: Sequence[int],
    method: Method,
    places: Mapping[int, Place],
    budget: int,
) -> PixelReader | CutReader:
    """Through the feature cut where that is cheaper and fits the budget."""
    program, images = interpreter._program, interpreter.images
    # the search itself costs as much as some rows
    if budget and len(labels) > CHUNK:
        found = find_cut(program, interpreter.output, labels, places)
        numbers = images[0, 0].numel() * (1 + CutReader.rows_needed(method))
        cut = affordable(found, numbers, images, budget)
        if cut is not None:
            return CutReader(cut, images, places, method)
    return PixelReader(program, interpreter._graph, images, places, method)


def unit_labels(interpreter: LinearInterpreter, labels: Sequence[int]) -> Tensor:
    """A one in each label's place, (P, 1, L)."""
    units = interpreter.output.new_zeros(len(labels), 1, interpreter.output.shape[1])
    units[range(len(labels)), 0, list(labels)] = 1
    return units


def check_classifier(interpreter: LinearInterpreter) -> None:
    """Refuse what is no interpreter of one picture with a row of scores."""
    if not isinstance(interpreter, LinearInterpreter):
        raise TypeError(
            f"`interpreter` must be a LinearInterpreter, got {type(interpreter).__name__}"
        )
    images, output = interpreter.images, interpreter.output
    if images.dim() != 4 or len(images) != 1:
        raise ValueError(
            f"`interpreter` must be of one image (1, C, H, W), got {tuple(images.shape)}"
        )
    if output.dim() != 2:
        raise ValueError(
            f"`interpreter` must have scores (1, L) for its output, got {tuple(output.shape)}"
        )


def checked_labels(labels: Any, interpreter: LinearInterpreter, name: str = "labels") -> list[int]:
    """Labels as a list; all of them where None was given.

    Raises:
        TypeError: They are no integers.
        ValueError: None at all, or one out of range.
    """
    count = interpreter.output.shape[1]
    if labels is None:
        return list(range(count))
    listed = as_integers(labels)
    if listed is None:
        raise TypeError(f"`{name}` must be integers, got {labels!r}")
    if not listed or not all(0 <= one < count for one in listed):
        raise ValueError(f"`{name}` must be in [0, {count - 1}] and not empty, got {labels!r}")
    return listed
