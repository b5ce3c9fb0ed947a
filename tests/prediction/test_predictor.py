"""Prediction of arrays and files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.models.own import own_network
from atrous.prediction.predictor import load
from atrous.recipe.run import create_run
from atrous.recipe.schema import validate
from atrous.training.checkpoint import write_tensors
from tests.toy_models import Lambda


def test_an_array_of_any_size(trained):
    predictor = load(trained)
    image = np.random.default_rng(0).integers(0, 256, (3, 45, 37)).astype(np.uint8)
    found = predictor.predict(image, probabilities=True)
    assert found.labels.shape == (45, 37)
    assert found.labels.dtype == np.uint8
    assert found.classes[0] == "background"
    np.testing.assert_allclose(found.probabilities.sum(0), 1, atol=1e-4)
    np.testing.assert_array_equal(found.probabilities.argmax(0), found.labels)
    assert predictor.predict(image).probabilities is None


def test_the_output_is_the_networks(trained):
    predictor = load(trained, dtype=torch.float32)
    image = np.random.default_rng(0).integers(0, 256, (3, 45, 37)).astype(np.uint8)
    with torch.no_grad():
        want = predictor.run.network()(torch.from_numpy(image)[None].float())
    torch.testing.assert_close(predictor.output(image), want, rtol=1e-4, atol=1e-4)


def test_flipping_averages_mirror_images(trained):
    predictor = load(trained, dtype=torch.float32, flip=True)
    assert predictor.flips == (1,)
    image = np.random.default_rng(0).integers(0, 256, (3, 32, 40)).astype(np.uint8)
    plain, both = load(trained, dtype=torch.float32), predictor.predict(image, probabilities=True).probabilities
    mirror = plain.predict(image[..., ::-1].copy(), probabilities=True).probabilities[..., ::-1]
    want = (plain.predict(image, probabilities=True).probabilities + mirror) / 2
    np.testing.assert_allclose(both, want, atol=1e-5)


def test_gray_becomes_color_and_other_channels_are_refused(trained):
    predictor = load(trained)
    assert predictor.predict(np.zeros((33, 20), np.uint8)).labels.shape == (33, 20)
    with pytest.raises(UserError, match="the array: 5 channels, but the network reads 3"):
        predictor.predict(np.zeros((5, 33, 20), np.uint8))
    with pytest.raises(UserError, match="engine 'foo': choose torch, openvino, inductor, onnxruntime"):
        load(trained, engine="foo")


def test_streamed_is_whole(trained):
    image = np.random.default_rng(0).integers(0, 256, (3, 301, 203)).astype(np.uint8)
    for dtype, tolerance in ((torch.float32, 5e-5), (torch.bfloat16, 3e-2)):
        whole, streamed = load(trained, dtype=dtype), load(trained, dtype=dtype, memory="100MB")
        assert whole.plan(image.shape) is None
        assert "strips" in streamed.plan(image.shape).text()
        want, found = whole.output(image), streamed.output(image)
        assert float((found - want).abs().max()) <= tolerance * float(want.abs().max())
        labels = streamed.predict(image, probabilities=True)
        np.testing.assert_array_equal(labels.labels, labels.probabilities.argmax(0))


def test_values_are_standardized_before_bfloat16_rounds_them(trained):
    image = 60000 + np.random.default_rng(0).integers(0, 200, (3, 64, 64)).astype(np.uint16)
    found = load(trained, dtype=torch.bfloat16).standardized(image)[:, :4]
    assert found.dtype == np.float32
    assert len(np.unique(found)) > 100


@pytest.mark.parametrize("memory", [None, "100MB"])
def test_values_that_are_no_numbers_are_void_and_spread_nowhere(trained, memory):
    predictor = load(trained, memory=memory, dtype=torch.float32)
    image = np.random.default_rng(0).uniform(0, 255, (3, 150, 90)).astype(np.float32)
    filled = image.copy()
    for value, (channel, row, column) in ((np.nan, (0, 5, 7)), (np.inf, (2, 120, 60))):
        image[channel, row, column] = value
        filled[channel, row, column] = predictor.run.recipe.model.mean[channel]
    found, want = predictor.predict(image, probabilities=True), predictor.predict(filled, probabilities=True)
    void = np.zeros((150, 90), bool)
    void[5, 7] = void[120, 60] = True
    np.testing.assert_array_equal(found.labels[~void], want.labels[~void])
    assert set(found.labels[void]) == {255}
    np.testing.assert_array_equal(np.isnan(found.probabilities).all(0), void)
    np.testing.assert_allclose(found.probabilities[:, ~void], want.probabilities[:, ~void], atol=1e-5)


def test_mirror_images_are_not_averaged_beyond_a_limit(trained):
    with pytest.raises(UserError, match="leave test-time augmentation out"):
        load(trained, flip=True, memory="100MB").predict(np.zeros((3, 33, 20), np.uint8))
    with pytest.raises(UserError, match="leave test-time augmentation out"):
        load(trained, flip=True).plan((3, 100000, 100000))


def test_a_predictor_is_one_short_line(trained):
    line = repr(load(trained, dtype=torch.float32))
    assert line == f"Predictor({trained}: fcn, 2-D, 3 channels, 11 classes, float32 on cpu)"


def test_the_kind_of_data_follows_from_the_recipe(trained):
    assert load(trained).kind == "grids"
    classes = {"classes": ["a+", "a-"]}
    earlier = validate({"data": {"root": "x", "video": True}, "task": classes}, "a recipe of an earlier version")
    assert earlier.data.kind == "videos"
    earlier = validate({"data": {"root": "x"}, "task": {"kind": "stranded", **classes}}, "an earlier version")
    assert earlier.data.kind == "genomes"


class Own(nn.Module):
    """A network that this package did not build."""

    def __init__(self, outputs=2):
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 4, 5, padding=2), nn.Conv2d(4, outputs, 1)

    def forward(self, x):
        return self.head(self.first(x).relu())


@pytest.fixture
def custom(tmp_path):
    """A run of the network `Own`, and the network with the weights of the run."""
    values = {
        "data": {"root": "cells"},
        "task": {"classes": ["no", "yes"]},
        "model": {"name": "custom", "in_channels": 1, "mean": [90.0], "std": [40.0]},
    }
    run = create_run(tmp_path / "run", validate(values, "test"), {}, [])
    torch.manual_seed(3)
    network = Own()
    wrapped = own_network(network, 2, 1, 2, mean=[90.0], std=[40.0])
    write_tensors(run.weights, wrapped.state_dict(), {})
    return run, network


@pytest.mark.parametrize("memory", [None, "8MB"])
def test_a_network_of_your_own_is_given_normalized_values(custom, memory):
    run, network = custom
    image = np.random.default_rng(0).integers(0, 256, (1, 150, 90)).astype(np.uint8)
    fresh = Own()
    before = {name: value.clone() for name, value in fresh.state_dict().items()}
    predictor = load(run.folder, network=fresh, memory=memory)
    with torch.no_grad():
        logits = network((torch.from_numpy(image)[None].float() - 90) / 40)
    torch.testing.assert_close(predictor.output(image), logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(predictor.predict(image).labels, logits.argmax(1)[0])
    assert "2-D, 1 channels, 2 classes" in repr(predictor)
    for name, value in fresh.state_dict().items():  # the weights went into a copy
        assert torch.equal(value, before[name])
    assert fresh.training


def test_a_custom_run_says_which_network_it_needs(custom):
    run, _ = custom
    with pytest.raises(UserError, match=r"atrous\.load\(run, network=MyNetwork\(\)\)"):
        load(run.folder)
    with pytest.raises(UserError, match=r"the task needs \(N, 2, and 2 axes\)"):
        load(run.folder, network=Own(outputs=3))
    other = Own()
    other.first = nn.Conv2d(1, 4, 3, padding=1)
    with pytest.raises(UserError, match="does not fit the Own that was passed: size mismatch for"):
        load(run.folder, network=other)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda y: torch.cat([y, -y]), r"\(2, 2, 6, 10\) for 1 input: it must return one result per input"),
        (lambda y: y[:1], r"\(1, 2, 6, 10\) for 2 inputs: it must return one result per input, \(2, 2"),
        (lambda y: y[0], "the task needs"),
        (lambda y: y.squeeze(0), "the task needs"),
        (lambda y: y.transpose(2, 3), "axes are exchanged"),
        (lambda y: y.permute(0, 2, 3, 1), "the task needs"),
        (lambda y: y.argmax(1), "the task needs"),
        (lambda y: (y, y), "gives tuple: it must return one tensor"),
    ],
)
def test_a_network_of_your_own_returns_one_result_per_input(function, text):
    layer = nn.Conv2d(1, 2, 1)
    network = Lambda(lambda m, x: function(m.layer(x.repeat_interleave(2, 2).repeat_interleave(2, 3))), layer=layer)
    with pytest.raises(UserError, match=text):
        own_network(network, 2, 1, 2, mean=[0.0], std=[1.0])


def test_outputs_of_another_form_are_refused(custom):
    run, network = custom

    class Wrapped(nn.Module):
        def __init__(self, give):
            super().__init__()
            self.give = give

        def forward(self, x):
            return self.give(network(x))

    predictor = load(run.folder, network=Own())
    for give, returned in ((lambda y: {"out": y}, "a dict"), (lambda y: y[..., ::2, ::2], r"\(1, 2, 4, 4\)")):
        wrapped = replace(predictor, network=Wrapped(give))
        with pytest.raises(UserError, match=rf"Wrapped: returned {returned} .* one tensor of shape \(1, 2, 8, 8\)"):
            wrapped.predict(np.zeros((1, 8, 8), np.uint8))
