"""ONNX Runtime as an engine: modules of fixed shapes compiled for it, and sessions of ONNX files."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.extras import library, quiet
from atrous.stream.compiled import Call

OPSET = 18


def onnx_session(model: Path | bytes) -> Any:
    """Return a session of ONNX Runtime on the CPU, with as many threads as torch has.

    Args:
        model: a file, or the bytes of one.

    Raises:
        UserError: the extra `onnx` is not installed.
    """
    runtime = library("onnxruntime", "onnx", "an ONNX file")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors; warnings go to the terminal of the user
    given = model if isinstance(model, bytes) else str(model)
    return runtime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


def onnxruntime_compiler(module: nn.Module, inputs: list[Tensor], outputs: list[Tensor]) -> Call:
    """Compile a module of fixed shapes for ONNX Runtime; see `Compiler`."""
    with torch.inference_mode(False), torch.no_grad(), quiet():
        for part in module.modules():  # constants that were made in inference mode cannot be exported
            for name, value in part.named_buffers(recurse=False):
                part.register_buffer(name, value.clone())
        examples = tuple(x.clone() for x in inputs)
        made = torch.onnx.export(
            module.eval(), examples, dynamo=True, opset_version=OPSET, verbose=False,
            input_names=[f"x{i}" for i in range(len(inputs))], output_names=[f"y{i}" for i in range(len(outputs))],
        )  # fmt: skip
    assert made is not None
    session = onnx_session(made.model_proto.SerializeToString())
    names = [value.name for value in session.get_inputs()]
    wanted = [f"y{i}" for i in range(len(outputs))]

    def call(inputs: list[Tensor], outputs: list[Tensor]) -> None:
        arrays = [np.ascontiguousarray(x.numpy()) for x in inputs]
        fed = {name: array for i, array in enumerate(arrays) if (name := f"x{i}") in names}
        for out, found in zip(outputs, session.run(wanted, fed), strict=True):
            out.copy_(torch.from_numpy(found))

    return call
