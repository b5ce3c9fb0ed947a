"""The code of docs/scale.md runs, one block after the other, and its links exist."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scale.md"


def test_the_blocks_run_one_after_the_other():
    distributed, fsspec = pytest.importorskip("distributed"), pytest.importorskip("fsspec")
    assert distributed.__version__
    names: dict[str, object] = {"__name__": "scale"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    try:
        for block in blocks:
            exec(compile(block, PAGE.name, "exec"), names)
    finally:
        fsspec.filesystem("memory").rm("/scale", recursive=True)


def test_links_exist():
    targets = re.findall(r"\]\(([^)#]+)", PAGE.read_text(encoding="utf-8"))
    assert all(target.startswith("https://") or (PAGE.parent / target).exists() for target in targets)
