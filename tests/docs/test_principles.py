"""Every Python block of the chapter "FCNs from first principles" runs, and what the pages show is there."""

import re
from inspect import signature
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).resolve().parents[2] / "docs" / "principles"
PAGES = sorted(DOCS.glob("*.md"))
INSPECT = DOCS.parent / "inspect.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", [*PAGES, INSPECT], ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run_one_after_the_other(page, capsys):
    torch.manual_seed(0)
    names: dict[str, object] = {"__name__": page.stem}
    blocks = BLOCK.findall(page.read_text())
    assert blocks, f"{page.name} shows no code"
    for block in blocks:
        exec(compile(block, page.name, "exec"), names)


def test_the_page_of_the_verb_names_every_analysis_and_option():
    from atrous.cli import inspect
    from atrous.verbs.inspect import ANALYSES

    text = INSPECT.read_text()
    assert all(f"| `{what}` |" in text for what in ANALYSES)
    options = re.findall(r'"(--[a-z-]+)"', Path(inspect.__file__).read_text())
    named = signature(inspect.command).parameters
    options += [f"--{name}" for name in named if name not in ("model", "what", "target")]
    assert all(f"`{option}" in text for option in options)


@pytest.mark.parametrize("page", [*PAGES, INSPECT], ids=lambda page: page.stem)
def test_links_and_pictures_exist_and_pictures_are_small(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    for target in targets:
        assert (page.parent / target).exists(), f"{page.name} points at {target}"
    for picture in (page.parent / target for target in targets if target.endswith(".png")):
        assert picture.stat().st_size < 150_000, picture.name


def test_every_page_is_in_the_index_and_has_a_picture():
    index = (DOCS / "index.md").read_text()
    for page in PAGES:
        if page.stem != "index":
            assert f"({page.name})" in index
            assert ".png)" in page.read_text(), f"{page.name} has no picture"


def test_no_picture_is_left_over():
    shown = "".join(page.read_text() for page in PAGES)
    assert all(f"({picture.name})" in shown for picture in DOCS.glob("*.png"))
