"""Networks from one line of text, and every way to get the line wrong."""

import pytest
from torch import nn

from atrous.errors import UserError
from atrous.verbs.network import class_names, default_shape, load_network, parse_shape


def test_a_callable_with_arguments():
    network = load_network("torch.nn:Conv2d(3, 8, (3, 5), padding=[1, 2], bias=False)")
    assert isinstance(network, nn.Conv2d)
    assert network.kernel_size == (3, 5)
    assert network.bias is None


def test_a_callable_without_arguments_and_a_dotted_name():
    network = load_network("torch:nn.Identity")
    assert isinstance(network, nn.Identity)
    assert not network.training


def test_a_run(trained):
    network = load_network(str(trained))
    assert default_shape(network) == (3, 1024, 1024)
    assert len(class_names(str(trained))) == 11


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("no/such/run", "no such folder"),
        ("no_such_package:Net()", "cannot be imported"),
        ("torch.nn:NoSuchLayer()", "has no NoSuchLayer"),
        ("torch.nn:Conv2d(", "cannot be read"),
        ("torch.nn:Conv2d(open('x'))", "cannot be read"),
        ("torch.nn:Conv2d(**{})", r"\*\*"),
        ("torch.nn:Conv2d(3)", "missing 2 required"),
        ("math:sqrt(4)", "returns float"),
    ],
)
def test_mistakes_are_said(spec, words):
    with pytest.raises(UserError, match=words):
        load_network(spec)


@pytest.mark.parametrize("text", ["", "3", "3,a,4", "3,0,4", "1,2,3,4,5"])
def test_shapes_that_are_none(text):
    with pytest.raises(UserError, match="is not a shape"):
        parse_shape(text)


def test_a_network_that_does_not_say_what_it_reads():
    with pytest.raises(UserError, match="--shape"):
        default_shape(nn.Identity())
