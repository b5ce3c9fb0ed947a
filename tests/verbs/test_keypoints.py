"""Key points through every verb: named points, one of each in an image, and several."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train

SMALL = (
    "model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16",
    "train.validations=2", "train.crop=[48, 48]", "train.precision=32-true", "augment.brightness=0",
    "augment.contrast=0", "augment.rotate=0", "train.learning_rate=0.004", "augment.scale=[0.9, 1.1]",
    "train.batch_size=2",
)  # fmt: skip
NAMES = ("bright", "dark")


def scene(seed, size=(48, 56), several=False):
    """A bright and a dark spot; their places, names as values 1 and 2."""
    rng = np.random.default_rng(seed)
    image, rows = rng.normal(120, 5, size), []
    grid = np.stack(np.indices(size), axis=-1)
    for corner in ((6, 6), (6, 34), (28, 6), (28, 34))[: 4 if several else 2]:
        value = 1 + len(rows) % 2
        place = np.array(corner) + rng.integers(0, 14, 2)
        image += (100 if value == 1 else -90) * np.exp(-((grid - place) ** 2).sum(-1) / 8)
        rows.append((*place.tolist(), value))
    return image.clip(0, 255).astype(np.uint8), rows


def write(root, count=10, several=False):
    for folder in ("images", "points"):
        (root / folder).mkdir(parents=True)
    for index in range(count):
        image, rows = scene(index, several=several)
        dots = np.zeros(image.shape, np.uint8)
        for y, x, value in rows:
            dots[y, x] = value
        Image.fromarray(image).save(root / "images" / f"{index}.png")
        Image.fromarray(dots).save(root / "points" / f"{index}.png")
    (root / "dataset.toml").write_text(f'task = "keypoints"\nmasks = "points"\nclasses = {list(NAMES)}\n')
    return root


@pytest.fixture(scope="module", params=[False, True], ids=["single", "several"])
def trained(request, tmp_path_factory):
    data = write(tmp_path_factory.mktemp("points") / "data", several=request.param)
    run = tmp_path_factory.mktemp("run") / "run"
    return data, run, train(data, out=run, epochs=20, settings=SMALL, progress=False), request.param


def test_named_points_are_found(trained):
    data, run, result, several = trained
    assert check(data).dataset.classes == NAMES
    values = result.scores.values
    assert next(iter(values)) == "pck"
    assert values["pck"] > 0.7
    assert {"pck_bright", "pck_dark", "f1"} <= set(values)
    assert evaluate(run, data).scores.values == values
    assert result.run.recipe.task.options["single"] != several
    assert "pck of this image" in (run / "report.html").read_text(encoding="utf-8")


def test_points_have_their_names(trained, tmp_path):
    data, run, _, several = trained
    image = data / "images" / "0.png"
    done = predict(run, [image], tmp_path, PredictOptions(overlay=True, probabilities="tiff"))
    assert not done.failed, done.failed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0_heat.tif", "0_overlay.png", "0_points.csv"]
    with (tmp_path / "0_points.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    found = load(run).predict(image)
    assert [row["name"] for row in rows] == [NAMES[k] for k in found.classes]
    assert found.names == NAMES
    assert found.counts.sum() == len(found)
    assert found.probabilities.shape == (2, 48, 56)
    if not several:
        assert len(found) <= 2
    best = found.points[np.argmax(found.scores)]
    places = np.array([row[:2] for row in scene(0, several=several)[1]]) + 0.5
    assert np.sqrt(((places - best) ** 2).sum(1)).min() < 3


def test_points_are_written_for_other_programs(trained, tmp_path):
    data, run, _, several = trained
    images = [data / "images" / f"{index}.png" for index in range(2)]
    done = predict(run, images, tmp_path, PredictOptions(objects="coco,geojson"))
    assert not done.failed, done.failed
    shown = json.loads((tmp_path / "1_objects.geojson").read_text())["features"]
    places = [one["geometry"]["coordinates"][::-1] for one in shown]
    np.testing.assert_allclose(places, load(run).predict(images[1]).points)
    merged = json.loads((tmp_path / "coco.json").read_text())
    assert [image["file_name"] for image in merged["images"]] == ["0.png", "1.png"]
    assert merged["categories"][0].get("keypoints") == (None if several else list(NAMES))
    assert {one["image_id"] for one in merged["annotations"]} == {1, 2}
    with pytest.raises(UserError, match="mirror images"):  # also where nothing was mirrored in training
        load(run, flip=True)
