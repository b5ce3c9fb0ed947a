"""Engines: chosen by name, tried before they are used, and as exact as torch."""

import subprocess
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from atrous.errors import UserError
from atrous.stream import engines
from atrous.stream.engines import compiler, inductor_compiler, openvino_compiler, openvino_trouble
from tests.toy_models import difference


def test_names_and_types(monkeypatch):
    hints = []
    monkeypatch.setattr(engines, "openvino_trouble", lambda hint: hints.append(hint) or "")
    assert compiler("torch", torch.float64) is None
    assert compiler("inductor", torch.float64) is inductor_compiler
    assert compiler("openvino", torch.float32) is openvino_compiler
    assert compiler("openvino", torch.bfloat16) is openvino_compiler
    assert hints == ["f32", "bf16"]
    with pytest.raises(UserError, match="engine='tpu' is not known: give one of torch, openvino, inductor, onnx"):
        compiler("tpu", torch.float32)
    with pytest.raises(UserError, match=r"computes in float32 or bfloat16, not torch\.float64"):
        compiler("openvino", torch.float64)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_engines_of_the_processor_are_refused_on_other_devices(engine):
    device = torch.device("cuda", 1)
    with pytest.raises(UserError, match=f"engine '{engine}' computes on the processor, not on cuda:1"):
        compiler(engine, torch.float32, device)
    assert compiler("inductor", torch.float32, device) is inductor_compiler


def test_an_engine_that_does_not_work_is_replaced_with_a_warning(monkeypatch):
    monkeypatch.setattr(engines, "openvino_trouble", lambda hint: "illegal instruction")
    with pytest.warns(RuntimeWarning, match=r"does not work on this machine \(illegal instruction\)"):
        assert compiler("openvino", torch.float32) is None


@pytest.mark.parametrize(
    ("code", "errors", "expected"),
    [
        (0, "a warning", ""),
        (1, "Traceback\nImportError: no libtbb\n", "ImportError: no libtbb"),
        (-4, "", "exit code -4"),
        (1, "  \n", "exit code 1"),
    ],
)
def test_the_trial_runs_in_another_process(code, errors, expected, monkeypatch):
    pytest.importorskip("openvino")
    commands = []

    def run(command, **options):
        commands.append(command)
        return subprocess.CompletedProcess(command, code, "", errors)

    monkeypatch.setattr(engines.subprocess, "run", run)
    openvino_trouble.cache_clear()
    assert openvino_trouble("bf16") == expected
    assert openvino_trouble("bf16") == expected
    openvino_trouble.cache_clear()
    assert len(commands) == 1
    assert '"INFERENCE_PRECISION_HINT": "bf16"' in commands[0][2]


class Two(nn.Module):
    """Two inputs and two outputs, of another channel count each."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(4, 5, 1)

    def forward(self, x, y):
        return F.relu(self.a(x)), self.b(y).tanh()


def test_compiled_results_are_copied_into_the_outputs(monkeypatch):
    calls = []
    monkeypatch.setattr(torch, "compile", lambda module, dynamic: calls.append(dynamic) or module)
    module, inputs = Two().eval(), [torch.randn(1, 2, 6, 5), torch.randn(1, 4, 4, 3)]
    outputs = [torch.zeros(1, 3, 6, 5), torch.zeros(1, 5, 4, 3)]
    with torch.inference_mode():
        inductor_compiler(module, inputs, outputs)(inputs, outputs)
        assert all(torch.equal(out, want) for out, want in zip(outputs, module(*inputs), strict=True))
    assert calls == [False]


@pytest.mark.parametrize("make", [openvino_compiler, pytest.param(inductor_compiler, marks=pytest.mark.slow)])
def test_results_are_written_into_the_outputs(make):
    if make is openvino_compiler:
        pytest.importorskip("openvino")
    module = Two().eval()

    def tensors(*shape):
        return torch.randn(shape).contiguous(memory_format=torch.channels_last)

    inputs, outputs = [tensors(1, 2, 6, 5), tensors(1, 4, 4, 3)], [tensors(1, 3, 6, 5), tensors(1, 5, 4, 3)]
    if make is inductor_compiler:
        module, inputs, outputs = nn.Sequential(Tuple(module.a)), inputs[:1], outputs[:1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        call = make(module, inputs, outputs)
    for seed in range(2):
        new = [torch.randn_like(x, memory_format=torch.preserve_format) + seed for x in inputs]
        with torch.inference_mode():
            wanted = module(*new)
            call(new, outputs)
        assert all(difference(out, want) <= 1e-5 for out, want in zip(outputs, wanted, strict=True))


class Tuple(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        return (self.module(x),)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_openvino_reads_and_writes_any_layout(dtype):
    pytest.importorskip("openvino")
    if openvino_trouble("bf16" if dtype == torch.bfloat16 else "f32"):
        pytest.skip("OpenVINO does not work here in this type")
    module = Tuple(nn.Conv2d(2, 3, 3, padding=1)).eval().to(dtype)
    x = torch.randn(1, 2, 12, 5, dtype=dtype).contiguous(memory_format=torch.channels_last)
    out = torch.empty(1, 3, 6, 5, dtype=dtype)  # not channels last: written by a copy
    call = openvino_compiler(module, [x[:, :, :6]], [out])
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    for rows in (x[:, :, :6], x[:, :, 3:9], x[:, :, :6].contiguous()):
        with torch.inference_mode():
            call([rows], [out])
            assert difference(out, module(rows)[0]) <= tolerance


def test_openvino_on_lines():
    pytest.importorskip("openvino")
    module = Tuple(nn.Conv1d(2, 3, 3)).eval()
    x, out = torch.randn(1, 2, 9), torch.empty(1, 3, 7)
    call = openvino_compiler(module, [x], [out])
    call([x], [out])
    assert difference(out, module(x)[0].detach()) <= 1e-5
