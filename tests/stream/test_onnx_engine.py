"""ONNX Runtime as an engine computes what torch computes, in strips and on windows."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.stream import stream
from atrous.stream.engines import compiler
from atrous.stream.onnx_engine import onnxruntime_compiler
from tests.exporting.needs import require
from tests.toy_models import difference, settled, unet


@pytest.fixture(scope="module", autouse=True)
def needs():
    require("onnx")


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(4, 5, 1)
        self.register_buffer("unused", torch.zeros(1))

    def forward(self, x, y):
        return F.relu(self.a(x)), self.b(y).tanh()


def test_results_are_written_into_the_outputs():
    module = Two().eval()
    shapes = [(1, 2, 6, 5), (1, 4, 4, 3)], [(1, 3, 6, 5), (1, 5, 4, 3)]
    layout = {"memory_format": torch.channels_last}
    inputs, outputs = ([torch.randn(shape).contiguous(**layout) for shape in group] for group in shapes)
    with torch.inference_mode():
        call = onnxruntime_compiler(module, inputs, outputs)
        for seed in range(2):
            new = [torch.randn_like(x) + seed for x in inputs]
            call(new, outputs)
            assert all(difference(out, want) <= 1e-5 for out, want in zip(outputs, module(*new), strict=True))


@pytest.mark.parametrize("strategy", ["windows", pytest.param("strips", marks=pytest.mark.slow)])
def test_a_stream_by_onnxruntime_is_exact(strategy):
    torch.manual_seed(0)
    network = settled(unet(1))
    x = torch.randn(2, 640)
    with torch.no_grad():
        whole = network(x[None])[0]
    found = stream(network, x.numpy(), engine="onnxruntime", strategy=strategy, **_small(strategy))
    assert difference(torch.from_numpy(np.asarray(found)), whole) <= 5e-5


def _small(strategy):
    return {"strip": 64} if strategy == "strips" else {"memory": "100kB"}


def test_types():
    assert compiler("onnxruntime", torch.float32) is onnxruntime_compiler
    with pytest.raises(UserError, match=r"computes in float32, not torch\.bfloat16"):
        compiler("onnxruntime", torch.bfloat16)
