import pytest

from atrous.errors import UserError
from atrous.recipe.build import build_network, build_task
from atrous.recipe.genome import plan_genomes
from atrous.recipe.plan import Request
from atrous.recipe.schema import override, read_recipe, to_toml
from atrous.verbs.check import check
from tests.genomes import write_genomes


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    found = check(write_genomes(tmp_path_factory.mktemp("genomes") / "g", 3, 2000))
    return plan_genomes(found.dataset, found.fingerprint, Request(minutes=5))


def test_a_plan_for_genomes_reads_both_strands_and_learns_the_frame(planned):
    recipe = planned.recipe
    assert recipe.task.kind == "stranded"
    assert recipe.task.classes == ["CDS+", "CDS-"]
    assert recipe.task.frames
    assert recipe.model.name == "codons"
    assert recipe.model.reverse_complement
    assert recipe.augment.strands
    assert recipe.train.crop[0] % 3 == 0
    assert recipe.train.minutes == 5
    assert build_network(recipe.model, build_task(recipe).out_channels).outputs == 2 + 6
    assert "strand" in planned.reasons["model.reverse_complement"]


def test_it_is_written_and_read(planned, tmp_path):
    (tmp_path / "recipe.toml").write_text(to_toml(planned.recipe, planned.reasons))
    assert read_recipe(tmp_path / "recipe.toml") == planned.recipe


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.name=fcn", "model.reverse_complement is for codons"),
        ("model.deep_supervision=true", "has one map"),
        ("task.threshold=1.5", "threshold"),
    ],
)
def test_what_does_not_go_together_is_refused(planned, setting, said):
    with pytest.raises(UserError, match=said):
        override(planned.recipe, [setting])


def test_an_odd_width_cannot_be_shared(planned):
    with pytest.raises(UserError, match="even"):
        build_network(override(planned.recipe, ["model.width=17"]).model, 8)
