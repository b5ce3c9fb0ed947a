"""Which operators a finer grid changes, and into what: against windows written down by hand."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.geometry.graph import Graph
from atrous.surgery.dilate import plan_dilation
from atrous.surgery.edits import Edit, pads_as_usual, value_of_pad
from atrous.surgery.window import FineWindow
from tests.toy_models import Lambda


def edits(network: nn.Module, *shape: int, target: int = 1) -> list[Edit]:
    return plan_dilation(network.eval(), shape, target).edits


def function(forward, stride: int = 2) -> nn.Module:
    return nn.Sequential(nn.Conv1d(2, 2, 3, stride, 1), Lambda(lambda m, x: forward(x)))


def by_itself(forward) -> nn.Module:
    """The network itself calls the function, so that no module around it could run on phases."""
    return Lambda(lambda m, x: forward(m.c(x)), c=nn.Conv1d(2, 2, 3, 2, 1))


def ops(network: nn.Module, *shape: int) -> Graph:
    return plan_dilation(network, shape, 64).graph


def test_windows_of_convolutions_and_pools():
    network = nn.Sequential(
        nn.Conv2d(2, 2, (3, 5), (2, 1), (1, 2)), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.ReLU(),
        nn.Conv2d(2, 2, 3, 1, (2, 1), (2, 1)), nn.AvgPool2d(2),
    )  # fmt: skip
    found = edits(network, 2, 32, 33)
    assert [edit.op.module for edit in found] == ["0", "1", "3", "4"]
    assert [edit.windows for edit in found] == [
        (FineWindow(3, 2, 1, 1, 1, 1, 1), FineWindow(5, 1, 1, 2, 2, 1, 1)),
        (FineWindow(3, 2, 1, 1, 1, 2, 1, True), FineWindow(3, 2, 1, 1, 1, 1, 1, True)),
        (FineWindow(3, 1, 2, 2, 2, 4, 1), FineWindow(3, 1, 1, 1, 1, 2, 1)),
        (FineWindow(2, 2, 1, 0, 0, 4, 1), FineWindow(2, 2, 1, 0, 0, 2, 1)),
    ]


def test_strides_within_the_target_stay():
    network = nn.Sequential(nn.Conv1d(2, 2, 3, 2, 1), nn.Conv1d(2, 2, 3, 2, 1), nn.Conv1d(2, 2, 3, 3, 1))
    found = edits(network, 2, 36, target=4)
    assert [(edit.op.module, edit.windows) for edit in found] == [("2", (FineWindow(3, 3, 1, 1, 1, 1, 1),))]
    found = edits(network, 2, 36, target=2)
    assert [edit.windows for edit in found] == [
        (FineWindow(3, 2, 1, 1, 1, 1, 1),), (FineWindow(3, 3, 1, 1, 1, 2, 1),)
    ]  # fmt: skip
    assert edits(network, 2, 36, target=12) == []
    assert [edit.windows[0].fine_stride for edit in edits(network, 2, 36, target=6)] == [1, 3]  # gcd(4, 6) is 2


def test_functions_of_single_positions_do_not_change():
    network = nn.Sequential(nn.Conv1d(2, 4, 3, 2, 1), nn.BatchNorm1d(4), nn.Conv1d(4, 3, 1), nn.Sigmoid())
    assert [edit.op.module for edit in edits(network, 2, 32)] == ["0"]
    assert [edit.op.module for edit in edits(nn.Sequential(network, nn.Conv1d(3, 2, 1, padding=1)), 2, 32)] == [
        "0.0",
        "1",
    ]
    assert [edit.op.module for edit in edits(nn.Sequential(network, nn.Conv1d(3, 2, 1, 2)), 2, 32)] == ["0.0", "1"]


def test_global_pools_read_the_coarse_grid():
    network = Lambda(lambda m, x: m.c(x) - m.c(x).mean((2, 3), keepdim=True), c=nn.Conv2d(2, 2, 3, (2, 3), 1))
    (mean,) = (edit for edit in edits(network, 2, 32, 36) if edit.rates)
    assert (mean.rates, mean.dims) == ((2, 3), (2, 3))
    assert str(mean) == "reads every 2x3-th position only"
    along = Lambda(lambda m, x: m.c(x).mean(3), c=nn.Conv2d(2, 2, 3, (2, 3), 1))
    assert [(edit.rates, edit.dims) for edit in edits(along, 2, 32, 36) if edit.rates] == [((3,), (3,))]
    first = Lambda(lambda m, x: m.c(x - x.mean((2, 3), keepdim=True)), c=nn.Conv2d(2, 2, 3, 2, 1))
    assert not [edit for edit in edits(first, 2, 32, 36) if edit.rates]  # before any stride


def test_constant_padding_is_scaled_by_axis():
    network = nn.Sequential(nn.Conv2d(2, 2, 3, (2, 4), 1), nn.ConstantPad2d((1, 2, 3, 4), 0.5), nn.ReLU())
    (_, pad) = edits(network, 2, 32, 32)
    assert pad.amounts == (4, 8, 6, 8)
    assert str(pad) == "pads by (4, 8, 6, 8)"
    assert value_of_pad(pad.op) == 0.5


class PadsThenConvolves(nn.Conv1d):
    def forward(self, input):
        return super().forward(F.pad(input, self.amounts))


class PaddingChild(nn.Conv1d):
    def __init__(self, *args):
        super().__init__(*args)
        self.pad = nn.ZeroPad1d((0, 1))

    def forward(self, input):
        return super().forward(self.pad(input))


@pytest.mark.parametrize(("amounts", "rules"), [((0, 1), 2), ((1, 1), 1), ((1, 0), 1), ((0, 0), 1)])
def test_padding_in_a_convolutions_own_forward_pass_belongs_to_it(amounts, rules):
    """At an even length (0, 1) is "same" padding of a window of three that steps by two; others are fixed."""
    conv = PadsThenConvolves(2, 2, 3, 2)
    conv.amounts = amounts
    (edit,) = edits(conv, 2, 32)
    fixed, same = FineWindow(3, 2, 1, *amounts, 1, 1), FineWindow(3, 2, 1, None, 0, 1, 1)
    if rules == 2:
        assert (edit.windows, edit.others) == ((same,), (fixed,))
    else:
        assert (edit.windows, edit.others) == ((fixed,), ())
    assert edit.pad.kind == "pad"


def test_padding_by_a_child_is_fixed_more_often_than_not():
    (edit,) = edits(nn.Sequential(PaddingChild(2, 2, 3, 2)), 2, 32)
    assert edit.windows == (FineWindow(3, 2, 1, 0, 1, 1, 1),)
    assert edit.others == (FineWindow(3, 2, 1, None, 0, 1, 1),)
    assert edit.pad.module == "0.pad"
    (_, edit) = edits(nn.Sequential(nn.Conv1d(2, 2, 1, 2), PaddingChild(2, 2, 3, 2)), 2, 32)
    assert edit.windows == (FineWindow(3, 2, 1, 0, 1, 2, 1),)


def test_padding_of_another_module_stays_by_itself():
    network = nn.Sequential(nn.Conv1d(2, 2, 1, 2), nn.ZeroPad1d((0, 1)), nn.Conv1d(2, 2, 3, 2))
    assert [(edit.op.module, edit.pad) for edit in edits(network, 2, 32)] == [("0", None), ("1", None), ("2", None)]


def test_same_padding_of_torch_is_fixed():
    network = nn.Sequential(nn.Conv1d(2, 2, 1, 2), nn.Conv1d(2, 2, 4, padding="same", dilation=3))
    assert edits(network, 2, 32)[-1].windows == (FineWindow(4, 1, 3, 4, 5, 2, 1),)
    assert edits(nn.Sequential(network[0], nn.Conv1d(2, 2, 3, padding="valid")), 2, 32)[-1].windows == (
        FineWindow(3, 1, 1, 0, 0, 2, 1),
    )


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (by_itself(lambda x: x[..., 1:] * 2), "resizes, moves or mixes"),
        (by_itself(lambda x: F.pad(x, (-1, 1)) * 2), "it crops positions"),
        (by_itself(lambda x: F.pad(x, (1, 1), mode="replicate") * 2), "replicate padding takes other values"),
        (by_itself(lambda x: x + torch.ones(1, 1, 16)), "it meets a constant of 16 positions"),
        (by_itself(lambda x: torch.add(*F.max_pool1d(x, 2, return_indices=True))), "indices would count"),
        (by_itself(lambda x: F.instance_norm(x) * 2), "normalizes over positions"),
        (nn.Sequential(nn.Conv1d(2, 2, 1, 2), nn.Conv1d(2, 2, 3, 2, 1, padding_mode="reflect")), "reflect padding"),
        (Lambda(lambda m, x: m.c(F.pad(x, (1, 1))), c=nn.Conv1d(2, 2, 3, 2, 1)), None),
        (
            Lambda(lambda m, x: F.conv1d(F.pad(x, (1, 1)), m.c.weight, stride=2, padding=1), c=nn.Conv1d(2, 2, 3)),
            "twice",
        ),
        (Lambda(lambda m, x: torch.cat([m.c(x), x[..., ::2]], 1), c=nn.Conv1d(2, 2, 3, 2, 1)), "cannot be put|slice"),
    ],
)
def test_what_has_no_exact_form_is_refused(network, said):
    if said is None:
        assert len(edits(network, 2, 32)) == 1
        return
    with pytest.raises(UserError, match=said):
        edits(network, 2, 32)


@pytest.mark.parametrize(
    "forward",
    [
        lambda x: F.pad(x, (-1, 1)) * 2,
        lambda x: F.pad(x, (1, 1), mode="replicate")[..., 1:-1],
        lambda x: x + torch.ones(1, 1, 16),
        lambda x: F.instance_norm(x) * 2,
        lambda x: x.flip(2),
    ],
)
def test_a_module_that_keeps_the_size_of_its_map_runs_on_phases(forward):
    found = edits(function(forward), 2, 32)
    assert [(edit.op.module, edit.phases) for edit in found] == [("0", ()), ("1", (2,))]
    assert str(found[1]) == "runs on each of 2 phases of the grid by itself"


def test_a_broadcast_position_meets_any_grid():
    network = Lambda(lambda m, x: m.c(x) + torch.ones(1, 1, 1) + m.c.bias[:, None], c=nn.Conv1d(2, 2, 3, 2, 1))
    assert len(edits(network, 2, 32)) == 1


def test_grids_that_differ_are_not_joined():
    network = Lambda(lambda m, x: m.a(x) + m.b(x)[..., :16], a=nn.Conv1d(2, 2, 3, 2, 1), b=nn.Conv1d(2, 2, 3, 1, 1))
    with pytest.raises(UserError, match="grids that differ"):
        edits(network, 2, 32)


def test_grids_that_differ_along_one_of_two_axes_are_not_joined():
    a, b = nn.Conv2d(2, 2, 3, (2, 1), 1), nn.Conv2d(2, 2, 3, 1, 1)
    with pytest.raises(UserError, match="its inputs would lie on grids that differ"):
        edits(Lambda(lambda m, x: m.a(x) + m.b(x)[:, :, :16], a=a, b=b), 2, 32, 32)


def test_what_padding_writes():
    def pad_op(module):
        return next(op for op in ops(nn.Sequential(module, nn.ReLU()), 2, 32).ops if "pad" in op.kind)

    zero, half = pad_op(nn.ZeroPad1d(1)), pad_op(nn.ConstantPad1d(1, 0.5))
    lowest, finite = (
        pad_op(nn.ConstantPad1d(1, float("-inf"))),
        pad_op(nn.ConstantPad1d(1, torch.finfo(torch.float32).min)),
    )
    assert [value_of_pad(op) for op in (zero, half)] == [0, 0.5]
    assert [pads_as_usual(op, "conv1d") for op in (zero, half, lowest)] == [True, False, False]
    assert [pads_as_usual(op, "max_pool1d") for op in (zero, half, lowest, finite)] == [False, False, True, True]


def test_edits_in_words():
    (edit,) = edits(nn.Conv2d(2, 2, 3, 2, 1), 2, 32, 32)
    assert str(edit) == "stride 2 -> 1"
    (edit,) = edits(nn.Conv2d(2, 2, 3, (2, 4), 1), 2, 32, 32)
    assert str(edit) == "stride 2 -> 1, stride 4 -> 1"
