"""Classifiers as encoders: hidden layers are carried over as convolutions, grids keep to their strides."""

import pytest
import torch
from torch import nn

from atrous.encoders import ClassifierEncoder
from atrous.errors import UserError


class SmallVGG(nn.Module):
    """torchvision's names and order of layers, few channels."""

    def __init__(self) -> None:
        super().__init__()
        layers, inputs = [], 3
        for width in (4, 6, 8):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2)]
            inputs = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(8 * 7 * 7, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 12), nn.ReLU(), nn.Dropout(),
            nn.Linear(12, 5),
        )  # fmt: skip

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


class SmallAlexNet(nn.Module):
    """Windows that overlap and do not divide the grid, as AlexNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(4, 6, 5, padding=2),
            nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(8 * 6 * 6, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 12), nn.ReLU(),
            nn.Linear(12, 5),
        )  # fmt: skip


def test_the_middle_of_the_coarsest_map_is_what_the_classifier_hides():
    torch.manual_seed(0)
    network = SmallVGG().eval()
    encoder = ClassifierEncoder(network).eval()
    assert (encoder.channels, encoder.strides) == ((4, 6, 12), ((2, 2), (4, 4), (8, 8)))
    x = torch.randn(2, 3, 56, 56)
    last = network.classifier[-1]
    torch.testing.assert_close(last(encoder(x)[-1][:, :, 3, 3]), network(x), rtol=1e-4, atol=1e-5)


def test_alexnets_grids_keep_to_their_strides_and_the_interior_is_untouched():
    torch.manual_seed(0)
    network = SmallAlexNet().eval()
    encoder = ClassifierEncoder(network, hidden=False).eval()
    assert encoder.strides == ((8, 8), (16, 16), (32, 32))
    x = torch.randn(1, 3, 256, 192)
    levels = encoder(x)
    assert [tuple(level.shape[2:]) for level in levels] == [(32, 24), (16, 12), (8, 6)]
    whole = network.features(x)
    torch.testing.assert_close(levels[-1][:, :, :6, :4], whole[:, :, :6, :4], rtol=1e-4, atol=1e-5)
    assert ClassifierEncoder(network).channels == (4, 6, 12)


def test_others_are_refused():
    with pytest.raises(UserError, match="Linear: neither"):
        ClassifierEncoder(nn.Linear(2, 2))
