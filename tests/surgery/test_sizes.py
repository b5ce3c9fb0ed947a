"""A forward pass that computes with the size of its input cannot be slid over a larger one, and is refused by name."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.surgery import convolutionalize


class Classifier(nn.Module):
    """A convolution that pads, so that no crop of a larger input shows what the head does there; then a head."""

    def __init__(self, forward, inner: nn.Module | None = None):
        super().__init__()
        self.conv, self.fc, self.run = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 5), forward
        self.inner = nn.Identity() if inner is None else inner

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self, F.relu(self.conv(x)))


class Scaled(nn.Module):
    """A map times a power of its height; `as_tensor` makes the number a tensor first."""

    def __init__(self, as_tensor: bool = False):
        super().__init__()
        self.as_tensor = as_tensor

    def forward(self, x: Tensor) -> Tensor:
        scale = x.shape[2] ** -0.5
        return x * (torch.tensor(scale) if self.as_tensor else scale)


def branching(m: Classifier, x: Tensor) -> Tensor:
    return m.fc(m.inner(x).mean((2, 3)))


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.tanh() if x.shape[2] > 8 else x


@pytest.mark.parametrize(
    ("classifier", "said"),
    [
        (
            Classifier(lambda m, x: m.fc(x.mean((2, 3)) * x.shape[2])),
            r"^the network .*: mul.*[(]8 and 40, at \(16, 16\)",
        ),
        (Classifier(lambda m, x: m.fc(x.mean((2, 3)) / x.shape[3])), r"^the network .*: div.*[(]8 and 40,"),
        (Classifier(lambda m, x: m.fc(x.mean((2, 3))) + x.shape[2] * 0.1), "^the network .*: add.*[(]0.8 and 4,"),
        (Classifier(lambda m, x: m.fc((x / x.shape[2]).amax((2, 3)))), "^the network .*: div"),
        (Classifier(branching, inner=Scaled()), "^inner: mul"),
        (Classifier(branching, inner=Scaled(as_tensor=True)), "a tensor, at"),
        (Classifier(branching, inner=Branching()), r"^inner: tanh: runs on one of the sizes \(16, 16\) and"),
        (
            Classifier(
                lambda m, x: m.fc(F.avg_pool2d(x, 2 * (x.shape[2] // 16) + 1, 1, x.shape[2] // 16).mean((2, 3)))
            ),
            "^the network .*: avg_pool2d",
        ),
    ],
)
def test_a_number_that_depends_on_the_size_is_refused_by_name(classifier, said):
    with pytest.raises(UserError, match=said) as raised:
        convolutionalize(classifier.eval(), 16)
    assert "\n" not in str(raised.value)


class Gate(nn.Module):
    """A mean over all positions, written as a sum divided by their number."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])).sigmoid()


def test_statistics_of_the_whole_input_may_divide_by_its_size():
    torch.manual_seed(0)
    classifier = Classifier(branching, inner=Gate()).eval()
    done = convolutionalize(classifier, 16)
    assert [remark.what for remark in done.certificate.remarks] == [
        "reads all of a larger input, as the classifier did"
    ]
    x = torch.randn(1, 3, 24, 18)
    gated = classifier.inner(F.relu(classifier.conv(x)))
    wanted = classifier.fc(gated[:, :, 2:10, 1:9].mean((2, 3)))
    torch.testing.assert_close(done.network(x)[:, :, 2, 1], wanted)


@pytest.mark.parametrize("size", [16, 7])
def test_numbers_that_stay_are_no_reason(size):
    torch.manual_seed(0)
    classifier = Classifier(lambda m, x: m.fc((x * 3).mean((2, 3)) * 0.5 + 1)).eval()
    x, n = torch.randn(1, 3, size + 4, size + 2), (size + 1) // 2
    wanted = classifier.fc((F.relu(classifier.conv(x))[:, :, 2 : 2 + n, 1 : 1 + n] * 3).mean((2, 3)) * 0.5 + 1)
    torch.testing.assert_close(convolutionalize(classifier, size).network(x)[:, :, 2, 1], wanted)
