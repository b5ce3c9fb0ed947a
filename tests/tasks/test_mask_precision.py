"""Average precision of masks, against the code that COCO's figures come from, and against its definition."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.data.object_files.runs import compress, runs_of
from atrous.objects.kinds import with_classes
from atrous.tasks.average_precision import RECALLS, THRESHOLDS
from atrous.tasks.instance_metrics import InstanceScores
from atrous.tasks.mask_precision import RankedMasks, mask_precision

CLASSES = ("a", "b")


def scene(rng, shape=(60, 66)):
    """Numbers of true and of found objects, the classes of both, and scores; some overlap by exactly one half."""
    truth, found, lost = np.zeros(shape, np.int64), np.zeros(shape, np.int64), rng.random(30) < 0.2
    classes = rng.integers(0, 2, 30)
    true, answers = 0, []
    for place, (row, column) in enumerate(np.ndindex(5, 6)):
        y, x, height = 12 * row, 11 * column, int(rng.integers(4, 10))
        if not lost[place]:
            true += 1
            classes[true - 1] = place % 2
            truth[y + 1 : y + 1 + height, x + 1 : x + 10] = true
        kind = rng.integers(5)
        answers.append(int(rng.random() < 0.15) ^ (place % 2))
        top, left, bottom, right = rng.integers((0, 0, height, 9), (3, 3, height + 3, 11))
        found[y + top : y + bottom, x + left : x + right] = len(answers)
        if kind == 0 and not lost[place]:  # two halves of the true object
            mask = truth == true
            half = mask & (np.indices(shape)[1] < x + 5)
            found[mask], found[half] = len(answers), len(answers) + 1
            answers.append(answers[-1])
    scores = rng.integers(1, 8, len(answers)) / 8 if rng.random() < 0.5 else rng.random(len(answers))
    return truth, classes[:true], found, np.array(answers), scores


def scored(scenes):
    """What the metrics of `scenes` say."""
    scores = InstanceScores(names=CLASSES)
    for number, (truth, classes, found, answers, ranks) in enumerate(scenes):
        scores.add(str(number), with_classes(truth, classes, 2), with_classes(found, answers, 2), ranks)
    return scores.result(0.0).values


def masks_of(numbers, classes):
    """The masks and classes of the objects that have a pixel."""
    return [(numbers == k + 1, int(c)) for k, c in enumerate(classes) if (numbers == k + 1).any()]


def by_definition(scenes, kind):
    """The average precision `(thresholds,)` of one class with plain loops over masks."""
    values, truths = [], 0
    for threshold in THRESHOLDS:
        rows, truths = [], 0
        for truth, classes, found, answers, scores in scenes:
            true = [mask for mask, c in masks_of(truth, classes) if c == kind]
            made = [(s, found == k + 1) for k, (c, s) in enumerate(zip(answers, scores, strict=True)) if c == kind]
            truths, free = truths + len(true), list(range(len(true)))
            for score, mask in sorted((row for row in made if row[1].any()), key=lambda row: -row[0]):
                iou = {k: (mask & true[k]).sum() / (mask | true[k]).sum() for k in free}
                best = max(iou, key=lambda k: (iou[k], k), default=-1)
                hit = best >= 0 and iou[best] >= threshold
                if hit:
                    free.remove(best)
                rows.append((score, hit))
        hits = np.cumsum([hit for _, hit in sorted(rows, key=lambda row: -row[0])])
        curve = [(h / truths, h / rank) for rank, h in enumerate(hits, 1)]
        values.append(np.mean([max((p for r, p in curve if r >= recall), default=0.0) for recall in RECALLS]))
    return np.array(values)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_it_is_what_the_definition_says(seed):
    rng = np.random.default_rng(seed)
    scenes = [scene(rng) for _ in range(2)]
    values = scored(scenes)
    expected = np.array([by_definition(scenes, kind) for kind in range(2)])
    assert values["mask_map"] == pytest.approx(expected.mean(), abs=1e-12)
    assert values["mask_map50"] == pytest.approx(expected[:, 0].mean(), abs=1e-12)
    for name, of_class in zip(CLASSES, expected, strict=True):
        assert values[f"mask_map_{name}"] == pytest.approx(of_class.mean(), abs=1e-12)
        assert values[f"mask_map50_{name}"] == pytest.approx(of_class[0], abs=1e-12)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_faster_coco_eval_on_run_lengths(seed):
    package = pytest.importorskip("faster_coco_eval", reason="the extra dev has it")
    rng, annotations, results = np.random.default_rng(seed), [], []
    scenes = [scene(rng) for _ in range(6)]
    for image, (truth, classes, found, answers, scores) in enumerate(scenes, 1):
        for mask, kind in masks_of(truth, classes):
            coded = {"size": list(mask.shape), "counts": compress(runs_of(mask).counts.tolist())}
            annotations.append({
                "id": len(annotations) + 1, "image_id": image, "category_id": kind + 1, "iscrowd": 0,
                "segmentation": coded, "area": int(mask.sum()), "bbox": [0, 0, 1, 1],
            })  # fmt: skip
        for number, (kind, score) in enumerate(zip(answers, scores, strict=True), 1):
            if (found == number).any():
                counts = compress(runs_of(found == number).counts.tolist())
                results.append({
                    "image_id": image, "category_id": int(kind) + 1, "score": float(score),
                    "segmentation": {"size": list(found.shape), "counts": counts},
                })  # fmt: skip
    content = {
        "images": [{"id": image, "height": 60, "width": 66} for image in range(1, len(scenes) + 1)],
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known = package.COCO(content)
        evaluation = package.COCOeval_faster(known, known.loadRes(results), iouType="segm")
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][:, :, :, 0, -1].mean(axis=1)  # (thresholds, classes)
    values = scored(scenes)
    assert 0.05 < values["mask_map"] < values["mask_map50"] < 0.95
    assert values["mask_map"] == pytest.approx(precision.mean(), abs=1e-9)
    assert values["mask_map50"] == pytest.approx(precision[0].mean(), abs=1e-9)
    for place, name in enumerate(CLASSES):
        assert values[f"mask_map_{name}"] == pytest.approx(precision[:, place].mean(), abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_true_masks_are_perfect_whatever_their_scores(seed):
    rng = np.random.default_rng(seed)
    scenes = [(truth, classes, truth, classes, rng.random(len(classes))) for truth, classes, *_ in [scene(rng)]]
    assert {name: value for name, value in scored(scenes).items() if name.startswith("mask_")} == dict.fromkeys(
        ("mask_map", "mask_map50", "mask_map_a", "mask_map50_a", "mask_map_b", "mask_map50_b"), 1.0
    )


def test_by_hand():
    """Hits at the first and the third place of three: precision 1 up to recall 1/2, then 2/3."""
    ones = np.zeros(3, int)
    masks = RankedMasks(
        np.zeros(2, int), ones, np.array([0.9, 0.5, 0.1]), np.array([0, 0, 1]), np.arange(3), np.array([0.8, 0.1, 0.55])
    )
    values = mask_precision([masks])
    first = (51 + 50 * 2 / 3) / 101
    assert values["mask_map50"] == pytest.approx(first)
    # 0.50 and 0.55: both; up to 0.80: the first only; beyond: none.
    assert values["mask_map"] == pytest.approx((2 * first + 5 * 51 / 101) / 10)
    none = RankedMasks(ones[:0], ones[:0], np.zeros(0), ones[:0], ones[:0], np.zeros(0))
    assert np.isnan(mask_precision([none])["mask_map"])
    assert np.isnan(mask_precision([])["mask_map50"])
