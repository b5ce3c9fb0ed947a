"""Heads in the many forms that people write: each becomes the classifier slid over the input, or is refused by name."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.surgery import convolutionalize

SIZE = 32


class GeneralizedMean(nn.Module):
    """Radenovic et al. 2018: the mean of powers. `pool` returns a map of one position, or a vector."""

    def __init__(self, pool):
        super().__init__()
        self.p, self.pool = nn.Parameter(torch.full((1,), 3.0)), pool

    def forward(self, x: Tensor) -> Tensor:
        return self.pool(x.clamp(min=1e-6).pow(self.p)).pow(1.0 / self.p)


class Pool(nn.Module):
    """A pooling module of one's own."""

    def __init__(self, pool):
        super().__init__()
        self.pool = pool

    def forward(self, feat: Tensor) -> Tensor:
        return self.pool(feat)


class Classifier(nn.Module):
    """A convolution without padding, so that every position of the map has a crop; then a head."""

    def __init__(self, head, **modules: nn.Module):
        super().__init__()
        self.conv, self.fc, self.head = nn.Conv2d(3, 8, 3, 2), nn.Linear(8, 5), head
        self.wide, self.grid, self.drop = nn.Linear(16, 5), nn.Linear(72, 5), nn.Dropout()
        self.pool, self.flatten, self.norm = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(8)
        self.most, self.point = nn.AdaptiveMaxPool2d(3), nn.Conv2d(8, 5, 1)
        self.columns, self.softmax = nn.AdaptiveAvgPool2d((None, 1)), nn.Softmax(-1)
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self, F.relu(self.conv(x)))


OWN = {
    "mean": lambda x: x.mean((2, 3), keepdim=True),
    "means": lambda x: x.mean(3, keepdim=True).mean(2, keepdim=True),
    "window": lambda x: F.avg_pool2d(x, (x.size(-2), x.size(-1))),
    "maxima": lambda x: x.amax(-1).amax(-1),
    "flattened": lambda x: x.flatten(2).mean(-1)[:, :, None, None],
    "sum of two": lambda x: F.adaptive_avg_pool2d(x, 1) + F.adaptive_max_pool2d(x, 1),
    "GeM": GeneralizedMean(lambda x: F.avg_pool2d(x, (x.size(-2), x.size(-1)))),
    "adaptive GeM": GeneralizedMean(lambda x: F.adaptive_avg_pool2d(x, 1)),
    "flat GeM": GeneralizedMean(lambda x: x.mean((2, 3))),
}
HEADS = {
    "squeeze": lambda m, x: m.fc(m.pool(x).squeeze()),
    "squeeze from behind": lambda m, x: m.fc(m.pool(x).squeeze(-1).squeeze(-1)),
    "squeeze by number": lambda m, x: m.fc(m.pool(x).squeeze(3).squeeze(2)),
    "squeeze of two": lambda m, x: m.fc(m.pool(x).squeeze((2, 3))),
    "index": lambda m, x: m.fc(m.pool(x)[:, :, 0, 0]),
    "two means": lambda m, x: m.fc(x.mean(3).mean(2)),
    "two means from the front": lambda m, x: m.fc(x.mean(2).mean(2)),
    "two means that keep": lambda m, x: m.fc(x.mean(3, keepdim=True).mean(2, keepdim=True).flatten(1)),
    "two maxima": lambda m, x: m.fc(x.amax(-1).amax(-1)),
    "mean and maximum": lambda m, x: m.fc(x.mean(3).amax(2)),
    "columns by a module": lambda m, x: m.fc(m.columns(x).mean(2).flatten(1)),
    "maxima with indices": lambda m, x: m.fc(x.max(3)[0].max(2)[0]),
    "values of a maximum": lambda m, x: m.fc(x.flatten(2).max(-1).values),
    "flatten and mean": lambda m, x: m.fc(x.flatten(2).mean(2)),
    "view and maximum": lambda m, x: m.fc(x.view(x.size(0), x.size(1), -1).amax(-1)),
    "softmax of the last": lambda m, x: m.fc(x.mean((2, 3))).softmax(-1),
    "softmax as a module": lambda m, x: m.softmax(m.fc(x.mean((2, 3)))),
    "log softmax by name": lambda m, x: F.log_softmax(input=m.fc(x.mean((2, 3))), dim=-1),
    "normalized": lambda m, x: m.fc(F.normalize(x.mean((2, 3)), dim=-1)),
    "divided by its norm": lambda m, x: m.fc(x.mean((2, 3)) / x.mean((2, 3)).norm(dim=-1, keepdim=True)),
    "joined": lambda m, x: m.wide(torch.cat([x.mean((2, 3)), x.amax((2, 3))], -1)),
    "maxima of a grid": lambda m, x: m.grid(m.most(x).flatten(1)),
    "maxima of a grid by a function": lambda m, x: m.grid(F.adaptive_max_pool2d(x, 3).flatten(1)),
    "dropout by name": lambda m, x: m.fc(F.dropout(input=x.mean((2, 3)), p=0.5, training=m.training)),
    "flatten by name": lambda m, x: m.fc(
        torch.flatten(input=F.adaptive_avg_pool2d(input=x, output_size=1), start_dim=1)
    ),
    "linear by name": lambda m, x: F.linear(input=x.mean(dim=(2, 3)), weight=m.fc.weight, bias=m.fc.bias),
    "modules by name": lambda m, x: m.fc(input=m.drop(input=m.norm(input=m.flatten(input=m.pool(input=x))))),
    "squeeze by name": lambda m, x: m.fc(torch.squeeze(input=m.pool(x))),
    **{f"{name} as a module": lambda m, x: m.fc(m.own(feat=x).flatten(1)) for name in OWN if "GeM" not in name},
    **{f"{name} as a module": lambda m, x: m.fc(m.own(x).flatten(1)) for name in OWN if "GeM" in name},
    "a convolution behind it": lambda m, x: m.point(m.pool(x)).flatten(1),
}
REFUSED = {
    "tokens": (lambda m, x: m.fc(x.flatten(2).transpose(1, 2).mean(1)), "transpose does not work on maps"),
    "channels last": (lambda m, x: m.fc(x.permute(0, 2, 3, 1).mean((1, 2))), "over the axes of a map"),
    "deviation": (lambda m, x: m.fc(x.std((2, 3))), "ends the map by std, which is no mean, maximum or flatten"),
    "one class without axis": (lambda m, x: m.fc(x.mean((2, 3)))[:, 0], r"returns \(2,\), not one score per class"),
    "labels": (lambda m, x: m.fc(x.mean((2, 3))).argmax(-1), r"returns \(2,\), not one score per class"),
}


def classifier(name: str) -> nn.Module:
    torch.manual_seed(0)
    own = name.removesuffix(" as a module")
    pool = OWN.get(own)
    modules = {} if pool is None else {"own": pool if isinstance(pool, nn.Module) else Pool(pool)}
    return Classifier(HEADS[name], **modules).eval()


@pytest.mark.parametrize("name", HEADS)
def test_every_position_is_the_classifier_on_its_crop(name):
    network = classifier(name)
    converted = convolutionalize(network, SIZE)
    x = torch.randn(2, 3, SIZE + 12, SIZE + 4)
    found = converted.network(x)
    assert found.shape == (2, 5, 7, 3)
    for row in range(7):
        for column in range(3):
            crop = x[:, :, 2 * row : 2 * row + SIZE, 2 * column : 2 * column + SIZE]
            torch.testing.assert_close(found[:, :, row, column], network(crop), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_other_heads_are_refused_by_name(name):
    function, text = REFUSED[name]
    with pytest.raises(UserError, match=text) as caught:
        convolutionalize(Classifier(function).eval(), SIZE)
    assert "\n" not in str(caught.value)
