"""Mutation testing of a random sample: change one place of the code at a time, and see whether a test fails.

A mutant swaps an operator, a comparison, `and` with `or`, `min` with `max`, `any` with `all`, drops a `not` or a minus,
or changes a whole number by one. Annotations, decorators, error messages, assertions and `__repr__` are left alone.
A mutant is killed if one of these fails, or takes longer than the limit: the doctests of its module and the tests of
the module (the file of the same path in `tests`, or that which tests/test_layout.py names), then every other test file
that imports the module or one that imports it directly.

Each mutant runs in a forked process, which has torch loaded already and sees the changed code in place of the file. No
file is written. The sample depends on the seed and the code alone.

    python benchmarks/mutants.py                    # 300 mutants, two at a time
    python benchmarks/mutants.py --count 20 --folders atrous/tasks
    python benchmarks/mutants.py --again output.txt # those that survived, after tests were added
"""

import argparse
import ast
import copy
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("atrous/geometry", "atrous/stream", "atrous/surgery", "atrous/data/targets", "atrous/tasks")
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Div: ast.Mult,
              ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}  # fmt: skip
COMPARISON = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
              ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}  # fmt: skip
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Mutant:
    """A module with one place changed."""

    path: str
    line: int
    before: str
    after: str
    code: str


def sites(tree: ast.Module) -> list[int]:
    """Return the numbers, in the order of `ast.walk`, of the nodes that can be changed."""
    left_out: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = node.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            parts = [*node.decorator_list, node.returns, *(each.annotation for each in every if each is not None)]
            parts += [node] if node.name == "__repr__" else []
        elif isinstance(node, ast.ClassDef):
            parts = [*node.decorator_list, *node.bases]
        elif isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr):
            parts = [node]
        left_out.update(id(inner) for part in parts if part is not None for inner in ast.walk(part))
    return [i for i, node in enumerate(ast.walk(tree)) if id(node) not in left_out and _changeable(node)]


def _changeable(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        types = isinstance(node.op, ast.BitOr) and isinstance(node.left, ast.Name) and node.left.id[:1].isupper()
        return type(node.op) in ARITHMETIC and not types and not isinstance(node.left, ast.JoinedStr)
    if isinstance(node, ast.Compare):
        return len(node.ops) == 1
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.Not | ast.USub)
    return isinstance(node, ast.BoolOp) or (isinstance(node, ast.Constant) and type(node.value) is int)


def mutant(path: str, number: int, rng: random.Random) -> Mutant:
    """Return the module with node `number` changed."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    node = list(ast.walk(tree))[number]
    before = ast.unparse(node)
    changed = _change(copy.deepcopy(node), rng)

    class Replace(ast.NodeTransformer):
        def visit(self, here: ast.AST) -> ast.AST:
            return changed if here is node else self.generic_visit(here)

    line = getattr(node, "lineno", 0)
    code = ast.unparse(ast.fix_missing_locations(Replace().visit(tree)))
    return Mutant(path, line, before, ast.unparse(changed), code)


def _change(node: ast.AST, rng: random.Random) -> ast.AST:
    if isinstance(node, ast.BinOp):
        node.op = ARITHMETIC[type(node.op)]()
    elif isinstance(node, ast.Compare):
        node.ops = [COMPARISON[type(node.ops[0])]()]
    elif isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        node.value += rng.choice((1, -1))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        node.func.id = FUNCTIONS[node.func.id]
    elif isinstance(node, ast.UnaryOp):
        return node.operand
    return node


def sample(folders: list[str], count: int, seed: int) -> list[Mutant]:
    """Return `count` mutants, drawn evenly from all places of the modules in `folders`."""
    rng = random.Random(seed)
    places = [
        (path.relative_to(ROOT).as_posix(), number)
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number in sites(ast.parse(path.read_text(encoding="utf-8")))
    ]
    print(f"{len(places)} places in {len({path for path, _ in places})} modules; seed {seed}", flush=True)
    return [mutant(path, number, rng) for path, number in rng.sample(places, min(count, len(places)))]


def again(output: Path) -> list[Mutant]:
    """Return the mutants that survived by an earlier output, at the nearest place of the present code that is alike."""
    pattern = re.compile(r"survived (\S+):(\d+): (.*)  ->  (.*)")
    mutants = []
    for path, line, before, after in (found.groups() for found in map(pattern.match, output.open()) if found):
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        alike = [number for number in sites(tree) if ast.unparse(nodes[number]) == before]
        alike.sort(key=lambda number: abs(getattr(nodes[number], "lineno", 0) - int(line)))
        # A whole number may grow or shrink by one: both are tried.
        made = (mutant(path, number, random.Random(seed)) for number in alike for seed in range(8))
        one = next((one for one in made if one.after == after), None)
        print(f"{path}:{line}: {before}  ->  {after}: {'gone' if one is None else f'now at {one.line}'}", flush=True)
        mutants += [] if one is None else [one]
    return mutants


def tests_of(path: str) -> tuple[list[str], list[str]]:
    """Return what is run first for a module, its doctests and its own test file, and then, other tests that use it."""
    from tests.test_layout import ELSEWHERE

    place = Path(path)
    own = Path("tests", *place.parts[1:-1], f"test_{place.name}").as_posix()
    own = own if (ROOT / own).exists() else ELSEWHERE.get(path, own)
    first = [path, *([own] if (ROOT / own).exists() else [])]
    users = {_module(path)} | {_module(str(user.relative_to(ROOT))) for user in _importing(_module(path), "atrous")}
    more = {str(test.relative_to(ROOT)) for module in users for test in _importing(module, "tests")}
    return first, sorted(test for test in more if test not in first and Path(test).name.startswith("test_"))


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _importing(module: str, folder: str) -> Iterator[Path]:
    parent, _, name = module.rpartition(".")
    pattern = re.compile(
        rf"^\s*(from {module} import|import {module}\b|from {parent} import .*\b{name}\b)", re.MULTILINE
    )
    return (path for path in sorted((ROOT / folder).rglob("*.py")) if pattern.search(path.read_text(encoding="utf-8")))


def start(mutant: Mutant, tests: list[str], limit: float) -> int:
    """Run tests against a mutant in a forked process, and return its number; it ends with 1 if a test failed."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgrp()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    signal.alarm(int(limit))
    target, original = str(ROOT / mutant.path), SourceFileLoader.get_code

    def changed(loader: SourceFileLoader, fullname: str):
        return compile(mutant.code, target, "exec") if loader.path == target else original(loader, fullname)

    SourceFileLoader.get_code = changed  # type: ignore[method-assign]
    try:
        code = pytest.main(["-n", "0", "-x", "-q", "--tb=no", "-p", "no:logging", "--assert=plain", *tests])
    except BaseException:
        os._exit(1)
    os._exit(0 if code in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else 1)


def run(mutants: list[Mutant], workers: int, limit: float) -> list[Mutant]:
    """Run every mutant and return those that survived."""
    waiting = [(mutant, 0) for mutant in mutants]
    running: dict[int, tuple[Mutant, int]] = {}
    survivors, done, began = [], 0, time.monotonic()
    while waiting or running:
        while waiting and len(running) < workers:
            one, stage = waiting.pop()
            running[start(one, tests_of(one.path)[stage], limit * (1 + 2 * stage))] = one, stage
        pid, status = os.wait()
        if pid not in running:
            continue
        one, stage = running.pop(pid)
        if status == 0 and stage == 0 and tests_of(one.path)[1]:
            waiting.append((one, 1))
            continue
        done += 1
        if status == 0:
            survivors.append(one)
            print(f"survived {one.path}:{one.line}: {one.before}  ->  {one.after}", flush=True)
        if done % 20 == 0:
            print(f"{done} of {len(mutants)}, {time.monotonic() - began:.0f} s, {len(survivors)} survive", flush=True)
    return survivors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folders", nargs="+", default=FOLDERS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--again", type=Path, help="an earlier output: only the mutants that survived there")
    parser.add_argument("--limit", type=float, default=100, help="seconds for a module's own tests; thrice for others")
    given = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ["OMP_NUM_THREADS"] = "1"
    import hypothesis  # noqa: F401  what all children need is loaded once, before they fork; atrous is not
    import torch
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    mutants = again(given.again) if given.again else sample(list(given.folders), given.count, given.seed)
    random.Random(given.seed).shuffle(mutants)
    survivors = run(mutants, given.workers, given.limit)
    whole, alive = (Counter(str(Path(one.path).parent) for one in each) for each in (mutants, survivors))
    for folder, number in sorted(whole.items()):
        print(f"{folder:<28} {number - alive[folder]:>4} of {number:>4} killed")
    killed = len(mutants) - len(survivors)
    print(f"{'all':<28} {killed:>4} of {len(mutants):>4} killed, {killed / len(mutants):.1%}")


if __name__ == "__main__":
    main()
