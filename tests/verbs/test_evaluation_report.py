"""The page of an evaluation."""

import pytest

from atrous.errors import UserError
from atrous.tasks.fold_scores import FoldRow, FoldScores
from atrous.tasks.shift_scores import ShiftRow, ShiftScores
from atrous.verbs.evaluate import evaluate
from atrous.verbs.evaluation_report import check_page, write_evaluation


def test_it_shows_other_data_and_the_drops(trained, digits, tmp_path):
    found = evaluate(trained, digits, split="test", ensemble=[trained])
    rows = tuple(ShiftRow("noise", "a share", strength, 0.1, 0.1234) for strength in (0.1, 0.2, 0.3))
    path = tmp_path / "deep" / "page.html"
    folds = FoldScores("digits", "miou", 0.5, (FoldRow("patient 7", 3, {"miou": 0.4321}, "folds/patient_7"),))
    write_evaluation(path, trained, found, ShiftScores("miou", 0.2234, 5, rows), folds, ensemble=[trained])
    page = path.read_text(encoding="utf-8")
    assert "2 images of split &#39;test&#39; of digits" in page
    assert page.count("0.123 <span") == 3
    assert "miou of 5 images is 0.223 as they are" in page
    assert f"{found.scores.miou:.3f}" in page
    assert '<th scope="row">patient 7</th><td>3</td><td>0.432</td><td>-0.068</td>' in page
    with pytest.raises(UserError, match="exists already"):
        write_evaluation(path, trained, found)


def test_its_name_ends_in_html(tmp_path):
    with pytest.raises(UserError, match=r"ends in \.html"):
        check_page(tmp_path / "page.pdf")
