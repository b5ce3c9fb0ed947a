"""The pictures of the report: exact where they are small, within the budget where they are not."""

import base64
import io

import numpy as np
from PIL import Image

from atrous.color import default_palette
from atrous.labels import IGNORE
from atrous.report.pictures import busiest, colorize
from atrous.report.views import BUDGET, Example, ReportView, embed, example_views

PALETTE = default_palette(4)


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


def views(shape, **changes):
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 4, (2, *shape), dtype=np.uint8)
    truth.flat[0] = IGNORE
    image = rng.integers(0, 256, (3, *shape), dtype=np.uint8)
    example = Example("a", image, truth, prediction, 0.5, "best", **changes)
    found = example_views(example, PALETTE)
    embed(found)
    return example, {view.caption: view for view in found}


def test_small_pictures_and_labels_are_stored_without_loss():
    example, found = views((20, 32))
    enlarged = np.ones((20, 20), np.uint8)  # 640 = 20 x 32
    assert np.array_equal(decoded(found["image"].uri), np.kron(example.image, enlarged[None]).transpose(1, 2, 0))
    for caption, label in (("truth", example.truth), ("prediction", example.prediction)):
        large = np.kron(label, enlarged)
        assert np.array_equal(decoded(found[caption].uri), colorize(large, PALETTE))
        assert np.array_equal(decoded(found[caption].labels_uri)[..., 0], large)
        assert (found[caption].height, found[caption].width) == (400, 640)
    assert found["errors"].labels_uri == ""


def test_labels_of_volumes_lie_where_their_planes_are_drawn_and_gaps_are_void():
    example, found = views((4, 6, 5))
    labels, picture = decoded(found["truth"].labels_uri)[..., 0], decoded(found["truth"].uri)
    assert labels.shape == picture.shape[:2]
    gap = (picture == 226).all(-1)
    assert gap.any()
    assert (labels[gap] == IGNORE).all()
    plane = example.truth[busiest(example.truth)[0]]
    scale = picture.shape[0] // (6 + 4 + 4)
    assert np.array_equal(labels[: 6 * scale : scale, : 5 * scale : scale], plane)


def test_labels_of_signals_are_one_row():
    example, found = views((50,))
    labels = decoded(found["truth"].labels_uri)[0, :, 0]
    assert np.array_equal(labels[:: len(labels) // 50], example.truth)
    assert list(found) == ["truth", "prediction", "errors"]


def test_large_noise_stays_within_the_budget_and_labels_stay_exact():
    rng = np.random.default_rng(0)
    noise = [ReportView("image", f"image {i}", rng.integers(0, 256, (700, 700, 3), dtype=np.uint8)) for i in range(2)]
    label = (np.indices((700, 700)).sum(0) // 90 % 4).astype(np.uint8)
    labelled = ReportView("truth", "truth", colorize(label, PALETTE), label, PALETTE)
    embed([*noise, labelled], budget=250_000)
    size = sum(len(view.uri) + len(view.labels_uri) for view in [*noise, labelled])
    assert size <= 250_000 * 4 / 3 + 1000
    assert noise[0].uri.startswith("data:image/jpeg")
    shown = decoded(labelled.labels_uri)[..., 0]
    assert set(np.unique(shown)) == {0, 1, 2, 3}
    assert np.array_equal(decoded(labelled.uri), colorize(shown, PALETTE))


def test_the_budget_leaves_the_page_below_three_megabytes():
    assert BUDGET * 4 / 3 < 2_800_000


def test_values_of_the_data_are_known_and_drawings_have_none():
    deep = np.arange(12, dtype=np.uint16).reshape(1, 3, 4) * 1000
    labels = np.zeros((3, 4), np.uint8)
    image, truth, *_ = example_views(Example("a", deep, labels, labels, 0.5, "best"), PALETTE)
    assert image.scales == ((110.0, 10890.0),)  # the 1st and the 99th percentile of 0 to 11000
    assert truth.scales == ()
    pictures = {"input": np.zeros((3, 4, 3), np.uint8), "answer": np.zeros((3, 4, 3), np.uint8)}
    depth = Example("b", deep, labels, labels, 0.5, "best", pictures=pictures, scales={"answer": (0.0, 9.0)})
    shown = example_views(depth, PALETTE)
    assert [view.scales for view in shown] == [(), ((0.0, 9.0),)]
    assert not any(view.drawn for view in shown)
    curve = Example("c", deep[0], labels[0], labels[0], 0.5, "best", pictures=pictures)
    assert all(view.drawn for view in example_views(curve, PALETTE))
