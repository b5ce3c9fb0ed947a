"""A product of joined channels is the matrix product, against torch's own operator in float64."""

import pytest
import torch

from atrous.geometry.grams import GRAM, can_be_joined, with_grams
from atrous.geometry.graph import export_graph
from tests.geometry.truth import run_graph
from tests.toy_models import Lambda


@pytest.mark.parametrize(
    "product",
    [
        lambda x: x.flatten(2) @ x.flatten(2).mT,
        lambda x: torch.bmm((x + 1).flatten(2), x[:, :2].flatten(2).transpose(1, 2)),
        lambda x: x.unflatten(1, (2, 2)).flatten(3) @ (x * 2).unflatten(1, (2, 2)).flatten(3).mT,
    ],
)
def test_the_joined_product_is_the_product(product):
    graph = export_graph(Lambda(lambda m, x: product(x * 2) + 1).double(), (4, 5, 3))
    (index,) = [op.index for op in graph.ops if op.kind in ("matmul", "bmm")]
    assert can_be_joined(graph, graph.ops[index])
    joined = with_grams(graph, [index])
    kinds = [op.kind for op in joined.ops]
    assert kinds.count(GRAM) == 1
    assert not {"matmul", "bmm"} & set(kinds)
    x = torch.randn(1, 4, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(run_graph(joined, x)[joined.output], product(x * 2) + 1, rtol=1e-12, atol=1e-12)


def test_matrices_of_several_images_against_one_are_not_joined():
    graph = export_graph(Lambda(lambda m, x: x.mT @ x[:, :1]), (4, 5, 3))
    (op,) = [op for op in graph.ops if op.kind == "matmul"]
    assert not can_be_joined(graph, op)
