"""Tests of a format are left out, with the reason, where its libraries are not installed."""

import pytest

NEEDS = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"),
    "openvino": ("onnx", "onnxscript", "openvino"),
    "bioimageio": ("onnx", "onnxscript", "onnxruntime"),
    "torch": (),
}
"""Libraries of each format."""


def require(to: str) -> None:
    """Skip the test unless the libraries of a format are installed."""
    for name in NEEDS[to]:
        pytest.importorskip(name, reason=f'{name} is not installed: pip install "atrous[onnx,openvino]"')
