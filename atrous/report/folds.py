"""The section "Groups left out" of a report that was written before the groups were."""

import re
from pathlib import Path

from atrous.files import write_text
from atrous.report.page import page_templates
from atrous.tasks.fold_scores import FoldScores

_SECTION = re.compile(r'<section id="folds">.*?</section>\n*', re.DOTALL)
_ENTRY = '<li><a href="#folds">Groups left out</a></li>\n    '
_AFTER = tuple(f'<section id="{name}">' for name in ("samples", "further", "data"))
"""What follows the section, the nearest first; names of the user cannot hold it, as they are escaped."""
_AFTER_ENTRY = tuple(f'<li><a href="#{name}">' for name in ("further", "data"))


def add_folds(page: Path, folds: FoldScores) -> bool:
    """Write the groups that were left out into the report of a run, in place of an earlier section.

    Args:
        page: `report.html`.
        folds: the metrics of the groups.

    Returns:
        Whether it is a report, so that it has the section now.
    """
    html = _SECTION.sub("", page.read_text(encoding="utf-8")).replace(_ENTRY, "")
    section = page_templates().get_template("folds.html.jinja").render(folds=folds)
    parts = ((section + "\n\n", _AFTER), (_ENTRY, _AFTER_ENTRY))
    for part, followers in parts:
        place = min((html.index(one) for one in followers if one in html), default=None)
        if place is None:
            return False
        html = html[:place] + part + html[place:]
    write_text(page, html)
    return True
