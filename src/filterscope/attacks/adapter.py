"""Attacks along the gradient, through foolbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.attacks.arguments import check_number
from filterscope.attacks.attempt import Attempt, Normalize, begin, checked_scores
from filterscope.attacks.result import Attacked
from filterscope.core.contexts import evaluating

# Runs the attack on some images, given foolbox's model, their criterion and their numbers.
Run = Callable[[Any, Tensor, Any, Tensor], Tensor]


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    normalize: Normalize = None,
    targets: Tensor | None = None,
    seed: int = 0,
    epsilon: float = 8 / 255,
    batch_size: int | None = None,
) -> Attacked:
    """Take one signed step: the fast gradient sign method.

    Args:
        model: As `filterscope.attacks.attack`.
        images: As `filterscope.attacks.attack`.
        labels: As `filterscope.attacks.attack`.
        normalize: As `filterscope.attacks.attack`.
        targets: As `filterscope.attacks.attack`; the step then lowers the loss of the target.
        seed: Not used: nothing is random.
        epsilon: The largest change of a pixel, in [0, 1].
        batch_size: The most images of one pass.

    Returns:
        The attacked images.

    Raises:
        ModuleNotFoundError: Without foolbox.
        TypeError: As `filterscope.attacks.attack`.
        ValueError: As `filterscope.attacks.attack`.

    Source: Goodfellow, Shlens, Szegedy, ICLR 2015, section 4; epsilon of Liang et al., ECCV 2020,
    appendix I.
    """
    return pgd(
        model, images, labels, normalize=normalize, targets=targets, seed=seed, epsilon=epsilon,
        steps=1, step_size=epsilon, random_start=False, batch_size=batch_size,
    )  # fmt: skip


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    normalize: Normalize = None,
    targets: Tensor | None = None,
    seed: int = 0,
    epsilon: float = 8 / 255,
    steps: int = 7,
    step_size: float = 2 / 255,
    random_start: bool = True,
    batch_size: int | None = None,
) -> Attacked:
    """Take signed steps and return to the cube around the image: projected gradient descent.

    Args:
        model: As `filterscope.attacks.attack`.
        images: As `filterscope.attacks.attack`.
        labels: As `filterscope.attacks.attack`.
        normalize: As `filterscope.attacks.attack`.
        targets: As `filterscope.attacks.attack`; the steps then lower the loss of the target.
        seed: Of the random start, which is the same on every device: uniform numbers of the images'
            shape from a generator on the CPU.
        epsilon: The largest change of a pixel, in [0, 1].
        steps: At least 1; 7 in appendix I.
        step_size: Of one step. The source gives none; 2 / 255 is common for this epsilon.
        random_start: Start anywhere in the cube, not at the image. The source does not say; foolbox
            and Madry et al. do.
        batch_size: The most images of one pass.

    Returns:
        The attacked images.

    Raises:
        ModuleNotFoundError: Without foolbox.
        TypeError: As `filterscope.attacks.attack`.
        ValueError: As `filterscope.attacks.attack`.

    Source: Madry et al., ICLR 2018; epsilon and steps of Liang et al., ECCV 2020, appendix I.
    """
    check_number("epsilon", epsilon, 0, 1)
    check_number("steps", steps, 1, whole=True)
    check_number("step_size", step_size, 0, 1)
    attempt = begin(model, images, labels, normalize, targets, seed, batch_size)
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(images.shape, generator=generator) * (2 * epsilon) - epsilon
    foolbox = require_foolbox()

    def run(network: Any, pixels: Tensor, criterion: Any, numbers: Tensor) -> Tensor:
        descent = foolbox.attacks.LinfPGD(
            abs_stepsize=step_size, steps=steps, random_start=random_start
        )
        # foolbox would draw from the device's global generator
        descent.get_random_start = lambda x0, _: x0 + type(x0)(start[numbers.cpu()].to(x0.raw))
        found: Tensor = descent.run(network, pixels, criterion, epsilon=epsilon)
        return found

    return _descend(attempt, run, keeps_failures=True)


def cw(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    normalize: Normalize = None,
    targets: Tensor | None = None,
    seed: int = 0,
    steps: int = 100,
    binary_search_steps: int = 9,
    step_size: float = 0.01,
    confidence: float = 0.0,
    initial_const: float = 1e-3,
    abort_early: bool = True,
    batch_size: int | None = None,
) -> Attacked:
    """Search the smallest change in L2 that turns the answer: the attack of Carlini and Wagner.

    An image for which nothing is found stays as it is.

    Args:
        model: As `filterscope.attacks.attack`.
        images: As `filterscope.attacks.attack`.
        labels: As `filterscope.attacks.attack`.
        normalize: As `filterscope.attacks.attack`.
        targets: As `filterscope.attacks.attack`.
        seed: Not used: nothing is random.
        steps: Steps of each descent; 100 in appendix I. This and what follows: foolbox's words and
            defaults, since the source gives no others.
        binary_search_steps: Descents, each with another weight of the answer against the distance.
        step_size: Learning rate of Adam.
        confidence: How much larger than the others the wrong class's logit must be.
        initial_const: The first weight.
        abort_early: End a descent that no longer gains. It is judged over the batch, so that an
            image's result may depend on its neighbours.
        batch_size: The most images of one pass.

    Returns:
        The attacked images.

    Raises:
        ModuleNotFoundError: Without foolbox.
        TypeError: As `filterscope.attacks.attack`.
        ValueError: As `filterscope.attacks.attack`.

    Source: Carlini, Wagner, IEEE S&P 2017; steps of Liang et al., ECCV 2020, appendix I.
    """
    check_number("steps", steps, 1, whole=True)
    check_number("binary_search_steps", binary_search_steps, 1, whole=True)
    for name, value in (("step_size", step_size), ("initial_const", initial_const)):
        check_number(name, value, 1e-12)
    check_number("confidence", confidence, 0)
    attempt = begin(model, images, labels, normalize, targets, seed, batch_size)
    search = require_foolbox().attacks.L2CarliniWagnerAttack(
        binary_search_steps=binary_search_steps, steps=steps, stepsize=step_size,
        confidence=confidence, initial_const=initial_const, abort_early=abort_early,
    )  # fmt: skip

    def run(network: Any, pixels: Tensor, criterion: Any, numbers: Tensor) -> Tensor:
        found: Tensor = search.run(network, pixels, criterion)
        # foolbox gives a black image where it finds nothing, and the network may err on that
        nothing = (found == 0).flatten(1).all(1)
        return torch.where(nothing[:, None, None, None], pixels, found)

    return _descend(attempt, run, keeps_failures=False)


class Watched(nn.Module):
    """A network in pixels whose gradients are watched, and cleared of what is no number."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__()
        # in a tuple, so that moving or switching this module leaves the network alone
        self._network = (attempt.classifier.model,)
        self._normalize = attempt.classifier.normalize
        self.steps = 0
        self.still: Tensor | None = None
        self.broken: Tensor | None = None
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Give one score for each class."""
        inputs = pixels.clone()
        if inputs.requires_grad:
            self.steps += 1
            inputs.register_hook(self._watch)
            inputs = inputs.clone()  # a network may work in place on what it is given
        logits = self._network[0](inputs if self._normalize is None else self._normalize(inputs))
        scores = checked_scores(logits, len(pixels))
        if inputs.requires_grad and not scores.requires_grad:
            raise ValueError("`model` gives logits that no gradient connects with `images`")
        return scores

    def _watch(self, gradient: Tensor) -> Tensor:
        finite = torch.isfinite(gradient)
        broken = ~finite.flatten(1).all(1)
        if self.broken is None:
            # later steps may stand still for good: the attack is at its end
            self.still, self.broken = (gradient == 0).flatten(1).all(1), broken
        else:
            self.broken = self.broken | broken
        return torch.where(finite, gradient, torch.zeros_like(gradient))


def _descend(attempt: Attempt, run: Run, *, keeps_failures: bool) -> Attacked:
    """Run an attack of foolbox on the images in batches, and judge what it gives."""
    foolbox, model = require_foolbox(), attempt.classifier.model
    active, labels, targets = attempt.active, attempt.labels, attempt.targets
    still, broken = 0, 0
    with torch.inference_mode(False), evaluating(model, grad=True), _frozen(model):
        changed = attempt.images.clone()
        queries = torch.zeros(len(changed), dtype=torch.int64, device=changed.device)
        success = torch.zeros(len(changed), dtype=torch.bool, device=changed.device)
        for numbers in active.split(attempt.classifier.batch_size) if len(active) else ():
            watched = Watched(attempt)
            network = foolbox.PyTorchModel(watched, bounds=(0, 1), device=changed.device)
            criterion = (
                foolbox.criteria.Misclassification(labels[numbers].clone())
                if targets is None
                else foolbox.criteria.TargetedMisclassification(targets[numbers].clone())
            )
            found = run(network, attempt.images[numbers].clone(), criterion, numbers)
            changed[numbers] = found.detach().clamp(0, 1)
            queries[numbers] = watched.steps
            still += 0 if watched.still is None else int(watched.still.sum())
            broken += 0 if watched.broken is None else int(watched.broken.sum())
    if len(active):
        success[active] = attempt.reached(attempt.classifier.scores(changed[active]), active)
    if not keeps_failures:
        changed[~success] = attempt.images[~success]
    return attempt.result(changed, success, queries, still, broken)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Leave the parameters without gradients, which foolbox would otherwise add up."""
    learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in learnt:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_(True)


def require_foolbox() -> ModuleType:
    """Import foolbox.

    Raises:
        ModuleNotFoundError: It is not installed; the message says how to.
    """
    try:
        import foolbox
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "attacks along the gradient need foolbox: pip install 'filterscope[attacks]'",
            name=error.name,
        ) from error
    module: ModuleType = foolbox
    return module
