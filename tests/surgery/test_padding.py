"""By which rule a layer pads: asked where it says so, tried where it does not."""

from dataclasses import replace

import pytest
import timm.layers
import torch
from torch import nn
from torch.nn import functional as F

from atrous.errors import UserError
from atrous.geometry.graph import Op
from atrous.nn.padding import Conv3dSame
from atrous.surgery.edits import Edit
from atrous.surgery.padding import _coarse_sizes, _trial_pairs, runs_torchs_forward, settle_windows
from atrous.surgery.window import DilatedMaxPool, FineWindow, dilate_conv

FIXED = (FineWindow(3, 2, 1, 0, 1, 1, 1),) * 2
SAME = tuple(replace(window, before=None, after=0) for window in FIXED)
OP = Op(1, "conv2d", "layer", (1, 2, 8, 8), torch.float32)


def edit(windows, others=()):
    return Edit(OP, windows=tuple(windows), others=tuple(others))


class Far(nn.Conv2d):
    """Pads one position after the input, whatever its length."""

    def forward(self, input):
        return super().forward(F.pad(input, (0, 1, 0, 1)))


class Same(nn.Conv2d):
    """Pads by TensorFlow's rule, and does not say so."""

    def forward(self, input):
        pads = []
        for size in input.shape[:1:-1]:
            total = max((-(-size // 2) - 1) * 2 + 3 - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(input, pads))


class Odd(nn.Conv2d):
    def forward(self, input):
        return super().forward(F.pad(input, (2 * (input.shape[-1] % 2), 1, 0, 1)))


def build(layer):
    def on_windows(windows):
        conv = nn.Conv2d(2, 3, 3, 2)
        conv.load_state_dict(layer.state_dict())
        dilate_conv(conv, windows, pads_itself=True)
        return conv

    return on_windows


@pytest.mark.parametrize("rate", [1, 2, 3])
@pytest.mark.parametrize(("kind", "wanted"), [(Far, FIXED), (Same, SAME)])
def test_a_layer_that_does_not_say_is_tried(kind, wanted, rate):
    layer = kind(2, 3, 3, 2)
    fixed, same = (tuple(replace(w, rate=rate) for w in windows) for windows in (FIXED, SAME))
    wanted = tuple(replace(w, rate=rate) for w in wanted)
    for windows, others in ((fixed, same), (same, fixed)):
        assert settle_windows(layer, edit(windows, others), 2, build(layer)) == wanted
    assert layer.training


def test_a_layer_that_says_how_it_pads_is_asked_and_never_run():
    def never(windows):
        raise AssertionError

    conv = timm.layers.Conv2dSame(2, 3, 3, 2)
    conv.register_forward_pre_hook(lambda *_: never(()))
    assert settle_windows(conv, edit(FIXED, SAME), 2, never) == SAME
    assert settle_windows(conv, edit(SAME), 2, never) == SAME
    with pytest.raises(UserError, match=r"^layer .conv2d.*: Conv2dSame pads by amounts that depend on the length"):
        settle_windows(conv, edit(FIXED), 2, never)
    volume = Conv3dSame(1, 1, 3, 2)
    assert settle_windows(volume, edit(FIXED[:1] * 3, SAME[:1] * 3), 1, never) == SAME[:1] * 3


def test_axes_may_differ_and_all_remainders_count():
    """At stride 3 a fixed padding of (0, 1) is the same as TensorFlow's at two of three lengths at most."""
    fixed = (FineWindow(3, 3, 1, 0, 1, 1, 1), FineWindow(3, 1, 1, 1, 1, 1, 1))
    same = tuple(replace(window, before=None, after=0) for window in fixed)
    conv = timm.layers.Conv2dSame(2, 3, 3, (3, 1))
    assert settle_windows(conv, edit(fixed, same), 2, build(conv)) == same
    mixed = (same[0], fixed[1])  # at stride 1 the two rules are one
    assert settle_windows(conv, edit(fixed, mixed), 2, build(conv)) == mixed


def test_a_rule_of_its_own_is_refused():
    layer = Odd(2, 3, 3, 2)
    with pytest.raises(UserError, match="Odd pads by amounts that depend on the length in a way of its own"):
        settle_windows(layer, edit(FIXED, SAME), 2, build(layer))


def test_a_layer_that_cannot_run_alone_is_taken_at_its_word():
    class More(nn.Conv2d):
        def forward(self, input, other):
            return super().forward(input) + other

    assert settle_windows(More(2, 3, 3, 2), edit(FIXED, SAME), 2, build) == FIXED


def test_pools_are_tried_with_their_channels():
    class SamePool(nn.MaxPool1d):
        def forward(self, input):
            assert input.shape[1] == 5
            return super().forward(F.pad(input, (0, input.shape[-1] % 2), value=float("-inf")))

    fixed, same = FineWindow(2, 2, 1, 0, 0, 2, 1), FineWindow(2, 2, 1, None, 0, 2, 1)
    assert settle_windows(SamePool(2), edit([fixed], [same]), 5, DilatedMaxPool) == (same,)


def test_torchs_own_layers_are_known_by_their_forward_pass():
    class Named(nn.MaxPool3d):
        pass

    for layer in (nn.Conv1d(1, 1, 1), nn.MaxPool2d(2), nn.AvgPool3d(2), Named(2)):
        assert runs_torchs_forward(layer)
    for layer in (Far(1, 1, 1), nn.ReLU(), nn.ConvTranspose1d(1, 1, 1), timm.layers.AvgPool2dSame(2)):
        assert not runs_torchs_forward(layer)


def test_trials_cover_every_remainder_and_every_tail_of_the_fine_grid():
    windows = (FineWindow(3, 3, 2, 0, 1, 2, 1), FineWindow(2, 1, 1, 0, 1, 3, 1))
    sizes = _coarse_sizes(windows)
    assert sizes == [(11, 4), (12, 5), (13, 6)]
    assert {n % 3 for n, _ in sizes} == {0, 1, 2}
    assert len(_coarse_sizes((FineWindow(1, 1, 1, 0, 0, 1, 1),))) == 2
    seen = []
    layer = nn.Conv2d(2, 1, 1).double()
    layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    pairs = _trial_pairs(layer, windows, 2)
    assert [tuple(x.shape[2:]) for x in seen] == sizes
    assert [tuple(x.shape) for x, _ in pairs] == [(1, 2, 21, 10), (1, 2, 24, 14), (1, 2, 25, 18)]
    for (x, wanted), coarse in zip(pairs, seen.copy(), strict=True):
        assert torch.equal(x[..., ::2, ::3], coarse)
        assert torch.equal(layer(coarse), wanted)
        assert x.dtype == torch.float64
