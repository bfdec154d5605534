"""The affine map of a network at images: contributions, discussion, votes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from filterscope.attacks import fgsm
from filterscope.core.answers import class_probabilities
from filterscope.data.decode import EXTENSIONS, open_mask, open_rgb
from filterscope.data.image_files import image_files
from filterscope.data.labels import label_images
from filterscope.evaluation.interpret_settings import InterpretSettings
from filterscope.evaluation.interpretation import Discussion, Interpretation, Reading, Score
from filterscope.linear import (
    ConservationError,
    Contributions,
    LinearInterpreter,
    pixel_discussion,
    pixel_votes,
    residual_shares,
)
from filterscope.runs import Network


def interpret_images(
    network: Network, paths: Sequence[str | Path], settings: InterpretSettings | None = None
) -> Iterator[Interpretation]:
    """Read a network at images as an affine map, one image after the other.

    Args:
        network: Of `load_network`.
        paths: Image files, or folders of them.
        settings: What is read and how; None for the defaults.

    Yields:
        One result an image, as soon as it is there; images that are no images have an error. Those
        after the first `settings.pictures` readable ones have contributions only.

    Raises:
        FileNotFoundError: A path or the folder of masks does not exist, or holds no image.
        UnsupportedOperation: The network has an operation that is refused; the message names it
            and, where there is one, the option that allows it.
        ValueError: Classes that cannot be told.

    Source: Navarrete Michelini et al., ICCV 2019; the attack is Goodfellow et al., ICLR 2015.

    Examples:
        >>> import tempfile
        >>> from PIL import Image
        >>> from filterscope.runs import load_network
        >>> network = load_network(model="resnet20", random_weights=True)
        >>> file = tempfile.mkdtemp() + "/grey.png"
        >>> Image.new("L", (40, 60), 90).save(file)
        >>> (found,) = interpret_images(network, [file])
        >>> found.clean.discussions[0].values.shape, found.clean.votes.is_preview
        ((32, 32), False)
    """
    settings = settings or InterpretSettings()
    files = list(image_files([Path(path) for path in paths]))
    labels: Sequence[int | None] = [None] * len(files)
    if settings.labels is not None:
        labels = label_images(files, settings.labels, network.classes)
    masks = None if settings.masks is None else _masks(Path(settings.masks))
    reader = _Reader.of(network, settings)
    # told before the first image: an iterator raises late
    return _each(reader, list(zip(files, labels, strict=True))[: settings.limit], masks)


def interpret_states(
    network: Network,
    name: str | Path,
    states: Mapping[str, Tensor],
    label: int | None = None,
    settings: InterpretSettings | None = None,
) -> Interpretation:
    """Read a network at several states of one picture, as before and after attacks.

    Args:
        network: Of `load_network`.
        name: What the picture is called.
        states: By their names, the first of them the clean one: pixels (3, S, S) in [0, 1], as the
            network sees them before normalisation.
        label: The true class; None where it is not known.
        settings: How they are read; its `fgsm`, `labels` and `masks` are not used.

    Returns:
        One reading a state, with discussion and votes; an error where the network's constants and
        the picture do not add up to its score.

    Raises:
        UnsupportedOperation: The network has an operation that is refused.
        ValueError: No state.

    Source: Navarrete Michelini et al., ICCV 2019, figure 3 of the appendix.

    Examples:
        >>> from filterscope.runs import load_network
        >>> network = load_network(model="resnet20", random_weights=True)
        >>> picture = torch.rand(3, 32, 32)
        >>> states = {"clean": picture, "inverted": 1 - picture}
        >>> found = interpret_states(network, "noise", states)
        >>> [reading.state for reading in found.readings]
        ['clean', 'inverted']
    """
    if not states:
        raise ValueError("`states` must hold at least the clean picture")
    reader = _Reader.of(network, settings or InterpretSettings())
    try:
        return Interpretation(Path(name), label, readings=reader.read_states(states))
    except ConservationError as error:
        return Interpretation(Path(name), label, error=str(error))


def _each(
    reader: _Reader, files: Sequence[tuple[Path, int | None]], masks: dict[str, Path] | None
) -> Iterator[Interpretation]:
    drawn = 0
    for file, label in files:
        try:
            pixels = reader.network.transform.pixels(file)
            mask = None if masks is None else _mask(reader.network, file, masks.get(file.stem))
        except ValueError as error:
            message = str(error).removeprefix(f"{file} is ").removeprefix(f"{file}: ")
            yield Interpretation(file, label, error=message)
            continue
        draw = drawn < reader.settings.pictures
        try:
            found = reader.read(pixels[None].to(reader.dtype) / 255, label, mask, draw=draw)
        except ConservationError as error:
            yield Interpretation(file, label, error=str(error))
            continue
        drawn += draw
        yield Interpretation(file, label, readings=found, mask=mask)


@dataclass(frozen=True)
class _Reader:
    """Reads pictures with one network and one set of settings."""

    network: Network
    settings: InterpretSettings
    dtype: torch.dtype

    @classmethod
    def of(cls, network: Network, settings: InterpretSettings) -> _Reader:
        dtype = {"float32": torch.float32, "float64": torch.float64}[settings.dtype]
        if dtype is not torch.float32:
            network = replace(network, model=copy.deepcopy(network.model).to(dtype))
        return cls(network, settings, dtype)

    def read(
        self, pixels: Tensor, label: int | None, mask: Tensor | None, *, draw: bool
    ) -> tuple[Reading, ...]:
        """Readings of pixels (1, 3, S, S) in [0, 1], and of those after the attack."""
        clean = self._reading("clean", pixels, None, mask, draw=draw)
        epsilon = self.settings.epsilon
        if epsilon is None:
            return (clean,)
        target = torch.tensor([clean.best.label if label is None else label])
        normalize = self.network.transform.standardize
        moved = fgsm(self.network.model, pixels, target, epsilon, normalize=normalize)
        state = f"FGSM {self.settings.fgsm}"
        return clean, self._reading(state, moved, clean.best.label, mask, draw=draw)

    def read_states(self, states: Mapping[str, Tensor]) -> tuple[Reading, ...]:
        """Readings of pixels (3, S, S), the first of the clean picture."""
        found: list[Reading] = []
        for state, pixels in states.items():
            original = found[0].best.label if found else None
            picture = pixels[None].to(self.dtype)
            found.append(self._reading(state, picture, original, None, draw=True))
        return tuple(found)

    def _reading(
        self, state: str, pixels: Tensor, original: int | None, mask: Tensor | None, *, draw: bool
    ) -> Reading:
        parts: dict[str, Contributions] = {}
        scores: tuple[Score, ...] = ()
        drawn: LinearInterpreter | None = None
        for way in self.settings.ways:
            interpreter = self._interpreter(pixels, way)
            drawn = drawn or interpreter
            scores = scores or self._scores(interpreter.output[0])
            found = interpreter.contributions([scores[0].label], by=self.settings.by)[0]
            # the maps of one image of a large network fill hundreds of megabytes
            parts[way] = replace(found, maps=[], input_map=torch.empty(0))
        assert drawn is not None
        logits = drawn.output[0]
        reading = Reading(
            state=state,
            scores=scores,
            parts=parts,
            residuals={way: residual_shares(found) for way, found in parts.items()},
            original=self._score(logits, scores[0].label if original is None else original),
        )
        return self._with_pictures(reading, drawn, pixels, mask) if draw else reading

    def _with_pictures(
        self, reading: Reading, interpreter: LinearInterpreter, pixels: Tensor, mask: Tensor | None
    ) -> Reading:
        method = self.settings.method
        maps = pixel_discussion(interpreter, [score.label for score in reading.scores], method)
        count = self.settings.voters(len(self.network.classes))
        votes = inside = None
        if count:
            voters = None
            if count < len(self.network.classes):
                # the clean picture's label votes on, to show what the attack leaves of it
                voters = {*self._best(interpreter, count), reading.original.label}
            votes = pixel_votes(interpreter, None if voters is None else sorted(voters), method)
            inside = None if mask is None else votes.share_inside(mask, reading.best.label)
        return replace(
            reading,
            pixels=(pixels[0] * 255).round().byte().permute(1, 2, 0).numpy(),
            discussions=tuple(
                Discussion(score, values.float().numpy(), _positive_inside(values, mask))
                for score, values in zip(reading.scores, maps, strict=True)
            ),
            votes=votes,
            votes_inside=inside,
        )

    def _interpreter(self, pixels: Tensor, way: str) -> LinearInterpreter:
        normalize = self.network.transform.standardize
        return LinearInterpreter(
            self.network.model,
            pixels if way == "inside" else normalize(pixels),
            smooth=self.settings.smooth,
            norm_freeze=self.settings.norm_freeze,
            freeze_gates=self.settings.freeze_gates,
            include_preprocess=normalize if way == "inside" else None,
        )

    def _scores(self, logits: Tensor) -> tuple[Score, ...]:
        order = torch.argsort(logits, descending=True, stable=True)[: self.settings.top]
        return tuple(self._score(logits, label) for label in order.tolist())

    def _score(self, logits: Tensor, label: int) -> Score:
        shares = class_probabilities(logits[None].double(), self.network.task_loss)[0]
        return Score(label, self.network.classes[label], float(logits[label]), float(shares[label]))

    def _best(self, interpreter: LinearInterpreter, count: int) -> list[int]:
        order = torch.argsort(interpreter.output[0], descending=True, stable=True)
        best: list[int] = order[:count].tolist()
        return best


def _positive_inside(values: Tensor, mask: Tensor | None) -> float | None:
    """Share of a map's positive values inside the object; NaN where there are none."""
    if mask is None:
        return None
    positive = values.double().clamp(min=0)
    return float(positive[mask].sum() / positive.sum())


def _masks(folder: Path) -> dict[str, Path]:
    """Mask files by their stem."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder; expected masks with the images' stems")
    found: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in EXTENSIONS:
            if file.stem in found:
                raise ValueError(f"{found[file.stem]} and {file} have the same stem")
            found[file.stem] = file
    if not found:
        raise FileNotFoundError(f"{folder} holds no mask ({', '.join(EXTENSIONS)})")
    return found


def _mask(network: Network, image: Path, file: Path | None) -> Tensor | None:
    """The object as the network sees it; None where there is no mask or the cut has no object."""
    if file is None:
        return None
    mask = open_mask(file)
    if mask.size != open_rgb(image).size:
        raise ValueError(
            f"{file} has {mask.size[0]} x {mask.size[1]} pixels, its image "
            f"{' x '.join(map(str, open_rgb(image).size))}"
        )
    inside = network.transform.mask(mask)
    return inside if bool(inside.any()) else None
