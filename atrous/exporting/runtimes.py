"""Exported files as functions: each is run by the library that it is made for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from atrous.exporting.onnx_file import IMAGE
from atrous.exporting.torch_file import read_torch
from atrous.extras import library
from atrous.stream.engines import openvino_core
from atrous.stream.onnx_engine import onnx_session

Run = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Raw values `(N, C, *S)` float32 to the outputs by name."""


def run_onnx(path: Path) -> Run:
    """Return what ONNX Runtime computes of an ONNX file, on the CPU.

    Raises:
        UserError: the extra `onnx` is not installed.
    """
    return run_session(onnx_session(path))


def run_session(session: Any) -> Run:
    """Return what a session of ONNX Runtime computes."""
    names = [output.name for output in session.get_outputs()]
    return lambda image: dict(zip(names, session.run(names, {IMAGE: image}), strict=True))


def run_openvino(path: Path) -> Run:
    """Return what OpenVINO computes of an `.xml` file, on the CPU and in float32.

    Without the hint OpenVINO computes in bfloat16 on processors that are faster at that.
    """
    library("openvino", "openvino,onnx", "an OpenVINO file")
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino_core().compile_model(str(path), "CPU", options)
    names = [output.get_any_name() for output in compiled.outputs]

    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        found = compiled([np.ascontiguousarray(image)])
        return {name: np.array(found[i]) for i, name in enumerate(names)}

    return run


def run_torch(path: Path) -> Run:
    """Return what `torch.export.load` makes of a `.pt2` file."""
    module = read_torch(path)[0].module()

    def run(image: np.ndarray) -> dict[str, np.ndarray]:
        with torch.no_grad():
            found = module(torch.from_numpy(np.ascontiguousarray(image)))
        return {name: value.numpy() for name, value in found.items()}

    return run
