"""Damaged annotation files of every format: problems, or one line, and never another exception."""

import json
import os
import random

import pytest

from atrous.data.description import Description
from atrous.data.layouts.table import find_layout
from atrous.errors import UserError
from atrous.verbs.check import check_layout
from tests.object_folders import FORMATS, POINTS

SUFFIXES = (".xml", ".json", ".txt", ".csv", ".yaml")
ODD = [
    None,
    True,
    -1,
    0,
    1e400,
    2**70,
    "",
    "x",
    [],
    {},
    [[]],
    [[1, 2]],
    {"size": [1, 1], "counts": "o"},
    "0.png",
    -1e308,
]
MANY = int(os.environ.get("MANY", "12"))


def harmed(content: bytes, rng: random.Random) -> bytes:
    """The content with some bytes exchanged, taken out or doubled."""
    harmed = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(harmed))
        kind = rng.randrange(4)
        if kind == 0:
            harmed[place] = rng.randrange(256)
        elif kind == 1:
            del harmed[place : place + rng.randint(1, 30)]
        elif kind == 2:
            harmed[place:place] = harmed[place : place + rng.randint(1, 30)]
        else:
            harmed[place:place] = rng.choice([b"-", b"9" * 40, b"e999", b"nan", b"]", b"}", b"<", b"\x00", b"\n"])
        if not harmed:
            return b""
    return bytes(harmed)


def odd(value, rng: random.Random):
    """JSON with some of its values exchanged for odd ones."""
    if rng.random() < 0.02:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {key: odd(entry, rng) for key, entry in value.items() if rng.random() > 0.01}
    return [odd(entry, rng) for entry in value] if isinstance(value, list) else value


def survives(root, task: str) -> None:
    said = ""
    try:
        description = Description(task=task)
        report = check_layout(root, description, find_layout(root, description))
        said = "".join(problem.line() for problem in report.faults)
    except UserError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", [*FORMATS, *POINTS])
def test_damaged_files_are_told(tmp_path, name):
    root = (FORMATS | POINTS)[name](tmp_path)
    files = [path for path in sorted(root.rglob("*")) if path.suffix in SUFFIXES]
    rng = random.Random(name)
    for _ in range(MANY):
        path = rng.choice(files)
        content = path.read_bytes()
        if path.suffix == ".json" and rng.random() < 0.7:
            path.write_text(json.dumps(odd(json.loads(content), rng)))
        else:
            path.write_bytes(harmed(content, rng))
        survives(root, rng.choice(["detection", "instances", "semantic", "counting", "keypoints"]))
        path.write_bytes(content)
