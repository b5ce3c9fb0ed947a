import numpy as np
import pytest

from atrous.errors import UserError
from atrous.recipe.agree import agree_with_data
from atrous.recipe.build import build_network, build_task
from atrous.recipe.genome import plan_genomes
from atrous.recipe.plan import Request
from atrous.recipe.schema import override, read_recipe, to_toml
from atrous.verbs.check import check
from tests.genomes import write_fasta, write_genomes, write_gff, write_signal_tracks


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
    assert recipe.task.genetic_codes == [11]
    assert recipe.model.local > 0
    assert build_network(recipe.model, build_task(recipe).out_channels).outputs == 2 + 6 + 4
    assert "start to stop" in planned.reasons["task.genetic_codes"]
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
        ("task.genetic_codes=[7]", "7 is no genetic code of NCBI"),
        ("task.frames=false", "they need frames = true"),
    ],
)
def test_what_does_not_go_together_is_refused(planned, setting, said):
    with pytest.raises(UserError, match=said):
        override(planned.recipe, [setting])


def test_an_odd_width_cannot_be_shared(planned):
    with pytest.raises(UserError, match="even"):
        build_network(override(planned.recipe, ["model.width=17"]).model, 8)


def test_genes_that_obey_no_code_are_learned_as_intervals(tmp_path):
    for name in "ab":
        write_fasta(tmp_path / f"{name}.fa", {name: "ACGTTGCA" * 40})
        write_gff(tmp_path / f"{name}.gff", [(name, "CDS", 20, 90, "+", "ID=1")])
    found = check(tmp_path)
    recipe = plan_genomes(found.dataset, found.fingerprint, Request(minutes=5)).recipe
    assert (recipe.task.genetic_codes, recipe.model.local, recipe.task.frames) == ([], 0, True)
    assert build_task(recipe).out_channels == 2 + 6
    with pytest.raises(UserError, match=r"coding sequences of .* obey no genetic code .* task\.genetic_codes=\[\]"):
        agree_with_data(override(recipe, ["task.genetic_codes=[11]"]), found.dataset, found.fingerprint)


def test_codes_must_be_those_of_the_genes(tmp_path):
    found = check(write_genomes(tmp_path, 2, 1500))
    recipe = plan_genomes(found.dataset, found.fingerprint, Request(minutes=5)).recipe
    for codes in ("[11]", "[1]", "[4, 11]", "[]"):
        agree_with_data(override(recipe, [f"task.genetic_codes={codes}"]), found.dataset, found.fingerprint)
    with pytest.raises(UserError, match=r"genetic_codes is \[4\], but genes of .* obey 11: set .*=\[11\]"):
        agree_with_data(override(recipe, ["task.genetic_codes=[4]"]), found.dataset, found.fingerprint)


def signals(root, names, toml=""):
    write_signal_tracks(root, 3, 1200, names=names)
    (root / "dataset.toml").write_text(f'task = "regression"\n{toml}')
    found = check(root)
    return found, plan_genomes(found.dataset, found.fingerprint, Request(minutes=5))


def test_a_plan_for_signals_shares_the_strands_and_names_the_outputs(tmp_path):
    found, made = signals(tmp_path, ("depth", "rna+", "rna-"))
    recipe, facts = made.recipe, found.fingerprint.values
    options = recipe.task.options
    assert (recipe.task.kind, recipe.data.kind, recipe.model.name) == ("regression", "genomes", "codons")
    assert options["outputs"] == ["depth", "rna+", "rna-"]
    assert (recipe.model.partners, recipe.model.reverse_complement, recipe.augment.strands) == ([0, 2, 1], True, True)
    assert options["offset"][0] == pytest.approx(facts.mean[0])
    assert options["scale"][0] == pytest.approx(facts.std[0])
    both = np.concatenate([s.target.read()[1:] for s in found.dataset.splits["train"]], axis=1).astype(np.float64)
    assert options["offset"][1:] == pytest.approx([both.mean()] * 2)
    assert options["scale"][1:] == pytest.approx([both.std()] * 2)
    task = build_task(recipe)
    assert task.names == ("depth", "rna+", "rna-")
    assert build_network(recipe.model, task.out_channels).outputs == 3
    agree_with_data(recipe, found.dataset, found.fingerprint)
    with pytest.raises(UserError, match=r"outputs are depth, the signals that .* has as targets depth, rna\+, rna-"):
        agree_with_data(override(recipe, ["task.options.outputs=['depth']", "task.options.offset=[0]",
                                          "task.options.scale=[1]"]), found.dataset, found.fingerprint)  # fmt: skip


def test_inputs_are_read_and_a_single_strand_is_not_mirrored(tmp_path):
    _, made = signals(tmp_path, ("rna+", "meth"), '[tracks]\ninputs = ["meth"]\n')
    recipe = made.recipe
    assert (recipe.input.tracks, recipe.model.in_channels) == (["meth"], 5)
    assert (recipe.model.partners, recipe.model.reverse_complement, recipe.augment.strands) == ([], False, False)
    assert "augment.strands" not in made.reasons
    with pytest.raises(UserError, match=r"augment\.strands needs model\.partners"):
        override(recipe, ["augment.strands=true"])
    with pytest.raises(UserError, match="partners"):
        build_network(override(recipe, ["model.reverse_complement=true", "model.partners=[1]"]).model, 1)
