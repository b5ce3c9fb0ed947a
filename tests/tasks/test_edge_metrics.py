"""ODS, OIS and AP of counts that can be computed by hand, and of edge maps that are perfect, empty or shifted."""

import math

import numpy as np
import pytest

from atrous.tasks.edge_metrics import EdgeCounts, EdgeMetrics, EdgePoint, count_edges, edge_thresholds


def lines(*rows, size=40):
    edges = np.zeros((size, size), bool)
    edges[list(rows)] = True
    return edges


def counts(*rows):
    """Counts at each threshold, as (matched truth, truth, matched found, found)."""
    return EdgeCounts(*np.array(rows, dtype=np.int64).T)


def scored(*images, thresholds=None):
    metrics = EdgeMetrics(edge_thresholds(len(images[0].found)) if thresholds is None else thresholds)
    for number, one in enumerate(images):
        metrics.add(f"{number}", one)
    return metrics.result()


def test_the_thresholds_are_those_of_the_benchmark():
    np.testing.assert_allclose(edge_thresholds(), np.arange(1, 100) / 100)
    assert edge_thresholds(1).tolist() == [0.5]
    assert (edge_thresholds() <= 51 / 255).sum() == 20  # 0.2 is not below the 20th threshold


def test_a_perfect_result_scores_1():
    truth = lines(8, 20)
    scores = scored(count_edges(truth.astype(float), [truth], edge_thresholds(9)))
    assert scores.best.f == scores.best_of_images.f == 1
    assert scores.best.precision == scores.best.recall == 1


def test_an_empty_result_scores_0():
    scores = scored(count_edges(np.zeros((40, 40)), [lines(8)], edge_thresholds(9)))
    assert (scores.best.f, scores.best_of_images.f, scores.ap) == (0, 0, 0)
    assert scores.to_dict()["curve"]["recall"] == [0] * 9


def test_the_largest_distance_is_a_share_of_the_diagonal():
    truth, found = lines(10), lines(13).astype(float)
    diagonal = math.hypot(40, 40)
    near = count_edges(found, [truth], edge_thresholds(1), max_distance=3.001 / diagonal)
    far = count_edges(found, [truth], edge_thresholds(1), max_distance=2.999 / diagonal)
    assert (near.matched_truth.tolist(), near.matched_found.tolist()) == ([40], [40])
    assert (far.matched_truth.tolist(), far.matched_found.tolist()) == ([0], [0])


def test_a_found_pixel_counts_if_any_annotator_marked_it_and_recall_sums_over_annotators():
    found = lines(5, 20, 35).astype(float)
    one = count_edges(found, [lines(5), lines(5, 20)], edge_thresholds(1))
    assert (one.found.tolist(), one.matched_found.tolist()) == ([120], [80])
    assert (one.truth.tolist(), one.matched_truth.tolist()) == ([120], [120])


def test_thick_edges_are_thinned_unless_they_are_not():
    truth, found = lines(10), lines(9, 10, 11).astype(float)
    thinned = count_edges(found, [truth], edge_thresholds(1))
    thick = count_edges(found, [truth], edge_thresholds(1), thinned=False)
    assert thinned.found[0] <= 40 < thick.found[0] == 120
    assert thinned.precision()[0] == 1


def test_higher_thresholds_find_less():
    rng = np.random.default_rng(0)
    strength = np.where(lines(*range(2, 40, 6)), rng.random((40, 40)), 0)
    one = count_edges(strength, [lines(*range(2, 40, 6))], edge_thresholds(19))
    assert (np.diff(one.found) <= 0).all()
    assert (np.diff(one.recall()) <= 0).all()
    assert one.found[0] > one.found[-1]


def test_thresholds_between_the_same_strengths_count_the_same():
    """Thresholds that find the same pixels are counted once; the counts are those of each counted alone."""
    strength = np.where(lines(4), 0.3, 0) + np.where(lines(20), 0.8, 0)
    many = count_edges(strength, [lines(4, 30)], edge_thresholds(9))
    for place, threshold in enumerate(edge_thresholds(9)):
        alone = count_edges(strength, [lines(4, 30)], np.array([threshold]))
        assert alone.found[0] == many.found[place]
        assert alone.matched_truth[0] == many.matched_truth[place]


def test_ods_takes_one_threshold_for_all_images_and_ois_each_its_own():
    first = counts((9, 10, 9, 10), (1, 10, 9, 10))  # P and R 0.9; P 0.9, R 0.1
    second = counts((5, 10, 5, 10), (6, 10, 6, 10))  # 0.5; 0.6
    scores = scored(first, second)
    assert scores.best == EdgePoint(pytest.approx(1 / 3), pytest.approx(14 / 20), pytest.approx(14 / 20))
    assert scores.best_of_images.precision == pytest.approx(15 / 20)
    assert scores.best_of_images.recall == pytest.approx(15 / 20)
    assert [row[0] for row in scores.table()] == ["0", "1"]


def test_f_is_the_largest_on_the_lines_between_thresholds():
    scores = scored(counts((10, 10, 10, 100), (1, 10, 10, 10)), thresholds=np.array([0.2, 0.6]))
    share = np.linspace(0, 1, 100)
    precision, recall = 0.1 + 0.9 * share, 1 - 0.9 * share
    f = 2 * precision * recall / (precision + recall)
    assert scores.best.f == pytest.approx(f.max())
    assert scores.best.threshold == pytest.approx(0.2 + 0.4 * share[f.argmax()])


def test_the_area_is_sampled_at_the_recalls_that_are_reached():
    scores = scored(counts((8, 10, 6, 12), (4, 10, 8, 8)))  # from R 0.4, P 1 to R 0.8, P 0.5
    recall = np.arange(40, 81) / 100
    assert scores.ap == pytest.approx((1 - 0.5 * (recall - 0.4) / 0.4).sum() / 100)
    assert scored(counts((4, 10, 8, 8))).ap == 0  # one point is no curve


def test_parts_are_merged_and_nothing_is_counted_twice():
    images = {name: counts((k, 10, k, 10), (1, 10, 1, k)) for k, name in enumerate("abcd", 2)}
    whole, parts = EdgeMetrics(edge_thresholds(2)), [EdgeMetrics(edge_thresholds(2)) for _ in range(2)]
    for number, (name, one) in enumerate(images.items()):
        whole.add(name, one)
        parts[1 - number % 2].add(name, one)
    parts[0].merge(parts[1])
    assert parts[0].result().to_dict() == whole.result().to_dict()
    assert parts[0].result().per_image == whole.result().per_image
    with pytest.raises(ValueError, match="a: counted twice"):
        whole.add("a", images["a"])
    with pytest.raises(ValueError, match="at 2 thresholds, not 3"):
        EdgeMetrics(edge_thresholds(3)).add("a", images["a"])
    with pytest.raises(ValueError, match="different thresholds"):
        whole.merge(EdgeMetrics(edge_thresholds(3)))
    with pytest.raises(ValueError, match="no image"):
        EdgeMetrics(edge_thresholds(3)).result()


def test_the_table_shows_the_metrics():
    text = scored(counts((8, 10, 8, 16), (6, 10, 6, 6))).text()
    assert [line.split()[0] for line in text.splitlines()[1:4]] == ["ODS", "OIS", "AP"]
    assert "1 image, 2 thresholds" in text
