"""Engines that compile a segment or a window: OpenVINO, Inductor, ONNX Runtime. The engine "torch" compiles nothing."""

import subprocess
import sys
import warnings
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.errors import UserError
from atrous.extras import library
from atrous.geometry.graph import EXPORTING
from atrous.stream.compiled import Call, Compiler
from atrous.stream.onnx_engine import onnxruntime_compiler

ENGINES = ("torch", "openvino", "inductor", "onnxruntime")
ON_PROCESSOR = ("openvino", "onnxruntime")
"""Engines that are given arrays in the memory of the processor."""
CPU = torch.device("cpu")
PROBE = """
import numpy as np, openvino as ov
from openvino import opset13 as op
x = op.parameter([1, 4, 8, 8], np.float32)
y = op.convolution(x, op.constant(np.ones((4, 4, 3, 3), np.float32)), [1, 1], [1, 1], [1, 1], [1, 1])
m = ov.Core().compile_model(ov.Model([y], [x]), "CPU", {"INFERENCE_PRECISION_HINT": "<precision>"})
assert np.isfinite(m([np.ones((1, 4, 8, 8), np.float32)])[0]).all()
"""


def check_engine(engine: str, device: torch.device = CPU) -> None:
    """Raise `UserError` when there is no such engine, or when it does not compute on the device."""
    if engine not in ENGINES:
        raise UserError(f"engine {engine!r}: choose {', '.join(ENGINES)}")
    require_processor(engine, device)


def require_processor(engine: str, device: torch.device) -> None:
    """Raise `UserError` where an engine that computes on the processor alone is to compute elsewhere."""
    if engine in ON_PROCESSOR and device.type != "cpu":
        raise UserError(f"engine {engine!r} computes on the processor, not on {device}: choose torch or inductor")


def compiler(engine: str, dtype: torch.dtype, device: torch.device = CPU) -> Compiler | None:
    """Return the compiler of an engine; None for "torch", and with a warning where OpenVINO does not work.

    Raises `UserError` for an unknown engine, and for a type or a device that the engine does not compute in or on.
    """
    if engine not in ENGINES:
        raise UserError(f"engine={engine!r} is not known: give one of {', '.join(ENGINES)}")
    require_processor(engine, device)
    if engine == "openvino":
        if dtype not in (torch.float32, torch.bfloat16):
            raise UserError(
                f"engine='openvino' computes in float32 or bfloat16, not {dtype}: give one of them as dtype"
            )
        trouble = openvino_trouble("bf16" if dtype == torch.bfloat16 else "f32")
        if trouble:
            warnings.warn(
                f"OpenVINO does not work on this machine ({trouble}); engine='torch' is used instead",
                RuntimeWarning,
                stacklevel=4,
            )
            return None
        return openvino_compiler
    if engine == "onnxruntime":
        if dtype != torch.float32:
            raise UserError(f"engine='onnxruntime' computes in float32, not {dtype}: give it as dtype")
        library("onnxruntime", "onnx", "engine='onnxruntime'")
        library("onnxscript", "onnx", "engine='onnxruntime'")
        return onnxruntime_compiler
    return inductor_compiler if engine == "inductor" else None


@cache
def openvino_trouble(hint: str) -> str:
    """Return why OpenVINO cannot be used with precision `hint` ("f32", "bf16"), or "" when it can.

    A small model is tried in another process, since on some machines the attempt ends the process.
    """
    try:
        import openvino  # noqa: F401
    except ImportError:
        return "not installed: pip install openvino"
    trial = subprocess.run(
        [sys.executable, "-c", PROBE.replace("<precision>", hint)], capture_output=True, text=True, check=False
    )
    return "" if trial.returncode == 0 else (trial.stderr.strip().splitlines() or [f"exit code {trial.returncode}"])[-1]


class _RowsLast(nn.Module):
    """The module with 2-D inputs and outputs as `(1, H, W, C)`, the order in which their numbers lie in memory."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Call the module on permuted tensors, and permute its results."""
        results = self.module(*(x.permute(0, 3, 1, 2) if x.dim() == 4 else x for x in inputs))
        return tuple(y.permute(0, 2, 3, 1) if y.dim() == 4 else y for y in results)


def openvino_compiler(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
    """Compile a module into an OpenVINO model of fixed shapes, which reads and writes the tensors without copies."""
    half = outputs[0].dtype == torch.bfloat16
    examples = tuple(_flat(x).contiguous() for x in inputs)
    model = _converted(_RowsLast(module).eval(), examples)
    options: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "bf16" if half else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    request = openvino_core().compile_model(model, "CPU", options).create_infer_request()

    def call(inputs: list[Tensor], outputs: list[Tensor]) -> None:
        arrays = [_flat(x).contiguous() for x in inputs]  # a request does not own its memory: keep it until it is done
        for i, x in enumerate(arrays):
            request.set_input_tensor(i, _shared(x))
        places = [_flat(y) if _flat(y).is_contiguous() else torch.empty_like(_flat(y)).contiguous() for y in outputs]
        for i, place in enumerate(places):
            request.set_output_tensor(i, _shared(place))
        request.infer()
        for y, place in zip(outputs, places, strict=True):
            if place.data_ptr() != y.data_ptr():
                _flat(y).copy_(place)

    return call


def _converted(module: nn.Module, examples: tuple[Tensor, ...]) -> Any:
    """Return the OpenVINO model of a module for inputs of the shapes of these examples.

    The front end is called directly: `openvino.convert_model` reports each conversion to its makers over the network.
    """
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    front = FrontEndManager().load_by_framework("pytorch")
    assert front is not None  # part of every OpenVINO package
    with EXPORTING, torch.inference_mode(False), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for part in module.modules():  # constants that were made in inference mode cannot be exported
            for name, value in part.named_buffers(recurse=False):
                part.register_buffer(name, value.clone())
        exported = torch.export.export(module, tuple(x.clone() for x in examples), strict=False)
        plain = exported.run_decompositions(_decompositions())
        decoder = TorchFXPythonDecoder(plain.module(), dynamic_shapes=False)
    return front.convert(front.load(decoder))  # the decoder must outlive the conversion


@cache
def _decompositions() -> Any:
    """Return torch's decompositions without those of operators that OpenVINO knows.

    `TorchFXPythonDecoder.from_exported_program` takes the same ones, but logs a traceback for each that torch has not.
    """
    from openvino.frontend.pytorch.torchdynamo.export_decompositions import ops_to_not_decompose
    from torch.export.decomp_utils import CustomDecompTable

    table = CustomDecompTable()
    for operator in ops_to_not_decompose():
        table.pop(operator, None)
    return table


@cache
def openvino_core() -> Any:
    """Return the one `openvino.Core` of this process."""
    import openvino as ov

    return ov.Core()


def _flat(x: Tensor) -> Tensor:
    """Return 2-D rows `(1, C, H, W)` as `(1, H, W, C)`, a contiguous view of channels-last memory."""
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


def _shared(flat: Tensor) -> Any:
    """Return an OpenVINO tensor over the same memory."""
    import openvino as ov

    if flat.dtype == torch.bfloat16:
        array = flat.view(torch.int16).numpy()
        return ov.Tensor(array, ov.Shape(list(flat.shape)), ov.Type.bf16)
    array: np.ndarray = flat.numpy()
    return ov.Tensor(array, shared_memory=True)


def inductor_compiler(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
    """Compile a module with `torch.compile`, with its weights as constants."""
    import torch._inductor.config as inductor

    with inductor.patch(freezing=True), torch.no_grad():
        compiled = torch.compile(module, dynamic=False)
        compiled(*inputs)

    def call(inputs: list[Tensor], outputs: list[Tensor]) -> None:
        for out, result in zip(outputs, compiled(*inputs), strict=True):
            out.copy_(result)

    return call
