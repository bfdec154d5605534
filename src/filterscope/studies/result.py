"""A study's outcome, in memory and on disk."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filterscope.core.brief import Brief
from filterscope.core.files import atomic_write, write_json, write_text
from filterscope.core.text_tables import aligned
from filterscope.report.theme import LIGHT, render
from filterscope.studies.catalogue import STUDIES
from filterscope.studies.study import Entry, Findings, Study
from filterscope.studies.verdict import RULE, Verdict

SCHEMA = 1


@dataclass(frozen=True, repr=False)
class StudyResult(Brief):
    """What a study found, with everything needed to find it again.

    Attributes:
        study: The study.
        findings: Its table, claims and figures.
        verdicts: One a claim.
        command: The command that gives this result.
        data: Name of the data.
        preset: paper, quick or smoke.
        seeds: Training seeds.
        num_samples: Test images.
        runs: Folders of the runs.
        versions: Of the packages.
    """

    study: Study
    findings: Findings
    verdicts: tuple[Verdict, ...]
    command: str
    data: str
    preset: str
    seeds: tuple[int, ...]
    num_samples: int
    runs: tuple[str, ...]
    versions: dict[str, str]

    def console(self) -> str:
        """Table and verdicts as plain text."""
        told = [self._heading(), "", *aligned(self._table()), ""]
        told += [f"{v.direction:<18} {_verdict_line(v, self.data)}" for v in self.verdicts]
        told += [f"note: {note}" for note in self.findings.notes]
        return "\n".join(told)

    def save(self, folder: str | Path) -> Path:
        """Write ``table.md``, ``table.csv``, ``result.json`` and one PNG a figure.

        Args:
            folder: Made if absent; earlier files of the same names are replaced.

        Returns:
            The folder.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in self.findings.figures.items():
            with atomic_write(folder / f"{name}.png") as file:
                file.write(render(figure, LIGHT))
        write_text(folder / "table.md", self._markdown())
        write_text(folder / "table.csv", self._csv())
        write_json(folder / "result.json", self._json())
        return folder

    def _heading(self) -> str:
        told = f"{self.study.name}: {STUDIES[self.study.name]} ({self.study.source})"
        if not self.study.sides and self.study.pictures is None:
            return f"{told}; computed from formulas"
        seeds = f"{len(self.seeds)} seed{'s' if len(self.seeds) > 1 else ''}"
        if not self.study.sides:
            return f"{told}; pictures {self.data}, one a seed, preset {self.preset}, {seeds}"
        return f"{told}; {self.data}, {self.num_samples} test images, preset {self.preset}, {seeds}"

    def _table(self) -> list[list[str]]:
        """One row a quantity, one column a side: ours, with the paper's number in brackets."""
        entries = self.findings.entries
        sides = list(dict.fromkeys(entry.side for entry in entries))
        cells = {(entry.quantity, entry.side): _cell(entry) for entry in entries}
        rows = [["", *sides]]
        for quantity in dict.fromkeys(entry.quantity for entry in entries):
            rows.append([quantity, *(cells.get((quantity, side), "-") for side in sides)])
        return rows

    def _markdown(self) -> str:
        head, *rows = self._table()
        legend = "Ours, mean ± standard deviation over seeds; in brackets what the paper prints."
        lines = [f"# {self._heading()}", "", f"`{self.command}`", "", legend, ""]
        lines += [_line(row) for row in (head, ["---"] * len(head), *rows)]
        lines += ["", _line(["claim", "direction", "published number", "difference by seed"])]
        lines += [_line(["---"] * 4)]
        for verdict in self.verdicts:
            each = ", ".join(f"{value:+.4f}" for value in verdict.claim.differences)
            lines.append(_line([verdict.claim.text, verdict.direction, verdict.number, each]))
        lines += ["", RULE, ""]
        lines += [f"- {note}" for note in self.findings.notes]
        lines += [f"\n![{name}]({name}.png)" for name in self.findings.figures]
        return "\n".join(lines) + "\n"

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["quantity", "side", "mean", "spread", "seeds", "published", "values"])
        for entry in self.findings.entries:
            each = " ".join(f"{value:.8g}" for value in entry.values)
            spread = "" if entry.spread is None else f"{entry.spread:.8g}"
            published = "" if entry.published is None else entry.published
            row = [entry.quantity, entry.side, f"{entry.mean:.8g}", spread, len(entry.values)]
            writer.writerow([*row, published, each])
        return text.getvalue()

    def _json(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "study": self.study.name,
            "title": STUDIES[self.study.name],
            "source": self.study.source,
            "command": self.command,
            "written": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "data": self.data,
            "preset": self.preset,
            "seeds": list(self.seeds),
            "num_samples": self.num_samples,
            "runs": list(self.runs),
            "versions": self.versions,
            "entries": [
                {
                    "quantity": entry.quantity,
                    "side": entry.side,
                    "values": list(entry.values),
                    "mean": entry.mean,
                    "spread": entry.spread,
                    "published": entry.published,
                }
                for entry in self.findings.entries
            ],
            "claims": [
                {
                    "text": verdict.claim.text,
                    "differences": list(verdict.claim.differences),
                    "published": verdict.claim.published,
                    "mean": verdict.mean,
                    "standard_error": verdict.standard_error,
                    "direction": verdict.direction,
                    "number": verdict.number,
                }
                for verdict in self.verdicts
            ],
            "rule": RULE,
            "notes": list(self.findings.notes),
            "figures": [f"{name}.png" for name in self.findings.figures],
        }


def _line(cells: Sequence[str]) -> str:
    """A line of a Markdown table, where a bar in a cell (|r| over |y|) would end it."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _cell(entry: Entry) -> str:
    if math.isnan(entry.mean):
        return "undefined"
    if entry.kind == "share":
        shown = f"{100 * entry.mean:.2f} %"
        spread = "" if entry.spread is None else f" ± {100 * entry.spread:.2f}"
        published = "" if entry.published is None else f" ({100 * entry.published:.2f} %)"
    elif entry.kind == "count":
        shown = f"{entry.mean:.4g}"
        spread = "" if entry.spread is None else f" ± {_two_digits(entry.spread)}"
        published = "" if entry.published is None else f" ({entry.published:g})"
    else:
        shown = f"{entry.mean:.4f}"
        spread = "" if entry.spread is None else f" ± {entry.spread:.4f}"
        published = "" if entry.published is None else f" ({entry.published:.4f})"
    return shown + spread + published


def _two_digits(value: float) -> str:
    """Two digits that count, without an exponent: 0.71, 7.1, 71, 714."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _verdict_line(verdict: Verdict, data: str) -> str:
    each = ", ".join(f"{value:+.4f}" for value in verdict.claim.differences)
    number = ""
    if verdict.claim.published is not None:
        number = f"; the published {verdict.claim.published:+.4f}: {verdict.number}"
    return f"on {data}: {verdict.claim.text} ({each}){number}"
