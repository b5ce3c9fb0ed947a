"""The search verb: a whole search on small data, what it leaves, and how it goes on."""

import json
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from atrous.errors import UserError
from atrous.recipe.plan import Request
from atrous.recipe.run import open_run
from atrous.recipe.schema import override, read_recipe
from atrous.searching import ladder as ladder_module
from atrous.searching.folder import open_search
from atrous.searching.limits import NetworkFacts
from atrous.verbs.check import check
from atrous.verbs.feeds import feed_alike
from atrous.verbs.kinds import KINDS
from atrous.verbs.search import search
from tests.conftest import SMALL
from tests.genomes import write_genomes

FACTS = NetworkFacts((61, 61), 1000, 50_000_000, 8.0, 30.0, 1)
VARY = ("dice", "learning_rate")
RUNG = 1 / 240
"""Minutes of a training on the first rung of the search that several tests look at: a quarter of a second."""


def a_clock(step):
    """What the search takes for the module `time`: every look at the clock is so many seconds later."""
    return SimpleNamespace(monotonic=partial(next, count(0.0, step)))


@pytest.fixture(scope="module")
def searched(digits, tmp_path_factory):
    """A search of four trainings, of which the last is on the second rung, whatever the speed of the machine."""
    folder = tmp_path_factory.mktemp("searches") / "digits"
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("atrous.verbs.search.time", a_clock(0.5525))
        result = search(
            digits, out=folder, minutes=0.05, rung=RUNG, vary=VARY, settings=SMALL, sampler="policy",
            say=said.append,
        )  # fmt: skip
    return folder, result, said


def test_it_leaves_recipes_runs_and_a_report(searched):
    folder, result, said = searched
    left = {path.name for path in folder.iterdir()}
    assert left == {"planned.toml", "search.json", "search.db", "trials", "recipes", "report.html", "result.json"}
    assert result.metric == "miou"
    assert result.trained == [3, 1]
    assert sum(result.trained) == len([line for line in said if "ms per megaposition" in line])
    values = [point.value for point in result.front]
    times = [point.milliseconds for point in result.front]
    assert values == sorted(values, reverse=True)
    assert times == sorted(times, reverse=True)
    assert json.loads((folder / "result.json").read_text()) == json.loads(json.dumps(result.to_dict()))
    for point in result.front:
        recipe = read_recipe(Path(point.recipe))
        assert recipe.train.start is None
        assert recipe.train.minutes == pytest.approx(point.minutes, rel=1e-4)
    page = (folder / "report.html").read_text()
    assert "Which recipes are best?" in page
    assert "learning_rate" in page
    assert str(result.front[0].recipe) in page
    assert result.front[0].recipe in result.text()


def test_trials_are_runs_that_start_from_earlier_ones(searched):
    folder = searched[0]
    runs = [open_run(path) for path in sorted((folder / "trials").iterdir())]
    starts = [run.recipe.train.start for run in runs]
    assert [run.folder.name.split("-")[0] for run in runs] == ["rung1", "rung1", "rung1", "rung2"]
    assert starts[0] is None
    assert all(start is not None and start.startswith(str(folder / "trials/rung1-")) for start in starts[1:])
    assert runs[3].recipe.model == open_run(starts[3]).recipe.model
    assert [run.recipe.train.minutes for run in runs] == pytest.approx([RUNG] * 3 + [3 * RUNG])
    assert not any((run.folder / "checkpoint").exists() for run in runs)
    assert all(run.weights.exists() and (run.folder / "scores.json").exists() for run in runs)
    assert not any((run.folder / "report.html").exists() for run in runs)


def test_the_same_command_goes_on_and_another_is_refused(searched, digits):
    folder, result, _ = searched
    options = {"vary": VARY, "settings": SMALL, "sampler": "policy", "rung": RUNG, "out": folder}
    with pytest.raises(UserError, match="holds a search with sampler = policy, not tpe"):
        search(digits, minutes=0.06, **{**options, "sampler": "tpe"})
    said: list[str] = []
    again = search(digits, minutes=0.001, say=said.append, **options)  # its time is over
    assert said[-1] == f"going on with {folder}"
    assert again.trained == result.trained
    with pytest.raises(UserError, match="is not the folder of a search"):
        search(digits, minutes=1, out=folder / "trials")


def test_a_latency_that_no_network_has_refuses_every_point(digits, tmp_path, monkeypatch):
    monkeypatch.setattr("atrous.verbs.search.time", a_clock(0.1))
    monkeypatch.setattr("atrous.searching.limits.examine", lambda recipe, shape: FACTS)
    result = search(
        digits, out=tmp_path / "s", minutes=0.1, rung=1 / 60, vary=("learning_rate",), settings=SMALL,
        latency=1e-6, memory="10GB", shape=(32, 48), say=lambda text: None,
    )  # fmt: skip
    assert result.front == []
    assert result.trained[0] == 0
    assert sum(result.refused.values()) == 3
    assert all(reason.startswith("latency ") for reason in result.refused)
    assert open_search(tmp_path / "s").needs.shape == (3, 32, 48)
    assert "Too few points" in (tmp_path / "s" / "report.html").read_text()


def test_mistakes_leave_no_folder(digits, tmp_path):
    common = {"out": tmp_path / "s", "minutes": 1, "say": lambda text: None}
    for options, words in (
        ({"vary": ("color",)}, "--vary color: the search can vary encoder"),
        ({"shape": (64,)}, "--input 64: the data have 2 axes"),
        ({"rung": 2.0}, "--minutes 1: a training on the first rung takes 2 minutes: give more minutes"),
        ({"settings": ["train.learning_rate=0.1"], "vary": ("learning_rate",)}, "--vary learning_rate"),
    ):
        with pytest.raises(UserError, match=words):
            search(digits, **common, **options)
    assert not (tmp_path / "s").exists()


def test_a_search_whose_trainings_all_fail_ends(digits, tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise RuntimeError("no luck")

    monkeypatch.setattr("atrous.verbs.search.train_planned", fails)
    monkeypatch.setattr("atrous.searching.limits.examine", lambda recipe, shape: FACTS)
    monkeypatch.setattr("atrous.verbs.search.time", a_clock(0.1))
    said: list[str] = []
    with pytest.raises(RuntimeError, match="no luck"):
        search(digits, out=tmp_path / "s", minutes=1, vary=("learning_rate",), settings=SMALL, say=said.append)
    assert len([line for line in said if "failed: RuntimeError: no luck" in line]) == 3
    assert "no luck" in (tmp_path / "s" / "trials" / "rung1-0000.txt").read_text()


@pytest.mark.usefixtures("heeded")
@pytest.mark.parametrize("lost", [False, True])
def test_ctrl_c_ends_a_search_even_where_a_library_drops_the_exception(lost, digits, tmp_path, monkeypatch):
    trainings = []

    def interrupted(*arguments, **options):
        trainings.append(arguments)
        with suppress(KeyboardInterrupt) if lost else nullcontext():
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("no luck")

    monkeypatch.setattr("atrous.verbs.search.train_planned", interrupted)
    monkeypatch.setattr("atrous.searching.limits.examine", lambda recipe, shape: FACTS)
    monkeypatch.setattr("atrous.verbs.search.time", a_clock(0.1))
    said: list[str] = []
    result = search(digits, out=tmp_path / "s", minutes=1, vary=("learning_rate",), settings=SMALL, say=said.append)
    assert result.interrupted
    assert len(trainings) == 1
    assert said[-1] == f"stopped; go on with: atrous search --resume {tmp_path / 's'}"


def command_words(folder):
    """Options of a search with few points and trainings of a second on the first rung; its time is never over."""
    words = ["--minutes", "1000", "--rung", "0.02", "--vary", "learning_rate", "--out", str(folder), "--json"]
    return words + [word for setting in SMALL for word in ("--set", setting)]


DIES = """
import os, signal
from atrous.cli.main import run
from atrous.verbs import search as verb

train, calls = verb.train_planned, []

def third_dies(*arguments, **options):
    calls.append(len(calls) + 1)
    if calls[-1] == 3:
        options["on_step"] = lambda values: os.kill(os.getpid(), signal.SIGKILL)
    return train(*arguments, **options)

verb.train_planned = third_dies
run()
"""


@pytest.mark.slow
def test_a_killed_search_goes_on(digits, tmp_path, monkeypatch):
    """kill -9 after the first step of the third training: its point is tried again, and what was finished stays."""
    folder = tmp_path / "s"
    died = subprocess.run(
        [sys.executable, "-c", DIES, "search", str(digits), *command_words(folder)], capture_output=True, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    ladder = open_search(folder).ladder()
    assert len(ladder.finished(0)) == 2
    [dead] = [trial for trial in ladder.studies[0].trials if trial.state.name == "RUNNING"]
    spent = ladder.spent()
    ladder.close()

    monkeypatch.setattr(ladder_module, "SILENCE", -1.0)
    monkeypatch.setattr("atrous.verbs.search.time", a_clock(4.0))
    search(resume=folder, minutes=spent / 60 + 0.25, say=lambda text: None)  # at most three trainings more
    ladder = open_search(folder).ladder()
    trials = ladder.studies[0].trials
    [again] = [trial for trial in ladder.finished(0) if trial.params == dead.params]
    assert (trials[dead.number].state.name, again.number > dead.number) == ("FAIL", True)
    assert [len(ladder.finished(rung)) for rung in range(3)] == [3, 1, 0]
    ladder.close()


@pytest.mark.slow
def test_two_processes_share_a_search(digits, tmp_path):
    """Both end when every point is tried or being tried; what either says of a trial stands in the database once."""
    folder, files = tmp_path / "s", [tmp_path / "0.txt", tmp_path / "1.txt"]
    processes = []
    for file in files:
        with file.open("w") as errors:
            line = [sys.executable, "-m", "atrous", "search", str(digits), *command_words(folder)]
            processes.append(subprocess.Popen(line, stdout=subprocess.PIPE, stderr=errors, text=True))
    outputs = [process.communicate()[0] for process in processes]
    texts = [file.read_text() for file in files]
    assert [process.returncode for process in processes] == [0, 0], texts
    assert not any(json.loads(output)["interrupted"] for output in outputs)
    lines = [line for text in texts for line in text.splitlines() if "ms per megaposition" in line]
    ladder = open_search(folder).ladder()
    finished = [(rung, trial.number) for rung in range(len(ladder.studies)) for trial in ladder.finished(rung)]
    assert sorted(line.split(":")[0] for line in lines) == sorted(f"rung{r + 1}-{n:04d}" for r, n in finished)
    assert len({trial.params["learning_rate"] for trial in ladder.finished(0)}) == 3
    ladder.close()


@pytest.mark.parametrize(("kind", "window"), [("grids", None), ("grids", 3), ("genomes", None)])
def test_decoded_data_serve_other_recipes(kind, window, digits, tmp_path):
    """Batches of a feed that was made for another recipe are those of the recipe's own feed."""
    found = check(digits if kind == "grids" else write_genomes(tmp_path / "genomes", length=2000))
    plan = KINDS[kind].plan(found.dataset, found.fingerprint, Request(epochs=1)).recipe
    if window is not None:
        plan = override(plan, [f"data.window={window}"])
    crop = [32, 48] if kind == "grids" else [600]
    other = override(plan, [f"train.crop={crop}", "train.batch_size=3", "train.seed=5", "augment.brightness=0.1"])
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    feed, own = (KINDS[kind].feed(found, recipe, tmp_path / name) for recipe, name in ((plan, "a"), (other, "b")))
    alike = feed_alike(feed, found, other)
    for step in (0, 7):
        assert torch.equal(alike.batches[step].images, own.batches[step].images)
        assert torch.equal(alike.batches[step].targets, own.batches[step].targets)
    assert alike.held_out is feed.held_out
    assert feed_alike(replace(feed, batches=None), found, other) is None
    feed.close()
    own.close()
