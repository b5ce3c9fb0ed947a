"""`atrous inspect MODEL WHAT` for every WHAT, on a run and on a Python callable."""

import json
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from atrous.analysis import read_meme
from atrous.errors import UserError
from atrous.verbs.inspect import ANALYSES, AnalysisOptions, analyze, parse_class, parse_region
from tests.command import atrous


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1),
    )


@pytest.mark.parametrize("what", sorted(set(ANALYSES) - {"motifs"}))
def test_every_analysis_says_and_draws(what, digits, tmp_path):
    image = next((digits / "images" / "val").glob("*.png"), None) or next(digits.rglob("images/**/*.png"))
    result = analyze(network(), what, AnalysisOptions(image=image, region=((8, 16), (8, 16)), antialias=True))
    assert len(result.text().splitlines()) > 1
    assert json.loads(json.dumps(result.to_dict()))
    assert result.draw(tmp_path / "picture.png").stat().st_size > 1000


def test_motifs_of_a_folder_of_sequences(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        np.savez(tmp_path / f"{i}.npz", signal=np.eye(4, dtype=np.float32)[rng.integers(0, 4, 300)].T)
    reads = nn.Conv1d(4, 3, 5, padding=2)
    options = AnalysisOptions(
        image=tmp_path, method="filters", meme=tmp_path / "found.meme", known="JASPAR2024", classes=("a", "b", "c")
    )
    result = analyze(reads, "motifs", options)
    assert len(read_meme(tmp_path / "found.meme")) == 3
    assert len(result.to_dict()["motifs"][0]["matches"]) == 3
    again = analyze(reads, "motifs", replace(options, known=str(tmp_path / "found.meme")))
    for motif in again.to_dict()["motifs"]:
        assert motif["matches"][0]["name"] == motif["name"].replace(" ", "_")
        assert motif["matches"][0]["similarity"] > 0.999
    assert result.draw(tmp_path / "logos.png").stat().st_size > 5000
    with pytest.raises(UserError, match="with --image"):
        analyze(reads, "motifs", AnalysisOptions())


def test_motifs_of_fasta_are_those_of_its_one_hot_arrays(tmp_path):
    rng = np.random.default_rng(0)
    numbers = [rng.integers(0, 4, 200) for _ in range(3)]
    for i, letters in enumerate(numbers):
        np.savez(tmp_path / f"{i}.npz", signal=np.eye(4, dtype=np.float32)[letters].T)
    text = "".join(f">s{i}\n{''.join('ACGT'[k] for k in letters)}\n" for i, letters in enumerate(numbers))
    (tmp_path / "fasta").mkdir()
    (tmp_path / "fasta" / "all.fa").write_text(text)
    reads = nn.Conv1d(4, 3, 5, padding=2)
    arrays = analyze(reads, "motifs", AnalysisOptions(image=tmp_path, method="filters"))
    for image in (tmp_path / "fasta", tmp_path / "fasta" / "all.fa"):
        assert analyze(reads, "motifs", AnalysisOptions(image=image, method="filters")).to_dict() == arrays.to_dict()


def test_a_run_on_the_command_line(trained, tmp_path):
    process = atrous("inspect", trained, "filters", "--picture", tmp_path / "filters.png", "--json")
    assert process.returncode == 0, process.stderr
    content = json.loads(process.stdout)
    assert content["shape"][1] == 3
    assert content["picture"] == str(tmp_path / "filters.png")
    assert (tmp_path / "filters.png").exists()


def test_transfer_of_a_callable_linearized(tmp_path):
    picture, network = tmp_path / "gain.png", "torch.nn:Conv1d(2, 3, 3)"
    process = atrous("inspect", network, "transfer", "--at", "0.5", "--picture", picture, "--json")
    assert process.returncode == 0, process.stderr
    content = json.loads(process.stdout)
    assert content["at"] == 0.5
    assert content["layers"][0]["channels"] == [2, 3]
    assert content["response"]["gain"][0] == pytest.approx(content["layers"][0]["gain"][0], rel=1e-6)
    assert picture.exists()


def test_transfer_finds_a_size_that_the_network_runs_on():
    wide = nn.Sequential(nn.Conv1d(1, 1, 50), nn.Conv1d(1, 1, 3))
    result = analyze(wide, "transfer", AnalysisOptions())
    assert result.to_dict()["response"]["period"] == [1]


def test_mistakes_are_one_line():
    process = atrous("inspect", "torch.nn:Conv2d(3, 8, 3)", "colors")
    assert process.returncode == 2
    assert "choose from certificate, receptive-field" in process.stderr
    assert "Traceback" not in process.stderr
    with pytest.raises(UserError, match="--image"):
        analyze(network(), "attribution", AnalysisOptions())
    with pytest.raises(UserError, match="choose from sky, road"):
        parse_class("tree", ("sky", "road"))
    with pytest.raises(UserError, match="give a number"):
        parse_class("tree", ())
    with pytest.raises(UserError, match="--region"):
        parse_region("3,4")
