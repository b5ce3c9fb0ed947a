"""Several runs as one predictor."""

import shutil

import numpy as np
import pytest
import torch

from atrous.encoders.resnet import ResNet
from atrous.errors import UserError
from atrous.models.fcn import FeaturePyramid
from atrous.models.network import DenseNetwork
from atrous.nn.blocks import Normalize
from atrous.prediction.ensemble import JoinedNetworks, load_ensemble
from atrous.prediction.predictor import load
from atrous.recipe.run import open_run
from atrous.recipe.schema import override, to_toml
from atrous.stream import stream
from atrous.training.checkpoint import read_tensors, write_tensors
from atrous.verbs.evaluate import evaluate
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 150, 90)).astype(np.uint8)


@pytest.fixture(scope="module")
def second(trained, tmp_path_factory):
    """A run with other weights, another normalization and another temperature."""
    folder = tmp_path_factory.mktemp("second") / "run"
    shutil.copytree(trained, folder)
    tensors, facts = read_tensors(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, tensor in tensors.items():
        if name.startswith("head"):
            tensors[name] = tensor + 0.3 * torch.randn(tensor.shape, generator=generator)
    tensors["normalize.mean"], tensors["normalize.std"] = tensors["normalize.mean"] + 9, tensors["normalize.std"] * 1.3
    write_tensors(folder / "model.safetensors", tensors, facts)
    text = (folder / "calibration.json").read_text()
    old = open_run(folder).calibration().temperature
    (folder / "calibration.json").write_text(text.replace(f'"temperature": {old}', '"temperature": 2.25'))
    return folder


@pytest.mark.parametrize("memory", [None, "100MB"])
def test_its_probabilities_are_the_mean_of_those_of_its_runs(trained, second, memory):
    runs = (trained, second)
    both = load_ensemble(runs, memory=memory, dtype=torch.float32)
    assert (both.plan(IMAGE.shape) is None) == (memory is None)
    found = both.predict(IMAGE, probabilities=True)
    alone = [load(run, dtype=torch.float32).predict(IMAGE, probabilities=True).probabilities for run in runs]
    np.testing.assert_allclose(found.probabilities, np.mean(alone, axis=0), atol=2e-5)
    top = np.sort(found.probabilities, axis=0)
    ties = top[-1] - top[-2] < 1e-4
    assert ((found.labels == found.probabilities.argmax(0)) | ties).all()
    assert np.abs(alone[0] - alone[1]).max() > 0.05
    assert both.run.folder == trained


@pytest.mark.parametrize("shape", [(2, 400), (1, 48, 20, 20)], ids=["signal", "volume"])
def test_joined_networks_are_one_network_on_every_grid(shape):
    channels, ndim, networks = shape[0], len(shape) - 1, []
    for seed in range(2):
        torch.manual_seed(seed)
        encoder = ResNet(ndim, in_channels=channels, depth=10, width=8)
        decoder = FeaturePyramid(encoder, 16)
        statistics = {"mean": [5.0 * seed] * channels, "std": [1.0 + seed] * channels}
        networks.append(DenseNetwork(encoder, decoder, outputs=3, **statistics).eval())
    joined, x = JoinedNetworks(networks).eval(), 3 * torch.randn(1, *shape)
    with torch.no_grad():
        want = torch.cat([network(x) for network in networks], dim=1)[0]
        torch.testing.assert_close(joined(x)[0], want, rtol=1e-4, atol=1e-4)
    found = np.empty(want.shape, np.float32)
    stream(joined, x[0].numpy(), found)
    np.testing.assert_allclose(found, want, atol=5e-5 * float(want.abs().max()) + 1e-5)


def test_what_is_normalized_alike_is_not_normalized_twice(trained, second):
    alike, unlike = load_ensemble([trained, trained]), load_ensemble([trained, second])
    assert not any(isinstance(part, Normalize) for part in alike.network.networks.modules())
    assert alike.dtype == load(trained).dtype
    assert unlike.dtype == torch.float32  # what is scaled twice is not rounded twice
    assert load_ensemble([trained]).task == load(trained).task
    assert len({load_ensemble(runs).identity() for runs in ([trained], [trained, trained], [trained, second])}) == 3


def test_runs_that_do_not_fit_are_named(trained, second, tmp_path):
    recipe = open_run(trained).recipe
    names = ["ground", *recipe.task.classes[1:]]
    other = tmp_path / "other"
    shutil.copytree(trained, other)
    (other / "recipe.toml").write_text(to_toml(override(recipe, [f"task.classes={names}"]), {}))
    with pytest.raises(UserError, match=r"other: classes are ground, .*, but .*digits has background, "):
        load_ensemble([trained, other])
    (other / "recipe.toml").write_text(to_toml(override(recipe, ["input.nodata=[7.0]"]), {}))
    with pytest.raises(UserError, match=r"other: its value for no data is \(7\.0,\), that of .*digits none"):
        load_ensemble([trained, other])
    with pytest.raises(UserError, match="--tta flip: an ensemble"):
        load_ensemble([trained, second], flip=True)
    with pytest.raises(UserError, match="calibrated for a single run: leave --ensemble out"):
        evaluate(trained, coverage=0.7, ensemble=[second])


def test_verbs_take_an_ensemble(trained, second, digits, tmp_path):
    measured = evaluate(trained, digits, ensemble=[second]).scores
    assert 0 <= measured.miou <= 1
    assert measured.confidence is not None
    assert measured.confidence.temperature == 1
    source = min((digits / "images" / "test").iterdir())
    options = PredictOptions(ensemble=(second,), uncertainty=True)
    done = predict(trained, [source], tmp_path / "out", options)
    assert done.written == (tmp_path / "out" / source.name,)
    both = load_ensemble([trained, second]).predict(source, probabilities=True)
    assert done.uncertainty == ((source, pytest.approx(float(both.uncertainty().mean()), rel=1e-4)),)
    assert (tmp_path / "out" / f"{source.stem}_uncertainty.tif").exists()
