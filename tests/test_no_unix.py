"""Nothing that every verb needs asks for Unix: Python's modules for Unix alone are taken away, and all still works."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
UNIX_MODULES = ("resource", "fcntl", "pwd", "grp", "termios", "pty")
TAKE_AWAY = f"""
import os, sys
for name in {UNIX_MODULES}:
    sys.modules[name] = None  # importing it raises ImportError, as on Windows
for name in ("sysconf", "fork", "getuid", "sched_getaffinity", "statvfs"):
    delattr(os, name)
"""
IMPORT_ALL = """
import importlib, pkgutil, warnings
warnings.simplefilter("ignore")
import atrous
names = [m.name for m in pkgutil.walk_packages(atrous.__path__, "atrous.") if m.name != "atrous.__main__"]
failed = {}
for name in names:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
print(json.dumps([len(names), failed]))
"""


def test_every_module_is_imported(without_unix):
    count, failed = without_unix[-1]
    assert count > 200
    assert not [name for name, why in failed.items() if any(module in why for module in UNIX_MODULES)]


HEAVY = (
    "scipy", "sympy", "skimage", "sklearn", "matplotlib", "timm", "torchvision", "torchmetrics", "lightning_fabric",
    "torch._dynamo", "zarr", "tifffile", "nibabel", "rasterio", "av", "optuna",
)  # fmt: skip
"""What takes long to import, and the prediction of a small picture needs none of."""
VERBS = f"""
import json
from atrous.cli.main import run
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    try:
        run()
    except SystemExit as ended:
        assert not ended.code
    print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


@pytest.fixture(scope="module")
def without_unix(digits, trained, tmp_path_factory):
    """What one process says that checks data, predicts a picture and imports every module, one after the other."""
    image, out = next((digits / "images" / "test").iterdir()), tmp_path_factory.mktemp("labels")
    words = [["check", digits, "--json"], ["predict", trained, image, "-o", out, "--json"]]
    program = TAKE_AWAY + VERBS + IMPORT_ALL
    command = [sys.executable, "-c", program, json.dumps(words, default=str)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_check_and_predict_run_and_import_little(without_unix):
    checked, imported, predicted, imported_then, _ = without_unix
    assert checked["ok"]
    assert imported == []
    assert [Path(path).exists() for path in predicted["written"]] == [True]
    assert imported_then == []


def test_text_files_name_their_encoding():
    """Without one, Windows reads and writes the code page of its language."""
    paths = sorted((ROOT / "atrous").rglob("*.py"))
    assert [f"{path.name}:{line}" for path in paths for line in _without_encoding(path)] == []


def _without_encoding(path: Path) -> list[int]:
    lines = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        keywords = {keyword.arg for keyword in node.keywords}
        modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        method = isinstance(node.func, ast.Attribute)  # `atrous.files.write_text` is a function, and writes UTF-8
        text = (method and name in ("read_text", "write_text")) or (
            name == "open" and "newline" in keywords and not any("b" in str(mode) for mode in modes)
        )
        if text and "encoding" not in keywords:
            lines.append(node.lineno)
    return lines
