"""The parts of `benchmarks/ideas.py`: what is left out, what goes on, and the table. Trainings are played."""

import json
import sys
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from atrous.data.dataset import open_dataset
from benchmarks import ideas
from benchmarks.ideas import IDEAS, settings_of, table


@pytest.fixture
def scenes(tmp_path):
    """Two sequences to train on and one to validate on; class 2 is rare."""
    root = tmp_path / "scenes"
    for folder in ("train", "trainannot", "val", "valannot"):
        (root / folder).mkdir(parents=True)
    for split, name in (("train", "aa_1"), ("train", "aa_2"), ("train", "bb_1"), ("val", "cc_1")):
        labels = np.zeros((20, 20), np.uint8)
        labels[:10], labels[0, 0] = 1, 2
        Image.fromarray(labels * 90).convert("RGB").save(root / split / f"{name}.png")
        Image.fromarray(labels).save(root / f"{split}annot" / f"{name}.png")
    (root / "dataset.toml").write_text('task = "semantic"\nclasses = ["road", "sky", "sign"]\n')
    return root


@pytest.fixture
def played(monkeypatch):
    """Trainings and evaluations that are noted: a training's mean IoU is 0.5 and a tenth for each of its settings."""
    calls = []

    def train(data=None, *, out=None, settings=(), description=None, resume=None, **options):
        calls.append((resume or out, list(settings), description))
        if resume is None:
            assert out is not None
            out.mkdir(parents=True)
            (out / "recipe.toml").write_text("")
        return SimpleNamespace(
            scores=SimpleNamespace(miou=0.5 + 0.1 * len(settings)),
            outcome=SimpleNamespace(step=100, best_step=90, seconds=600.0),
        )

    def evaluate(folder, split):
        assert split == "test"
        return SimpleNamespace(scores=SimpleNamespace(miou=0.25))

    monkeypatch.setattr(ideas, "train", train)
    monkeypatch.setattr(ideas, "evaluate", evaluate)
    return calls


def command(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["ideas", *map(str, words)])
    ideas.main()


def test_each_idea_is_trained_once_under_both_protocols(scenes, played, tmp_path, monkeypatch, capsys):
    words = (scenes, "--only", "base,paste", "--leave-out", "bb", "--out", tmp_path / "out")
    command(monkeypatch, *words)
    pasted = ["augment.paste=0.3", 'augment.paste_classes=["sign"]']
    without = tmp_path / "out" / "left-out.toml"
    assert [call[1:] for call in played] == [([], None), ([], without), (pasted, None), (pasted, without)]
    first = capsys.readouterr().out
    assert first.splitlines()[-2].split() == ["paste", "1", "0.7000", "1.400", "100", "0.2500", "1.000", "100"]
    command(monkeypatch, *words)
    assert len(played) == 4
    assert capsys.readouterr().out.splitlines()[-3:] == first.splitlines()[-3:]
    rows = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [row["miou"] for row in rows] == [0.5, 0.25, 0.7, 0.25]


def test_an_interrupted_training_goes_on(scenes, played, tmp_path, monkeypatch):
    folder = tmp_path / "out" / "base-val-10m-0"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text("")
    command(monkeypatch, scenes, "--only", "base", "--protocols", "val", "--out", tmp_path / "out")
    assert played == [(folder, [], None)]


def test_the_sequence_that_is_left_out_is_a_split_of_its_own(scenes, played, tmp_path, monkeypatch):
    command(monkeypatch, scenes, "--only", "base", "--leave-out", "aa", "--out", tmp_path / "out")
    described = tmp_path / "out" / "left-out.toml"
    assert tomllib.loads(described.read_text())["classes"] == ["road", "sky", "sign"]
    splits = open_dataset(scenes, described).splits
    assert {split: [sample.name for sample in samples] for split, samples in splits.items()} == {
        "train": ["train/bb_1"], "val": ["val/cc_1"], "test": ["train/aa_1", "train/aa_2"],
    }  # fmt: skip


def test_without_such_names_val_is_all(scenes, played, tmp_path, monkeypatch, capsys):
    command(monkeypatch, scenes, "--only", "base", "--out", tmp_path / "out")
    assert len(played) == 1
    assert "begin with '0001TP': val alone" in capsys.readouterr().out


def test_ideas_are_joined_and_every_one_is_a_setting_of_a_recipe():
    assert settings_of("focal+paste", ["pole"]) == [
        "task.focal=1.0", "augment.paste=0.3", 'augment.paste_classes=["pole"]',
    ]  # fmt: skip
    from atrous.recipe.schema import check_settings

    for idea in IDEAS:
        check_settings(settings_of(idea, ["pole", "sign"]))
    with pytest.raises(SystemExit, match="no class of these data"):
        settings_of("paste", [])


def test_the_table_pairs_seeds():
    def row(idea, seed, miou):
        return {"idea": idea, "protocol": "val", "seed": seed, "miou": miou, "steps": 10}

    rows = [row("base", 0, 0.5), row("base", 1, 0.7), row("focal", 1, 0.77), row("strong", 0, 0.55)]
    lines = [line.split() for line in table(rows).splitlines()]
    assert lines[1] == ["base", "2", "0.6000", "±", "0.1414", "1.000", "10", "-", "-", "-"]
    assert lines[2][3] == "1.100"
    assert lines[3][3] == "1.100"
