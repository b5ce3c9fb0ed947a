"""Engines other than eager PyTorch: what compiles a segment."""

import subprocess
import sys
import warnings
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.stream.compiled import Call, Compiler

ENGINES = ("torch", "openvino", "inductor")
PROBE = """
import numpy as np, openvino as ov
from openvino import opset13 as op
x = op.parameter([1, 4, 8, 8], np.float32)
y = op.convolution(x, op.constant(np.ones((4, 4, 3, 3), np.float32)), [1, 1], [1, 1], [1, 1], [1, 1])
m = ov.Core().compile_model(ov.Model([y], [x]), "CPU", {"INFERENCE_PRECISION_HINT": "<precision>"})
assert np.isfinite(m([np.ones((1, 4, 8, 8), np.float32)])[0]).all()
"""


def compiler(engine: str, dtype: torch.dtype) -> Compiler | None:
    """What compiles segments for `engine`; None for eager PyTorch, also where the engine does not work (a warning
    says so)."""
    if engine not in ENGINES:
        raise UserError(f"engine={engine!r} is not known: give one of {', '.join(ENGINES)}")
    if engine == "openvino":
        if dtype not in (torch.float32, torch.bfloat16):
            raise UserError(f"engine='openvino' computes in float32 or bfloat16, not {dtype}: give dtype")
        trouble = openvino_trouble("bf16" if dtype == torch.bfloat16 else "f32")
        if trouble:
            warnings.warn(
                f"openvino does not work here ({trouble}); going on with engine='torch'", RuntimeWarning, stacklevel=4
            )
            return None
        return openvino_compiler
    return inductor_compiler if engine == "inductor" else None


@cache
def openvino_trouble(hint: str) -> str:
    """Why OpenVINO cannot be used, "" when it can; tried in another process, since a crash there must not be ours."""
    try:
        import openvino  # noqa: F401
    except ImportError:
        return "not installed: pip install openvino"
    tried = subprocess.run(
        [sys.executable, "-c", PROBE.replace("<precision>", hint)], capture_output=True, text=True, check=False
    )
    return "" if tried.returncode == 0 else (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1]


class _RowsLast(nn.Module):
    """The module with inputs and outputs `(1, H, W, C)` in 2-D: as the rows lie in memory."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """As the module, on permuted tensors."""
        found = self.module(*(x.permute(0, 3, 1, 2) if x.dim() == 4 else x for x in inputs))
        return tuple(y.permute(0, 2, 3, 1) if y.dim() == 4 else y for y in found)


def openvino_compiler(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
    """One static OpenVINO model that reads and writes the rows where they lie."""
    half = outputs[0].dtype == torch.bfloat16
    examples = tuple(_flat(x).contiguous() for x in inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(_RowsLast(module).eval(), examples, check_trace=False)
        model = _converted(traced)
    model.reshape({i: list(x.shape) for i, x in enumerate(examples)})
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    request = _core().compile_model(model, "CPU", options).create_infer_request()

    def call(inputs: list[Tensor], outputs: list[Tensor]) -> None:
        given = [_flat(x).contiguous() for x in inputs]  # held until the request is done: it does not own its memory
        for i, x in enumerate(given):
            request.set_input_tensor(i, _shared(x))
        places = [_flat(y) if _flat(y).is_contiguous() else torch.empty_like(_flat(y)).contiguous() for y in outputs]
        for i, place in enumerate(places):
            request.set_output_tensor(i, _shared(place))
        request.infer()
        for y, place in zip(outputs, places, strict=True):
            if place.data_ptr() != y.data_ptr():
                _flat(y).copy_(place)

    return call


def _converted(traced: Any) -> Any:
    """The OpenVINO model of a traced module, by the front end itself: `convert_model` is ten times slower, and reports
    each conversion to its makers over the network."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    front = FrontEndManager().load_by_framework("pytorch")
    assert front is not None  # part of every OpenVINO package
    decoder = TorchScriptPythonDecoder(traced)  # must outlive the conversion
    return front.convert(front.load(decoder))


@cache
def _core() -> Any:
    import openvino as ov

    return ov.Core()


def _flat(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def _shared(flat: Tensor) -> Any:
    """An OpenVINO tensor over the same memory."""
    import openvino as ov

    if flat.dtype == torch.bfloat16:
        array = flat.view(torch.int16).numpy()
        return ov.Tensor(array, ov.Shape(list(flat.shape)), ov.Type.bf16)
    array: np.ndarray = flat.numpy()
    return ov.Tensor(array, shared_memory=True)


def inductor_compiler(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
    """torch.compile, with the weights frozen into the code."""
    import torch._inductor.config as inductor

    with inductor.patch(freezing=True), torch.no_grad():
        compiled = torch.compile(module, dynamic=False)
        compiled(*inputs)

    def call(inputs: list[Tensor], outputs: list[Tensor]) -> None:
        for out, found in zip(outputs, compiled(*inputs), strict=True):
            out.copy_(found)

    return call
