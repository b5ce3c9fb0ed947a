"""The doctor: engines are tried, not only imported; the limit is the least one; the block and the JSON say the same."""

import json
import subprocess
import sys
import time
from importlib.metadata import version

import pytest
import torch

from atrous.machine import memory_limit
from atrous.verbs import doctor as module
from atrous.verbs.doctor import Doctor, doctor, engine_trouble, packages, train_speed


def test_the_torch_engine_works():
    assert engine_trouble("torch") == ""


@pytest.mark.slow
def test_an_engine_that_is_imported_but_computes_wrongly_or_not_at_all_does_not_work(tmp_path, monkeypatch):
    """A package of that name that cannot be used, and one that ends the process."""
    (tmp_path / "openvino").mkdir()
    for code, said in (("raise ImportError('no library')", "not installed"), ("import os; os._exit(9)", "exit code")):
        (tmp_path / "openvino" / "__init__.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:.")
        assert said in engine_trouble("openvino")


def test_an_engine_that_never_ends_does_not_work():
    assert "does not end within 0 seconds" in engine_trouble("torch", seconds=0.01)


@pytest.mark.slow
def test_an_engine_that_is_none_is_one_line():
    said = engine_trouble("tensorflow")
    assert "engine='tensorflow' is not known" in said
    assert "\n" not in said


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_speed_probe_keeps_its_time(dtype):
    begin = time.monotonic()
    assert train_speed(dtype, 0.3) > 0
    assert time.monotonic() - begin < 10


def test_packages_are_those_of_the_installation():
    found = packages()
    assert found["torch"] == version("torch")
    assert {"atrous", "numpy", "zarr", "openvino"} <= set(found)
    assert "pytest" not in found


def test_the_block_and_the_json_say_the_same(monkeypatch):
    monkeypatch.setattr(module, "engine_trouble", lambda name: "" if name == "torch" else "does not work: no compiler")
    monkeypatch.setattr(module, "PROBE_SECONDS", 0.1)
    found = doctor()
    text, facts = found.text(), json.loads(json.dumps(found.to_dict()))
    assert facts["memory_limit"] == memory_limit()
    assert facts["engines"]["inductor"] == "does not work: no compiler"
    assert "engine inductor    does not work: no compiler" in text
    assert f"{memory_limit() / 2**30:.1f} GiB" in text
    assert str(facts["threads"]) in text
    assert set(facts["speed"]) <= {"float32", "bfloat16"}
    assert all(line for line in text.splitlines())


def test_the_least_limit_comes_first():
    limits = {"machine": 64 * 2**30, "control group /job": 4 * 2**30}
    found = Doctor("Linux", "3.11", {}, 2, 4, 2, None, "AVX2", False, limits, ("cpu",), {}, {})
    assert "4.0 GiB (control group /job); machine 64.0 GiB" in found.text()
    assert "not in hardware" in found.text()


def test_a_slow_machine_has_a_speed_above_zero():
    found = Doctor(
        "Linux", "3.11", {}, 2, 4, 2, None, "AVX2", False, {"machine": 2**32}, ("cpu",), {}, {"float32": 0.00123}
    )
    assert "0.00123 million pixels a second" in found.text()


@pytest.mark.slow
def test_the_command_prints_json():
    command = [sys.executable, "-m", "atrous", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=400)
    assert json.loads(done.stdout)["engines"]["torch"] == ""
