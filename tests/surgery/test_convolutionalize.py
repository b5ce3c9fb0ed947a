"""Classifiers as fully convolutional networks: equal at their own size, a map at a larger one."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.stream import stream
from atrous.surgery import convolutionalize
from tests.surgery.networks import randomized
from tests.toy_models import Lambda, difference


def body(channels: int = 6, stride: int = 2) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, channels, 3, stride, 1), nn.BatchNorm2d(channels), nn.ReLU(), nn.MaxPool2d(2))


def vgg_like(bins: int = 4) -> nn.Module:
    head = nn.Sequential(nn.Linear(6 * bins * bins, 12), nn.ReLU(), nn.Dropout(), nn.Linear(12, 5))
    return nn.Sequential(body(), nn.AdaptiveAvgPool2d(bins), nn.Flatten(), head)


def functional() -> nn.Module:
    def forward(m, x):
        x = F.relu(m.body(x))
        x = F.adaptive_avg_pool2d(x, (1, 1))
        x = torch.flatten(x, 1)
        x = F.dropout(F.linear(x, m.fc.weight, m.fc.bias), 0.5, m.training)
        return m.last(torch.tanh(x)).softmax(1)

    return Lambda(forward, body=body(), fc=nn.Linear(6, 12), last=nn.Linear(12, 5))


def gated() -> nn.Module:
    def forward(m, x):
        x = m.body(x)
        gate = m.gate(x.mean((2, 3)))
        x = x * torch.sigmoid(gate)[:, :, None, None]
        return m.fc(m.norm(m.batch(x.mean([2, 3]) + x.amax([2, 3]))))

    parts = {"gate": nn.Linear(6, 6), "batch": nn.BatchNorm1d(6), "norm": nn.LayerNorm(6), "fc": nn.Linear(6, 5)}
    return Lambda(forward, body=body(), **parts)


BUILDERS = {
    "vgg-like": vgg_like,
    "bins of two": lambda: vgg_like(2),
    "functions": functional,
    "gate, norms": gated,
    "pooled scores": lambda: nn.Sequential(body(), nn.Conv2d(6, 5, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    "a window of its own": lambda: nn.Sequential(body(), nn.Conv2d(6, 8, 4), nn.Flatten(), nn.Linear(8, 5)),
    "scores stay a map": lambda: nn.Sequential(body(), nn.AdaptiveMaxPool2d(1), nn.Conv2d(6, 5, 1)),
    "normalized": lambda: nn.Sequential(body(), nn.Flatten(2), nn.Flatten(), nn.Linear(96, 5)),
}


@pytest.mark.parametrize("name", [n for n in BUILDERS if n != "normalized"])
def test_equal_at_its_size_and_a_map_beyond(name):
    classifier = randomized(BUILDERS[name]())
    done = convolutionalize(classifier, 16)
    assert done.certificate.max_error < 1e-5
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert difference(done.network(x).flatten(1), classifier(x).flatten(1)) < 1e-5
        assert done.network(torch.randn(1, 3, 32, 24)).shape == (1, 5, 5, 3)
        assert done.network(x).shape == (2, 5, 1, 1)
    assert list(done.network.state_dict()) == list(classifier.state_dict())
    assert sum(p.numel() for p in done.network.parameters()) == sum(p.numel() for p in classifier.parameters())


def test_without_padding_each_position_is_the_classifier_on_its_crop():
    classifier = randomized(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)))
    network = convolutionalize(classifier, 8).network
    x = torch.randn(1, 1, 12, 11)
    with torch.no_grad():
        found = network(x)
        crops = [[classifier(x[..., i : i + 8, j : j + 8]) for j in range(4)] for i in range(5)]
    wanted = torch.stack([torch.stack(row, -1) for row in crops], -2)
    assert difference(found, wanted) < 1e-5


def test_what_reads_the_whole_input_is_named():
    remarks = convolutionalize(randomized(gated()), 16).certificate.remarks
    assert len(remarks) == 1
    assert "reads all of a larger input" in remarks[0].what


def test_the_result_trains_streams_exports_and_leaves_the_original_alone():
    classifier = randomized(functional())
    classifier.train()
    before = copy.deepcopy(classifier.state_dict())
    network = convolutionalize(classifier, 16).network
    assert classifier.training
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in classifier.state_dict().items())
    assert not torch.equal(network(torch.ones(1, 3, 24, 24)), network(torch.ones(1, 3, 24, 24)))
    network(torch.randn(2, 3, 24, 24)).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    x = torch.randn(3, 64, 40)
    with torch.no_grad():
        whole = network.eval()(x[None])[0]
    assert difference(torch.from_numpy(stream(network, x.numpy(), strip=16)), whole) < 5e-5
    exported = torch.export.export(network, (x[None],)).module()
    assert difference(exported(x[None])[0].detach(), whole) < 1e-6


def test_one_axis_and_three():
    one = nn.Sequential(nn.Conv1d(2, 4, 3, 2, 1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3))
    assert convolutionalize(one, 16).network(torch.randn(1, 2, 24)).shape == (1, 3, 5)
    three = nn.Sequential(nn.Conv3d(1, 2, 3, 2, 1), nn.Flatten(), nn.Linear(2 * 64, 3))
    assert convolutionalize(three, (8, 8, 8)).network(torch.randn(1, 1, 8, 10, 12)).shape == (1, 3, 1, 2, 3)


@pytest.mark.parametrize(
    ("classifier", "size", "said"),
    [
        (
            nn.Sequential(body(), nn.Flatten(2), nn.Linear(16, 5), nn.Flatten()),
            16,
            "^2 .Linear.: does not work on maps",
        ),
        (nn.Sequential(body(), nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(54, 5)), 16, "^1 "),
        (nn.Conv2d(3, 4, 3), 16, "not one score per class"),
        (nn.Sequential(body(), nn.Flatten()), 16, "no score per class"),
        (vgg_like(), (16, 16, 16), "2 spatial axes"),
        (nn.Sequential(nn.Conv2d(3, 6, 3), nn.Flatten(), nn.Linear(5, 2)), 16, "cannot run on inputs"),
        (Lambda(lambda m, x: m.f(m.b(x).flatten(1).sort(1)[0]), b=body(), f=nn.Linear(96, 5)), 16, "(Lambda)"),
    ],
)
def test_what_is_no_convolution_is_refused_by_name(classifier, size, said):
    with pytest.raises(UserError, match=said):
        convolutionalize(classifier, size)


class Squeezed(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(16, 16, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.inner(F.adaptive_avg_pool2d(x, 1)))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (
            [
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
                nn.Linear(16, 16),
                nn.GroupNorm(4, 16),
                nn.ReLU(),
                nn.Linear(16, 10),
            ],
            "^5 .GroupNorm",
        ),
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.GroupNorm(2, 16), nn.Linear(16, 10)], "^4 .GroupNorm"),
        ([nn.AdaptiveAvgPool2d(1), Squeezed(), nn.Flatten(), nn.Linear(16, 10)], "^3 .Squeezed.*adaptive_avg_pool2d"),
    ],
)
def test_a_head_that_mixes_positions_is_refused_by_name(head, said):
    with pytest.raises(UserError, match=said):
        convolutionalize(nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), *head), 8)


def test_where_nothing_pads_the_map_is_compared_with_crops():
    done = convolutionalize(nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)), 8)
    assert "positions are the classifier's on their crops" in done.certificate.compared
    done = convolutionalize(nn.Sequential(nn.Conv2d(1, 4, 3, 1, 1), nn.Flatten(), nn.Linear(4 * 64, 3)), 8)
    assert "crops" not in done.certificate.compared


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_steps_are_told_apart_in_types_of_few_digits_too(kind):
    torch.manual_seed(0)
    pool = [nn.Sigmoid(), nn.AdaptiveMaxPool2d(1), nn.Flatten()]
    classifier = nn.Sequential(nn.Conv2d(3, 16, 3), *pool, nn.Linear(16, 10)).to(kind)
    done = convolutionalize(classifier, 12)
    assert "maximum over 10x10" in done.certificate.changes[0].what
    assert done.certificate.max_error < 1e-5
    assert done.network[4].weight.dtype == kind
    assert torch.equal(done.network[4].weight.flatten(1), classifier[4].weight)


def test_a_forward_pass_that_writes_into_its_input_is_no_difference():
    head = [nn.Hardswish(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)]
    first = Lambda(lambda m, x: m.body(x.sub_(0.5).div_(0.2)), body=body())
    assert convolutionalize(nn.Sequential(first, *head), 16).certificate.max_error < 1e-5


def test_tied_weights_stay_tied_and_training_that_is_lost_is_said():
    def forward(m, x):
        x = torch.flatten(F.adaptive_avg_pool2d(m.body(x), 1), 1)
        return (m.second(m.first(x)), m.aux(x)) if m.training else m.second(m.first(x))

    network = Lambda(forward, body=body(), first=nn.Linear(6, 6), second=nn.Linear(6, 6), aux=nn.Linear(6, 2))
    network.second.weight = network.first.weight
    done = convolutionalize(randomized(network), 16)
    assert done.network.first.weight is done.network.second.weight
    assert sum(p.numel() for p in done.network.parameters()) == sum(p.numel() for p in network.parameters())
    assert [r.what for r in done.certificate.remarks] == [
        "in training runs as in evaluation: without aux, and with another kind of output"
    ]


def test_a_size_below_one():
    with pytest.raises(UserError, match="input_size=-1: give"):
        convolutionalize(vgg_like(), -1)
