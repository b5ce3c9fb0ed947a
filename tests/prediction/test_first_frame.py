"""The first frame of a video is learned, and its object followed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.prediction.first_frame import FollowedLabels, Follower, learn_first_frame, read_first_mask, require_videos
from atrous.prediction.predictor import load
from atrous.verbs.evaluate import evaluate
from atrous.verbs.first_frame import check_first_frame, evaluate_first_frames, first_frame_probabilities
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train
from tests.clips import make_panning, write_panning

SMALL = (
    "model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16",
    "model.mean=[128.0, 128.0, 128.0]", "model.std=[40.0, 40.0, 40.0]", "train.crop=[3, 48, 64]",
    "train.batch_size=2", "train.precision=32-true", "train.learning_rate=4e-3", "train.validations=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_panning(tmp_path_factory.mktemp("data") / "videos")


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """A run on videos of a camera that pans, whose objects nothing but their motion tells."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return train(data, out=out, epochs=3, settings=SMALL, say=str, report=False)


def test_the_plan_sees_that_the_object_moves(trained):
    recipe = trained.run.recipe
    assert (recipe.model.motion, recipe.model.causal, recipe.model.temporal) == (True, True, "levels")
    assert recipe.augment.paste > 0


def test_some_steps_on_the_first_frame_tell_what_the_object_is(trained):
    predictor = load(trained.run)
    pictures, labels = make_panning(9)
    pictures[labels > 0, 0] = 230  # a color that no video of the training had
    clip = np.ascontiguousarray(np.moveaxis(pictures, -1, 0))
    before = {name: tensor.clone() for name, tensor in predictor.network.state_dict().items()}
    torch.manual_seed(0)
    learned = learn_first_frame(predictor, clip, labels[0], steps=30)
    for name, tensor in predictor.network.state_dict().items():
        torch.testing.assert_close(tensor, before[name])
    for name, tensor in learned.network.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(tensor, before[name])
    found = learned.predict(clip).labels
    both = [((found[1:] == 1) & (labels[1:] == 1)).sum(), ((found[1:] == 1) | (labels[1:] == 1)).sum()]
    assert both[0] / both[1] > 0.65
    again = learn_first_frame(predictor, clip, labels[0], steps=3)
    other = learn_first_frame(predictor, clip, labels[0], steps=3)
    for one, two in zip(again.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_probabilities_of_what_does_not_go_on_are_those_of_the_background(trained):
    pictures, labels = make_panning(9)
    clip = np.ascontiguousarray(np.moveaxis(pictures, -1, 0))
    found = first_frame_probabilities(load(trained.run), clip, labels[0], 1.0, steps=2)
    torch.testing.assert_close(found.sum(0), torch.ones(6, 64, 80))


def test_the_first_frame_does_not_count(trained, data):
    measured = evaluate_first_frames(trained.run, data, seconds=0.01)
    videos = len(measured.dataset.splits["val"])
    assert measured.scores.confusion.sum() == videos * 5 * 64 * 80
    assert set(measured.scores.to_dict()) >= {"j", "f", "videos"}
    assert evaluate(trained.run, data).scores.confusion.sum() == videos * 6 * 64 * 80


def test_a_video_is_predicted_from_its_first_mask(trained, data, tmp_path):
    mask, told = tmp_path / "mask.png", []
    first = data / "Annotations" / "clip1" / "00000.png"
    Image.open(first).save(mask)
    options = PredictOptions(first_frame=mask, first_frame_seconds=0.01)
    done = predict(trained.run, [data / "JPEGImages" / "clip1"], tmp_path / "out", options, tell=told.append)
    assert not done.failed
    assert "learning the first frame" in told[0]
    written = sorted((tmp_path / "out" / "clip1").iterdir())
    assert len(written) == 6
    np.testing.assert_array_equal(np.asarray(Image.open(written[0])), np.asarray(Image.open(first)) // 255)
    again = predict(trained.run, [data / "JPEGImages" / "clip1"], tmp_path / "out", options, tell=told.append)
    assert again.skipped
    assert len(told) == 1  # what is there is not learned again


def test_mistakes_are_told_before_anything_is_learned(trained, data, tmp_path):
    mask, both = tmp_path / "mask.png", [data / "JPEGImages" / "clip0", data / "JPEGImages" / "clip1"]
    Image.fromarray(np.zeros((64, 80), np.uint8)).save(mask)
    out, given = tmp_path / "out", PredictOptions(first_frame=mask, first_frame_seconds=0.01)
    for options, message in (
        (PredictOptions(first_frame=tmp_path / "none.png"), "no such file"),
        (PredictOptions(first_frame_seconds=9.0), "give both"),
        (replace(given, first_frame_seconds=0.0), "a time in seconds"),
        (given, "2 videos"),
    ):
        with pytest.raises(UserError, match=message):
            predict(trained.run, both, out, options)
    failed = predict(trained.run, both[:1], out, given).failed
    assert "shows no object" in failed[0][1]
    Image.fromarray(np.ones((10, 12), np.uint8)).save(mask)
    failed = predict(trained.run, both[:1], out, given).failed
    assert "size (10, 12)" in failed[0][1]
    assert not (out / "clip0").exists()
    check_first_frame(True, 9.0, others={"--tta": False})
    for wanted, seconds, message in ((True, 30.0, "--tta: "), (True, 0.0, "a time"), (False, 9.0, "give both")):
        with pytest.raises(UserError, match=message):
            check_first_frame(wanted, seconds, others={"--tta": True})
    grids = trained.run.recipe.model_copy(update={"data": trained.run.recipe.data.model_copy(update={"kind": "grids"})})
    with pytest.raises(UserError, match="for runs on videos"):
        require_videos(replace(trained.run, recipe=grids))


def test_masks_hold_class_numbers_or_two_values(tmp_path):
    path = tmp_path / "mask.png"

    def read(values, classes):
        Image.fromarray(np.array(values, np.uint8)).save(path)
        return read_first_mask(path, classes).tolist()

    assert read([[0, 255], [255, 0]], 2) == [[0, 1], [1, 0]]
    assert read([[0, 1], [255, 0]], 2) == [[0, 1], [IGNORE, 0]]
    assert read([[0, 3], [2, 0]], 4) == [[0, 3], [2, 0]]
    with pytest.raises(UserError, match="the value 7"):
        read([[0, 7], [1, 0]], 3)


def test_masks_may_hold_the_colors_of_the_classes(tmp_path):
    path, palette = tmp_path / "mask.png", ((0, 0, 128), (255, 0, 0), (0, 255, 0))

    def read(colors, palette):
        Image.fromarray(np.array([colors], np.uint8)).save(path)
        return read_first_mask(path, len(palette), palette).tolist()

    assert read([(0, 255, 0), (0, 0, 128), (255, 0, 0)], palette) == [[2, 0, 1]]
    assert read([(0, 0, 0), (9, 200, 30)], palette[:2]) == [[0, 1]]  # of two classes, black and any other color
    assert read([(255, 0, 0), (0, 0, 0)], ((255, 0, 0), (0, 0, 0))) == [[0, 1]]
    assert read([(0, 0, 0), (1, 1, 1)], palette) == [[0, 1]]
    with pytest.raises(UserError, match=r"the color \(0, 0, 0\) is of no class: write class numbers from 0 to 2, or"):
        read([(0, 0, 0), (255, 0, 0)], palette)


def square(row, column, side=10, size=(100, 120)):
    labels = np.zeros(size, np.uint8)
    labels[row : row + side, column : column + side] = 1
    return labels


def test_pieces_that_touch_where_the_object_can_be_go_on():
    follower = Follower(square(40, 40))
    near, far = square(44, 46), square(80, 100)
    np.testing.assert_array_equal(follower.follow(near + far), near)
    np.testing.assert_array_equal(follower.follow(square(46, 54) + square(5, 5)), square(46, 54))


def test_an_object_that_is_lost_is_found_again():
    follower = Follower(square(40, 40))
    assert follower.follow(np.zeros((100, 120), np.uint8)).sum() == 0
    np.testing.assert_array_equal(follower.follow(square(80, 100)), square(80, 100))  # nothing is near: all stays
    np.testing.assert_array_equal(follower.follow(square(80, 96) + square(40, 40)), square(80, 96))


def test_frames_come_one_by_one_or_all_at_once():
    frames = np.stack([square(5, 5), square(42, 42) + square(80, 90), square(44, 44) + square(10, 10)])
    whole, parts = np.zeros_like(frames), np.zeros_like(frames)
    FollowedLabels(whole, square(40, 40))[...] = frames
    sink = FollowedLabels(parts, square(40, 40))
    for number in range(3):
        sink[number : number + 1] = frames[number : number + 1]
    np.testing.assert_array_equal(whole, np.stack([square(40, 40), square(42, 42), square(44, 44)]))
    np.testing.assert_array_equal(parts, whole)
