"""Labels of parts of an input are those of the whole input, and only what a part needs is read."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.prediction.region import RegionPredictor, require_labels
from atrous.stream.stream import stream

IMAGE = np.random.default_rng(0).integers(0, 256, (3, 301, 203)).astype(np.uint8)
REGIONS = ((slice(0, 40), slice(0, 50)), (slice(100, 163), slice(120, 203)), (slice(300, 301), slice(7, 8)))


@pytest.mark.parametrize(("memory", "whole"), [(None, True), (None, False), ("1GB", False)])
def test_parts_are_parts_of_the_whole(trained, memory, whole, monkeypatch):
    monkeypatch.setattr("atrous.prediction.predictor.WHOLE", 2**21 if whole else 2**10)
    predictor = load(trained, memory=memory, dtype=torch.float32)
    regions = RegionPredictor(predictor, predictor.open(IMAGE))
    assert regions.whole == whole
    want = predictor.predict(IMAGE, probabilities=True)
    for region in REGIONS:
        np.testing.assert_array_equal(regions.labels(region), want.labels[region])
        found = regions.probabilities(region)
        np.testing.assert_allclose(found, want.probabilities[(slice(None), *region)], atol=1e-4)


def test_positions_without_data_are_void(trained):
    predictor = load(trained, memory="1GB", dtype=torch.float32)
    image = IMAGE.astype(np.float32)
    image[1, 20, 30] = np.nan
    regions = RegionPredictor(predictor, predictor.open(image))
    region = (slice(10, 40), slice(10, 50))
    labels, maps = regions.labels(region), regions.probabilities(region)
    assert np.argwhere(labels == 255).tolist() == [[10, 20]]
    assert np.argwhere(np.isnan(maps).all(0)).tolist() == [[10, 20]]


def test_a_network_with_a_barrier_reads_the_whole_input_once(trained, monkeypatch):
    predictor = load(trained, memory="1GB", dtype=torch.float32)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.Conv2d(8, 11, 3, padding=1))
    predictor.inner.eval()
    object.__setattr__(predictor, "inner", network.eval())
    want = stream(predictor.prepared(IMAGE.shape), predictor.standardized(IMAGE), post=predictor.task.decode)
    regions = RegionPredictor(predictor, predictor.open(IMAGE))
    assert regions.passes == 2
    shares = []
    for region in REGIONS:
        shares.append([])
        np.testing.assert_array_equal(regions.labels(region, shares[-1].append), want[region])
    assert shares[0][0] <= 0.5  # the first pass over the input
    assert shares[1][0] > 0.5  # was not done again


def test_what_a_callback_raises_ends_the_work(trained):
    def stop(share):
        raise InterruptedError

    predictor = load(trained, memory="1GB", dtype=torch.float32)
    with pytest.raises(InterruptedError):
        RegionPredictor(predictor, predictor.open(IMAGE)).labels(REGIONS[0], stop)


def test_a_task_that_gives_no_labels_is_refused(trained):
    predictor = load(trained)
    require_labels(predictor)

    class Other:
        task, kind, run = predictor.task, "scenes", predictor.run

    with pytest.raises(UserError, match="finds features, and the page shows labels"):
        require_labels(Other())
