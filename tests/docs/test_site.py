"""The site builds strictly, and its pages need no other server."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT

LOADED = re.compile(r"<(?:script|img|source|iframe)[^>]+src=\"?(https?://[^\">\s]+)")
STYLES = re.compile(r"<link[^>]+rel=\"?stylesheet\"?[^>]*href=\"?(https?://[^\">\s]+)")


def build(config: Path, out: Path) -> subprocess.CompletedProcess[str]:
    words = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
    ]  # --quiet hides what --strict counts
    words += ["--config-file", str(config), "--site-dir", str(out)]
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_stands_by_itself(tmp_path: Path) -> None:
    done = build(ROOT / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = sorted((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        text = page.read_text()
        assert LOADED.findall(text) + STYLES.findall(text) == [], page


@pytest.mark.slow
@pytest.mark.parametrize("link", ["b.md#nowhere", "c.md", "/absolute.md"])
def test_a_dead_link_or_anchor_ends_the_build(link: str, tmp_path: Path) -> None:
    validation = (ROOT / "mkdocs.yml").read_text()
    rules = validation[validation.index("validation:") : validation.index("theme:")]
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text(f"[here]({link})\n\n[there](b.md#two)\n")
    (tmp_path / "docs/b.md").write_text("# One\n\n## Two\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"site_name: small\nstrict: true\n{rules}plugins: []\n")
    assert build(config, tmp_path / "site").returncode != 0
    (tmp_path / "docs/index.md").write_text("[there](b.md#two)\n")
    done = build(config, tmp_path / "site")
    assert done.returncode == 0, done.stderr
