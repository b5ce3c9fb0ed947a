"""The report of a search: everything that was found is on it, and nothing is asked of the network."""

import re
from dataclasses import replace

import pytest

from atrous.report.plots import DARK, LIGHT
from atrous.report.search_page import SearchContent, TrainedPoint, write_search_report
from atrous.report.search_plots import SHOWN, importance_chart, tradeoff_chart

BEST = TrainedPoint("recipes/1.toml", 0.75, 120.0, 9.0, "decoder=unet <b>")
FAST = TrainedPoint("recipes/2.toml", 0.5, 30.0, 1.0, "width=32")
PLAN = TrainedPoint("rung1-0000", 0.45, 60.0, 1.0, "")
CONTENT = SearchContent(
    title="cells-search: search on cells",
    metric="miou",
    front=[BEST, FAST],
    planned=PLAN,
    trials=[BEST, FAST, PLAN],
    importance={"miou": {"decoder": 0.7, "width": 0.3}, "milliseconds per megaposition": {}},
    refused={"receptive field 9 along axis 0, objects are 20 wide": 3},
    space={"decoder": ["fcn", "unet"], "width": ["64", "32"]},
    facts={"sampler": "tpe", "threads": [1, 2]},
    remarks=["Train it anew."],
    commands=["atrous train --recipe recipes/1.toml --minutes 30"],
)


def written(path, content=CONTENT) -> str:
    write_search_report(path / "report.html", content)
    return (path / "report.html").read_text(encoding="utf-8")


def test_everything_is_on_the_page(tmp_path):
    page = written(tmp_path)
    for text in (
        "recipes/1.toml", "0.750", "120", "decoder=unet &lt;b&gt;", "width=32", "Train it anew.", "3 points",
        "receptive field 9 along axis 0", "fcn, unet", "For miou", "decoder 70%", "atrous train --recipe",
    ):  # fmt: skip
        assert text in page, text
    assert "For milliseconds" not in page
    assert page.count('src="data:image/svg+xml;base64,') == 4  # two charts, each light and dark
    for anchor in re.findall(r'href="#(\w+)"', page):
        assert f'id="{anchor}"' in page
    assert not re.findall(r'(?:src|srcset)="(?!data:)', page)


def test_a_search_that_found_nothing_has_a_page_too(tmp_path):
    page = written(tmp_path, replace(CONTENT, front=[], trials=[], planned=None, importance={}, refused={}))
    assert "Too few points" in page
    assert "No point was refused" in page


@pytest.mark.parametrize("ink", [LIGHT, DARK])
def test_charts_are_svg_that_shows_names(ink):
    points = [(120.0, 0.75), (30.0, 0.5), (60.0, 0.45)]
    chart = tradeoff_chart(points, points[:2], points[2], "miou", ink)
    assert all(word in chart for word in ("miou", "milliseconds per megaposition", "planned", "best"))
    assert "planned" not in tradeoff_chart(points, points[:2], None, "miou", ink)
    bars = importance_chart({f"variable{i}": 1 / 20 for i in range(20)}, ink)
    assert len(set(re.findall(r"variable\d+", bars))) == SHOWN
