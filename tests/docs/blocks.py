"""The code blocks of the documentation, and how one is marked that cannot run.

A comment in the line above a block keeps it from running and gives the reason:

    <!-- not run: trains for an hour -->

Such a block must still compile, and the flags of its commands must exist.
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUN = ("python", "bash", "console")
SHOWN = ("text", "yaml", "json", "csv")  # what files and programs hold and print

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)(?P<rest>.*)$")
_MARK = re.compile(r"^ *<!-- not run: (?P<reason>\S.*) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Args:
        page: Its file.
        line: Of the first line inside, from 1.
        language: After the fence.
        source: What it holds, without the indentation of the fence.
        reason: Why it is not run; None: it is.
    """

    page: Path
    line: int
    language: str
    source: str
    reason: str | None

    @property
    def place(self) -> str:
        """File and line."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> str:
        """What is typed into a shell: of a console, what stands behind its prompts."""
        if self.language != "console":
            return self.source
        lines, goes_on = [], False
        for line in self.source.splitlines():
            if goes_on or line.startswith("$ "):
                lines.append(line if goes_on else line[2:])
                goes_on = line.endswith("\\")
        return "\n".join(lines)


def pages() -> list[Path]:
    """Every page with words of ours, the reference aside, which holds none."""
    return [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def read_blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order.

    Raises:
        ValueError: A block that does not end, or a mark that stands above none.
    """
    blocks: list[Block] = []
    lines = page.read_text().splitlines()
    reason: str | None = None
    place = 0
    while place < len(lines):
        mark, fence = _MARK.match(lines[place]), _FENCE.match(lines[place])
        place += 1
        if mark:
            reason = mark["reason"]
            if place == len(lines) or not _FENCE.match(lines[place]):
                raise ValueError(f"{page}:{place}: a mark without a block in the next line")
        elif fence:
            end = next(
                (i for i in range(place, len(lines)) if lines[i].strip() == "```"), len(lines)
            )
            if end == len(lines):
                raise ValueError(f"{page}:{place}: a block without an end")
            source = textwrap.dedent("\n".join(lines[place:end]))
            blocks.append(Block(page, place + 1, fence["language"], source, reason))
            place, reason = end + 1, None
    return blocks
