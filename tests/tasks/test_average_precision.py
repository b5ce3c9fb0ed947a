"""Average precision against the code that COCO's figures come from, and against its definition."""

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import box_iou as torch_iou

from atrous.labels import AREA, area_of
from atrous.tasks.average_precision import (
    RECALLS,
    THRESHOLDS,
    ImageBoxes,
    average_precision,
    best_f1,
    match_class,
    size_ranges,
)
from atrous.tasks.box_overlap import box_iou

CLASSES = 3


def scenes(seed, images=6, ndim=2, extent=200, sides=(8, 120), most=9, crowds=0):
    """True boxes, and detections of which some are near a true box, some invented, some of the wrong class."""
    rng, result = np.random.default_rng(seed), []
    for _ in range(images):
        count = int(rng.integers(0, most))
        low = rng.uniform(0, extent, (count, ndim))
        true = np.concatenate([low, low + rng.uniform(*sides, (count, ndim))], axis=1)
        classes = rng.integers(0, CLASSES, count)
        picked = rng.integers(0, count, 2 * count) if count else np.zeros(0, int)
        near = true[picked] + rng.normal(0, 6, (len(picked), 2 * ndim))
        start = rng.uniform(0, extent, (4, ndim))
        found = np.concatenate([near, np.concatenate([start, start + rng.uniform(*sides, (4, ndim))], axis=1)])
        found[:, ndim:] = np.maximum(found[:, ndim:], found[:, :ndim] + 1)
        right = np.where(rng.random(len(picked)) < 0.8, classes[picked], rng.integers(0, CLASSES, len(picked)))
        named = np.concatenate([right, rng.integers(0, CLASSES, 4)])
        scores = rng.random(len(found)).astype(np.float32)
        corner = rng.uniform(0, extent, (crowds, ndim))
        void = np.concatenate([corner, corner + rng.uniform(60, 150, (crowds, ndim))], axis=1)
        kinds = np.array([AREA, *map(area_of, range(CLASSES))])[rng.integers(0, CLASSES + 1, crowds)]
        result.append(ImageBoxes(true, classes, found, named, scores, void, kinds))
    return result


def by_definition(images, number, threshold):
    """Average precision of one class with plain loops."""
    truths, rows = 0, []
    for image in images:
        one = image.of_class(number)
        free, overlaps = set(range(len(one.true))), box_iou(one.found, one.true)
        truths += len(one.true)
        for index, score in enumerate(one.scores):
            best = max(free, key=lambda k: overlaps[index, k], default=None)
            hit = best is not None and overlaps[index, best] >= threshold
            if hit:
                free.remove(best)
            rows.append((float(score), hit))
    if not truths:
        return float("nan")
    rows.sort(key=lambda row: -row[0])
    curve, hits = [], 0
    for rank, (_, hit) in enumerate(rows, 1):
        hits += hit
        curve.append((hits / truths, hits / rank))
    return float(np.mean([max((p for r, p in curve if r >= recall), default=0.0) for recall in RECALLS]))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_it_is_what_the_definition_says(seed, ndim):
    images = scenes(seed, images=4, ndim=ndim)
    for number in range(CLASSES):
        ours = average_precision(match_class(images, number))
        theirs = [by_definition(images, number, threshold) for threshold in THRESHOLDS]
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


def coco_precision(images):
    """COCO's precision `(thresholds, recalls, classes, sizes)` by faster-coco-eval, -1 where there is no true box."""
    package = pytest.importorskip("faster_coco_eval", reason="the extra dev has it")
    truth, answers = [], []
    for number, image in enumerate(images, 1):
        for box, kind in zip(image.true, image.true_classes, strict=True):
            height, width = box[2:] - box[:2]
            truth.append({
                "id": len(truth) + 1, "image_id": number, "category_id": int(kind) + 1, "iscrowd": 0,
                "bbox": [box[1], box[0], width, height], "area": width * height,
            })  # fmt: skip
        for box, area in zip(image.void, image.void_classes, strict=True):
            height, width = box[2:] - box[:2]
            truth += [
                {
                    "id": len(truth) + 1 + place, "image_id": number, "category_id": kind + 1, "iscrowd": 1,
                    "bbox": [box[1], box[0], width, height], "area": width * height,
                }
                for place, kind in enumerate(k for k in range(CLASSES) if area in (AREA, area_of(k)))
            ]  # fmt: skip
        for box, kind, score in zip(image.found, image.found_classes, image.scores, strict=True):
            sides = [box[3] - box[1], box[2] - box[0]]
            answers.append({
                "image_id": number, "category_id": int(kind) + 1, "bbox": [box[1], box[0], *sides],
                "score": float(score),
            })  # fmt: skip
    content = {
        "images": [{"id": number + 1, "height": 400, "width": 400} for number in range(len(images))],
        "categories": [{"id": number + 1, "name": str(number)} for number in range(CLASSES)],
        "annotations": truth,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        known = package.COCO(content)
        evaluation = package.COCOeval_faster(known, known.loadRes(answers), iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][..., -1]


def corners_of(boxes):
    """The corners `(n, 8)` of upright boxes."""
    return boxes[:, [0, 1, 0, 3, 2, 3, 2, 1]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("crowds", "rotated"), [(0, False), (2, False), (0, True), (2, True)])
@pytest.mark.parametrize("seed", range(6))
def test_it_is_that_of_faster_coco_eval(seed, crowds, rotated):
    """Rotated boxes that are upright are matched as COCO's boxes."""
    images = scenes(seed, images=20, crowds=crowds)
    precision = coco_precision(images)
    if rotated:
        images = [
            replace(i, true=corners_of(i.true), found=corners_of(i.found), void=corners_of(i.void)) for i in images
        ]
    areas = [(0.0, np.inf), *size_ranges(2).values()]
    compared = 0
    for number in range(CLASSES):
        for place, area in enumerate(areas):
            theirs = precision[:, :, number, place].mean(axis=1)
            ours = average_precision(match_class(images, number, size=area))
            np.testing.assert_allclose(np.nan_to_num(ours, nan=-1), theirs, atol=1e-9)
            compared += int((theirs > 0).sum())
    assert compared > 60


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_overlaps_are_those_of_torchvision(seed):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 50, (12, 2))
    boxes = np.concatenate([low, low + rng.uniform(0, 40, (12, 2))], axis=1)
    theirs = torch_iou(torch.from_numpy(boxes[:5]), torch.from_numpy(boxes[5:])).numpy()
    np.testing.assert_allclose(box_iou(boxes[:5], boxes[5:]), theirs, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_true_boxes_are_perfect_and_the_order_of_images_does_not_matter(seed, ndim):
    images = scenes(seed, ndim=ndim)
    perfect = [ImageBoxes(i.true, i.true_classes, i.true, i.true_classes, np.ones(len(i.true))) for i in images]
    for number in range(CLASSES):
        found = average_precision(match_class(perfect, number))
        assert np.isnan(found).all() or (found == 1).all()
        forth, back = (average_precision(match_class(part, number)) for part in (images, images[::-1]))
        np.testing.assert_allclose(forth, back, atol=1e-12)


def test_the_best_f1_is_that_of_all_scores():
    images = scenes(3, images=12)
    matches = [match_class(images, number) for number in range(CLASSES)]
    f1, score = best_f1(matches)
    tried = []
    for least in np.unique(np.concatenate([one.scores for one in matches])):
        kept = [one.scores >= least for one in matches]
        true = sum(int(one.hits[0][k].sum()) for one, k in zip(matches, kept, strict=True))
        made, truths = sum(int(k.sum()) for k in kept), sum(one.truths for one in matches)
        tried.append((2 * true / (made + truths), float(least)))
    assert (f1, score) == max(tried)
    assert np.isnan(best_f1([match_class([], 0)])).all()
    true, none = np.array([[0.0, 0, 4, 4]]), np.zeros((0, 4))
    f1, score = best_f1([match_class([ImageBoxes(true, np.zeros(1, int), none, np.zeros(0, int), np.zeros(0))], 0)])
    assert (f1, np.isnan(score)) == (0, True)
