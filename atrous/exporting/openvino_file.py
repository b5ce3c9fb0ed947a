"""A program as OpenVINO IR: an `.xml` file and a `.bin` file, which OpenVINO runs without this package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from atrous.extras import library
from atrous.stream.engines import openvino_core


def openvino_model(onnx: Any) -> Any:
    """Return an ONNX model (`onnx_model`) as a model of OpenVINO.

    Raises:
        UserError: the extra `openvino` is not installed.
    """
    library("openvino", "openvino,onnx", "an OpenVINO file")
    return openvino_core().read_model(onnx.SerializeToString())


def write_openvino(model: Any, path: Path, facts: Mapping[str, Any], properties: Mapping[str, str], half: bool) -> None:
    """Write a model as `path` (`.xml`) and the `.bin` beside it.

    The section `model_info` of its `rt_info` holds the texts `properties`, and what OpenVINO's Model API looks for:
    `model_type`, and `labels`, whose spaces are underscores.

    Args:
        model: of OpenVINO.
        path: the `.xml` file.
        facts: what the file holds.
        properties: the same as flat texts.
        half: whether weights are stored in float16.
    """
    openvino = library("openvino", "openvino,onnx", "an OpenVINO file")
    info = dict(properties)
    if facts["classes"] and facts["task"] == "semantic":
        info["model_type"] = "Segmentation"
        info["labels"] = " ".join(name.replace(" ", "_") for name in facts["classes"])
    for key, text in info.items():
        model.set_rt_info(text, ["model_info", key])
    openvino.save_model(model, str(path), compress_to_fp16=half)


def read_properties(path: Path) -> dict[str, str]:
    """Return the texts that stand in an `.xml` file's `model_info`."""
    model = openvino_core().read_model(str(path))
    stored = model.get_rt_info(["model_info"]).value
    return {key: str(value.value if hasattr(value, "value") else value) for key, value in stored.items()}
