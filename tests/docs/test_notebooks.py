"""The notebooks in examples/ run as they stand, without a connection, in under two minutes."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tests.docs.blocks import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
# What each must print.
WORDS = {
    "attacks": "features of 2 convolutions",
    "gates_on_digits": "by chance 10%",
    "image_networks": "share of the row within 2 pixels: 0.9",
    "linear_interpreters": "largest gap between F x0 + r and the network's output",
    "part_templates": "always the middle",
}

SECONDS = 120


@pytest.mark.full
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_offline_in_under_two_minutes(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TORCH_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody answers
    content = nbformat.read(notebook, as_version=4)
    # of the processor: the time on the clock says more about what else runs here
    timing = "import time\n\nprint(time.process_time())"
    content.cells.append(nbformat.v4.new_code_cell(timing))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(content, timeout=280, kernel_name="python3", resources=resources).execute()
    printed = [
        output.text
        for cell in content.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stdout"
    ]
    assert WORDS[notebook.stem] in "".join(printed[:-1])
    assert float(printed[-1]) < SECONDS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_what_it_prints(notebook: Path) -> None:
    content = nbformat.read(notebook, as_version=4)
    nbformat.validate(content)
    code = [cell for cell in content.cells if cell.cell_type == "code"]
    assert code
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
