"""Frames that are labelled as they come get the labels of the whole video."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.prediction.live_video import LiveLabeler, require_frames
from atrous.recipe.run import Run
from atrous.recipe.schema import override
from tests.moved import moved_predictor, prepared_once, scene


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return moved_predictor(tmp_path_factory.mktemp("run"))


@pytest.fixture(autouse=True)
def once(monkeypatch):
    monkeypatch.setattr("atrous.stream.session.prepare", prepared_once)


def changed(predictor, *settings):
    run = predictor.run
    return replace(predictor, run=Run(run.folder, override(run.recipe, settings)))


def clip(frames=24):
    """Frames `(3, T, H, W)`."""
    return np.ascontiguousarray(np.moveaxis(scene(frames), -1, 0))


def lived(labeler, video):
    parts = [labeler.push(video[:, time]) for time in range(video.shape[1])]
    return np.concatenate([*parts, labeler.close()])


def test_labels_are_those_of_the_whole_video(predictor):
    video, labeler = clip(40), LiveLabeler(predictor, "it")
    labels = lived(labeler, video)
    assert labeler.latency == 0
    whole = predictor.predict(video).labels
    assert 0.01 < whole.mean() < 0.2
    np.testing.assert_array_equal(labels, whole)


class Before(nn.Module):
    """Says of a frame where the next one differs from it: one later frame is read."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = nn.Conv3d(3, 2, (3, 1, 1), padding=(1, 0, 0))
        self.pair.weight.data.zero_()
        self.pair.weight.data[1, :, 1], self.pair.weight.data[1, :, 2] = -1, 1
        self.pair.bias.data = torch.tensor([90.0, 0.0])

    def forward(self, x):
        return self.pair(x)


def test_a_network_for_video_that_looks_ahead_answers_later(predictor):
    """Of a run on videos there is no background; labels that wait come at the end."""
    recipe = predictor.run.recipe
    sections = {
        "data": recipe.data.model_copy(update={"kind": "videos"}),
        "task": recipe.task.model_copy(update={"kind": "semantic", "options": {}}),
        "model": recipe.model.model_copy(update={"in_channels": 3}),
        "input": recipe.input.model_copy(update={"channels": []}),
    }
    run = Run(predictor.run.folder, recipe.model_copy(update=sections))
    ahead = replace(predictor, run=run, network=Before())
    video, labeler = clip(8), LiveLabeler(ahead, "it")
    assert len(labeler.push(video[:, 0])) == 0
    assert labeler.latency == 1
    labels = np.concatenate([*(labeler.push(video[:, time]) for time in range(1, 8)), labeler.close()])
    whole = ahead.predict(video).labels
    assert whole.any()
    np.testing.assert_array_equal(labels, whole)


def test_frames_in_memory_that_is_used_again_are_kept(predictor):
    video, labeler, shown = clip(12), LiveLabeler(predictor, "it"), np.empty((3, 48, 64), np.uint8)
    labels = []
    for time in range(12):
        shown[:] = video[:, time]
        labels.append(labeler.push(shown))
    np.testing.assert_array_equal(np.concatenate(labels), predictor.predict(video).labels)


def test_another_frame_size_is_named(predictor):
    video, labeler = clip(3), LiveLabeler(predictor, "it")
    labeler.push(video[:, 0])
    labeler.push(video[:, 1])
    with pytest.raises(UserError, match=r"^it: frame 2 is 24 x 64 \(3 channels, uint8\), the first 48 x 64 \(3 "):
        labeler.push(video[:, 2, :24])
    assert labeler.close().shape == (0, 48, 64)


def test_frames_that_are_neither_gray_nor_color_do_not_fit_a_network_for_color(predictor):
    with pytest.raises(UserError, match="2 channels, but the network reads 3"):
        LiveLabeler(predictor, "it").push(clip(1)[:2, 0])
    with pytest.raises(UserError, match="1 channel, but the network reads 3"):
        LiveLabeler(predictor, "it").push(clip(1)[:1, 0].astype(np.uint16) * 256)


def test_what_is_unlike_the_training_data_is_told(predictor):
    told: list[str] = []
    LiveLabeler(predictor, "it", told.append).push(clip(1)[:, 0].astype(np.uint16) * 256)
    assert len(told) == 1
    assert "those of the training data" in told[0]


def test_frames_that_need_more_memory_are_refused(predictor, monkeypatch):
    with pytest.raises(UserError, match=r"it: frames of 48 x 64 need .* and 10000 bytes are allowed: give --memory"):
        LiveLabeler(replace(predictor, memory="10kB"), "it").push(clip(1)[:, 0])
    monkeypatch.setattr("atrous.data.formats.base.ALWAYS", 1000)
    monkeypatch.setattr("atrous.data.formats.base.memory_limit", lambda: 100_000)
    with pytest.raises(UserError, match="it: the background of its frames needs"):
        LiveLabeler(predictor, "it").push(clip(1)[:, 0])


def test_runs_that_cannot_label_frames_are_refused(predictor):
    for settings, said in [
        (("data.kind=grids",), "does not label the frames of a video"),
        (('input.intensity=["zscore"]',), "unknown while it comes"),
        (("input.spacing=[1.0, 2.0, 2.0]",), "resamples inputs"),
    ]:
        with pytest.raises(UserError, match=said):
            require_frames(changed(predictor, *settings).run)
    with pytest.raises(UserError, match="--engine openvino: frames that come are labelled by torch"):
        LiveLabeler(replace(predictor, engine="openvino"), "it")
