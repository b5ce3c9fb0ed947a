"""The code of docs/gradients.md runs, one block after the other, and its links exist."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gradients.md"


def test_the_blocks_run_one_after_the_other():
    torch.manual_seed(0)
    names: dict[str, object] = {"__name__": "gradients"}
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) > 3
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)


def test_links_exist():
    targets = re.findall(r"\]\(([^)#]+)", PAGE.read_text(encoding="utf-8"))
    assert all(target.startswith("https://") or (PAGE.parent / target).exists() for target in targets)
