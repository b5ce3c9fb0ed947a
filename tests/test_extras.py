"""Optional libraries are asked for where they are needed, in one line."""

import logging
import warnings

import pytest

from atrous.errors import UserError
from atrous.extras import library, quiet


def test_a_missing_library_names_its_extra():
    with pytest.raises(UserError, match=r'an ONNX file needs nothere: pip install "atrous\[onnx\]"'):
        library("nothere.inside", "onnx", "an ONNX file")


def test_libraries_are_silent_and_speak_again(capsys, caplog):
    log = logging.getLogger("onnxscript.something")
    with quiet():
        warnings.warn("old", stacklevel=1)
        print("step 1 of 3")
        log.warning("slow")
    assert capsys.readouterr().out == ""
    assert not caplog.records
    log.warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]
