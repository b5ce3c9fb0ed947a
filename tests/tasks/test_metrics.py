import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, f1_score, jaccard_score
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
)

from atrous.labels import IGNORE
from atrous.tasks.metrics import SegmentationMetrics

K = 4
CLASSES = ["sky", "road", "car", "tree"]
SIGNAL = np.array([0] * 5 + [1] * 4 + [0] * 6 + [2] * 3 + [0] * 5, np.uint8)


def image(seed, shape=(14, 19), void=0.1):
    """Probabilities that are often right, and a truth with void in it."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(K, shape, generator=generator)
    logits = torch.randn(K, *shape, generator=generator) + 2 * torch.nn.functional.one_hot(target, K).movedim(-1, 0)
    target[torch.rand(shape, generator=generator) < void] = IGNORE
    return logits.softmax(0), target.to(torch.uint8)


def measure(images, **options):
    metrics = SegmentationMetrics(CLASSES, **options)
    for name, (probabilities, target) in images.items():
        metrics.update(name, probabilities, target)
    return metrics.result(seconds=1.0)


def numbers(scores):
    d = scores.to_dict()
    return {k: v for k, v in d.items() if k not in {"seconds", "conventions"}} | {"per_image": scores.per_image}


IMAGES = {f"image {i}": image(i, shape) for i, shape in enumerate([(14, 19), (20, 8), (1, 30), (33, 33)])}
FLAT = (
    torch.cat([probabilities.flatten(1).T for probabilities, _ in IMAGES.values()]),
    torch.cat([target.flatten().long() for _, target in IMAGES.values()]),
)


def test_confusion_and_accuracy_equal_torchmetrics():
    scores = measure(IMAGES)
    expected = multiclass_confusion_matrix(FLAT[0], FLAT[1], num_classes=K, ignore_index=IGNORE)
    np.testing.assert_array_equal(scores.confusion, expected.numpy())
    assert scores.confusion.dtype == np.int64
    for average, own in (("micro", scores.pixel_accuracy), ("macro", scores.mean_accuracy)):
        theirs = multiclass_accuracy(FLAT[0], FLAT[1], num_classes=K, ignore_index=IGNORE, average=average)
        assert own == pytest.approx(float(theirs), abs=1e-6)


def test_iou_and_dice_equal_scikit_learn():
    scores, valid = measure(IMAGES), FLAT[1] != IGNORE
    truth, prediction = FLAT[1][valid].numpy(), FLAT[0].argmax(1)[valid].numpy()
    np.testing.assert_allclose(scores.iou, jaccard_score(truth, prediction, average=None), rtol=1e-12)
    np.testing.assert_allclose(scores.dice_per_class, f1_score(truth, prediction, average=None), rtol=1e-12)
    assert scores.fwiou == pytest.approx(jaccard_score(truth, prediction, average="weighted"), rel=1e-12)
    assert scores.mean_accuracy == pytest.approx(balanced_accuracy_score(truth, prediction), rel=1e-12)


def test_calibration_error_equals_torchmetrics():
    expected = multiclass_calibration_error(FLAT[0].double(), FLAT[1], num_classes=K, n_bins=15, ignore_index=IGNORE)
    assert measure(IMAGES).ece == pytest.approx(float(expected), abs=1e-6)


def test_own_miou_of_an_image_is_over_the_classes_of_its_truth():
    target = torch.tensor([0, 0, 1, 1, IGNORE], dtype=torch.uint8)
    labels = torch.tensor([0, 0, 1, 3, 2])
    scores = measure({"a": (torch.nn.functional.one_hot(labels, K).T.float(), target)})
    assert scores.per_image == {"a": pytest.approx((1 + 0.5) / 2)}


@pytest.mark.parametrize("shape", [(50,), (12, 13), (6, 7, 8)])
def test_a_perfect_prediction_scores_one_everywhere(shape):
    _, target = image(1, shape)
    probabilities = torch.nn.functional.one_hot(target.long() % K, K).movedim(-1, 0).float()
    scores = measure({"a": (probabilities, target), "b": (probabilities, target)})
    for name in ("miou", "pixel_accuracy", "mean_accuracy", "fwiou", "dice", "boundary_iou"):
        assert getattr(scores, name) == pytest.approx(1), name
    assert scores.ece == pytest.approx(0)
    assert scores.miou_ci95 == pytest.approx((1, 1))


@settings(max_examples=25, deadline=None)
@given(st.permutations(sorted(IMAGES)))
def test_order_of_images_does_not_matter(names):
    one, other = numbers(measure(IMAGES)), numbers(measure({name: IMAGES[name] for name in names}))
    assert one.pop("ece") == pytest.approx(other.pop("ece"), rel=1e-12)
    assert one == other


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**31), st.floats(0, 1, allow_subnormal=False), st.sampled_from([0.0, 1.0, 1e30, math.inf, math.nan])
)
def test_what_is_predicted_at_ignored_positions_does_not_matter(seed, void, garbage):
    probabilities, target = image(seed, void=void)
    changed = torch.where(target == IGNORE, torch.randn(probabilities.shape) * garbage, probabilities)
    one, other = numbers(measure({"a": (probabilities, target)})), numbers(measure({"a": (changed, target)}))
    np.testing.assert_equal(one, other)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.permutations(range(K)))
def test_renaming_classes_permutes_their_numbers(seed, order):
    probabilities, target = image(seed, void=0.2)
    index = torch.tensor(order)
    renamed = torch.where(target == IGNORE, IGNORE, index.argsort()[target.long() % K]).to(torch.uint8)
    one, other = measure({"a": (probabilities, target)}), measure({"a": (probabilities[index], renamed)})
    np.testing.assert_array_equal(one.iou[order], other.iou)
    np.testing.assert_array_equal(one.boundary_iou_per_class[order], other.boundary_iou_per_class)
    assert one.ece == pytest.approx(other.ece)


def test_an_image_that_is_all_void_changes_no_metric():
    empty = (torch.rand(K, 5, 5), torch.full((5, 5), IGNORE, dtype=torch.uint8))
    one, other = measure(IMAGES), measure(IMAGES | {"empty": empty})
    assert one.miou == other.miou
    assert one.boundary_iou == other.boundary_iou
    assert one.ece == other.ece
    assert math.isnan(other.per_image["empty"])
    assert "empty" not in other.ranking()


def test_parts_that_are_switched_off_have_no_numbers():
    scores = measure(IMAGES, boundary=False, calibration=False)
    d = scores.to_dict()
    assert d["boundary_iou"] is None
    assert d["ece"] is None
    assert d["miou"] == measure(IMAGES).miou


def test_interval_contains_the_miou():
    low, high = measure(IMAGES).miou_ci95
    assert low < measure(IMAGES).miou < high


def test_update_leaves_its_arguments_alone_and_result_is_a_snapshot():
    metrics = SegmentationMetrics(CLASSES)
    probabilities, target = image(0)
    before = probabilities.clone(), target.clone()
    metrics.update("a", probabilities, target)
    first = metrics.result(1.0)
    taken = numbers(first)
    metrics.update("b", *image(1))
    assert numbers(first) == taken
    assert torch.equal(probabilities, before[0])
    assert torch.equal(target, before[1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_the_same_metrics_as_its_float32(dtype):
    probabilities, target = image(0, shape=(400, 500))
    half = probabilities.to(dtype)
    np.testing.assert_equal(numbers(measure({"a": (half, target)})), numbers(measure({"a": (half.float(), target)})))


@pytest.mark.parametrize(
    ("probabilities", "target", "message"),
    [
        (torch.rand(3, 4, 4), torch.zeros(4, 4, dtype=torch.uint8), r"probabilities are \(3, 4, 4\)"),
        (torch.rand(K, 4, 5), torch.zeros(4, 4, dtype=torch.uint8), r"needs \(4, 4, 4\)"),
        (torch.rand(K, 4, 4), torch.zeros(4, 4, dtype=torch.int64), "convert it to torch.uint8"),
        (torch.rand(K, 4, 4), torch.full((4, 4), 7, dtype=torch.uint8), "label 7 in the truth, but .* 4 classes"),
        (torch.full((K, 4, 4), torch.nan), torch.zeros(4, 4, dtype=torch.uint8), "not finite"),
    ],
)
def test_input_that_does_not_fit_is_refused_and_not_counted(probabilities, target, message):
    metrics = SegmentationMetrics(CLASSES)
    with pytest.raises(ValueError, match=message):
        metrics.update("x", probabilities, target)
    with pytest.raises(ValueError, match="no image was counted"):
        metrics.result(1.0)


def test_the_same_name_twice_is_refused():
    metrics = SegmentationMetrics(CLASSES)
    metrics.update("a", *image(0))
    with pytest.raises(ValueError, match="a: an image of this name was counted before"):
        metrics.update("a", *image(1))


@pytest.mark.parametrize("classes", [["one"], ["a", "a"], [str(i) for i in range(256)]])
def test_classes_that_cannot_be_labels_are_refused(classes):
    with pytest.raises(ValueError, match="class"):
        SegmentationMetrics(classes)


def one_hot(labels, classes):
    """Labels `(*S)` as probabilities `(K, *S)` of 0 and 1."""
    return torch.eye(classes)[torch.from_numpy(labels).long()].movedim(-1, 0)


def test_metrics_count_seconds_over_all_recordings():
    metrics = SegmentationMetrics(["na", "p", "t"], tolerance=0.15)
    hot = torch.eye(3)[torch.from_numpy(np.roll(SIGNAL, 1)).long()].T
    for name in ("a", "b"):
        metrics.update(name, hot, torch.from_numpy(SIGNAL), (0.1,))
    scores = metrics.result(1.0)
    assert scores.events is not None
    assert scores.events.counts[0, :, 1].tolist() == [2, 2, 2]
    found = scores.to_dict()
    assert found["onset_f1"]["p"] == found["offset_f1"]["t"] == 1.0
    assert found["events"]["p"]["onset"] == {"found": 2, "true": 2, "predicted": 2}
    assert "onset F1" in scores.text()
    assert "matched one to one" in scores.conventions


def test_volumes_get_surfaces_and_cases_their_own_dice():
    metrics = SegmentationMetrics(["background", "organ"], tolerance=1.0)
    for name, size in (("small", 2), ("large", 6)):
        truth = np.zeros((8, 8, 8), np.uint8)
        truth[:size, :size, :size] = 1
        guess = truth.copy()
        guess[size - 1] = 0
        metrics.update(
            name, torch.eye(2)[torch.from_numpy(guess).long()].movedim(-1, 0), torch.from_numpy(truth), (1,) * 3
        )
    scores = metrics.result(1.0)
    assert scores.case_dice is not None
    assert np.isclose(scores.case_dice[1], (2 * 4 / 12 + 2 * 180 / 396) / 2)
    assert scores.surface is not None
    assert scores.surface.hd95[1] == 1.0
    assert scores.to_dict()["hd95"] == {"background": None, "organ": 1.0}
    assert {"surface", "HD95"} <= set(scores.text().splitlines()[0].split())


@pytest.mark.parametrize(("shift", "found"), [(2, 1), (3, 0)])
def test_an_onset_exactly_at_the_tolerance_is_found(shift, found):
    for spacing in (0.1, 0.3, 1 / 360):
        metrics = SegmentationMetrics(["na", "p", "t"], tolerance=sum([spacing] * 2))
        metrics.update("a", one_hot(np.roll(SIGNAL, shift), 3), torch.from_numpy(SIGNAL), (spacing,))
        events = metrics.result(1.0).events
        assert events is not None
        assert events.tolerance == pytest.approx(2 * spacing)
        assert events.counts[0, 0, 1] == found


def test_void_has_no_surface():
    truth = np.zeros((8, 8, 8), np.uint8)
    truth[2:5, 2:5, 2:5] = 1
    guess = truth.copy()
    guess[6:] = 1
    truth[6:] = IGNORE
    metrics = SegmentationMetrics(["background", "organ"], tolerance=1.0)
    metrics.update("a", one_hot(guess, 2), torch.from_numpy(truth), (1.0, 1.0, 1.0))
    surface = metrics.result(1.0).surface
    assert surface is not None
    assert (surface.dice[1], surface.hd95[1]) == (1.0, 0.0)


@pytest.mark.parametrize(("tolerance", "spacing"), [(None, (1.0,) * 3), (1.0, None)])
def test_surfaces_need_a_tolerance_and_a_spacing(tolerance, spacing):
    truth = np.zeros((4, 4, 4), np.uint8)
    truth[1:3, 1:3, 1:3] = 1
    metrics = SegmentationMetrics(["background", "organ"], tolerance=tolerance)
    metrics.update("a", one_hot(truth, 2), torch.from_numpy(truth), spacing)
    scores = metrics.result(1.0)
    assert scores.surface is scores.events is scores.video is None
    assert scores.sample == "volume"


def test_images_have_neither_surfaces_nor_events():
    metrics = SegmentationMetrics(CLASSES, tolerance=1.0)
    metrics.update("a", *image(0), (1.0, 1.0))
    scores = metrics.result(1.0)
    assert scores.surface is scores.events is None
    assert scores.sample == "image"


def test_dice_of_cases_is_a_mean_over_the_images_that_have_the_class():
    """Class 1 is in the truth or the prediction of two of three images; class 3 occurs nowhere."""
    labels = [([0, 0, 1, 1], [0, 0, 1, 0]), ([0, 0, 0, 0], [0, 0, 0, 1]), ([2, 0, 0, 0], [2, 0, 0, 0])]
    metrics = SegmentationMetrics(CLASSES)
    for name, (true, predicted) in enumerate(labels):
        metrics.update(str(name), one_hot(np.array(predicted), K), torch.tensor(true, dtype=torch.uint8))
    scores = metrics.result(3.5, tta="flips")
    assert scores.case_dice is not None
    np.testing.assert_allclose(scores.case_dice, [(4 / 5 + 6 / 7 + 1) / 3, (2 / 3 + 0) / 2, 1, np.nan])
    assert (scores.sample, scores.seconds, scores.tta, scores.classes) == ("recording", 3.5, "flips", tuple(CLASSES))


@pytest.mark.parametrize("count", [2, 255])
def test_two_to_255_classes_are_allowed(count):
    classes = [str(i) for i in range(count)]
    metrics = SegmentationMetrics(classes)
    labels = np.array([0, count - 1], np.uint8)
    metrics.update("a", one_hot(labels, count), torch.from_numpy(labels))
    assert metrics.result(1.0).confusion[count - 1, count - 1] == 1


def test_scores_have_the_metrics_of_videos():
    metrics = SegmentationMetrics(["background", "car"], video=True)
    truth = torch.zeros(3, 16, 16, dtype=torch.uint8)
    truth[:, 4:9, 4:9] = 1
    shaky = truth.clone()
    shaky[1, 4:9, 4:9] = 0
    for name, labels in (("steady", truth), ("shaky", shaky)):
        metrics.update(name, torch.stack([1 - labels.float(), labels.float()]), truth)
    scores = metrics.result(1.0)
    content = scores.to_dict()
    assert content["j"] == {"background": None, "car": pytest.approx((1 + 2 / 3) / 2)}
    assert content["videos"]["shaky"]["boundary_f"]["car"] == pytest.approx(2 / 3)
    assert content["flicker"] == pytest.approx(2 * 25 / (4 * 256))
    assert "flicker" in scores.text()
    assert "Perazzi" in scores.conventions
    assert scores.boundary is not None
    assert scores.boundary_iou_per_class[1] == pytest.approx(
        5 / 6
    )  # of frames: the square's band is missed once in six
