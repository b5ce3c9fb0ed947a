"""Post-processing: names, thresholds and functions, and the shape and type that they give."""

import pytest
import torch
from torch.nn import functional as F

from atrous.errors import UserError
from atrous.stream.post import argmax, post_function, post_name, result_like, sigmoid, softmax, threshold

LOGITS = torch.randn(1, 5, 4, 3, generator=torch.Generator().manual_seed(0))


def test_names_are_functions_over_channels():
    assert torch.equal(argmax(LOGITS), LOGITS.argmax(1).to(torch.uint8))
    torch.testing.assert_close(softmax(LOGITS.bfloat16()), LOGITS.bfloat16().float().softmax(1))
    torch.testing.assert_close(sigmoid(LOGITS.bfloat16()), LOGITS.bfloat16().float().sigmoid())
    assert post_function("softmax") is softmax
    assert post_function("sigmoid") is sigmoid
    assert post_function(torch.tanh) is torch.tanh
    assert post_function(None) is None


@pytest.mark.parametrize(("classes", "dtype"), [(256, torch.uint8), (257, torch.int32)])
def test_labels_fit_into_their_type(classes, dtype):
    scores = torch.zeros(1, classes, 2)
    scores[:, -1] = 1
    labels = argmax(scores)
    assert labels.dtype == dtype
    assert labels.tolist() == [[classes - 1] * 2]


def test_a_threshold_is_not_included():
    assert threshold(0.5)(torch.tensor([0.4, 0.5, 0.6])).tolist() == [0, 0, 1]
    number = post_function(0.5)
    assert number is not None
    assert number(torch.tensor([0.4, 0.6])).dtype == torch.uint8
    whole = post_function(1)
    assert whole is not None
    assert whole(torch.tensor([1.0, 1.5])).tolist() == [0, 1]


@pytest.mark.parametrize("post", ["median", True, [1], (0.5,)])
def test_other_choices_are_refused(post):
    with pytest.raises(
        UserError, match="is not known: give one of argmax, softmax, sigmoid, a threshold or a function"
    ):
        post_function(post)


def test_names_tell_functions_apart():
    assert post_name(F.relu) == "relu"
    assert post_name(torch.nn.ReLU()) == "ReLU"
    assert post_name("argmax") == "'argmax'"
    assert post_name(0.5) == "0.5"


@pytest.mark.parametrize("post", [None, "argmax", "softmax", "sigmoid", 0.3, torch.tanh, lambda x: x.sum(1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_result_is_known_before_it_is_computed(post, dtype):
    function = post_function(post)
    result = LOGITS.to(dtype) if function is None else function(LOGITS.to(dtype))
    assert result_like((1, 5, 4, 3), dtype, post, 2) == (tuple(result.shape[1:]), result.dtype)


def test_outputs_without_channels():
    assert result_like((1, 4, 3), torch.float32, "sigmoid", 2) == ((4, 3), torch.float32)
    assert result_like((1, 4, 3), torch.float32, "argmax", 1) == ((3,), torch.uint8)
    for post in ("argmax", "softmax"):
        with pytest.raises(UserError, match="needs channels"):
            result_like((1, 4, 3), torch.float32, post, 2)


@pytest.mark.parametrize(
    "post", [lambda x: x.repeat(1, 1, 2, 1), lambda x: x.mean((2, 3)), lambda x: x[None], lambda x: x.flatten()]
)
def test_functions_that_are_not_pointwise_are_refused(post):
    with pytest.raises(UserError, match=r"for one of shape \(1, 5, 1, 1\): it must be pointwise"):
        result_like((1, 5, 4, 3), torch.float32, post, 2)
