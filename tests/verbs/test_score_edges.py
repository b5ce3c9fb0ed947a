"""`atrous score-edges`: the numbers of the benchmark's own example, and mistakes in one line."""

import csv
import json
import sys

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from atrous.cli import main
from atrous.errors import UserError
from atrous.tasks import edge_matching
from atrous.verbs.score_edges import EdgeOptions, score_edges

SIZE = 48


@pytest.fixture
def folders(tmp_path):
    """Edge maps and annotations of three images, two annotators each."""
    rng = np.random.default_rng(0)
    results, truth = tmp_path / "edges", tmp_path / "truth"
    results.mkdir()
    truth.mkdir()
    for name in "abc":
        marked = []
        for _ in range(2):
            edges = np.zeros((SIZE, SIZE), bool)
            edges[rng.integers(6, 42, 2)] = True
            marked.append({"Boundaries": edges.astype(np.uint8)})
        cells = np.empty((1, 2), object)
        cells[0, :] = marked
        savemat(truth / f"{name}.mat", {"groundTruth": cells})
        strength = np.where(marked[0]["Boundaries"] > 0, 200, 0) + rng.integers(0, 40, (SIZE, SIZE))
        Image.fromarray(strength.astype(np.uint8)).save(results / f"{name}.png")
    return results, truth


def command(monkeypatch, *words):
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["atrous", "score-edges", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main.run()
    return left.value.code


def test_the_example_of_the_benchmark(shared_data):
    """The benchmark of BSDS500 comes with five results, and with what they score at five thresholds (`test_2`)."""
    folder = shared_data / "bsds500" / "bench" / "data"
    if not folder.is_dir():
        pytest.skip("the example of the benchmark of BSDS500 does not lie beside the repository")
    scores = score_edges(folder / "png", folder / "groundTruth", EdgeOptions(thresholds=5)).scores
    threshold, recall, precision, f, ois_recall, ois_precision, ois, ap = np.loadtxt(folder / "test_2/eval_bdry.txt")
    assert (f, ois, ap) == (0.704628, 0.708698, 0.307627)
    assert scores.best.f == pytest.approx(f, abs=1e-3)
    assert scores.best_of_images.f == pytest.approx(ois, abs=1e-3)
    assert scores.ap == pytest.approx(ap, abs=1e-3)
    assert scores.best.threshold == pytest.approx(threshold, abs=1e-5)
    # no matching has more pairs: the benchmark, which approximates the cost of pixels without a partner, has no more
    assert recall <= scores.best.recall + 1e-6 <= recall + 1e-3
    assert ois_recall <= scores.best_of_images.recall + 1e-6 <= ois_recall + 1e-3
    assert scores.best.precision == pytest.approx(precision, abs=1e-3)
    assert scores.best_of_images.precision == pytest.approx(ois_precision, abs=1e-3)
    curve = np.loadtxt(folder / "test_2/eval_bdry_thr.txt")
    np.testing.assert_allclose(scores.counts.recall(), curve[:, 1], atol=1e-3)
    np.testing.assert_allclose(scores.counts.precision(), curve[:, 2], atol=1e-3)
    images = np.loadtxt(folder / "test_2/eval_bdry_img.txt")
    np.testing.assert_allclose([row[1] for row in scores.table()], images[:, 4], atol=1e-3)


def test_the_command_prints_numbers_and_writes_a_table(folders, tmp_path, monkeypatch, capsys):
    out = tmp_path / "images.csv"
    assert command(monkeypatch, *folders, "--thresholds", 9, "--workers", 1, "--out", out, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["images"] == 3
    assert 0 < facts["ods"] <= facts["ois"] + 1e-9 <= 1 + 1e-9
    assert 0 <= facts["ap"] <= 1
    assert len(facts["curve"]["recall"]) == 9
    rows = list(csv.DictReader(out.read_text().splitlines()))
    assert [row["name"] for row in rows] == ["a", "b", "c"]
    assert all(0 < float(row["f"]) <= 1 for row in rows)
    assert command(monkeypatch, *folders, "--thresholds", 9, "--workers", 1) == 0
    assert "ODS" in capsys.readouterr().out


def test_several_processes_count_the_same(folders):
    heard = []
    one = score_edges(*folders, EdgeOptions(thresholds=3)).scores.to_dict()
    two = score_edges(
        *folders, EdgeOptions(thresholds=3), workers=2, progress=lambda done, total: heard.append((done, total))
    ).scores.to_dict()
    assert one | {"seconds": 0} == two | {"seconds": 0}
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_a_mistake_in_another_process_is_said_too(folders):
    np.save(folders[0] / "c.npy", np.full((SIZE, SIZE), 7.0))
    (folders[0] / "c.png").unlink()
    with pytest.raises(UserError, match=r"c.npy: its strengths go from 7 to 7: save floats from 0 to 1"):
        score_edges(*folders, EdgeOptions(thresholds=3), workers=2)


def test_suppression_thinning_and_distance_are_options(folders):
    plain = score_edges(*folders, EdgeOptions(thresholds=5)).scores
    assert score_edges(*folders, EdgeOptions(thresholds=5, nms=True)).scores.to_dict() != plain.to_dict()
    thick = score_edges(*folders, EdgeOptions(thresholds=5, thin=False)).scores
    assert thick.counts.found[0] >= plain.counts.found[0]
    far = score_edges(*folders, EdgeOptions(thresholds=5, max_distance=0.2)).scores
    assert far.counts.matched_truth.sum() > plain.counts.matched_truth.sum()


def test_results_without_a_ground_truth_are_told_and_left_out(folders):
    (folders[1] / "b.mat").unlink()
    scored = score_edges(*folders, EdgeOptions(thresholds=3))
    assert len(scored.scores.per_image) == 2
    assert scored.note == f"b of {folders[0]} has no ground truth and counts nowhere"


def test_nothing_marked_by_anyone_is_an_error(folders):
    for path in folders[1].iterdir():
        path.unlink()
    Image.fromarray(np.zeros((SIZE, SIZE), np.uint8)).save(folders[1] / "a.png")
    with pytest.raises(UserError, match="no annotator marked an edge"):
        score_edges(*folders)


def test_an_image_too_large_for_the_distance_is_named(folders, monkeypatch):
    monkeypatch.setattr(edge_matching, "_MOST_PAIRS", 10)
    with pytest.raises(UserError, match=r"a.png: .* have too many partners .*: give a smaller --max-distance"):
        score_edges(*folders)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--thresholds", "0"], "--thresholds 0: give a number from 1"),
        (["--max-distance", "nan"], "--max-distance nan: give a share of the diagonal"),
        (["--workers", "0"], "--workers 0: give 1 or more"),
        (["--out", "a.txt"], "a.txt: name a file that ends in .csv"),
        (["--out", "nowhere/a.csv"], "its folder does not exist"),
    ],
)
def test_wrong_options_are_said_in_one_line(folders, words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, *folders, *words) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("atrous: ")
    assert said in line


def test_a_missing_result_and_another_size_are_said_before_anything_is_counted(folders, tmp_path, monkeypatch, capsys):
    results, truth = folders
    monkeypatch.setattr("atrous.verbs.score_edges._count", lambda pair: pytest.fail("counted"))
    Image.fromarray(np.zeros((SIZE, SIZE + 1), np.uint8)).save(results / "c.png")
    assert command(monkeypatch, results, truth, "--out", tmp_path / "a.csv") == 2
    error = capsys.readouterr().err
    assert f"{results / 'c.png'}: size 48 x 49, but {truth / 'c.mat'} has 48 x 48" in error
    (results / "c.png").unlink()
    assert command(monkeypatch, results, truth, "--out", tmp_path / "a.csv") == 2
    assert f"no edge map for c of {truth}" in capsys.readouterr().err
    assert not (tmp_path / "a.csv").exists()
    (tmp_path / "a.csv").touch()
    assert command(monkeypatch, results, truth, "--out", tmp_path / "a.csv") == 2
    assert "exists already" in capsys.readouterr().err


def test_help_has_an_example(monkeypatch, capsys):
    assert command(monkeypatch, "--help") == 0
    assert "Example: atrous score-edges" in capsys.readouterr().out
