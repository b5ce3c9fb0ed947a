"""Training and prediction that are killed, run out of disk or lose their folders: nothing half-written bears a name."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from atrous.data.formats.writing import files_identity
from atrous.prediction.frames import FrameLabels
from atrous.prediction.inputs import Input, Opened
from atrous.prediction.jobs import PredictionJob, find_jobs, run_jobs
from atrous.prediction.journal import Journal
from atrous.prediction.labels import LabelFile
from atrous.prediction.output import Companions
from atrous.prediction.predictor import load
from atrous.training.log import Log, read_log
from tests.command import atrous
from tests.genomes import random_bases, write_fasta
from tests.prediction.test_features import make_run

ROOT = Path(__file__).resolve().parents[1]
UNIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and limits of Unix")
PALETTE = ((0, 0, 0), (255, 0, 0))


@UNIX
@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["npy,tiff,zarr", "genomes,video,train"])
def test_a_job_that_is_killed_at_random_times_ends_with_the_same_result(jobs):
    """Real kills, two of each kind; `benchmarks/crashes.py` does two hundred."""
    command = [sys.executable, "-m", "benchmarks.crashes", "--kills", "6", "--seed", "5", "--only", jobs]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"kills": 6, "good": True}


class Interrupted(Exception):
    """Ends a run from within, as a kill does from outside."""


@pytest.fixture(scope="module")
def genome_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture
def genome(tmp_path):
    rng = np.random.default_rng(0)
    return write_fasta(tmp_path / "x.fa", {name: random_bases(rng, 900) for name in ("a", "b", "c")})


def annotate(run, fasta, out, computed, stop_after=None):
    """Write features and probabilities; note the sequences that the network runs on, and stop before one of them."""
    predictor = load(run)
    write = type(predictor).write

    def counting(source, labels, probabilities, **options):
        if stop_after is not None and len(computed) >= stop_after:
            raise KeyboardInterrupt
        computed.append(int(np.asarray(source[...]).sum()))
        write(predictor, source, labels, probabilities, **options)

    object.__setattr__(predictor, "write", counting)
    return run_jobs(predictor, find_jobs(predictor, [fasta], out, Companions(probabilities="bigwig")), out)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_a_genome_resumes_after_its_last_sequence_and_the_files_are_the_same(genome_run, genome, tmp_path):
    whole, again = [], []
    annotate(genome_run, genome, tmp_path / "whole", whole)
    with pytest.raises(KeyboardInterrupt):
        annotate(genome_run, genome, tmp_path / "out", [], stop_after=2)
    assert [name for name in contents(tmp_path / "out") if not name.startswith(".")] == []
    annotate(genome_run, genome, tmp_path / "out", again)
    assert len(whole) == 3
    assert again == whole[2:]
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.parametrize("change", ["the sequences", "the weights"])
def test_what_another_run_began_is_not_continued(change, genome_run, genome, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        annotate(genome_run, genome, tmp_path / "out", [], stop_after=2)
    run = genome_run
    if change == "the sequences":
        write_fasta(genome, {name: random_bases(np.random.default_rng(7), 900) for name in ("a", "b", "c")})
    else:
        shutil.copytree(genome_run.folder, tmp_path / "other")
        weights = tmp_path / "other" / "model.safetensors"
        from atrous.training.checkpoint import read_tensors, write_tensors

        tensors, facts = read_tensors(weights)
        write_tensors(weights, {k: v * 1.1 if v.is_floating_point() else v for k, v in tensors.items()}, facts)
        run = tmp_path / "other"
    again: list[int] = []
    annotate(run, genome, tmp_path / "out", again)
    assert len(again) == 3
    annotate(run, genome, tmp_path / "whole", [])
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_line_of_a_journal_that_was_cut_short_counts_for_nothing(tmp_path):
    journal = Journal(tmp_path / "j", "same")
    journal.add({"sequence": "a"})
    journal.add({"sequence": "b"})
    text = (tmp_path / "j").read_bytes()
    for cut in range(len(text)):
        (tmp_path / "j").write_bytes(text[:cut])
        again = Journal(tmp_path / "j", "same")
        whole = text[:cut].count(b"\n")
        assert [entry["sequence"] for entry in again.entries] == ["a", "b"][: max(0, whole - 1)]
        again.add({"sequence": "z"})
        assert Journal(tmp_path / "j", "same").entries[-1] == {"sequence": "z"}
    assert Journal(tmp_path / "j", "another").entries == []


def test_a_replaced_input_has_another_identity(tmp_path):
    file = tmp_path / "a.npy"
    file.write_bytes(b"one")
    first = files_identity([file])
    os.utime(file, (1, 1))
    assert files_identity([file]) != first


@pytest.mark.parametrize("kind", [LabelFile, FrameLabels])
def test_unfinished_labels_of_an_input_that_was_replaced_are_removed(kind, tmp_path):
    source, target = tmp_path / "in.npy", tmp_path / "out.npy"
    arguments = (target, source, ("no", "yes"), PALETTE) if kind is LabelFile else (target, source, PALETTE)
    shape = (1, 3, 4) if kind is LabelFile else (1, 3, 4, 5)
    np.save(source, np.zeros(shape, np.float32))
    opened = Opened(np.zeros(shape, np.float32), shape[1:])
    for replaced in (False, True):
        labels = kind(*arguments)
        labels.begin(opened, streamed=True)
        labels.sink[0:1] = np.ones((1, *shape[2:]), np.uint8)
        record = tmp_path / ".out.npy.part.progress.npz"
        record.write_bytes(b"a record")
        if replaced:
            np.save(source, np.ones((*shape, 2), np.float32))
        again = kind(*arguments)
        again.begin(opened, streamed=True)
        assert record.exists() != replaced
        again.discard()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npy"]


LIMITED = """
import resource, signal, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from atrous.cli.main import run
run()
"""


def limited(size, *words):
    """Run the command where no file may grow beyond `size` bytes: writes fail or are short, as on a full disk."""
    command = [sys.executable, "-c", LIMITED, str(size), *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


@UNIX
@pytest.mark.parametrize(("suffix", "streamed"), [(".npy", True), (".npy", False), (".tif", True), (".png", False)])
@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_one_line_and_leaves_no_final_name(suffix, streamed, trained, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (256, 96, 3), dtype=np.uint8)
    if suffix == ".npy":
        np.save(tmp_path / "a.npy", image.transpose(2, 0, 1))
    else:
        Image.fromarray(image).save(tmp_path / f"a{suffix}")
    memory = ["--memory", "60MB"] if streamed else []
    done = limited(300, "predict", trained, tmp_path / f"a{suffix}", "-o", tmp_path / "out", *memory)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("atrous: ")]
    assert len(said) == 1
    assert "files may not become that large here" in said[0] or "disk is full" in said[0]
    assert [path for path in (tmp_path / "out").rglob("*") if not path.name.startswith(".")] == []


@UNIX
@pytest.mark.slow
def test_a_training_that_finds_the_disk_full_is_one_line_and_resumes(digits, tmp_path):
    words = ["train", digits, "--epochs", 1, "--out", tmp_path / "run", "--set", "model.encoder=resnet"]
    words += ["--set", "model.pretrained=false", "--set", "model.depth=10", "--set", "model.encoder_width=8"]
    done = limited(60_000, *words)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("atrous: ")]
    assert len(said) == 1
    assert re.search(r"files may not become that large.*the run is kept.*--resume", said[0])
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_a_folder_that_cannot_be_written_is_one_line(trained, digits, tmp_path):
    """A folder of the system takes no files, whoever writes."""
    image = next((digits / "images" / "test").iterdir())
    done = atrous("predict", trained, image, "-o", "/proc/labels")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "/proc/labels" in done.stderr


@pytest.mark.parametrize("suffix", [".npy", ".zarr"])
def test_a_folder_that_vanishes_is_one_line_and_leaves_no_final_name(suffix, tmp_path):
    """Zarr makes the folder again with its next chunk: without metadata it must not get its final name."""
    source = tmp_path / "in.npy"
    np.save(source, np.zeros((1, 64, 64), np.float32))
    out = tmp_path / "out"

    def write(source, labels, probabilities, *, resume=False, progress=None):
        labels[0:32] = np.ones((32, 64), np.uint8)
        shutil.rmtree(out)
        labels[32:64] = np.ones((32, 64), np.uint8)

    predictor = Labeler(write)
    job = PredictionJob(
        Input((source,), Path(f"in{suffix}")), (LabelFile(out / f"in{suffix}", source, ("a",), PALETTE),)
    )
    done = run_jobs(predictor, [job], out)
    assert len(done.failed) == 1
    assert done.log is None
    assert str(out) in done.failed[0][1]
    assert not (out / f"in{suffix}").exists()


class Labeler:
    """A predictor that writes labels with a function."""

    palette, dtype, engine, device = PALETTE, torch.float32, "torch", "cpu"

    def __init__(self, write):
        self.write = write

    def plan(self, shape):
        from types import SimpleNamespace

        return SimpleNamespace(blocks=1, macs=1e9, text=lambda: "the plan")

    def parts(self, item):
        return iter([Opened(np.zeros((1, 64, 64), np.float32), (64, 64))])


def test_half_a_line_of_the_log_is_dropped(tmp_path):
    log = Log(tmp_path, ("miou",))
    log.write(step=1, epoch=0.5, seconds=1.0, split="train", loss=2.0)
    log.close()
    path = tmp_path / "metrics.csv"
    whole = path.read_bytes()
    for half in (b"2,1.", b"2,1.0,2.0,tra", b"2,1.0,2.0,train,1e-"):
        path.write_bytes(whole + half)
        assert [row["step"] for row in read_log(path)] == [1]
        Log(tmp_path, ("miou",), step=1).close()
        assert path.read_bytes().count(b"\n") == 2
