"""What does not move with the image, properties of tensors, and values that leave PyTorch."""

import pytest
import torch
from torch import Tensor, nn

from filterscope.linear import LinearInterpreter, UnsupportedOperation

IMAGE = torch.tensor([[[[-1.5, 0.25], [2.75, 0.5]]]], dtype=torch.float64)
OTHER = torch.tensor([[[[-2.0, 0.25], [1.0, 3.0]]]], dtype=torch.float64)
BOUNDS = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)


class Plus(nn.Module):
    """Twice the image, plus what a function makes of it."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        made = self.function(1 * x)
        made = made.to(x.dtype).sum() if isinstance(made, Tensor) else made
        return (2 * x + made).flatten(1)


CONSTANT = {
    "gt": lambda x: torch.gt(x, OTHER), "ge": lambda x: x >= OTHER, "lt": lambda x: x < OTHER,
    "le": lambda x: x.le(OTHER), "eq": lambda x: x == OTHER, "ne": lambda x: torch.ne(x, OTHER),
    "greater": lambda x: x.greater(OTHER), "greater_equal": lambda x: x.greater_equal(OTHER),
    "less": lambda x: torch.less(x, OTHER), "less_equal": lambda x: x.less_equal(OTHER),
    "not_equal": lambda x: x.not_equal(OTHER), "isnan": lambda x: ~torch.isnan(x),
    "isinf": lambda x: ~x.isinf(), "isfinite": torch.isfinite,
    "logical_and": lambda x: torch.logical_and(x, OTHER), "logical_or": lambda x: x.logical_or(x),
    "logical_not": lambda x: torch.logical_not(x - x), "sign": lambda x: x.sign() + 2,
    "logical_xor": lambda x: torch.logical_xor(x, 0 * OTHER), "argmax": lambda x: x.argmax(),
    "argmin": lambda x: x.argmin(-1), "argsort": lambda x: x.flatten().argsort()[:3],
    "sgn": lambda x: torch.sgn(x), "signbit": torch.signbit, "floor": lambda x: 1 + x.floor(),
    "ceil": torch.ceil, "round": lambda x: x.round(), "trunc": lambda x: torch.trunc(x),
    "fix": torch.fix, "floor_divide": lambda x: torch.floor_divide(x, 0.3),
    "bucketize": lambda x: torch.bucketize(x, BOUNDS), "any": lambda x: x.any(),
    "searchsorted": lambda x: torch.searchsorted(BOUNDS, x), "all": torch.all,
    "nonzero": lambda x: torch.nonzero(x), "count_nonzero": lambda x: x.count_nonzero(),
    "zeros_like": lambda x: torch.zeros_like(x) + 0.3, "ones_like": torch.ones_like,
    "empty_like": lambda x: torch.empty_like(x).shape[-1],
    "new_zeros": lambda x: 1 + x.new_zeros(2),
    "new_ones": lambda x: x.new_ones(3), "new_empty": lambda x: x.new_empty(3).numel(),
    "full_like": lambda x: torch.full_like(x, 0.7), "new_full": lambda x: x.new_full((2,), 0.7),
    "new_tensor": lambda x: x.new_tensor([0.7]), "heaviside": lambda x: x.heaviside(BOUNDS[1] + 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CONSTANT)
def test_comparisons_places_and_roundings_are_constants(name) -> None:
    model = Plus(CONSTANT[name])
    expected = model(IMAGE)
    interpreter = LinearInterpreter(model, IMAGE)
    torch.testing.assert_close(interpreter.output, expected, rtol=0, atol=0)
    torch.testing.assert_close(interpreter.residual, expected - 2 * IMAGE.flatten(1))
    assert interpreter.residual.abs().min() > 0
    eye = torch.eye(4, dtype=torch.float64)
    torch.testing.assert_close(interpreter.adjoint(eye[:, None]).flatten(1), 2 * eye)


DESCRIPTIONS = {
    "size": lambda x: x.size(2), "dim": lambda x: x.dim() + x.ndimension(),
    "numel": lambda x: torch.numel(x) + x.nelement(), "stride": lambda x: x.stride(1),
    "storage_offset": lambda x: 1 + x.storage_offset(), "is_contiguous": Tensor.is_contiguous,
    "is_floating_point": torch.is_floating_point, "is_complex": lambda x: 1 + x.is_complex(),
    "is_same_size": lambda x: x.is_same_size(OTHER), "len": len,
    "is_inference": lambda x: 1 + x.is_inference(), "get_device": lambda x: x.get_device(),
    "element_size": lambda x: x.element_size(), "result_type": lambda x: torch.finfo(
        torch.result_type(x, OTHER)).bits, "shape": lambda x: x.shape[-1],
    "dtype": lambda x: torch.finfo(x.dtype).bits, "device": lambda x: len(str(x.device)),
    "ndim": lambda x: x.ndim, "layout": lambda x: len(str(x.layout)),
    "is_cuda": lambda x: 1 + x.is_cuda, "is_cpu": lambda x: 1 + x.is_cpu,
    "is_meta": lambda x: 1 + x.is_meta, "is_mps": lambda x: 1 + x.is_mps,
    "is_mkldnn": lambda x: 1 + x.is_mkldnn, "is_sparse": lambda x: 1 + x.is_sparse,
    "is_sparse_csr": lambda x: 1 + x.is_sparse_csr, "is_quantized": lambda x: 1 + x.is_quantized,
    "is_nested": lambda x: 1 + x.is_nested, "is_leaf": lambda x: x.is_leaf in (True, False),
    "itemsize": lambda x: x.itemsize, "nbytes": lambda x: x.nbytes,
    "name": lambda x: len(str(x.name)) * 0 + 1, "grad": lambda x: 1 + (x.grad is None),
    "grad_fn": lambda x: 1 + (x.grad_fn is None) * 0, "dim_order": lambda x: x.dim_order()[1],
    "version": lambda x: 1 + x._version, "is_pinned": lambda x: 1 + x.is_pinned(),
    "is_shared": lambda x: 1 + x.is_shared(), "repr": lambda x: repr(x).count("tensor"),
    "format": lambda x: len(f"{x.sum() > 0}"), "requires_grad": lambda x: 1 + 0 * x.requires_grad,
    "retains_grad": lambda x: 1 + x.retains_grad,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:The .grad attribute")
@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_what_a_tensor_is_may_be_asked(name) -> None:
    model = Plus(DESCRIPTIONS[name])
    interpreter = LinearInterpreter(model, IMAGE)
    torch.testing.assert_close(interpreter.output, model(IMAGE), rtol=0, atol=0)
    expected = (model(IMAGE) - 2 * IMAGE.flatten(1)).detach()
    torch.testing.assert_close(interpreter.residual, expected)


LEAKS = {
    "item": lambda x: x.sum().item(), "tolist": lambda x: x.flatten().tolist()[0],
    "numpy": lambda x: float(x.detach().numpy().sum()),
    "array": lambda x: float(x.detach().__array__()[0, 0, 0, 0]),
    "complex": lambda x: complex(x.sum()).real, "is_nonzero": lambda x: x.sum().is_nonzero(),
    "equal": lambda x: torch.equal(x, OTHER), "allclose": lambda x: torch.allclose(x, OTHER),
    "float": lambda x: float(x.sum()), "int": lambda x: int(x.sum()),
    "bool": lambda x: bool(x.sum()),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Converting a tensor")
@pytest.mark.parametrize("name", LEAKS)
def test_numbers_that_python_gets_hold_of_are_refused(name) -> None:
    with pytest.raises(UnsupportedOperation, match=rf"`{name}`.*out of PyTorch") as error:
        LinearInterpreter(Plus(LEAKS[name]), IMAGE)
    assert error.value.name == name


def test_a_place_may_be_used_as_a_number() -> None:
    model = Plus(lambda x: [0.5, 0.25, 4.0][x.argmax()] + x.argmin().item() + 1)
    interpreter = LinearInterpreter(model, IMAGE)
    torch.testing.assert_close(interpreter.residual, torch.full((1, 4), 5.0).double())


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "fill",
    [lambda x: x.heaviside(x), lambda x: torch.heaviside(OTHER, x), lambda x: x.new_tensor(x)],
)
def test_a_constant_is_not_filled_with_the_image(fill) -> None:
    with pytest.raises(UnsupportedOperation, match=r"must be constant"):
        LinearInterpreter(Plus(fill), IMAGE)
