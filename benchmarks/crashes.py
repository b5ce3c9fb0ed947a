"""Kill training and prediction at random times, and check that nothing is lost, half-written or different.

    python -m benchmarks.crashes [--kills 200] [--seed 0] [--only npy,train]

Each job is run once without a fault. Then it is started again and again and killed (SIGKILL) at random times, until it
ends by itself. After every kill, whatever bears a final name must be complete, that is, equal to the result of the
first run; in the end, all of it must be equal bit for bit (scores of found objects to four digits). Needs `fork`
(Linux, macOS).

Prints one row per job and a JSON line; the exit code is 1 if anything was lost, half-written or different.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
import torch
import zarr
from PIL import Image

import atrous.stream.resume as resume_module
import atrous.training.loop as loop_module
from atrous.demo.digits import write_digit_scenes
from atrous.recipe.build import build_network, build_task
from atrous.recipe.run import create_run
from atrous.recipe.schema import validate
from atrous.training.checkpoint import read_tensors, write_tensors
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from atrous.verbs.train import train

PATIENCE = 600.0
"""Seconds after which a job that was not killed counts as hanging."""
SMALL = ("model.encoder=resnet", "model.pretrained=false", "model.depth=10", "model.encoder_width=8", "model.width=16")


@dataclass(frozen=True)
class Job:
    """A piece of work that is killed.

    Attributes:
        name: what it is called.
        prepare: makes the inputs in a folder.
        work: does the work, from the folder of the inputs into a folder of outputs; goes on with what it finds there.
        results: returns the content of each file that bears a final name, by name; of files that must be whole.
    """

    name: str
    prepare: Callable[[Path], None]
    work: Callable[[Path, Path], None]
    results: Callable[[Path], dict[str, bytes]]


@dataclass
class Tally:
    """What happened to one job."""

    name: str
    kills: int = 0
    lives: int = 0
    finished: int = 0
    half: int = 0
    different: int = 0
    failed: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing was lost."""
        return not (self.half or self.different or self.failed)


def in_child(work: Callable[[], None], log: Path) -> int:
    """Start work in a process of its own, and return its number."""
    child = os.fork()
    if child:
        return child
    code = 0
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        resume_module.EVERY, loop_module.CHECKPOINT_SECONDS = 0.0, 0.0
        work()
    except BaseException:
        log.write_text(traceback.format_exc())
        code = 1
    finally:
        os._exit(code)


def ended(child: int, seconds: float) -> int | None:
    """Wait for a process, and return its exit code; None if it did not end in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def killed(child: int) -> None:
    """Kill a process and wait for its end."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def undisturbed(work: Callable[[], None], log: Path) -> None:
    """Run work to its end in a process of its own; an error of it ends the benchmark."""
    child = in_child(work, log)
    code = ended(child, PATIENCE)
    if code is None:
        killed(child)
    if code != 0:
        raise RuntimeError(log.read_text() if log.exists() else f"the work did not end within {PATIENCE:.0f} s")


def torment(job: Job, kills: int, folder: Path, rng: random.Random) -> Tally:
    """Run a job without a fault, then kill it at random times until it was killed `kills` times."""
    tally, inputs, log = Tally(job.name), folder / "in", folder / "log"
    inputs.mkdir(parents=True)
    undisturbed(lambda: job.prepare(inputs), log)
    begin = time.monotonic()
    undisturbed(lambda: job.work(inputs, folder / "whole"), log)
    seconds, truth = time.monotonic() - begin, job.results(folder / "whole")
    while tally.kills < kills:
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        while True:
            tally.lives += 1
            child = in_child(lambda out=out: job.work(inputs, out), log)
            last = tally.kills >= kills
            code = ended(child, PATIENCE if last else rng.uniform(0, 0.7 * seconds))
            if code is None and not last:
                killed(child)
                tally.kills += 1
                tally.half += compared(job, out, truth, partly=True, log=folder / "half")
                continue
            if code is None:
                killed(child)
            tally.failed += code != 0
            tally.finished += code == 0
            if code == 0:
                tally.different += compared(job, out, truth, partly=False, log=folder / "different")
            break
        if tally.failed:
            break
    return tally


def compared(job: Job, out: Path, truth: dict[str, bytes], *, partly: bool, log: Path) -> int:
    """Return 1 if a file differs from the truth; if `partly`, files may be missing."""
    try:
        found = job.results(out)
    except Exception as error:  # it cannot be read, so it is half-written
        log.write_text(f"{error}")
        return 1
    wrong = [name for name in found if found[name] != truth.get(name)]
    missing = [] if partly else [name for name in truth if name not in found]
    if wrong or missing:
        log.write_text(f"wrong: {wrong}, missing: {missing}")
    return int(bool(wrong or missing))


def visible_files(out: Path) -> dict[str, bytes]:
    """The content of every file that bears a final name: none of its folders is hidden."""
    paths = [path for path in out.rglob("*") if path.is_file()] if out.exists() else []
    named = {path.relative_to(out).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if not any(p[0] == "." for p in name.split("/"))}


def make_grid_run(
    folder: Path, ndim: int = 2, kind: str = "grids", task: Mapping[str, object] | None = None, **model: object
) -> None:
    """A run with random weights: a small FCN of one channel; of three classes, if `task` is not given."""
    task = task or {"classes": ["a", "b", "c"]}
    settings = {
        "name": "fcn", "encoder": "resnet", "depth": 10, "encoder_width": 8, "width": 16, "ndim": ndim,
        "in_channels": 1, "mean": [128.0], "std": [60.0], **model,
    }  # fmt: skip
    values = {
        "data": {"root": "x", "kind": kind}, "task": task, "model": settings,
        "augment": {"flip": [False] * ndim}, "train": {"crop": [64] * ndim},
    }  # fmt: skip
    write_run(folder, values)


def write_run(folder: Path, values: dict[str, object]) -> None:
    """A run with random weights for a recipe."""
    recipe = validate(values, "crashes")
    run = create_run(folder, recipe, {}, [])
    torch.manual_seed(0)
    write_tensors(run.weights, build_network(recipe.model, build_task(recipe).out_channels).state_dict(), {})


def scene(rows: int = 1536, columns: int = 128) -> np.ndarray:
    """A picture of noise with structure."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 200, (rows // 16, columns // 16)).repeat(16, 0).repeat(16, 1)
    return (coarse + rng.integers(0, 55, (rows, columns))).astype(np.uint8)


def grid_job(name: str, write: Callable[[Path, np.ndarray], object], suffix: str) -> Job:
    """Streamed prediction of one image of a format that is written as labels come."""

    def prepare(inputs: Path) -> None:
        make_grid_run(inputs / "run")
        write(inputs / f"scene{suffix}", scene())

    def work(inputs: Path, out: Path) -> None:
        done = predict(inputs / "run", [inputs / f"scene{suffix}"], out, PredictOptions(memory="24MB"))
        assert not done.failed, done.failed

    return Job(name, prepare, work, visible_files)


def write_zarr(path: Path, image: np.ndarray) -> None:
    """Write an image as a zarr array with small chunks."""
    zarr.create_array(path, data=image, chunks=(64, 128))


def prepare_genome(inputs: Path) -> None:
    """A run on genomes, and a FASTA file of twelve sequences."""
    model = {
        "name": "codons", "ndim": 1, "in_channels": 4, "width": 16, "dilations": [1, 4, 16], "reverse_complement": True,
        "mean": [0.25] * 4, "std": [0.4] * 4,
    }  # fmt: skip
    write_run(inputs / "run", {
        "data": {"root": "x", "kind": "genomes"}, "task": {"kind": "stranded", "classes": ["CDS+", "CDS-"]},
        "model": model, "augment": {"flip": [False]}, "train": {"crop": [300]},
    })  # fmt: skip
    rng = np.random.default_rng(0)
    with (inputs / "x.fa").open("w") as file:
        for number in range(12):
            file.write(f">s{number}\n{''.join(rng.choice(list('ACGT'), 20_000))}\n")


def work_genome(inputs: Path, out: Path) -> None:
    """Write features and probabilities."""
    done = predict(inputs / "run", [inputs / "x.fa"], out, PredictOptions(probabilities="bigwig"))
    assert not done.failed, done.failed


def prepare_video(inputs: Path) -> None:
    """A run on videos, and a folder of frames."""
    make_grid_run(inputs / "run", 3, "videos", temporal="levels", causal=True)
    (inputs / "clip").mkdir()
    for number, frame in enumerate(scene(24 * 64, 64).reshape(24, 64, 64)):
        Image.fromarray(frame).save(inputs / "clip" / f"{number:03d}.png")


def work_video(inputs: Path, out: Path) -> None:
    """Label the frames, and draw the overlay video."""
    done = predict(inputs / "run", [inputs / "clip"], out, PredictOptions(memory="24MB", overlay=True))
    assert not done.failed, done.failed


def prepare_objects(inputs: Path) -> None:
    """A run that finds objects, and an image."""
    make_grid_run(inputs / "run", task={"kind": "instances", "options": {"ndim": 2, "scale": 4.0, "apart": 4.0}})
    np.save(inputs / "scene.npy", scene())


def work_objects(inputs: Path, out: Path) -> None:
    """Write the numbers and the table of the objects, and both for other programs."""
    options = PredictOptions(memory="24MB", overlay=True, objects="coco,geojson")
    done = predict(inputs / "run", [inputs / "scene.npy"], out, options)
    assert not done.failed, done.failed


def found_objects(out: Path) -> dict[str, bytes]:
    """The visible files; scores and lengths in their texts are rounded to four digits.

    A stream that resumes may cut its strips at other rows. Convolutions round differently in strips of other heights.
    """
    files = visible_files(out)
    for name, content in files.items():
        if not name.endswith((".tif", ".npy", ".png")):
            rounded = re.sub(r"\d+\.\d+(e-?\d+)?", lambda found: f"{float(found[0]):.4f}", content.decode())
            files[name] = rounded.encode()
    return files


def prepare_training(inputs: Path) -> None:
    """A small data set."""
    write_digit_scenes(inputs / "data", train=6, val=2, test=1, size=(64, 64), seed=0)


def work_training(inputs: Path, out: Path) -> None:
    """Train, or resume the training."""
    run = out / "run"
    if run.exists():
        train(resume=run, progress=False)
        return
    settings = [*SMALL, "train.crop=[64, 64]", "train.batch_size=2", "train.validations=3"]
    train(inputs / "data", out=run, epochs=4, settings=settings, progress=False)


def trained(out: Path) -> dict[str, bytes]:
    """What a training must leave whole; of the state in progress only that it can be read."""
    run, found = out / "run", {}
    for name in ("model.safetensors", "checkpoint/state.safetensors"):
        if (run / name).exists():
            read_tensors(run / name)
    if (run / "scores.json").exists():  # the training has ended
        json.loads((run / "scores.json").read_text())
        tensors, facts = read_tensors(run / "model.safetensors")
        found["weights"] = b"".join(tensors[key].numpy().tobytes() for key in sorted(tensors))
        found["step"] = str(facts["step"]).encode()
    if (run / "report.html").exists():
        assert (run / "report.html").read_text().rstrip().endswith("</html>")
    return found


JOBS = (
    grid_job("npy", np.save, ".npy"),
    grid_job("tiff", tifffile.imwrite, ".tif"),
    grid_job("zarr", write_zarr, ".zarr"),
    Job("genomes", prepare_genome, work_genome, visible_files),
    Job("objects", prepare_objects, work_objects, found_objects),
    Job("video", prepare_video, work_video, visible_files),
    Job("train", prepare_training, work_training, trained),
)


def main() -> None:
    """Kill every job, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(job.name for job in JOBS))
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # a process with threads must not fork
    jobs = [job for job in JOBS if job.name in chosen.only.split(",")]
    rng, tallies = random.Random(chosen.seed), []
    print(f"{'job':<10}{'kills':>7}{'lives':>7}{'ended':>7}{'half':>7}{'differ':>8}{'failed':>8}")
    for number, job in enumerate(jobs):
        share = chosen.kills // len(jobs) + (number < chosen.kills % len(jobs))
        with tempfile.TemporaryDirectory() as folder:
            tally = torment(job, share, Path(folder), rng)
            for name in ("log", "half", "different"):
                if not tally.good and (Path(folder) / name).exists():
                    print((Path(folder) / name).read_text(), file=sys.stderr)
        tallies.append(tally)
        print(
            f"{tally.name:<10}{tally.kills:>7}{tally.lives:>7}{tally.finished:>7}{tally.half:>7}"
            f"{tally.different:>8}{tally.failed:>8}",
            flush=True,
        )
    print(json.dumps({"kills": sum(t.kills for t in tallies), "good": all(t.good for t in tallies)}))
    sys.exit(0 if all(t.good for t in tallies) else 1)


if __name__ == "__main__":
    main()
