"""The run folder, written and read.

A training run is a folder that anybody can read without this library: its settings as YAML, its
history as CSV, its weights as safetensors, its measurements as JSON and npz.
"""

from typing import TYPE_CHECKING

from filterscope.core.lazy import lazy_members

if TYPE_CHECKING:
    from filterscope.runs.folder import RunFolder
    from filterscope.runs.load import Run, load_run
    from filterscope.runs.network import Network, load_network
    from filterscope.runs.onnx_export import export_onnx
    from filterscope.runs.pretrained import (
        Pretrained,
        from_pretrained,
        load_pretrained,
        push_to_hub,
        save_pretrained,
    )

__all__ = [
    "Network",
    "Pretrained",
    "Run",
    "RunFolder",
    "export_onnx",
    "from_pretrained",
    "load_network",
    "load_pretrained",
    "load_run",
    "push_to_hub",
    "save_pretrained",
]

__getattr__, __dir__ = lazy_members(
    __name__,
    {
        "Network": f"{__name__}.network",
        "Pretrained": f"{__name__}.pretrained",
        "Run": f"{__name__}.load",
        "RunFolder": f"{__name__}.folder",
        "export_onnx": f"{__name__}.onnx_export",
        "from_pretrained": f"{__name__}.pretrained",
        "load_network": f"{__name__}.network",
        "load_pretrained": f"{__name__}.pretrained",
        "load_run": f"{__name__}.load",
        "push_to_hub": f"{__name__}.pretrained",
        "save_pretrained": f"{__name__}.pretrained",
    },
)
