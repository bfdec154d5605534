"""Networks as ONNX files, for whatever runs those."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from filterscope.core.contexts import evaluating
from filterscope.core.files import atomic_write
from filterscope.gates import GatedClassifier

_TOLERANCE = 1e-4  # of the largest logit: sums in another order, over a whole network
_MOST_BYTES = 2**31 - 2**20  # of a protobuf message, less what is not weights


def export_onnx(
    network: nn.Module, file: str | Path, example_input: Tensor, *, gated: bool = False
) -> Path:
    """Write a network as an ONNX file and check that onnxruntime gives the same (extra ``onnx``).

    The file's input ``images`` is (N, channels, H, W), its output ``logits`` what the network
    gives; N is free, the other sizes are those of the example. Part templates are in it. With
    `gated` it also has an input ``labels``, (N,) int64, and gives the gated path; a label out of
    range is an error there, too. Everything runs as in eval mode.

    Args:
        network: Any network, with a gate, with part templates, or plain; the ``model`` of an
            `ImageNetwork`.
        file: Where to; an earlier file is replaced, and only where the check was passed.
        example_input: Images, (N, channels, H, W), on the network's device; real ones make the
            check worth more.
        gated: Write the gated path of a `GatedClassifier` instead of the standard path.

    Returns:
        The file.

    Raises:
        TypeError: No network, or an example that is no tensor.
        ValueError: `gated` for a network without a gate, an example without images, or a network
            of more than 2 GB.
        RuntimeError: PyTorch cannot export the network, or onnxruntime gives other logits.
        ModuleNotFoundError: onnx, onnxruntime or onnxscript is missing.

    Examples:
        >>> import tempfile
        >>> model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
        >>> export_onnx(model, tempfile.mkdtemp() + "/net.onnx", torch.randn(2, 3, 5, 5)).name
        'net.onnx'
    """
    runtime = _runtime()
    inner = getattr(network, "_orig_mod", network)  # what torch.compile wraps
    _check(inner, example_input, gated)
    # a batch of one would be written as the only size
    images = example_input if len(example_input) > 1 else torch.cat([example_input] * 2)
    inputs = {"images": images}
    with evaluating(inner):
        exported: nn.Module = inner
        if gated and isinstance(inner, GatedClassifier):  # as was checked
            exported = _GatedPath(inner).eval()
            inputs["labels"] = (
                torch.arange(len(images), device=images.device) % inner.gate.num_classes
            )
        content = _exported(exported, inputs)
        expected = exported(*inputs.values())
    _check_equal(runtime, content, inputs, expected)
    with atomic_write(file) as target:
        target.write(content)
    return Path(file)


def _check(network: Any, example_input: Any, gated: bool) -> None:
    if not isinstance(network, nn.Module):
        raise TypeError(f"`network` must be a network, got {type(network).__name__}")
    if not isinstance(example_input, Tensor):
        raise TypeError(f"`example_input` must be a tensor, got {type(example_input).__name__}")
    if example_input.dim() < 2 or not example_input.numel():
        came = tuple(example_input.shape)
        raise ValueError(f"`example_input` must hold images (N, ...), got {came}")
    if gated and not isinstance(network, GatedClassifier):
        raise ValueError(f"`gated` needs a GatedClassifier, got {type(network).__name__}")
    size = sum(tensor.nbytes for tensor in network.state_dict().values())
    if size > _MOST_BYTES:
        raise ValueError(f"`network` has {size} bytes of weights; an ONNX file holds {_MOST_BYTES}")


class _GatedPath(nn.Module):
    """The gated path as a network of two inputs."""

    def __init__(self, net: GatedClassifier) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """Logits (N, C) of the gated path."""
        # ONNX counts negative indices from the end, where PyTorch refuses them
        logits: Tensor = self.net(
            images, torch.where(labels < 0, self.net.gate.num_classes, labels)
        )
        return logits


def _exported(network: nn.Module, inputs: dict[str, Tensor]) -> bytes:
    batch = torch.export.Dim("batch", min=1)
    try:
        with warnings.catch_warnings():  # that two inputs share the name of their first axis
            warnings.filterwarnings("ignore", "# The axis name: batch")
            program = torch.onnx.export(
                network,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=["logits"],
                dynamic_shapes=tuple({0: batch} for _ in inputs),
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many kinds, over many lines
        reason = _first_line(error.__cause__ or error)
        raise RuntimeError(f"PyTorch cannot export this network to ONNX: {reason}") from error
    assert program is not None
    content: bytes = program.model_proto.SerializeToString()
    return content


def _check_equal(runtime: Any, content: bytes, inputs: dict[str, Tensor], expected: Tensor) -> None:
    """Run the file's content and compare."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in inputs.items()}
    try:
        session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
        found = torch.from_numpy(session.run(None, arrays)[0])
    except Exception as error:  # older exporters write files that nothing can run
        raise RuntimeError(
            "PyTorch cannot export this network to ONNX: onnxruntime does not run the file "
            f"({_first_line(error)})"
        ) from error
    reference = expected.detach().cpu()
    if found.shape != reference.shape:
        raise RuntimeError(
            f"onnxruntime gives logits {tuple(found.shape)}, PyTorch {tuple(reference.shape)}; "
            "no file was written"
        )
    difference = float((found - reference).abs().max())
    allowed = _TOLERANCE * max(1.0, float(reference.abs().max()))
    if not difference <= allowed:
        raise RuntimeError(
            f"onnxruntime gives other logits than PyTorch: they differ by {difference:.3g}, "
            f"{allowed:.3g} is allowed; no file was written"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _runtime() -> Any:
    """Import onnxruntime, and what PyTorch needs to write its files."""
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
        return importlib.import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"ONNX files need {error.name}: pip install filterscope[onnx]"
        ) from error
