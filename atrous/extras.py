"""Optional libraries, imported where a format needs them, with the command that installs them where they are not."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from atrous.errors import UserError


def library(name: str, extra: str, what: str) -> Any:
    """Import an optional library.

    Args:
        name: of the module.
        extra: which installs it.
        what: that needs it, for the message.

    Raises:
        UserError: it is not installed.

    >>> library("json", "onnx", "an ONNX file").__name__
    'json'
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f'{what} needs {name.partition(".")[0]}: pip install "atrous[{extra}]" ({error})') from error


LOGS = ("torch.onnx", "onnxscript", "onnx_ir", "nncf", "bioimageio")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings, log messages and prints of libraries that convert models, within the block."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith(LOGS)]
    logs = [log for log in map(logging.getLogger, names) if not log.disabled]
    for log in logs:
        log.disabled = True
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log in logs:
            log.disabled = False
