"""Motion through every verb: few labelled frames of a fixed camera are learned, and whole videos are predicted."""

import json

import av
import numpy as np
import pytest
from PIL import Image

from atrous.prediction.live_video import LiveLabeler
from atrous.prediction.predictor import load
from atrous.tasks.motion import motion_figures
from atrous.verbs.evaluate import evaluate
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.clips import write_movie
from tests.pairs import make_scene, write_scene

SMALL = (
    "model.depth=10", "model.encoder_width=8", "model.width=16", "train.crop=[1, 48, 64]", "train.batch_size=4",
    "train.precision=32-true", "train.learning_rate=4e-3", "train.validations=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_scene(tmp_path_factory.mktemp("data") / "shop")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return train(data, task="motion", out=tmp_path_factory.mktemp("runs") / "run", epochs=16, settings=SMALL, say=str)


def test_few_frames_are_learned_and_measured_as_changedetection_net_does(trained, data):
    found = json.loads((trained.run.folder / "scores.json").read_text())
    assert {"f_measure", "pwc", "precision", "recall"} <= set(found)
    assert found["f_measure"] > 0.85
    again = evaluate(trained.run.folder, data).scores
    np.testing.assert_array_equal(again.confusion, trained.scores.confusion)
    assert again.to_dict()["f_measure"] == found["f_measure"]
    counted = 3 * (48 - 8) * 64  # three frames without what is unknown or outside
    assert again.confusion.sum() == counted
    every = evaluate(trained.run.folder, data, split="all").scores
    assert every.images == 12
    page = (trained.run.folder / "report.html").read_text()
    assert "frame of" in page
    assert "background of" in page


def test_a_video_is_predicted_frame_by_frame_and_the_frames_are_those_of_evaluation(trained, data, tmp_path):
    done = predict(trained.run.folder, [data], tmp_path / "out", PredictOptions(overlay=True, tracks=True))
    assert not done.failed
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "shop", "shop_overlay.mp4", "shop_tracks.csv"]  # fmt: skip
    written = np.stack([np.asarray(Image.open(tmp_path / "out" / "shop" / f"in{t:06d}.png")) for t in range(24)])
    _, moving = make_scene()
    inside = slice(6, -4)
    confusion = np.zeros((2, 2), np.int64)
    for time in (18, 20, 22):
        np.add.at(confusion, (moving[time][4:-4].astype(int).ravel(), written[time][4:-4].ravel()), 1)
    assert np.abs(confusion - trained.scores.confusion).max() <= 1  # labels may differ where two logits tie
    assert motion_figures(confusion) == pytest.approx(dict(trained.scores.foreground), rel=0.02)
    assert (written[8:, inside] == moving[8:, inside]).mean() > 0.97
    with av.open(str(tmp_path / "out" / "shop_overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 24


@pytest.mark.slow
def test_streamed_is_whole_and_begins_anew_in_each_file(trained, data, tmp_path, monkeypatch):
    pictures, _ = make_scene()
    clip = np.ascontiguousarray(np.moveaxis(pictures, -1, 0))
    whole = load(trained.run.folder).predict(clip).labels
    assert whole.shape == (24, 48, 64)
    np.testing.assert_array_equal(load(trained.run.folder).predict(data / "input").labels, whole)
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 100)
    predictor = load(trained.run.folder)
    assert predictor.plan((6, 24, 48, 64)).axis == 0
    streamed = predictor.predict(clip).labels
    assert (streamed == whole).mean() > 0.9999  # labels may differ where two logits tie
    np.testing.assert_array_equal(predictor.predict(clip).labels, streamed)


def test_video_files_are_predicted(trained, tmp_path):
    pictures, _ = make_scene()
    movie = write_movie(tmp_path / "shop.mp4", pictures, rate=25, crf="8")
    done = predict(trained.run.folder, [movie], tmp_path / "out")
    assert done.written == (tmp_path / "out" / "shop",)
    assert len(list((tmp_path / "out" / "shop").iterdir())) == 24


def test_frames_that_come_get_the_labels_of_the_whole_video(trained):
    pictures, _ = make_scene()
    clip = np.ascontiguousarray(np.moveaxis(pictures, -1, 0))
    predictor = load(trained.run.folder)
    labeler = LiveLabeler(predictor, "camera")
    live = np.concatenate([*(labeler.push(clip[:, time]) for time in range(24)), labeler.close()])
    whole = predictor.predict(clip).labels
    assert whole.any()
    assert (live == whole).mean() > 0.9999  # labels may differ where two logits tie
