"""`atrous inspect` on runs and on Python callables."""

import json

from tests.command import atrous


def test_a_run_and_a_callable(trained):
    done = atrous("inspect", trained, "--shape", "3,64,96")
    assert done.returncode == 0, done.stderr
    assert "exact" in done.stdout
    assert "receptive field" in done.stdout
    done = atrous("inspect", "torch.nn:Conv2d(3, 8, 5, stride=2)", "--shape", "3,131072,131072", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verdict"] == "exact"
    assert found["output_shape"] == [8, 65534, 65534]
    assert [f["receptive_field"] for f in found["fields"]] == [5, 5]
    assert found["macs"] == 65534**2 * 8 * 3 * 25


def test_mistakes(trained):
    done = atrous("inspect", trained, "--shape", "4,64,64")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    done = atrous("inspect", "torch.nn:Conv2d(3, 8, 5)")
    assert done.returncode == 2
    assert "--shape" in done.stderr
