"""A program as an ONNX file, with metadata that other programs read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from atrous.errors import UserError
from atrous.exporting.program import AXES
from atrous.extras import library, quiet
from atrous.geometry.exportable import one_line

IMAGE = "image"
"""Name of the input."""
OPSET = 18
MOST_BYTES = 2**31 - 2**20
"""A message of protobuf, which an ONNX file is, holds no more."""


def onnx_model(program: ExportedProgram, outputs: Sequence[str], *, half: bool = False) -> Any:
    """Return a program as an ONNX model (`onnx.ModelProto`): one input `image`, outputs by name.

    Args:
        program: as `export_program` makes it.
        outputs: names of the outputs, in order.
        half: whether weights are stored in float16; they are computed with in float32.

    Raises:
        UserError: the extra `onnx` is not installed, or an operator has no form in ONNX.
    """
    onnx = library("onnx", "onnx", "an ONNX file")
    library("onnxscript", "onnx", "an ONNX file")
    from torch.onnx import OnnxExporterError

    try:
        with quiet(), torch.no_grad():
            made = torch.onnx.export(
                program, (), dynamo=True, opset_version=OPSET, input_names=[IMAGE], output_names=list(outputs),
                verbose=False, optimize=True,
            )  # fmt: skip
    except OnnxExporterError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise UserError(
            f"the network has an operator that ONNX does not know ({one_line(cause)}): use --to torch"
        ) from error
    assert made is not None
    model = made.model_proto
    if half:
        store_half(onnx, model)
    if model.ByteSize() > MOST_BYTES:
        raise UserError(
            f"the ONNX file would have {model.ByteSize() / 1e9:.1f} GB, and 2 are the most: give --to torch"
        )
    _name_axes(model, len(model.graph.input[0].type.tensor_type.shape.dim) - 2)
    model.producer_name = "atrous"
    return model


def write_onnx(model: Any, path: Path, properties: Mapping[str, str]) -> None:
    """Write an ONNX model with these texts as its metadata."""
    onnx = library("onnx", "onnx", "an ONNX file")
    onnx.helper.set_model_props(model, dict(properties))
    onnx.save(model, str(path))


def _name_axes(model: Any, ndim: int) -> None:
    """Name the axes that may have any length; sizes in between, which the exporter noted, are left out."""
    del model.graph.value_info[:]
    named = {}
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        for i, dim in enumerate(dims):
            if not dim.HasField("dim_value"):
                axis = "batch" if i == 0 else AXES[ndim][i - len(dims) + ndim]
                own = axis if value.name == IMAGE else f"{axis}_out"  # of another length than the input's axis
                dim.dim_param = named.setdefault(dim.dim_param, own)


def store_half(onnx: Any, model: Any) -> None:
    """Store weights in float16, each with an operator behind it that makes it float32 again."""
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < 16:
            continue
        name, values = weight.name, onnx.numpy_helper.to_array(weight)
        weight.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.float16"))
        casts.append(onnx.helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])
