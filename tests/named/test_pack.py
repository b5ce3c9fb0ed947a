"""`packages/atrous-models`: a run becomes a model; cards, digests, sizes and the list of models agree."""

import json
import runpy
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import torch

from atrous.errors import UserError
from atrous.named.card import read_card
from atrous.named.packages import NamedModel, named_models
from atrous.recipe.network import build_network
from atrous.recipe.run import Run, open_run
from atrous.recipe.schema import override, read_recipe
from atrous.training.checkpoint import read_tensors
from tests.model_packages import CARD

FOLDER = Path(__file__).resolve().parents[2] / "packages" / "atrous-models"
PACK = runpy.run_path(str(FOLDER / "pack.py"))
PACKED = sorted(path.parent for path in (FOLDER / "atrous_models").glob("*/card.toml"))
MOST_BYTES = 6_000_000


@pytest.fixture
def card(tmp_path):
    (tmp_path / "card.toml").write_text(CARD)
    return tmp_path / "card.toml"


def test_a_run_becomes_a_model(trained, digits, card, tmp_path):
    done = PACK["pack"](open_run(trained), "tiny", card, tmp_path / "models")
    folder = tmp_path / "models" / "tiny"
    model = NamedModel("tiny", folder, "tiny-models", "1.0")
    model.check()
    before, after = open_run(trained), open_run(folder)
    half = {name for name, value in read_tensors(after.weights)[0].items() if value.dtype == torch.float16}
    assert half == {name for name, value in before.network().named_parameters() if value.ndim > 1}
    assert done.stored == (len(half), len(before.tensors()))
    assert done.size[1] < 0.6 * done.size[0]
    assert done.differ[1] == 3 * 64 * 64
    assert done.differ[0] < 0.05 * done.differ[1]
    said = model.card()
    assert said.float16 == done.text()
    first, other = said.measured
    assert first.command == "atrous evaluate tiny PATH/TO/digits --split val"
    assert first.on.startswith("the validation split of digits: 3 images")
    assert first.values["miou"] == pytest.approx(json.loads((trained / "scores.json").read_text())["miou"], abs=0.02)
    assert other.values == {"miou": 0.25, "images": 3}
    for path in folder.iterdir():  # nothing of this machine
        assert str(tmp_path.parent).encode() not in path.read_bytes()
    assert after.recipe.data.root == "digits"
    assert after.calibration().measured_on == "val of digits"
    # packed again with its own card, it stays the same
    again = PACK["pack"](open_run(trained), "tiny", folder / "card.toml", tmp_path / "models")
    assert (again.metrics, NamedModel("tiny", folder, "", "").card()) == (done.metrics, said)


def test_metrics_of_each_class_are_numbers_of_the_card(trained):
    scores = json.loads((trained / "scores.json").read_text())
    found = PACK["numbers"](scores | {
        "onset_f1": {"p": 0.95119, "t": None}, "genes": {"true": 7, "both_ends": {"f1": 0.5, "recall": 0.4}},
    })  # fmt: skip
    by_class = {key: value for key, value in found.items() if " " in key}
    assert (by_class.pop("onset_f1 p"), by_class.pop("genes both_ends")) == (0.9512, 0.5)
    known = {name: value for name, value in scores["dice_per_class"].items() if value is not None}
    assert known
    assert by_class == {f"dice_per_class {name}": round(value, 4) for name, value in known.items()}


def test_what_cannot_be_packed_leaves_nothing(trained, card, tmp_path):
    run = open_run(trained)
    own = Run(run.folder, override(run.recipe, ['model.name="custom"']))
    with pytest.raises(UserError, match="code of its own"):
        PACK["pack"](own, "tiny", card, tmp_path / "models")
    card.write_text(CARD.replace('task = "semantic"', ""))
    with pytest.raises(UserError, match="task is missing"):
        PACK["pack"](run, "tiny", card, tmp_path / "models")
    assert not (tmp_path / "models").exists()
    with pytest.raises(UserError, match="float16 cannot hold"):
        PACK["half"]("weight", torch.tensor([1e5]))


def test_the_list_says_what_is_packed():
    listed = tomllib.loads((FOLDER / "models.toml").read_text(encoding="utf-8"))
    assert sorted(name for name, entry in listed.items() if entry["packed"]) == sorted(path.name for path in PACKED)
    for name, entry in listed.items():
        assert entry["train"].startswith("atrous train ")
        assert entry["pack"].split()[-2:] == [f"runs/{name}", name]
        assert f"--out runs/{name}" in entry["train"]
        assert entry["evaluate"] == f"atrous evaluate runs/{name} {entry['train'].split()[2]} --split val"
        assert entry["data"]
        assert entry["data_license"]


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "cards").glob("*.toml")))
def test_a_card_that_waits_for_a_training_lacks_only_what_packing_adds(name, tmp_path):
    entry = tomllib.loads((FOLDER / "models.toml").read_text(encoding="utf-8"))[name]
    if not entry["packed"]:
        assert PACK["card_of"](name) == FOLDER / "cards" / f"{name}.toml"
    waiting = (FOLDER / "cards" / f"{name}.toml").read_text(encoding="utf-8")
    (tmp_path / "card.toml").write_text(f'{waiting}[[measured]]\non = "a"\ncommand = "b"\nvalues = {{ c = 1 }}\n')
    card = read_card(tmp_path / "card.toml")
    assert (card.command, card.data_license) == (entry["train"], entry["data_license"])
    recipe = read_recipe(FOLDER.parents[1] / entry["train"].split("--recipe ")[1].split()[0])
    assert card.task == recipe.task.kind
    assert recipe.data.root == entry["train"].split()[2]


def test_packing_is_said_in_the_list(tmp_path):
    (tmp_path / "models.toml").write_text("# why\n[a]\npacked = false\n\n[b]\npacked = false\n")
    PACK["mark_packed"]("b", tmp_path)
    PACK["mark_packed"]("c", tmp_path)
    assert (tmp_path / "models.toml").read_text() == "# why\n[a]\npacked = false\n\n[b]\npacked = true\n"


@pytest.mark.parametrize("folder", PACKED, ids=lambda path: path.name)
def test_a_packed_model_is_whole_and_can_be_built(folder):
    model = NamedModel(folder.name, folder, "atrous-models", "")
    model.check()
    listed = tomllib.loads((FOLDER / "models.toml").read_text(encoding="utf-8"))[folder.name]
    card, run = model.card(), open_run(folder)
    assert card.data_license == listed["data_license"]
    assert card.command == listed["train"]
    assert card.task == run.recipe.task.kind
    assert card.float16
    assert card.measured
    fresh = build_network(run.recipe.model, run.task().out_channels)
    assert run.tensors().keys() == fresh.state_dict().keys()
    assert not run.network().training


@pytest.mark.parametrize("folder", PACKED, ids=lambda path: path.name)
def test_every_model_is_small(folder):
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < MOST_BYTES


def test_the_installed_package_brings_them():
    try:
        installed = version("atrous-models")
    except PackageNotFoundError:
        pytest.skip("packages/atrous-models is not installed")
    models = named_models()
    for folder in PACKED:
        model = models[folder.name]
        assert (model.package, model.version) == ("atrous-models", installed)
        assert (model.folder / "card.toml").read_bytes() == (folder / "card.toml").read_bytes()
        model.check()
