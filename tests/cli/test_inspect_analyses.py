"""`atrous inspect MODEL WHAT` for every WHAT, on a run and on a Python callable."""

import json

import pytest
from torch import nn

from atrous.cli.inspect_analyses import ANALYSES, Wanted, analyze, parse_class, parse_region
from atrous.errors import UserError
from tests.cli.test_cli import atrous


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1),
    )


@pytest.mark.parametrize("what", ANALYSES)
def test_every_analysis_says_and_draws(what, digits, tmp_path):
    image = next((digits / "images" / "val").glob("*.png"), None) or next(digits.rglob("images/**/*.png"))
    found = analyze(network(), what, Wanted(image=image, region=((8, 16), (8, 16)), antialias=True))
    assert len(found.text().splitlines()) > 1
    assert json.loads(json.dumps(found.to_dict()))
    assert found.draw(tmp_path / "picture.png").stat().st_size > 1000


def test_a_run_on_the_command_line(trained, tmp_path):
    done = atrous("inspect", trained, "filters", "--picture", tmp_path / "filters.png", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["shape"][1] == 3
    assert found["picture"] == str(tmp_path / "filters.png")
    assert (tmp_path / "filters.png").exists()


def test_mistakes_are_one_line():
    done = atrous("inspect", "torch.nn:Conv2d(3, 8, 3)", "colors")
    assert done.returncode == 2
    assert "choose of certificate, receptive-field" in done.stderr
    assert "Traceback" not in done.stderr
    with pytest.raises(UserError, match="--image"):
        analyze(network(), "attribution", Wanted())
    with pytest.raises(UserError, match="its classes are sky, road"):
        parse_class("tree", ("sky", "road"))
    with pytest.raises(UserError, match="give a number"):
        parse_class("tree", ())
    with pytest.raises(UserError, match="--region"):
        parse_region("3,4")
