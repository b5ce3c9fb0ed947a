"""`atrous predict` on the command line: its exit codes, and how few files an input passes through."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import atrous
from atrous.cli import main
from tests.command import atrous as run_atrous

ROOT = f"{Path(atrous.__file__).parent}{os.sep}"


def command(*words, monkeypatch):
    """Run the command in this process; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["atrous", "predict", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main.run()
    return left.value.code


def test_what_happened_is_printed_as_json(trained, digits, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    sources, out = digits / "images" / "test", tmp_path / "out"
    done = run_atrous("predict", trained, sources, tmp_path / "broken.png", "-o", out, "--json")
    assert done.returncode == 2
    facts = json.loads(done.stdout)
    assert len(facts["written"]) == 2
    assert list(facts["failed"]) == [str(tmp_path / "broken.png")]
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"atrous: {tmp_path / 'broken.png'}: ")


def test_an_unexpected_error_makes_the_exit_code_1(trained, digits, tmp_path, monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("atrous.prediction.predictor.Predictor.write", fail)
    source = sorted((digits / "images" / "test").iterdir())[0]
    code = command(trained, source, tmp_path / "missing.png", "-o", tmp_path / "out", monkeypatch=monkeypatch)
    assert code == 2  # nothing was begun: one input is not there
    assert not (tmp_path / "out").exists()
    assert command(trained, source, "-o", tmp_path / "out", monkeypatch=monkeypatch) == 1
    printed = capsys.readouterr()
    assert "1 failed" in printed.out
    assert "ZeroDivisionError: a bug" in printed.err
    assert "Traceback" in (tmp_path / "out" / "atrous-errors.log").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a.png"], "-o FOLDER is missing"),
        (["-", "--overlay"], "--json, --part, --join and --dask out"),
        (["a.png", "-o", "s3:/bucket/labels"], "two slashes after the colon: give s3://bucket/labels"),
        (["s3:/bucket/a.tif", "-o", "out"], "two slashes after the colon: give s3://bucket/a.tif"),
    ],
)
def test_mistakes_are_said_in_one_line(trained, words, said, monkeypatch, capsys):
    assert command(trained, *words, monkeypatch=monkeypatch) == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.strip().count("\n") == 0


class Reached(BaseException):
    """Raised where `stream` is called, to end the trace."""


LOADING = (("prediction/predictor.py", "load"), ("recipe/run.py", "open_run"), ("verbs/predict.py", "_outline"))


def _left_out(code):
    name = code.co_filename.removeprefix(ROOT)
    if not code.co_filename.startswith(ROOT):
        return False
    return name.startswith("stream/") or code.co_name == "<module>" or (name, code.co_name) in LOADING


def files_entered(words, monkeypatch):
    """The files of atrous that an input passes through from the command to the call of `stream`, in order.

    Left out are: imports; opening the run's folder and building its network (`open_run`, `load`, `_outline`), which no
    input passes through; and `stream/` with all that it calls, as for the plan of a stream.
    """
    files: list[str] = []

    def enter(frame, event, _):
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(ROOT):
            return
        if path == f"{ROOT}stream/stream.py" and frame.f_code.co_name == "stream":
            sys.setprofile(None)
            raise Reached
        callers, caller = [frame.f_code], frame.f_back
        while caller is not None:
            callers.append(caller.f_code)
            caller = caller.f_back
        if not any(_left_out(code) for code in callers):
            name = path.removeprefix(ROOT)
            files.extend([] if name in files else [name])

    monkeypatch.setattr(sys, "argv", ["atrous", "predict", *map(str, words)])
    sys.setprofile(enter)
    try:
        with pytest.raises(Reached):
            main.app(standalone_mode=False)
    finally:
        sys.setprofile(None)
    return files


def test_an_image_enters_few_files_before_it_is_streamed(trained, tmp_path, monkeypatch):
    Image.fromarray(np.zeros((64, 80, 3), np.uint8)).save(tmp_path / "a.png")
    files = files_entered([trained, tmp_path / "a.png", "-o", tmp_path / "out", "--memory", "60MB"], monkeypatch)
    files.remove("cli/main.py")  # it parses the options before the verb, and no path
    files.remove("verbs/predict_options.py")  # it checks the options, and reads no input
    assert files[:3] == ["cli/predict.py", "cli/output.py", "verbs/predict.py"]
    assert {"prediction/jobs.py", "prediction/inputs.py", "prediction/predictor.py", "prediction/labels.py"} < set(
        files
    )
    assert len(files) <= 15, " ".join(files)
