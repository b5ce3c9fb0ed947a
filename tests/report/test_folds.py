"""The section about groups in a report that is there already."""

import pytest

from atrous.report.folds import add_folds
from atrous.report.page import write_report
from atrous.tasks.fold_scores import FoldRow, FoldScores
from tests.report.test_page import Outline, content

NAN = float("nan")


def scores(*values, waiting=()):
    rows = tuple(FoldRow(f"p{n} <b>", n + 1, {"miou": value}, f"folds/p{n}") for n, value in enumerate(values))
    return FoldScores("cells", "miou", 0.75, rows, waiting)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A page that was written with two groups."""
    page = tmp_path_factory.mktemp("pages") / "report.html"
    write_report(page, content(folds=scores(0.5, 0.25)))
    return page.read_text(encoding="utf-8")


def test_it_is_added_once_and_replaced(written, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(written, encoding="utf-8")
    assert add_folds(page, scores(0.5, NAN, waiting=("p9",)))
    html = page.read_text(encoding="utf-8")
    outline = Outline(html)
    assert outline.open == []
    assert outline.ids.count("folds") == 1
    assert outline.ids.index("folds") == outline.ids.index("samples") - 1
    assert html.count('<a href="#folds">') == 1
    assert "p0 &lt;b&gt;" in html
    assert "<td>2</td><td>-</td><td>-</td>" in html  # a group in which the metric does not exist
    assert "Not trained yet: p9." in html
    assert add_folds(page, scores(0.5, 0.25))
    assert page.read_text(encoding="utf-8") == written


def test_it_is_added_where_a_page_is_written_with_it(written, tmp_path):
    start, end = written.index('<section id="folds">'), written.index('<section id="samples">')
    page, entry = tmp_path / "report.html", '<li><a href="#folds">Groups left out</a></li>\n    '
    page.write_text(written[:start].replace(entry, "") + written[end:], encoding="utf-8")
    assert "Groups left out" not in page.read_text(encoding="utf-8")
    assert add_folds(page, scores(0.5, 0.25))
    assert page.read_text(encoding="utf-8") == written


@pytest.mark.parametrize("html", ["<p>mine</p>", '<section id="data">'])
def test_a_page_that_is_no_report_stays_as_it_is(html, tmp_path):
    page = tmp_path / "report.html"
    page.write_text(html)
    assert not add_folds(page, scores(0.5, 0.6))
    assert page.read_text() == html
