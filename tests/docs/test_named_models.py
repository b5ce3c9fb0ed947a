"""The page about named models: its program runs, its card is one, its links and files exist."""

import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from atrous.errors import UserError
from atrous.named.card import read_card

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "named_models.md").read_text(encoding="utf-8")


def test_the_program_runs(capsys):
    try:
        version("atrous-models")
    except PackageNotFoundError:
        pytest.skip("packages/atrous-models is not installed")
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(block, "named_models.md", "exec"), {"__name__": "named_models"})
    assert "nuclei - " in capsys.readouterr().out


def test_the_card_has_every_key_but_those_that_are_measured(tmp_path):
    block = re.findall(r"```\n(summary.*?)```", PAGE, re.DOTALL)[0]
    path = tmp_path / "card.toml"
    path.write_text(block)
    with pytest.raises(UserError, match=r"\[\[measured\]\] is missing"):
        read_card(path)
    path.write_text(f'{block}\n[[measured]]\non = "a"\ncommand = "b"\nvalues = {{ c = 1 }}\n')
    assert read_card(path).task == "instances"


def test_links_and_files_exist():
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists()
    for path in re.findall(r"packages/atrous-models[\w./-]*", PAGE):
        assert (ROOT / path).exists()
