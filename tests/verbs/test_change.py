"""Change detection through every verb: pairs are checked, learned, measured, predicted and drawn."""

import json

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from PIL import Image

from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.verbs.evaluate import evaluate
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.pairs import make_pair, write_pairs

SMALL = (
    "model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16",
    "model.mean=[128,128,128,128,128,128]", "model.std=[64,64,64,64,64,64]", "train.crop=[64, 64]",
    "train.batch_size=4", "train.precision=32-true", "train.learning_rate=4e-3", "train.validations=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("data") / "pairs")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return train(data, task="change", out=tmp_path_factory.mktemp("runs") / "run", epochs=18, settings=SMALL, say=str)


def test_pairs_are_learned_and_measured(trained, data):
    found = json.loads((trained.run.folder / "scores.json").read_text())
    assert found["f1"] > 0.8
    assert {"f1", "precision", "recall", "miou", "iou"} <= set(found)
    again = evaluate(trained.run.folder, data).scores
    np.testing.assert_array_equal(again.confusion, trained.scores.confusion)
    assert "f1" in (trained.run.folder / "metrics.csv").read_text().splitlines()[0]
    page = (trained.run.folder / "report.html").read_text()
    assert "before of" in page
    assert "after of" in page


def test_the_network_does_not_take_a_shift_for_a_change(trained):
    before, after, changed = make_pair(50, shift=1)
    predictor = load(trained.run.folder)
    labels = predictor.predict([np.moveaxis(one, -1, 0) for one in (before, after)]).labels
    assert (labels[changed > 0] == 1).mean() > 0.7
    assert (labels[changed == 0] == 0).mean() > 0.95


def test_every_form_of_a_pair_gives_the_same_labels(trained, data):
    predictor, (before, after) = load(trained.run.folder), (data / "val" / date / "6.png" for date in "AB")
    expected = predictor.predict((before, after)).labels
    assert len(np.unique(expected)) == 2
    arrays = [np.moveaxis(np.asarray(Image.open(path)), -1, 0) for path in (before, after)]
    forms = [f"{before}+{after}", tuple(arrays), np.concatenate(arrays), [Image.open(before), Image.open(after)]]
    for form in [*forms, [torch.from_numpy(np.array(one)) for one in arrays]]:
        np.testing.assert_array_equal(predictor.predict(form).labels, expected)
    with pytest.raises(UserError, match="they are 64 x 64 and 64 x 60: bring both images to one grid"):
        predictor.predict((arrays[0], arrays[1][..., :60]))
    with pytest.raises(UserError, match="3 channels, but the network reads 6: give the files of all channels"):
        predictor.predict(before)


def test_a_folder_is_predicted_and_both_dates_are_drawn(trained, data, tmp_path):
    done = predict(trained.run.folder, [data / "val"], tmp_path / "out", PredictOptions(overlay=True))
    assert not done.failed
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "6.png", "6_overlay.png", "7.png", "7_overlay.png"]  # fmt: skip
    expected = load(trained.run.folder).predict([data / "val" / date / "6.png" for date in "AB"])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "6.png")), expected.labels)
    drawn = np.asarray(Image.open(tmp_path / "out" / "6_overlay.png"))
    before, after = (np.asarray(Image.open(data / "val" / date / "6.png")) for date in "AB")
    assert drawn.shape == (64, 3 * 64 + 2 * 4, 3)
    np.testing.assert_array_equal(drawn[:, :64], before)
    np.testing.assert_array_equal(drawn[:, 68:132], after)
    same, other = expected.labels == 0, expected.labels == 1
    np.testing.assert_array_equal(drawn[:, 136:][same], after[same])
    assert (drawn[:, 136:][other] != after[other]).any()
    assert expected.picture().shape == (192, 600, 3)


def test_pairs_of_two_sizes_fail_alone(trained, data, tmp_path):
    for date, width in (("A", 64), ("B", 60)):
        (tmp_path / "data" / date).mkdir(parents=True)
        Image.fromarray(np.zeros((64, width, 3), np.uint8)).save(tmp_path / "data" / date / "x.png")
    done = predict(trained.run.folder, [tmp_path / "data", data / "val"], tmp_path / "out")
    assert len(done.written) == 2
    assert "B/x.png: it is 64 x 60, A/x.png 64 x 64" in done.failed[0][1]


def test_maps_keep_their_place(trained, tmp_path):
    before, after, changed = make_pair(9, size=(96, 96))
    for date, picture in (("A", before), ("B", after)):
        (tmp_path / "maps" / date).mkdir(parents=True)
        profile = {"driver": "GTiff", "height": 96, "width": 96, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
        path = tmp_path / "maps" / date / "here.tif"
        with rasterio.open(
            path, "w", transform=rasterio.Affine(1.0, 0.0, 500.0, 0.0, -1.0, 900.0), photometric="RGB", **profile
        ) as file:
            file.write(np.moveaxis(picture, -1, 0))
    done = predict(trained.run.folder, [tmp_path / "maps"], tmp_path / "out")
    assert not done.failed
    with rasterio.open(done.written[0]) as labels, rasterio.open(tmp_path / "maps" / "A" / "here.tif") as image:
        assert (labels.crs, labels.transform) == (image.crs, image.transform)
        assert (labels.read(1)[changed > 0] == 1).mean() > 0.7


def test_probabilities_of_a_change_are_calibrated_and_the_uncertainty_is_drawn_over_the_later_image(
    trained, data, tmp_path
):
    calibration = trained.run.calibration()
    assert calibration is not None
    assert load(trained.run.folder).task.semantic.temperature == calibration.temperature != 1
    assert evaluate(trained.run.folder, data).scores.confidence.temperature == calibration.temperature
    done = predict(trained.run.folder, [data / "val"], tmp_path, PredictOptions(uncertainty=True))
    assert not done.failed
    assert sorted(path.name for path, _ in done.uncertainty) == ["6.png", "7.png"]
    drawn = np.asarray(Image.open(tmp_path / "6_uncertainty.png")).astype(int)
    uncertainty = tifffile.imread(tmp_path / "6_uncertainty.tif").squeeze()
    after = np.asarray(Image.open(data / "val" / "B" / "6.png"))
    sure = uncertainty < 0.001
    assert sure.any()
    assert np.abs(drawn[sure] - after[sure] / 2).max() <= 1


def test_changes_have_no_ensemble(trained):
    with pytest.raises(UserError, match="--ensemble is not for change and motion"):
        evaluate(trained.run.folder, ensemble=[trained.run.folder])
