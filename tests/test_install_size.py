"""The sizes of an installation: sums of files, and packages that a requirement brings."""

from importlib.metadata import distribution
from pathlib import Path

from benchmarks.install_size import PROJECT, closure, megabytes, missing, needed


def test_the_size_of_a_package_is_that_of_its_files():
    files = [Path(str(file.locate())) for file in distribution("typer").files or []]
    assert megabytes("typer") == sum(file.stat().st_size for file in files if file.is_file()) / 1e6
    assert megabytes("no-such-package") is None


def test_what_a_package_needs_is_followed():
    assert {"typer", "rich", "markdown-it-py"} <= needed("typer")
    assert "pytest" not in needed("numpy")
    assert needed("numpy") == {"numpy"}


def test_extras_are_those_of_the_project_and_name_each_other():
    assert {"rasterio", "pydicom", "wfdb"} <= needed("atrous[formats]")
    assert "atrous" not in needed("atrous[formats]")
    assert needed("atrous[geo]") < needed("atrous[formats]")
    assert {"torch", "numpy", "sympy"} <= closure(PROJECT["dependencies"])
    assert missing({"typer", "no-such-package"}) == ["no-such-package"]
