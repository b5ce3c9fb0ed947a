"""Objects of one sample pasted over another one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.data.feed.batches import Batches
from atrous.data.feed.decode import Decoded
from atrous.data.feed.paste import pasted
from atrous.data.feed.views import Geometry
from atrous.data.targets.labels import Labels
from atrous.errors import UserError
from atrous.labels import IGNORE
from atrous.recipe.agree import agree_with_data
from atrous.recipe.plan import Request
from atrous.recipe.schema import override
from atrous.verbs.check import check
from atrous.verbs.kinds import KINDS
from tests.clips import write_panning


def test_objects_come_with_their_labels_and_nothing_else_does():
    image, labels = torch.zeros(2, 4), torch.tensor([0, 1, 0, IGNORE])
    found, both = pasted(image, labels, torch.full((2, 4), 5.0), torch.tensor([0, 0, 2, 1]))
    assert found.tolist() == [[0, 0, 5, 5]] * 2
    assert both.tolist() == [0, 1, 2, 1]


@pytest.fixture
def batches():
    """Three samples, in each an object of its own brightness in a corner of its own."""
    images, values, places = [], [], []
    for number in range(3):
        labels = np.zeros((1, 3, 32, 32), np.uint8)[0]
        labels[:, 10 * number : 10 * number + 8, 4:12] = 1
        images.append(np.where(labels, 100 + 50 * number, 10)[None].astype(np.uint8))
        values.append(labels)
        places.append({1: np.argwhere(labels == 1)})
    decoded = Decoded(("a", "b", "c"), tuple(images), tuple(values), tuple(places), Labels)
    geometry = Geometry((2, 32, 32), (1.0, 1.0), 0.0, (False, False, False), 0.0, (0,), (0,))
    return Batches(decoded, geometry, None, 6, 0, 1.0, paste=1.0)


def test_a_crop_shows_its_own_object_and_that_of_another_sample(batches):
    batch = batches[0]
    for image, target in zip(batch.images, batch.targets, strict=True):
        bright = sorted(set(image[0].unique().tolist()) - {10.0})
        assert len(bright) == 2
        assert torch.equal(target > 0, image[0] > 10)
    assert torch.equal(batches[0].images, batch.images)
    assert (replace(batches, paste=0.0)[0].targets > 0).sum() < (batch.targets > 0).sum()


def test_targets_that_are_no_labels_are_refused(tmp_path):
    found = check(write_panning(tmp_path / "videos", clips=2, frames=3))
    plan = KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=1))
    assert plan.recipe.augment.paste == 0.3
    wrong = override(plan.recipe, ["train.whole=true"])
    with pytest.raises(UserError, match=r"augment\.paste|train\.whole"):
        agree_with_data(wrong, found.dataset, found.fingerprint)
