"""Tell how much of each package the tests run, and fail where the whole is below its floors.

Run after `coverage json`: python tools/coverage_floors.py coverage.json --lines 95 --branches 90
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path, PurePath

COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def by_package(files: Mapping[str, Mapping[str, Mapping[str, int]]]) -> dict[str, list[int]]:
    """Add up the files of each package, and of all.

    Args:
        files: By its path, each file's ``summary``, as coverage writes it.

    Returns:
        For each package what `COUNTS` names; the whole is named "all".
    """
    sums: dict[str, list[int]] = defaultdict(lambda: [0] * len(COUNTS))
    for path, file in files.items():
        parts = PurePath(path).parts
        inside = parts[parts.index("filterscope") + 1 :]
        for name in (inside[0] if len(inside) > 1 else "filterscope", "all"):
            sums[name] = [
                s + file["summary"][count] for s, count in zip(sums[name], COUNTS, strict=True)
            ]
    return {**{name: sums[name] for name in sorted(sums) if name != "all"}, "all": sums["all"]}


def share(part: int, whole: int) -> float:
    """Percentage; of nothing, all is covered."""
    return 100 * part / whole if whole else 100.0


def main() -> None:
    """Print the table; exit with 1 where the whole is below a floor."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="what `coverage json` wrote")
    parser.add_argument("--lines", type=float, default=0, help="floor in percent")
    parser.add_argument("--branches", type=float, default=0, help="floor in percent")
    options = parser.parse_args()
    packages = by_package(json.loads(options.file.read_text())["files"])
    print(f"{'package':<12} {'lines':>7} {'of':>6} {'branches':>9} {'of':>6}")
    for name, (lines, all_lines, branches, all_branches) in packages.items():
        found = share(lines, all_lines), share(branches, all_branches)
        print(f"{name:<12} {found[0]:>6.1f}% {all_lines:>6} {found[1]:>8.1f}% {all_branches:>6}")
    if found[0] < options.lines or found[1] < options.branches:
        raise SystemExit(
            f"below {options.lines:g} % of lines or {options.branches:g} % of branches"
        )


if __name__ == "__main__":
    main()
