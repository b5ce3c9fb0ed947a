"""Leave one group out: what folds are trained and measured on, how they go on, and where their metrics stand."""

import json
import shutil
import statistics
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from atrous.data.dataset import open_dataset
from atrous.errors import UserError
from atrous.recipe.plan import Request
from atrous.recipe.run import create_run, open_run
from atrous.recipe.schema import override
from atrous.training.checkpoint import read_tensors
from atrous.training.log import read_log
from atrous.verbs import feeds
from atrous.verbs import folds as verb
from atrous.verbs.check import check
from atrous.verbs.evaluate import evaluate
from atrous.verbs.fold_plan import plan_folds
from atrous.verbs.folds import evaluate_folds
from atrous.verbs.kinds import KINDS
from tests.command import atrous
from tests.genomes import write_genomes

GROUPS = r"_000(\d)$"
"""Scenes of one number are a group, as patients are: 0 to 2 have one in train and one in val, 3 to 7 one in train."""
POOL = {f"train/train_000{n}" for n in range(8)} | {f"val/val_000{n}" for n in range(3)}


def members(group):
    return {name for name in POOL if name.endswith(f"_000{group}")}


@pytest.fixture(scope="module")
def grouped(digits, tmp_path_factory):
    """A dataset.toml of the digits that names groups."""
    file = tmp_path_factory.mktemp("grouped") / "dataset.toml"
    file.write_text(f"groups = '{GROUPS}'\n" + (digits / "dataset.toml").read_text())
    return file


@pytest.fixture(scope="module")
def copied(trained, tmp_path_factory):
    """A copy of the run, into whose report groups are written."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("copied") / "run")


@pytest.fixture(scope="module")
def measured(copied, digits, grouped, tmp_path_factory):
    """The folds of two groups, what was said, and the samples that were decoded to train on, fold by fold."""
    out, said, decoded = tmp_path_factory.mktemp("folds") / "out", [], []
    decode = feeds.decode

    def noted(dataset, samples, **options):
        if options["need_places"]:
            decoded.append([sample.name for sample in samples])
        return decode(dataset, samples, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feeds, "decode", noted)
        scores = evaluate_folds(copied, digits, description=grouped, most=2, out=out, say=said.append)
    return scores, out, said, decoded


def short(name):
    return name.removeprefix("images/")


def test_each_fold_is_trained_on_everything_but_its_group(measured):
    scores, out, said, decoded = measured
    assert [row.group for row in scores.rows] == ["0", "1"]
    assert [row.samples for row in scores.rows] == [2, 2]
    for group, names in zip("01", decoded, strict=True):
        assert {short(name) for name in names} == POOL - members(group)
    assert said[0].startswith("2 groups are left out in turn (0, 1); 2 trainings of 2 epochs each, about ")
    assert said[0].endswith(" in all by the time of the run")
    assert {"training 1 of 2: without 0 (2 samples)", "training 2 of 2: without 1 (2 samples)"} < set(said)
    assert not (out / "0" / "checkpoint").exists()


def test_its_metrics_are_those_of_the_group(measured, copied, digits):
    scores, out, _, _ = measured
    own = json.loads((copied / "scores.json").read_text())["miou"]
    values = []
    for row in scores.rows:
        again = evaluate(row.run, digits, description=out / f"{row.group}.toml")
        assert {short(name) for name in again.scores.per_image} == members(row.group)
        assert row.metrics == {"miou": again.scores.miou, "pixel_accuracy": again.scores.pixel_accuracy}
        values.append(again.scores.miou)
        assert scores.difference(row) == again.scores.miou - own
    assert scores.mean == pytest.approx(statistics.mean(values))
    assert scores.std == pytest.approx(statistics.stdev(values))
    assert scores.waiting == ()
    facts = scores.to_dict()
    assert (facts["metric"], facts["validation"]) == ("miou", own)
    assert [group["metrics"]["miou"] for group in facts["groups"]] == values


def test_a_fold_is_a_run_that_stands_alone(measured, digits):
    """Its own dataset.toml has its splits, so that `train --resume` and `evaluate` do not mix them up."""
    _, out, _, _ = measured
    run = open_run(out / "0")
    root, described = run.data()
    assert described == out / "0.toml"
    splits = open_dataset(root, described).splits
    assert {short(sample.name) for sample in splits["val"]} == members("0")
    assert {short(sample.name) for sample in splits["train"]} == POOL - members("0")
    assert [short(sample.name) for sample in splits["test"]] == ["test/test_0000", "test/test_0001"]
    assert "train 9, val 2, test 2 (0 is left out)" in (out / "0" / "check.txt").read_text()
    assert run.calibration() is None


def test_what_the_group_holds_does_not_matter_to_the_weights(measured, copied, digits, grouped, tmp_path):
    """The same fold beside a group of noise: the same weights, bit for bit, whatever its validations said."""
    data = shutil.copytree(digits, tmp_path / "data")
    rng = np.random.default_rng(0)
    for name in members("1"):
        for kind, most in (("images", 256), ("masks", 10)):
            path = data / kind / f"{name}.png"
            shape = np.asarray(Image.open(path)).shape
            Image.fromarray(rng.integers(0, most, shape).astype(np.uint8)).save(path)
    plan = plan_folds(copied, data, description=grouped, out=tmp_path / "out")
    fold = next(fold for fold in plan.folds if fold.group == "1")
    scores = verb.train_folds(replace(plan, folds=(fold,)), say=lambda text: None)
    ours, theirs = ((out / "1" / "model.safetensors") for out in (measured[1], tmp_path / "out"))
    weights, others = read_tensors(ours)[0], read_tensors(theirs)[0]
    assert all((weights[name] == others[name]).all() for name in weights)
    assert scores.rows[0].metrics != measured[0].rows[1].metrics


def test_a_killed_fold_goes_on_and_what_is_done_stays(measured, copied, digits, grouped, tmp_path, monkeypatch):
    _, out, _, _ = measured
    first, folder, trainings, planned = tmp_path / "out" / "0", tmp_path / "out", [], verb.train_planned
    shutil.copytree(out, folder, ignore=shutil.ignore_patterns("1", "1.toml"))
    before = {path: path.stat().st_mtime_ns for path in first.rglob("*")}

    def watched(*arguments, **options):
        trainings.append((arguments[3].name, options["resume"]))
        return planned(*arguments, **options)

    def killed(step, values):
        raise RuntimeError("killed")

    def dies(*arguments, **options):
        return planned(*arguments, **options, on_validation=killed)

    options = {"description": grouped, "most": 2, "out": folder, "say": lambda text: None}
    monkeypatch.setattr("atrous.training.loop.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(verb, "train_planned", dies)
    with pytest.raises(RuntimeError, match="killed"):
        evaluate_folds(copied, digits, **options)
    at = read_tensors(folder / "1" / "checkpoint" / "state.safetensors")[1]["step"]
    assert at > 0
    monkeypatch.setattr(verb, "train_planned", watched)
    scores = evaluate_folds(copied, digits, **options)
    assert trainings == [("1", folder / "1")]
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*")} == before
    assert [row.metrics for row in scores.rows] == [row.metrics for row in measured[0].rows]
    assert (folder / "1" / "model.safetensors").read_bytes() == (out / "1" / "model.safetensors").read_bytes()
    steps = [row["step"] for row in read_log(folder / "1" / "metrics.csv") if row["split"] == "val"]
    assert steps == [row["step"] for row in read_log(out / "1" / "metrics.csv") if row["split"] == "val"]


def test_an_interrupted_fold_ends_the_command(copied, digits, grouped, tmp_path, monkeypatch):
    class Stopped:
        scores = None

    monkeypatch.setattr(verb, "train_planned", lambda *arguments, **options: Stopped)
    done = atrous("evaluate", copied, digits, "--dataset", grouped, "--folds", 3, "--out", tmp_path / "out", "--json")
    assert done.returncode == 130
    assert json.loads(done.stdout)["folds"]["waiting"] == ["0", "1", "2"]
    assert json.loads(done.stdout)["folds"]["mean"] is None
    assert "stopped; the same command goes on" in done.stderr


def test_the_command_prints_and_reports_what_is_done(measured, copied, digits, grouped):
    scores, out, _, _ = measured
    told = atrous("evaluate", copied, digits, "--dataset", grouped, "--folds", 2, "--out", out, "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["folds"] == scores.to_dict()
    assert "2 groups are left out in turn (0, 1); 2 done already" in told.stderr
    html = (copied / "report.html").read_text(encoding="utf-8")
    assert html.count("<h2>Groups left out</h2>") == html.count('<a href="#folds">') == 1
    assert f'<th scope="row">0</th><td>2</td><td>{scores.rows[0].metrics["miou"]:.3f}</td>' in html
    assert f"{scores.mean:.3f} on average, with a standard deviation of {scores.std:.3f}" in html


def test_a_training_that_fails_names_the_group(copied, digits, grouped, tmp_path, monkeypatch):
    def fails(*arguments, **options):
        raise UserError("no memory")

    monkeypatch.setattr(verb, "train_planned", fails)
    with pytest.raises(UserError, match="without 0: no memory"):
        evaluate_folds(copied, digits, description=grouped, out=tmp_path / "out", say=lambda text: None)


def test_a_file_name_that_is_no_text_is_told(copied, digits, grouped, tmp_path):
    plan = plan_folds(copied, digits, description=grouped, out=tmp_path)
    sample = replace(plan.pool[0], name="gr\udcfc\udcfcn")
    with pytest.raises(UserError, match=r"in the name of a file is no text"):
        verb._describe(replace(plan, pool=(sample, *plan.pool)), plan.folds[0])


def test_genomes_are_groups_by_themselves(tmp_path):
    """Another kind of data, another task: sequences of a genome stay together."""
    data = write_genomes(tmp_path / "genomes", length=2000)
    found = check(data)
    recipe = KINDS["genomes"].plan(found.dataset, found.fingerprint, Request(epochs=0.1)).recipe
    small = ("model.encoder_width=8", "model.width=8", "train.crop=[256]", "train.validations=1")
    run = create_run(tmp_path / "run", override(recipe, [*small, "task.genetic_codes=[]"]), {}, [])
    plan = plan_folds(run)
    assert [fold.group for fold in plan.folds] == ["g0", "g1", "g2"]
    scores = verb.train_folds(replace(plan, folds=plan.folds[:1]), say=lambda text: None)
    fold = open_run(tmp_path / "run" / "folds" / "g0")
    splits = open_dataset(*fold.data()).splits
    assert {split: [sample.name for sample in samples] for split, samples in splits.items()} == {
        "train": ["g1/g1.1", "g2/g2.1"], "val": ["g0/g0.1"],
    }  # fmt: skip
    assert scores.rows[0].metrics["miou"] == json.loads((fold.folder / "scores.json").read_text())["miou"]


def test_a_run_without_scores_takes_the_validation_that_is_given(measured, trained, digits, grouped):
    _, out, _, _ = measured
    plan = plan_folds(trained, digits, description=grouped, most=2, out=out)
    bare = create_run(out.parent / "bare", open_run(trained).recipe, {}, [])
    scores = verb.train_folds(replace(plan, run=bare), say=lambda text: None)
    assert np.isnan(scores.validation)
    assert scores.to_dict()["groups"][0]["difference"] is None
    given = verb.train_folds(replace(plan, run=bare), validation={"miou": 0.5}, say=lambda text: None)
    assert given.difference() == given.mean - 0.5
