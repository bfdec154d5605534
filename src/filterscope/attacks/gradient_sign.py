"""The fast gradient sign method."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filterscope.attacks.arguments import check_images, check_range
from filterscope.attacks.attempt import checked_scores
from filterscope.core.contexts import evaluating


def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    epsilon: float = 8 / 255,
    normalize: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Move every pixel by one step that raises the loss: clip(x + epsilon sign(gradient)).

    The gradient is the network's true one, of the cross entropy at `labels`. An image whose
    gradient is zero everywhere stays as it is, and a warning counts such images: the network may
    not depend on it, or be so sure that the loss is zero to rounding.

    Args:
        model: Gives logits (N, C) of images, or of what `normalize` makes of them. It runs in eval
            mode, and its train flags are restored; its parameters get no gradient.
        images: (N, channels, H, W), pixels in [0, 1], float32 or float64; not changed.
        labels: The class that the attack leads away from, true or predicted, (N,) integers.
        epsilon: The largest change of a pixel. 8 / 255 is a common choice; the source uses several.
        normalize: What prepares pixels for the network, as mean and deviation; None: nothing.

    Returns:
        The attacked images in [0, 1], in the shape, precision and device of `images`, detached.

    Raises:
        TypeError: Images that are no floating-point tensor, or labels that are no integers.
        ValueError: Shapes that do not fit, pixels outside [0, 1] (as normalised ones are), another
            precision, classes out of range, an `epsilon` outside [0, 1], logits that do not depend
            on the images, or a gradient that is not finite.

    Source: Goodfellow, Shlens, Szegedy, "Explaining and Harnessing Adversarial Examples",
    ICLR 2015, section 4.

    Examples:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
        >>> images = torch.rand(2, 3, 2, 2)
        >>> attacked = fgsm(model, images, torch.tensor([0, 2]), epsilon=0.1)
        >>> bool(((attacked - images).abs() < 0.1001).all())
        True
    """
    check_images(images, labels)
    if not 0 <= epsilon <= 1:
        raise ValueError(f"`epsilon` must lie in [0, 1], got {epsilon}")
    gradient = _loss_gradient(model, images, labels.to(images.device), normalize)
    if not bool(torch.isfinite(gradient).all()):
        broken = int((~torch.isfinite(gradient)).flatten(1).any(1).sum())
        raise ValueError(f"the loss has a non-finite gradient on {broken} of {len(images)} images")
    still = int((gradient == 0).flatten(1).all(1).sum())
    if still:
        warnings.warn(
            f"the gradient is zero on {still} of {len(images)} images, which stay as they are",
            stacklevel=2,
        )
    return (images.detach() + epsilon * gradient.sign()).clamp(0, 1)


def _loss_gradient(
    model: nn.Module, images: Tensor, labels: Tensor, normalize: Callable[[Tensor], Tensor] | None
) -> Tensor:
    """Gradient of each image's cross entropy at its pixels."""
    with torch.inference_mode(False), evaluating(model, grad=True):
        pixels = images.detach().clone().requires_grad_()
        # a copy, because a network may work in place on what it is given
        inputs = pixels.clone()
        logits = model(inputs if normalize is None else normalize(inputs))
        scores = checked_scores(logits, len(images))
        check_range("labels", labels, scores.shape[1])
        if not scores.requires_grad:
            raise ValueError("`model` gives logits that no gradient connects with `images`")
        loss = F.cross_entropy(scores, labels.long(), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, pixels, allow_unused=True)
    if gradient is None:
        raise ValueError("`model` gives logits that no gradient connects with `images`")
    return gradient
