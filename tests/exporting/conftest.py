"""A trained run exported once, and small pipelines, for all tests of exported files."""

import numpy as np
import pytest
import torch
from torch import nn

from atrous.encoders.resnet import ResNet
from atrous.exporting.facts import describe, describe_input
from atrous.exporting.pipeline import Pipeline, answers_of
from atrous.exporting.program import ExportSizes, export_program
from atrous.exporting.write import ProofInputs
from atrous.models.unet import unet
from atrous.tasks.semantic import Semantic
from tests.toy_models import settled

TASK = Semantic(("ground", "red cell"))
SIZES = ExportSizes((9, 9), (1, 1))


def small_network() -> nn.Module:
    torch.manual_seed(0)
    network = unet(ResNet(2, in_channels=1, depth=10, width=4, strides=(2, 2)), 2, width=4, mean=[100.0], std=[50.0])
    return settled(network)


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    return Pipeline(small_network(), answers_of(TASK))


@pytest.fixture(scope="session")
def program(pipeline):
    return export_program(pipeline, 1, SIZES)


@pytest.fixture
def facts():
    image = describe_input(1, 2, None, None, SIZES)
    windows = {"axes": [{"period": 4, "stride": 1.0, "halo": [24, 24]}] * 2, "bytes_per_position": 100.0}
    palette = ((0, 0, 0), (255, 0, 0))
    return describe("unet over resnet", "semantic", TASK.classes, palette, list(answers_of(TASK)), image, windows)


@pytest.fixture
def inputs(pipeline):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (1, *size)).astype(np.uint8) for size in ((33, 21), (19, 45), (24, 11))]

    def ours(image):
        with torch.no_grad():
            found = pipeline(torch.from_numpy(np.asarray(image, np.float32))[None])
        return {name: value[0].numpy() for name, value in found.items()}

    return ProofInputs(images, "made inputs", ours)
