"""A norm in its parts is the norm, against torch's own operator in float64."""

import pytest
import torch
import torch.nn.functional as F

from atrous.geometry.graph import export_graph
from atrous.geometry.norms import NORMS, with_statistics
from tests.geometry.truth import run_graph
from tests.toy_models import Lambda


@pytest.mark.parametrize(
    "norm",
    [
        lambda x: F.layer_norm(x, [5, 4]),
        lambda x: F.layer_norm(x, [4], eps=0.1),
        lambda x: F.layer_norm(x, [5, 4], torch.arange(20.0).view(5, 4).to(x), torch.ones(5, 4).to(x)),
        lambda x: F.layer_norm(x, [3, 5, 4], bias=torch.arange(60.0).view(3, 5, 4).to(x)),
        lambda x: F.rms_norm(x, [5, 4], eps=1e-6),
        lambda x: F.rms_norm(x, [5, 4], torch.arange(20.0).view(5, 4).to(x), eps=0.1),
    ],
)
def test_the_parts_give_the_norm(norm):
    graph = export_graph(Lambda(lambda m, x: norm(x * 2) + 1).double(), (3, 5, 4))
    norms = [op.index for op in graph.ops if op.kind in NORMS]
    assert len(norms) == 1
    parts = with_statistics(graph, norms)
    assert not {op.kind for op in parts.ops} & set(NORMS)
    x = torch.randn(1, 3, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(run_graph(parts, x)[parts.output], norm(x * 2) + 1, rtol=1e-12, atol=1e-12)
