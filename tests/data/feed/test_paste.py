"""Objects of one sample pasted over another one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from atrous.data.feed.batches import Batches
from atrous.data.feed.decode import Decoded
from atrous.data.feed.paste import pasted
from atrous.data.feed.views import Geometry, draw_view
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


def test_the_named_classes_alone_are_pasted():
    image, labels = torch.zeros(1, 4), torch.tensor([0, 1, 0, 1])
    found, both = pasted(image, labels, torch.full((1, 4), 5.0), torch.tensor([0, 0, 2, IGNORE]), (0,))
    assert found.tolist() == [[5, 5, 0, 0]]
    assert both.tolist() == [0, 0, 0, 1]


def test_samples_give_what_they_have_of_the_named_classes(batches):
    """The last sample alone has class 2: the others are given it, and it is given nothing."""
    values, places = list(batches.decoded.values), list(batches.decoded.places)
    values[2] = 2 * values[2]
    places[2] = {2: places[2][1]}
    decoded = replace(batches.decoded, values=tuple(values), places=tuple(places))
    made = replace(batches, decoded=decoded, paste_classes=(2,))
    for image, target in zip(made[0].images, made[0].targets, strict=True):
        assert (target == 2).any()
        assert torch.equal(target == 2, image[0] == 200)
        bright = set(image[0].unique().tolist()) - {10.0, 200.0}
        assert (target == 1).any() == bool(bright)
    assert (made[0].targets == 1).any()
    rng = np.random.default_rng(0)
    for near, given in (([0, 1], False), ([0, 1, 2], True)):  # where samples are decoded when they are needed
        pair = made.crop(rng, 0, near=near)
        assert pair is not None
        assert bool((pair[1] == 2).any()) == given
    nobody = replace(batches, paste_classes=(5,))[0]
    assert len(nobody.images[0].unique()) == 2


def test_crops_are_centered_on_the_named_classes(batches):
    labels = np.zeros((64, 64), np.uint8)
    labels[2:6, 2:6], labels[58:62, 58:62] = 1, 2
    places = {number: np.argwhere(labels == number) for number in (0, 1, 2)}
    geometry = Geometry((8, 8), (1.0, 1.0), 0.0, (False, False), 1.0, classes=(2,))
    rng = np.random.default_rng(0)
    centers = [draw_view(rng, 0, (64, 64), places, geometry).center for _ in range(20)]
    assert min(center.min() for center in centers) > 50


def test_targets_that_are_no_labels_are_refused(tmp_path):
    found = check(write_panning(tmp_path / "videos", clips=2, frames=3))
    plan = KINDS[found.dataset.kind].plan(found.dataset, found.fingerprint, Request(epochs=1))
    assert (plan.recipe.augment.paste, plan.recipe.augment.still) == (0.3, 0.4)
    wrong = override(plan.recipe, ["train.whole=true"])
    with pytest.raises(UserError, match=r"augment\.paste|train\.whole"):
        agree_with_data(wrong, found.dataset, found.fingerprint)
