"""Every page of the documentation: listed, reached in two clicks, its links and anchors there, its code run."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.main import get_command

from atrous.cli.main import app
from docs.hooks import LINK, home, outside, public, relinked, shown

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
WRITTEN = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")}
PAGES = WRITTEN | {page: shown(source, page) for source, page in outside().items() if source != "README.md"}
"""The pages of the site by their paths: those of docs/, and those that the hooks make of other files."""

CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


class AnyTag(yaml.SafeLoader):
    """Reads mkdocs.yml, whose tags name Python functions."""


AnyTag.add_multi_constructor("", lambda loader, suffix, node: None)
SITE = yaml.load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"), AnyTag)


def targets(page: str) -> list[tuple[str, str]]:
    """Page or file in docs/, and anchor, of every link on a page that stays on the site."""
    text = CODE.sub("", relinked(PAGES[page], f"docs/{page}", page))
    links = [match[2] + match[3][:-1] for match in LINK.finditer(text)]
    links += re.findall(r"\]\((#[^)]+)\)", text)
    found = []
    for link in links:
        if ":" not in link.split("#")[0]:
            path, _, anchor = link.split(" ")[0].partition("#")
            place = (DOCS / page).parent / path if path else DOCS / page
            found.append((Path(place.resolve()).relative_to(DOCS.resolve()).as_posix(), anchor))
    return found


def anchors(page: str) -> set[str]:
    """The anchors of the headings of a page, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", PAGES[page]), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).strip().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_and_anchors_exist(page):
    for place, anchor in targets(page):
        assert place in PAGES or (DOCS / place).is_file(), f"{page} points at {place}"
        made = f"::: {anchor}\n" in PAGES.get(place, "")  # an entry of the reference
        assert not anchor or made or anchor in anchors(place), f"{page} points at {place}#{anchor}"


def test_every_page_is_reached_from_the_first_one_in_two_clicks():
    reached = {"index.md"}
    for _ in range(2):
        reached |= {place for page in reached if page in PAGES for place, _ in targets(page)}
    assert sorted(PAGES.keys() - reached) == []


def test_the_navigation_lists_every_page_once():
    def listed(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        entries = entry.values() if isinstance(entry, dict) else entry
        return [page for part in entries for page in listed(part)]

    pages = listed(SITE["nav"])
    assert len(pages) == len(set(pages))
    programs = {page for page in PAGES if page.startswith("examples/")}
    assert set(pages) == PAGES.keys() - programs


def test_the_reference_has_every_public_name():
    import atrous

    assert set(public("")) == set(atrous.__all__) - {"analysis", "encoders", "geometry", "models", "stream", "surgery"}
    for package in ("stream", "models"):
        for name, path in public(package).items():
            module, _, attribute = path.rpartition(".")
            assert attribute == name
            assert f"::: {path}\n" in PAGES[f"api/{home(path) or package}.md"]
            assert f"::: {path}\n" in PAGES[f"api/{package}.md"] or f".md#{path})" in PAGES[f"api/{package}.md"]
            assert getattr(__import__(module, fromlist=[name]), name) is getattr(getattr(atrous, package), name)


ELSEWHERE = {
    "commands.md", "export.md", "gradients.md", "inspect.md", "search.md", "serve.md", "style.md", "surgery.md",
    "confidence.md", "detection.md", "doctor.md", "python.md", "maps.md", "medical.md", "microscopy.md", "motifs.md",
    "signals.md", "video.md", "genomes.md", "counting.md", "keypoints.md", "edges.md", "change.md", "motion.md",
    "named_models.md", "scale.md",
}  # fmt: skip
"""Pages whose code runs in tests of their own."""

SLOW = ("instances.md", "streaming.md", "coming_from/monai.md", "coming_from/smp.md")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.slow] * (page in SLOW))
        for page, text in sorted(WRITTEN.items())
        if PYTHON.search(text) and page not in ELSEWHERE and not page.startswith("principles/")
    ],
)
def test_the_code_of_a_page_runs_block_after_block(page):
    torch.manual_seed(0)
    for name in re.findall(r"^(?:import|from) (segmentation_models_pytorch|monai)", WRITTEN[page], re.MULTILINE):
        pytest.importorskip(name, reason="the extra peers is not installed")
    names: dict[str, object] = {"__name__": "page"}
    for block in PYTHON.findall(WRITTEN[page]):
        exec(compile(block, page, "exec"), names)


def commands(text: str) -> list[list[str]]:
    """The words of every `atrous ...` that a page shows, in blocks and in the line."""
    lines = [line for block in CODE.findall(text) for line in block.splitlines()]
    lines += [" ".join(found.split()) for found in re.findall(r"`(atrous [^`]+)`", CODE.sub("", text))]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("atrous ")]


PEERS = sorted(page for page in WRITTEN if page.startswith("coming_from/") and "index" not in page)


@pytest.mark.parametrize("page", [*PEERS, "index.md", "start.md", "semantic.md"])
def test_commands_have_the_options_that_a_page_shows(page):
    verbs: Any = get_command(app)
    for words in commands(WRITTEN[page]):
        options = {name for option in verbs.commands[words[0]].params for name in option.opts}
        assert {word for word in words if word.startswith("-") and word != "-"} <= options, words


@pytest.mark.parametrize("page", PEERS)
def test_a_page_for_users_of_another_tool_shows_both_and_says_when_to_stay(page):
    text = WRITTEN[page]
    rows = [line for line in text.splitlines() if line.startswith("| ") and "`atrous" in line]
    assert len(rows) >= 4
    assert "## When to stay" in text or "take nnU-Net" in text
