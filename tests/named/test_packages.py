"""Models that installed packages bring: found without running their code, checked, named when they are not there."""

import pytest

from atrous.errors import UserError
from atrous.named.packages import named_model, named_models
from tests.model_packages import write_package


@pytest.fixture
def package(trained, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "site")
    return write_package(tmp_path / "site", trained)


def test_a_model_is_found_and_its_files_are_those_that_were_packed(package):
    model = named_models()["tiny"]
    assert (model.name, model.folder, model.package, model.version) == ("tiny", package / "tiny", "tiny-models", "1.2")
    assert model.size() == (package / "tiny" / "model.safetensors").stat().st_size
    assert model.card().summary == "Labels handwritten digits."
    model.check()
    (package / "tiny" / ".hidden").write_text("of a file manager")
    model.check()


def test_other_files_are_refused(package):
    model = named_model("tiny")
    (package / "tiny" / "psf.npy").write_bytes(b"")
    with pytest.raises(UserError, match=r"psf\.npy: has no sha256 in card\.toml: install tiny-models again"):
        model.check()
    (package / "tiny" / "psf.npy").unlink()
    with (package / "tiny" / "model.safetensors").open("ab") as file:
        file.write(b"0")
    with pytest.raises(UserError, match=r"model\.safetensors: is damaged or was changed"):
        model.check()
    (package / "tiny" / "model.safetensors").unlink()
    for asked in (model.check, model.size):
        with pytest.raises(UserError, match=r"model\.safetensors: is missing: install tiny-models again"):
            asked()


def test_names_that_are_not_there(package):
    with pytest.raises(UserError, match=r"^tinny: no model of that name: did you mean tiny\? There are: .*tiny"):
        named_model("tinny")
    with pytest.raises(UserError, match=r"^quite-other: no model of that name: there are: .*tiny"):
        named_model("quite-other")


def test_a_name_of_two_packages_is_refused(package, trained, tmp_path, monkeypatch):
    write_package(tmp_path / "other", trained, package="other-models")
    monkeypatch.syspath_prepend(tmp_path / "other")
    with pytest.raises(UserError, match="tiny: other-models and tiny-models both bring a model of this name"):
        named_models()


def test_a_package_that_is_not_whole_is_named(tmp_path, monkeypatch):
    facts = tmp_path / "gone-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text("[atrous.models]\ngone = gone_models\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="gone: brings no folder gone_models: install it again"):
        named_models()
