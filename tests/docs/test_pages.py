"""Every code block of README and documentation runs, or says why it does not."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from tests.docs.blocks import ROOT, RUN, SHOWN, Block, pages, read_blocks
from tests.docs.pages import GIVEN, World, nothing
from tests.docs.shell import Shell

from filterscope.evaluation import evaluate_run
from filterscope.runs import load_run
from filterscope.studies import demo, recipes
from filterscope.training import TrainSettings, preset, train

# Blocks that are only read. One more needs a reason in the page, and this number.
NOT_RUN = 25
# Of the default suite; the other pages train and attack for minutes and are in `make test-all`.
EVERYDAY = ("README.md", "docs/quickstart.md", "docs/linear.md")
TINY = {"epochs": 1, "limit": 100, "limit_test": 60, "batch_size": 20, "device": "cpu"}
BLOCKS = {
    page.relative_to(ROOT).as_posix(): [b for b in read_blocks(page) if b.language in RUN]
    for page in pages()
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks trained for a moment on digits: plain, gated, fixed."""
    folder = tmp_path_factory.mktemp("trained")
    joint = {"method": "gated", "scheme": "joint", "warmup": 0}
    sides = {"plain": {}, "gated": joint, "fixed": {**joint, "fixed_gate": (6, 4)}}
    with pytest.MonkeyPatch.context() as patch:
        for number in ("GRADIENT_FILTERS", "EVERY_FILTER"):
            patch.setattr(f"filterscope.evaluation.localization.{number}", 2)
        for name, settings in sides.items():
            train(TrainSettings(**TINY, **settings), folder / name)
            evaluate_run(load_run(folder / name)).save(folder / name)
    return folder


@pytest.fixture(autouse=True)
def short(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, few_gradient_maps: None
) -> Iterator[None]:
    """Servers end at once, the demo is short, nothing outside of the folder is found."""
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    monkeypatch.setattr(demo, "preset", lambda *names: {**preset(*names), **TINY, "warmup": 0})
    for number, value in TINY.items():
        monkeypatch.setitem(recipes._SMOKE, number, value)
    monkeypatch.setenv("FILTERSCOPE_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.chdir(tmp_path)
    yield


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page in EVERYDAY else pytest.mark.full)
        for page, blocks in BLOCKS.items()
        if blocks
    ],
)
def test_the_blocks_of_a_page_run_in_their_order(page: str, runs: Path, tmp_path: Path) -> None:
    names = GIVEN.get(page, nothing)(World(tmp_path, runs))
    shell = Shell(tmp_path, {"FILTERSCOPE_DATA": str(tmp_path)})
    for block in BLOCKS[page]:
        if block.language == "python":
            run_python(block, names)
        elif block.reason is None:
            shell.run(block.commands)
        else:
            shell.look(block.commands)


def run_python(block: Block, names: dict[str, object]) -> None:
    """Run a block after those before it; of a marked one only see that it is Python."""
    code = compile("\n" * (block.line - 1) + block.source, str(block.page), "exec")
    if block.reason is None:
        exec(code, names)


def test_every_block_says_its_language() -> None:
    strange = [
        block.place
        for page in pages()
        for block in read_blocks(page)
        if block.language not in (*RUN, *SHOWN)
    ]
    assert strange == []


def test_only_these_blocks_are_not_run() -> None:
    left_out = [b.place for blocks in BLOCKS.values() for b in blocks if b.reason is not None]
    assert len(left_out) == NOT_RUN, "\n".join(left_out)
