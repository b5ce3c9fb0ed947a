"""The command line, run in the process of the tests: another one takes seconds to import torch."""

import io
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import pytest

from atrous.cli import main


@dataclass(frozen=True)
class Ended:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str


def atrous(*words: Any) -> Ended:
    """Run `atrous WORDS` as the installed command does; an exception that it would end with is raised."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
        patch.setattr(sys, "argv", ["atrous", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.run()
    return Ended(int(ended.value.code or 0), out.getvalue(), err.getvalue())
