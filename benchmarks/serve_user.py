"""A scripted user of `atrous serve` over HTTP: the server's memory by time, and how long strokes take while it trains.

    python -m benchmarks.serve_user --minutes 120
    python -m benchmarks.serve_user --minutes 2

Makes scenes and a run, starts `atrous serve SCENES --run RUN --paint FOLDER`, and then does what a person does, again
and again: opens an image, moves and zooms, looks at the labels, clicks, paints with two classes, undoes, redoes, trains
for a while, stops, asks where to paint next. Prints a line every minute: resident memory of the server and of its
children, requests so far. At the end: the slope of a line through the server's memory in the second half of the time,
and the seconds of strokes with and without a training beside (50, 95 and 99 %). Linux: memory is read from /proc.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from atrous.demo.digits import write_digit_scenes
from atrous.verbs.train import train

SMALL = ("model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16")
SIDE = 512
EVERY = 60.0
"""Seconds between two lines; less where the whole takes less."""
TRAINED, RESTED = 45.0, 30.0
"""Seconds of a training, and from its end to the next."""


@contextmanager
def started_server(inputs: list[str], folder: Path, *options: str) -> Iterator[tuple[dict[str, Any], int]]:
    """`atrous serve` in a process of its own; what it says of itself, and its process number."""
    words = ["serve", *inputs, *options, "--no-browser", "--port", "0", "--json", "--cache", str(folder / "cache")]
    command = [sys.executable, "-m", "atrous", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline()), server.pid
        finally:
            server.terminate()
            server.wait(60)


def make_scenes(folder: Path, images: int = 6) -> tuple[Path, Path]:
    """Scenes of digits, and a run that was trained for an epoch."""
    data = folder / "scenes"
    write_digit_scenes(data, train=images, val=2, test=1, size=(SIDE, SIDE), seed=0)
    train(data, out=folder / "run", epochs=1, settings=[*SMALL, "train.crop=[128, 128]", "train.batch_size=2"])
    return data / "images" / "train", folder / "run"


def memory_of(number: int) -> tuple[int, int]:
    """Resident bytes of a process, and of all processes below it."""
    own, parents = dict[int, int](), dict[int, int]()
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            lines = dict(line.split(":", 1) for line in (path / "status").read_text().splitlines() if ":" in line)
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        own[int(path.name)] = 1024 * int(lines.get("VmRSS", "0 kB").split()[0])
        parents[int(path.name)] = int(lines["PPid"])
    below = {number}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return own.get(number, 0), sum(own.get(child, 0) for child in below - {number})


class User:
    """One person at the page.

    Args:
        client: asks the server.
        seed: of what is done.
    """

    def __init__(self, client: httpx.Client, seed: int = 0) -> None:
        self.client, self.rng = client, np.random.default_rng(seed)
        self.requests, self.failed = 0, dict[str, int]()
        self.strokes: dict[bool, list[float]] = {True: [], False: []}
        self.training, self.since = False, time.monotonic()
        self.count = int(self.ask("GET", "inputs").json()["total"])

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request; count it, and what goes wrong."""
        answer = self.client.request(method, f"/api/{path}", **options)
        self.requests += 1
        if answer.status_code >= 400:
            said = f"{answer.status_code} {method} {path.partition('/')[0]}"
            self.failed[said] = self.failed.get(said, 0) + 1
        return answer

    def round(self) -> None:
        """Open an image, look around in it, paint, change one's mind, and train or rest."""
        number = int(self.rng.integers(self.count))
        facts = self.ask("GET", f"inputs/{number}").json()
        self.look(number, facts)
        self.paint(number)
        if self.rng.random() < 0.3:
            self.ask("GET", f"paint/inputs/{number}/where", params={"count": 3})
        seconds = time.monotonic() - self.since
        if seconds > (TRAINED if self.training else RESTED):
            self.training, self.since = not self.training, time.monotonic()
            self.ask("POST", "paint/training", params={"on": self.training})
        self.ask("GET", "paint/training")
        self.ask("GET", "run")

    def look(self, number: int, facts: dict[str, Any]) -> None:
        """Move to three places: tiles of the image and of the labels, a preview, a click."""
        levels = facts["planes"][0]["levels"]
        self.ask("GET", f"inputs/{number}/labels")
        for _ in range(3):
            level = int(self.rng.integers(len(levels)))
            row, column = (int(self.rng.integers(-(-length // facts["tile"]))) for length in levels[level])
            self.ask("GET", f"inputs/{number}/tiles/{level}/{row}/{column}")
            top, left = (int(n) for n in self.rng.integers(0, SIDE - 128, 2))
            box = {"top": top, "left": left, "bottom": top + 128, "right": left + 128}
            self.ask("GET", f"inputs/{number}/preview", params=box)
            self.ask("POST", f"inputs/{number}/view", json=box)
            self.ask("GET", f"inputs/{number}/labels/{level}/{row}/{column}", params={"raw": True, "exact": level == 0})
            place = {"row": top + 64, "column": left + 64}
            self.ask("GET", f"inputs/{number}/value", params=place)
            self.ask("GET", f"inputs/{number}/probability", params=place)

    def paint(self, number: int) -> None:
        """Paint four strokes, undo two, redo one."""
        for label in (0, 1, 0, 1):
            begin = self.rng.uniform(10, SIDE - 10, 2)
            points = (begin + np.cumsum(self.rng.normal(0, 3, (12, 2)), 0)).clip(0, SIDE - 1)
            body = {"kind": "brush", "label": label, "points": points.round(1).tolist(), "radius": 3.0}
            start = time.perf_counter()
            self.ask("POST", f"paint/inputs/{number}/strokes", json=body)
            self.strokes[self.training].append(time.perf_counter() - start)
        for step in ("undo", "undo", "redo"):
            self.ask("POST", f"paint/inputs/{number}/{step}")
        self.ask("GET", f"paint/inputs/{number}/mask/0/0/0")


def percentiles(seconds: list[float]) -> list[float]:
    """50, 95 and 99 % of some times, in milliseconds."""
    return [] if not seconds else [round(1000 * float(value), 1) for value in np.percentile(seconds, (50, 95, 99))]


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        images, run = make_scenes(folder)
        given = ("--run", str(run), "--paint", str(folder / "painted"))
        with started_server([str(images)], folder, *given) as (facts, number):
            headers = {"Authorization": f"Bearer {facts['token']}"}
            address = f"http://127.0.0.1:{facts['port']}"
            with httpx.Client(base_url=address, headers=headers, timeout=300) as client:
                user = User(client, options.seed)
                seen = watch(user, number, 60 * options.minutes)
    minutes, own = (np.array(values) for values in zip(*((one[0], one[1]) for one in seen), strict=True))
    late = minutes >= minutes[-1] / 2
    slope = float(np.polyfit(minutes[late], own[late], 1)[0]) if late.sum() > 1 else float("nan")
    print(f"strokes while it trains: 50, 95, 99 %: {percentiles(user.strokes[True])} ms ({len(user.strokes[True])})")
    print(f"strokes while it rests:  50, 95, 99 %: {percentiles(user.strokes[False])} ms ({len(user.strokes[False])})")
    print(f"refused or failed: {user.failed or 'none'}")
    report = {
        "minutes": options.minutes, "requests": user.requests, "first_bytes": int(own[0]), "last_bytes": int(own[-1]),
        "most_bytes": int(own.max()), "bytes_per_hour_in_second_half": round(60 * slope),
        "strokes_training_ms": percentiles(user.strokes[True]), "strokes_rest_ms": percentiles(user.strokes[False]),
        "failed": user.failed,
    }  # fmt: skip
    print(json.dumps(report))


def watch(user: User, number: int, seconds: float) -> list[tuple[float, int, int]]:
    """Let the user work for some time; return minutes, and bytes of the server and of its children, by time."""
    begin, every = time.monotonic(), min(EVERY, seconds / 8)
    seen = [(0.0, *memory_of(number))]
    while (passed := time.monotonic() - begin) < seconds:
        user.round()
        if passed - 60 * seen[-1][0] >= every:
            seen.append((passed / 60, *memory_of(number)))
            server, children = (size / 2**20 for size in seen[-1][1:])
            print(
                f"{seen[-1][0]:6.1f} min   server {server:7.1f} MiB   children {children:7.1f} MiB   "
                f"{user.requests} requests",
                flush=True,
            )
    if user.training:
        user.ask("POST", "paint/training", params={"on": False})
    return [*seen, (seconds / 60, *memory_of(number))]


if __name__ == "__main__":
    main()
