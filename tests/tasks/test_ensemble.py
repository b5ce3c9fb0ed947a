"""An ensemble: the mean of what its tasks say, each at its own temperature."""

import pytest
import torch

from atrous.tasks.custom import CustomTask
from atrous.tasks.ensemble import EnsembleTask
from atrous.tasks.semantic import Semantic
from atrous.tasks.stranded import Stranded
from atrous.tasks.task import Task
from atrous.tasks.temperature import temperatures

OUTPUT = torch.randn(2, 6, 50, generator=torch.Generator().manual_seed(0))


def test_probabilities_are_averaged_and_the_most_probable_class_wins():
    tasks = tuple(Semantic(("a", "b", "c"), temperature=t) for t in (0.5, 2.0))
    ensemble = EnsembleTask(tasks)
    assert isinstance(ensemble, Task)
    want = ((OUTPUT[:, :3] / 0.5).softmax(1) + (OUTPUT[:, 3:] / 2).softmax(1)) / 2
    torch.testing.assert_close(ensemble.probabilities(OUTPUT), want)
    assert torch.equal(ensemble.decode(OUTPUT), want.argmax(1).to(torch.uint8))
    assert (ensemble.classes, ensemble.out_channels, temperatures(ensemble)) == (("a", "b", "c"), 6, (0.5, 2.0))
    target = torch.randint(3, (2, 50))
    mean = (tasks[0].loss(OUTPUT[:, :3], target) + tasks[1].loss(OUTPUT[:, 3:], target)) / 2
    torch.testing.assert_close(ensemble.loss(OUTPUT, target), mean)
    with pytest.raises(ValueError, match="quick"):
        ensemble.metrics(full=False)


def test_sets_hold_the_classes_whose_mean_reaches_the_threshold():
    tasks = tuple(Stranded(("a+", "a-", "b+"), threshold=0.5, temperature=t) for t in (0.5, 3.0))
    ensemble = EnsembleTask(tasks)
    mean = ((OUTPUT[:, :3] / 0.5).sigmoid() + (OUTPUT[:, 3:] / 3).sigmoid()) / 2
    want = ((mean >= 0.5).long() << torch.arange(3)[:, None]).sum(1)
    assert torch.equal(ensemble.decode(OUTPUT).long(), want)
    metrics = ensemble.metrics()
    metrics.update("x", mean[0], want[0])
    assert metrics.result(0.0).pixel_accuracy == 1


def test_own_metrics_are_given_the_classes_alone():
    """Of networks that find genes, the probabilities of classes are followed by the evidence for genes."""
    classes, seen = ("CDS+", "CDS-"), []
    task = EnsembleTask((Stranded(classes, frames=True, genetic_codes=(11,)),) * 2)
    metrics = CustomTask(task, None, {"rows": lambda p, t: seen.append(p.shape) or 0.0}).metrics()
    metrics.update("a", task.probabilities(torch.zeros(1, task.out_channels, 9))[0], torch.zeros(9, dtype=torch.int64))
    assert seen == [(2, 9)]
