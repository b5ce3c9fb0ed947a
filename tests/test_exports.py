"""The public names: all there, documented, and free to import."""

import subprocess
import sys
from pathlib import Path

import atrous


def test_every_public_name_exists_and_says_what_it_is():
    for name in atrous.__all__:
        found = getattr(atrous, name)
        assert found.__name__.removeprefix("atrous.") == name
        assert len(found.__doc__ or "") > 20, name


def test_the_type_checker_sees_the_same_names():
    text = Path(atrous.__file__).read_text()
    declared = {line.split(" as ")[1].strip() for line in text.splitlines() if line.startswith("    from ")}
    assert declared == set(atrous.__all__)


def test_importing_atrous_does_not_import_torch():
    code = "import sys, atrous, atrous.cli.main; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
