"""Every channel of the dense maps has one name."""

import pytest
import torch

from atrous.exporting.map_names import map_names
from atrous.tasks.counting import CountingTask
from atrous.tasks.custom import CustomTask
from atrous.tasks.detection import DetectionTask
from atrous.tasks.instances import InstanceTask
from atrous.tasks.keypoints import KeypointTask
from atrous.tasks.rotated_detection import RotatedDetectionTask
from atrous.tasks.stars import StarTask


@pytest.mark.parametrize(
    "task",
    [
        InstanceTask(ndim=3),
        InstanceTask(ndim=2, names=("a", "b")),
        StarTask(),
        StarTask(names=("a", "b"), rays=8),
        DetectionTask(("ship", "plane"), scale=(20.0, 20.0), stride=(4, 4)),
        RotatedDetectionTask(("ship", "plane"), scale=(20.0, 20.0), stride=(4, 4)),
        CountingTask(ndim=2, names=("a", "b")),
        KeypointTask(ndim=2, names=("nose", "tail")),
        CustomTask(CountingTask(ndim=2)),
    ],
)
def test_there_are_as_many_names_as_channels(task):
    names = map_names(task)
    assert len(names) == len(set(names)) == task.out_channels
    size = (4,) * getattr(task, "ndim", 2)
    assert task.probabilities(torch.zeros(1, task.out_channels, *size)).shape[1] == len(names)
