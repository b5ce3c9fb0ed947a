"""Training, evaluation and prediction see the same values of the same file; so does a live session."""

import numpy as np
import pytest
import torch

from atrous.data.dataset import open_dataset
from atrous.data.feed.decode import decode
from atrous.data.preprocess import prepare
from atrous.prediction.live import open_session
from atrous.prediction.predictor import load
from atrous.recipe.build import build_network, build_preparation, build_task
from atrous.recipe.plan import Request
from atrous.recipe.run import create_run
from atrous.recipe.schema import override
from atrous.training.checkpoint import write_tensors
from atrous.verbs.check import check
from atrous.verbs.kinds import KINDS
from tests.volumes import write_signals, write_volumes

SMALL = ("model.depth=10", "model.encoder_width=8", "model.width=8", "train.precision=32-true")


def run_of(data, folder, *settings):
    found = check(data)
    planned = KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=1))
    recipe = override(planned.recipe, [*SMALL, *settings])
    run = create_run(folder, recipe, {}, [])
    torch.manual_seed(0)
    write_tensors(run.weights, build_network(recipe.model, build_task(recipe).out_channels).state_dict(), {})
    return run, found.dataset


@pytest.mark.parametrize(
    ("write", "settings"),
    [
        (write_volumes, ("input.spacing=[1.0, 1.0, 1.0]", 'input.intensity=["zscore"]')),
        (write_volumes, ('input.intensity=["clip"]', "input.low=[10]", "input.high=[90]")),
        (write_signals, ('input.intensity=["zscore"]',)),
        (write_signals, ('input.intensity=["keep"]',)),
    ],
)
def test_training_evaluation_and_prediction_see_the_same_values(write, settings, tmp_path):
    run, dataset = run_of(write(tmp_path / "data"), tmp_path / "run", *settings)
    predictor, preparation = load(run), build_preparation(run.recipe)
    samples = dataset.splits["train"][:2]
    (tmp_path / "scratch").mkdir()
    trained = decode(dataset, samples, limit=1 << 30, scratch=tmp_path / "scratch", preparation=preparation)
    for sample, image in zip(samples, trained.images, strict=True):
        evaluated = prepare(sample.image.load(), preparation, dataset.spacing_of(sample))
        predicted = np.asarray(predictor.open(sample.image.path).source[...])
        np.testing.assert_array_equal(image, evaluated)
        np.testing.assert_allclose(predicted, evaluated, rtol=1e-6, atol=1e-6)


def test_a_live_session_answers_as_the_whole_signal(tmp_path):
    run, dataset = run_of(write_signals(tmp_path / "data"), tmp_path / "run", 'input.intensity=["keep"]')
    predictor = load(run)
    signal = dataset.samples[0].image.load()
    whole = predictor.predict(dataset.samples[0].image.path, probabilities=True)
    session = open_session(predictor, probabilities=True)
    ready = predictor.standardized(signal)
    parts = [session.push(ready[:, start : start + 50]) for start in range(0, signal.shape[1], 50)]
    live = np.concatenate([*parts, session.close()], axis=1)
    np.testing.assert_allclose(live, whole.probabilities, atol=1e-4)
    assert open_dataset(tmp_path / "data").classes == predictor.classes
