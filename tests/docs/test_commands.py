"""The page of the verbs names every option, and every file that a run leaves."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from atrous.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "commands.md").read_text()
SECTIONS = dict(re.findall(r"^## ([\w-]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


VERBS = (
    "check", "train", "search", "evaluate", "calibrate", "predict", "models", "restore", "score-edges", "serve", "demo",
    "doctor",
)  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_the_options_of_a_verb_are_those_of_its_table(verb):
    group: Any = get_command(app)
    options = {name for option in group.commands[verb].params for name in option.opts if name[0] == "-"}
    rows = re.findall(r"^\| (`-[^|]*)\|", SECTIONS[verb], re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(--?[\w-]+)", row)} == options


def test_every_file_that_a_run_leaves_is_named(trained):
    left = {path.name + "/" * path.is_dir() for path in trained.iterdir()} | {"tensorboard/"}
    for name in left:
        assert f"| `{name}` |" in SECTIONS["train"]


def test_links_exist():
    for target in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / target).exists()


def test_the_readme_has_what_a_newcomer_looks_for():
    """A picture that exists, the clone line, how the command is found, peers, the words of a search; two screens."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 95
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", readme)
    assert pictures
    assert all((ROOT / picture).exists() for picture in pictures)
    assert re.search(r"^git clone \S+ atrous$", readme, re.MULTILINE)
    assert "source .venv/bin/activate" in readme
    for word in ("semantic segmentation", "U-Net", "nnU-Net", "MONAI", "segmentation_models_pytorch", "sliding"):
        assert word in readme
    links = [target for target in re.findall(r"\]\(([^)#]+)", readme) if not target.startswith("http")]
    assert [target for target in links if not (ROOT / target).exists()] == []
