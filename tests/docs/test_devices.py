"""The page about several devices: the keys that it names exist, and so do its links."""

import re
from pathlib import Path

from atrous.recipe.sections import TrainSection
from benchmarks.ddp import CASES

PAGE = Path(__file__).resolve().parents[2] / "docs" / "devices.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_keys_and_links_exist():
    keys = set(re.findall(r"train\.([a-z_]+)", TEXT))
    assert keys >= {"devices", "nodes", "sync_batch_norm", "compile"}
    assert keys <= set(TrainSection.model_fields)
    targets = re.findall(r"\]\(([^)#]+)", TEXT)
    assert all(target.startswith("https://") or (PAGE.parent / target).exists() for target in targets)


def test_the_table_has_the_rows_of_the_benchmark():
    assert [name for name in CASES if f"| {name} |" not in TEXT] == []
