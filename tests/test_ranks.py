"""The loss and its gradient on two devices are those of one, for every task: shares are uneven, and void differs."""

from dataclasses import dataclass

import pytest
import torch
from torch.nn import functional as F

from atrous.data.feed.batches import Batch, share
from atrous.labels import BASE_BIT, IGNORE, START_BIT
from atrous.ranks import first_number, gathered, joined, total, totals
from atrous.tasks.counting import CountingTask
from atrous.tasks.custom import CustomTask, is_joint
from atrous.tasks.detection import DetectionTask
from atrous.tasks.edges import EdgeTask
from atrous.tasks.foreground import ForegroundTask
from atrous.tasks.instances import InstanceTask
from atrous.tasks.keypoints import KeypointTask
from atrous.tasks.perceptual import PerceptualLoss
from atrous.tasks.restoration import RestorationTask
from atrous.tasks.rotated_detection import RotatedDetectionTask
from atrous.tasks.semantic import Semantic
from atrous.tasks.stars import StarTask
from atrous.tasks.stranded import Stranded
from atrous.tasks.style import StyleTask
from atrous.tasks.values import RegressionTask
from atrous.training.trace import supervised_loss
from tests.ranks import play_ranks

CROPS, SIDE = 3, 16


def labels(classes):
    found = torch.randint(0, classes, (CROPS, SIDE, SIDE))
    found[0, :12] = IGNORE
    return found


def numbers():
    found = torch.zeros(CROPS, SIDE, SIDE, dtype=torch.int64)
    found[0, 2:9, 3:8], found[2, 1:4, 1:4], found[2, 6:15, 5:14] = 1, 1, 2
    return found


def values(channels):
    found = torch.randn(CROPS, channels, SIDE, SIDE)
    found[1, :, 5:] = float("nan")
    return found


def points():
    return torch.tensor([[0.0, 3.0, 4.0, 0.0], [0, 9, 9, 1], [1, 5, 5, 0], [2, 1, 15, 1]])


def boxes():
    return torch.tensor([[0.0, 1, 1, 9, 8, 0], [0, 4, 4, 15, 15, 1], [1, 2, 2, 7, 9, 1], [2, 0, 0, 9, 9, -1]])


def corners():
    return torch.tensor([[0.0, 2, 4, 2, 12, 10, 12, 10, 4, 0], [2, 3, 3, 5, 9, 12, 7, 10, 1, 1]])


def gene_labels():
    bases, ends = torch.randint(1, 5, (CROPS, 90)), torch.randint(0, 16, (CROPS, 90))
    found = torch.randint(0, 4, (CROPS, 90)) | torch.randint(0, 4, (CROPS, 90)) << 8
    found = found | ends << START_BIT | bases << BASE_BIT
    found[0, :50] |= IGNORE
    return found


def perceptual():
    return PerceptualLoss(lambda x: [x, x[..., ::2, ::2]], torch.rand(3, 8, 8) * 255, [0], [0, 1])


def own_loss(output, target):
    """No function of sums: the greatest error counts."""
    return F.cross_entropy(output, target, ignore_index=IGNORE, reduction="none").amax() + output.std()


def edge_marks():
    marks = (torch.rand(CROPS, 1, SIDE, SIDE) < 0.2).float()
    marks[0] = 0
    return marks


def images():
    return torch.rand(CROPS, 3, SIDE, SIDE) * 255


def by_rows(output, target):
    """Looks into the crop that a row names."""
    found = output[target[:, 0].long(), target[:, -1].long(), target[:, 1].long(), target[:, 2].long()]
    return found.square().sum().sqrt() / len(target)


TWO = ("a", "b")
SEMANTIC = Semantic(TWO, class_weights=(0.3, 0.7))
CASES = {
    "semantic": (SEMANTIC, lambda: labels(2), False),
    "foreground": (ForegroundTask(SEMANTIC, dict, "", "pair"), lambda: labels(2), False),
    "regression": (RegressionTask(TWO, (1.0, 2.0), (2.0, 3.0), "huber"), lambda: values(2), False),
    "restoration": (RestorationTask(TWO, (0.0, 0.0), (1.0, 1.0)), lambda: values(2), False),
    "edges": (EdgeTask(("edge",), (0.0,), (1.0,), limits=(0.0, 1.0), dice=0.5), edge_marks, False),
    "instances": (InstanceTask(ndim=2, names=TWO), numbers, False),
    "stars": (StarTask(names=TWO, rays=8), numbers, False),
    "counting": (CountingTask(ndim=2, names=TWO), points, True),
    "keypoints": (KeypointTask(ndim=2, names=TWO), points, True),
    "detection": (DetectionTask(TWO, scale=(4.0, 4.0), stride=(2, 2)), boxes, True),
    "rotated": (RotatedDetectionTask(TWO, scale=(4.0, 4.0), stride=(2, 2)), corners, True),
    "stranded": (Stranded(("CDS+", "CDS-"), frames=True, genetic_codes=(11,)), gene_labels, False),
    "style": (StyleTask(("r", "g", "b"), (0.0,) * 3, (1.0,) * 3, perceptual=perceptual), images, False),
    "own": (CustomTask(SEMANTIC, own_loss), lambda: labels(2), False),
    "own of rows": (CustomTask(KeypointTask(ndim=2, names=TWO), by_rows), points, True),
}


@dataclass
class Result:
    loss: float
    gradient: torch.Tensor


def result(task, output, batch, group=None):
    output = output.clone().requires_grad_()
    with joined(group):
        loss = supervised_loss(task, [output, output * 0.5], batch.targets, numbered=batch.numbered)
        loss.backward()
    assert output.grad is not None
    return Result(float(loss.detach()), output.grad)


@pytest.mark.parametrize("name", CASES)
def test_the_loss_of_two_devices_is_that_of_one(name, monkeypatch):
    task, make, numbered = CASES[name]
    torch.manual_seed(3)
    if isinstance(task, StyleTask):
        task.prepare()
    target = make()
    ndim = 1 if isinstance(task, Stranded) else 2
    output = torch.randn(CROPS, task.out_channels, *target.shape[1:] if ndim == 1 else (SIDE,) * ndim)
    whole = Batch(output, target, numbered=numbered)
    want = result(task, output, whole)

    def work(group):
        part = whole.part(share(CROPS, group.rank, group.count))
        return result(task, part.images, part, group)

    got = play_ranks(monkeypatch, 2, work)
    assert is_joint(task) != name.startswith("own")
    assert [one.loss for one in got] == pytest.approx([want.loss] * 2, rel=1e-5)
    gradient = torch.cat([one.gradient for one in got]) / 2  # the mean over the devices, as DDP takes it of weights
    scale = float(want.gradient.abs().max())
    assert scale > 0
    torch.testing.assert_close(gradient, want.gradient, rtol=1e-4, atol=1e-5 * scale)
    alone = result(task, whole.part(range(2)).images, whole.part(range(2)))
    assert abs(alone.loss - want.loss) > 1e-4  # a device's own loss is another


def test_sums_and_entries_of_uneven_shares(monkeypatch):
    def work(group):
        with joined(group):
            own = torch.full((1 + group.rank, 2), float(group.rank))
            return total(own.sum(0)), totals(own.sum(), 3), gathered(own), first_number(len(own), own.device)

    for rank, (sums, both, every, first) in enumerate(play_ranks(monkeypatch, 3, work)):
        assert sums.tolist() == [8.0, 8.0]
        assert [float(one) for one in both] == [16.0, 9.0]
        assert every[:, 0].tolist() == [0, 1, 1, 2, 2, 2]
        assert first == (0, 1, 3)[rank]
