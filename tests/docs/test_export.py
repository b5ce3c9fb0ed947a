"""The page about exports: its blocks run, and it names every option."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from atrous.cli.main import app
from tests.exporting.needs import require

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_blocks_run_one_after_the_other(capsys):
    require("onnx")
    names: dict[str, object] = {"__name__": "export"}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "export.md", "exec"), names)
    assert "largest difference" in capsys.readouterr().out


def test_the_table_names_every_option():
    group: Any = get_command(app)
    options = {name for option in group.commands["export"].params for name in option.opts if name[0] == "-"}
    rows = re.findall(r"^\| (`-[^|]*)\|", PAGE, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(--?[\w-]+)", row)} == options


def test_links_exist():
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (Path(__file__).resolve().parents[2] / "docs" / target).exists()
