"""A traced forward pass computes what the original did, and the module is in all else what it was."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.surgery.owner import (
    argument,
    function_name,
    insert_module,
    is_ignored,
    lost_in_training,
    tensor_input,
    trace_owner,
)


class Block(nn.Module):
    """Holds what a module may hold: children, a parameter, buffers, hooks, attributes and bound methods."""

    def __init__(self):
        super().__init__()
        self.unused, self.conv = nn.Conv2d(1, 1, 1), nn.Conv2d(2, 2, 1)
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("kept", torch.ones(1))
        self.register_buffer("passing", torch.ones(1), persistent=False)
        self.words, self.method = ["a"], self.rate

    def rate(self):
        return self.words[0]

    def forward(self, x, rate=0.5, *, flag=True):
        if flag and rate > 0:
            x = x * self.scale
        return F.dropout(self.conv(x), 0.25, self.training).mean((2, 3))


X = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))


def nodes(traced, name):
    return [n for n in traced.graph.nodes if function_name(n) == name]


def test_the_forward_pass_and_all_else_stay():
    block, calls = Block(), []
    block.register_forward_hook(lambda *_: calls.append("after"))
    block.register_forward_pre_hook(lambda *_: calls.append("before"))
    block.register_forward_hook(lambda *_, **__: calls.append("with keywords"), with_kwargs=True)
    traced = trace_owner(block, "block")
    assert block.training
    assert traced.training
    torch.testing.assert_close(traced.eval()(X), block.eval()(X))
    assert calls == ["before", "after", "with keywords"] * 2
    for module in (traced, copy.deepcopy(traced)):
        assert isinstance(module, Block)
        assert type(module).__name__ == "Block"
        assert list(module.state_dict()) == list(block.state_dict())
        assert [name for name, _ in module.named_children()][:2] == ["unused", "conv"]
        assert "passing" in dict(module.named_buffers())
        assert module.words == ["a"]
        assert module.method.__self__ is module
        assert module.method() == "a"
        torch.testing.assert_close(module(X), block(X))
    assert traced.conv is block.conv
    assert copy.deepcopy(traced).words is not block.words


def test_tracing_again_keeps_the_first_class():
    twice = trace_owner(trace_owner(Block(), ""), "")
    assert [kind for kind in type(twice).__mro__ if isinstance(kind, type) and issubclass(kind, Block)][1:] == [Block]
    assert type(twice).__name__ == "Block"


def test_dropout_called_as_a_function_follows_the_mode():
    def forward(kind, **more):
        class Dropping(nn.Module):
            def forward(self, x):
                return kind(x, training=self.training, **more)

        return trace_owner(Dropping(), "")

    for kind, module in ((F.dropout, nn.Dropout), (F.dropout1d, nn.Dropout1d), (F.dropout3d, nn.Dropout3d)):
        traced = forward(kind, p=0.75)
        assert type(traced._surgery_0) is module
        assert traced._surgery_0.p == 0.75
    assert forward(F.dropout2d)._surgery_0.p == 0.5
    x = torch.ones(4, 5, 6, 7)
    dropping = forward(F.dropout, p=0.5)
    assert 0 < int((dropping(x) == 0).sum()) < x.numel()
    assert torch.equal(dropping.eval()(x), x)
    assert trace_owner(Block(), "")._surgery_0.p == 0.25


def test_optional_arguments_keep_their_default():
    traced = trace_owner(Block().eval(), "")
    assert torch.equal(traced(X, rate=0.0), traced(X, 0.1))
    ignored = [str(n.target) for n in traced.graph.nodes if is_ignored(n)]
    assert ignored == ["rate", "flag"]
    assert not any(n.op == "call_function" and "assert" in function_name(n) for n in traced.graph.nodes)


def test_a_branch_on_values_is_refused_by_name():
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    for path, named in (("a.b", "a.b"), ("", "the network")):
        module = Branching()
        with pytest.raises(UserError, match=rf"^{named} .Branching.: its forward pass must be changed but cannot be"):
            trace_owner(module, path)
        assert module.training

    class Silent(nn.Module):
        def forward(self, x):
            raise KeyError

    with pytest.raises(UserError, match=r"cannot be traced \(KeyError\)"):
        trace_owner(Silent(), "")


class Modes(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.conv, self.aux = function, nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)

    def forward(self, x, scale=2):
        return self.function(self, x * scale)


@pytest.mark.parametrize(
    ("function", "remark"),
    [
        (lambda m, x: m.conv(x), None),
        (lambda m, x: F.dropout(x, 0.1, m.training), None),
        (
            lambda m, x: (m.conv(x), m.aux(x)) if m.training else m.conv(x),
            "without aux, and with another kind of output",
        ),
        (lambda m, x: m.conv(x) if m.training else m.aux(x), "without conv, and with aux"),
        (lambda m, x: m.conv(x).relu() if m.training else m.conv(x), "without relu"),
        (lambda m, x: F.max_pool2d(x, 3 if m.training else 2), "without max_pool2d"),
        (lambda m, x: m.conv(m.conv(x)) if m.training else m.conv(x), "without conv"),
        (lambda m, x: F.alpha_dropout(x, 0.5, m.training), "without alpha_dropout"),
        (lambda m, x: [x] if m.training else x, "with another kind of output"),
    ],
)
def test_what_training_loses_is_said(function, remark):
    module = Modes(function).eval()
    found = lost_in_training(module)
    assert found == (None if remark is None else f"in training runs as in evaluation: {remark}")
    assert not module.training


def test_training_that_cannot_be_traced_is_said_too():
    module = Modes(lambda m, x: x if not m.training or x.sum() > 0 else -x)
    assert lost_in_training(module).endswith("cannot be traced to compare the two")
    assert module.training


def test_calls_are_named_and_their_arguments_found():
    class Calling(nn.Module):
        def forward(self, x):
            return torch.mean(input=x, dim=1)

    (node,) = nodes(trace_owner(Calling(), ""), "mean")
    assert tensor_input(node).op == "placeholder"
    assert argument(node, 1, "dim") == 1
    assert argument(node, 2, "keepdim", 5) == 5
    (node,) = nodes(trace_owner(Block(), ""), "mean")
    assert node.op == "call_method"
    assert argument(node, 1, "dim") == (2, 3)
    assert argument(node, 0, "dim") is tensor_input(node)
    assert function_name(next(n for n in node.graph.nodes if n.op == "call_module")) == ""

    class Constant(nn.Module):
        def forward(self, x):
            return torch.full((2,), 1.0) + x

    traced = trace_owner(Constant(), "")
    assert all(tensor_input(n) is None for n in nodes(traced, "full"))


def test_an_inserted_module_takes_the_place_of_a_call():
    traced = trace_owner(Block().eval(), "")
    (node,) = nodes(traced, "mean")
    new = insert_module(traced, node, nn.Flatten().train(), (node.args[0],))
    assert new.target == "_surgery_1"  # 0 is the dropout
    assert not traced._surgery_1.training
    traced.graph.lint()
    traced.recompile()
    assert not nodes(traced, "mean")
    assert traced(X).shape == (1, 32)


def test_the_forward_pass_of_evaluation_is_traced_whatever_the_mode():
    module = Modes(lambda m, x: m.aux(x) if m.training else m.conv(x)).train()
    module.norm = nn.BatchNorm2d(2)  # its buffers stay its own
    traced = trace_owner(module, "")
    assert [n.target for n in traced.graph.nodes if n.op == "call_module"] == ["conv"]
    assert sorted(name for name, _ in traced.named_buffers(recurse=False)) == []
    assert [name for name, _ in traced.named_parameters(recurse=False)] == []
