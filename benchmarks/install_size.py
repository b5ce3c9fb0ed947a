"""Megabytes of an installation: what `pip install atrous` takes, what each extra adds, what each dependency costs.

    python benchmarks/install_size.py
    python benchmarks/install_size.py --seconds

Sizes are those of the files that the installed packages list in their metadata, so the extras must be installed:
packages that are not are named, and count nothing. An extra counts what it brings beyond the base, an unused dependency
of the base what would be gone without it. `--seconds` also imports each dependency of the base in a process of its own.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CUDA = ("nvidia-", "cuda-", "triton")
"""How the names of packages begin that only a torch for NVIDIA's processors needs."""


@cache
def megabytes(name: str) -> float | None:
    """Return the size of the files of an installed package, or None where it is not installed."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return None
    paths = {file.locate() for file in files}
    return sum(Path(str(path)).stat().st_size for path in paths if Path(str(path)).is_file()) / 1e6


@cache
def needed(requirement: str) -> frozenset[str]:
    """Return the names of a required package and of all that it needs here, with the extras that are asked for."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    waiting = [Requirement(requirement)]
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        names.add(name)
        for extra in ("", *asked.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for line in _requires(name):
                further = Requirement(line)
                if further.marker is None or further.marker.evaluate({"extra": extra}):
                    waiting.append(further)
    return frozenset(names - {"atrous"})


@cache
def _requires(name: str) -> tuple[str, ...]:
    """Return what a package requires: of atrous by pyproject.toml, of others by their metadata."""
    if name == "atrous":
        extras = PROJECT["optional-dependencies"].items()
        return tuple(f'{line}; extra == "{extra}"' for extra, lines in extras for line in lines)
    try:
        return tuple(distribution(name).requires or ())
    except PackageNotFoundError:
        return ()


def closure(requirements: Iterable[str]) -> frozenset[str]:
    """Return the names of all packages that these requirements bring."""
    return frozenset().union(*map(needed, requirements))


def total(names: Iterable[str]) -> float:
    """Return the megabytes of those packages that are installed."""
    return sum(megabytes(name) or 0.0 for name in names)


def missing(names: Iterable[str]) -> list[str]:
    """Return those that are not installed."""
    return sorted(name for name in names if megabytes(name) is None)


def seconds(name: str) -> float | None:
    """Return how long a process takes to import a package, with all that it imports; None where it has no module."""
    owners = {module: [str(canonicalize_name(one)) for one in of] for module, of in packages_distributions().items()}
    modules = [module for module, of in owners.items() if name in of]
    module = next((module for module in sorted(modules) if not module.startswith("_")), None)
    if module is None:
        return None
    code = f"import time; start = time.perf_counter(); import {module}; print(time.perf_counter() - start)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def main() -> None:
    """Print three tables and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", action="store_true", help="import each dependency of the base, too")
    asked = parser.parse_args()
    lines = PROJECT["dependencies"]
    base = closure(lines)
    cuda = {name for name in base if name.startswith(CUDA)}
    parts = {
        "all": total(base),
        "torch": total({"torch"}),
        "CUDA: NVIDIA's libraries and triton": total(cuda),
        "all others": total(base - cuda - {"torch"}),
    }
    print("| pip install atrous | MB |\n|---|---|")
    for name, size in parts.items():
        print(f"| {name} | {size:.0f} |")
    print("\n| extra | MB beyond the base | packages | not installed here |\n|---|---|---|---|")
    extras = {}
    for extra in PROJECT["optional-dependencies"]:
        names = needed(f"atrous[{extra}]") - base
        extras[extra] = {"MB": round(total(names), 1), "packages": len(names), "missing": missing(names)}
        print(f"| `{extra}` | {total(names):.0f} | {len(names)} | {', '.join(missing(names))} |")
    print("\n| dependency | MB | MB that only it brings | seconds to import |\n|---|---|---|---|")
    single = {}
    for line in lines:
        name = canonicalize_name(Requirement(line).name)
        alone = base - closure(other for other in lines if other != line)
        took = seconds(name) if asked.seconds else None
        single[name] = {"MB": round(megabytes(name) or 0, 1), "only": round(total(alone), 1), "seconds": took}
        print(f"| {name} | {megabytes(name) or 0:.0f} | {total(alone):.0f} | {'' if took is None else f'{took:.2f}'} |")
    print(json.dumps({"base": parts, "extras": extras, "dependencies": single}))


if __name__ == "__main__":
    main()
