"""Effects of variants, against whole sequences with and without them."""

import numpy as np
import pytest

from atrous.data.genomes.letters import encode, one_hot
from atrous.data.genomes.variants import Variant
from atrous.errors import UserError
from atrous.prediction.predictor import load
from atrous.prediction.variants import END_NAMES, VariantScorer
from atrous.recipe.run import Run
from atrous.recipe.schema import override
from atrous.verbs.predict import predict
from atrous.verbs.predict_options import PredictOptions
from tests.data.genomes.test_variants import written
from tests.genomes import random_bases, write_fasta
from tests.prediction.test_genes import CLASSES, make_run

LENGTH = 1001
TEXT = random_bases(np.random.default_rng(8), LENGTH)


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return load(make_run(tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture(scope="module")
def scorer(predictor, tmp_path_factory):
    fasta = write_fasta(tmp_path_factory.mktemp("fasta") / "x.fa.gz", {"s": TEXT})
    return VariantScorer(predictor, fasta, fasta.with_name("x.vcf"))


def logits(predictor, text):
    output = predictor.output(one_hot(encode(text.encode())))[0].numpy()
    return np.concatenate([output[:4], output[-4:]])


@pytest.mark.parametrize("place", [0, 5, 300, 1000])
@pytest.mark.parametrize(("removed", "alternative"), [(1, "A"), (1, "CAGT"), (3, "G"), (2, "TT"), (1, "CC")])
def test_effects_are_those_of_the_whole_sequences(predictor, scorer, place, removed, alternative):
    removed = min(removed, LENGTH - place)
    reference = TEXT[place : place + removed]
    effect = scorer.effect(Variant("s", place, ".", reference, alternative, 1))
    changed = TEXT[:place] + alternative + TEXT[place + removed :]
    shift = len(changed) - LENGTH
    kept = np.arange(max(0, place - scorer._after), min(LENGTH, place + removed + scorer._before))
    if shift:
        kept = kept[(kept < place) | (kept >= place + removed)]
    partner = np.where(kept >= place + removed, kept + shift, kept)
    change = logits(predictor, changed)[:, partner] - logits(predictor, TEXT)[:, kept]
    np.testing.assert_allclose(np.abs(effect.changes), np.abs(change).max(axis=1), atol=2e-4)
    position = {base: index for index, base in enumerate(kept.tolist())}
    there = [change[row, position[base]] for row, base in enumerate(effect.places.tolist())]
    np.testing.assert_allclose(effect.changes, there, atol=2e-4)
    if reference != alternative and 1 < place < 998:
        assert np.abs(effect.changes).max() > 1e-3


def test_nothing_else_changes_but_by_the_grid_of_codons(predictor, scorer):
    """Beyond the halo a replacement changes nothing, and an insertion nothing if it is of whole codons."""
    place = 500
    for alternative in ("A" if TEXT[place] != "A" else "C", TEXT[place] + "CGA"):
        changed = TEXT[:place] + alternative + TEXT[place + 1 :]
        old, new = logits(predictor, TEXT), logits(predictor, changed)
        np.testing.assert_allclose(new[:, : place - scorer._after], old[:, : place - scorer._after], atol=1e-4)
        late, shift = place + 1 + scorer._before, len(changed) - LENGTH
        np.testing.assert_allclose(new[:, late + shift :], old[:, late:], atol=1e-4)


def test_only_a_window_is_read(scorer, monkeypatch):
    seen = []
    scores = scorer._scores
    monkeypatch.setattr(scorer, "_scores", lambda codes: (seen.append(len(codes)), scores(codes))[1])
    scorer.effect(Variant("s", 500, ".", TEXT[500], "A", 1))
    assert max(seen) < 400


def test_a_table_has_a_row_for_each_alternative(predictor, tmp_path):
    fasta = write_fasta(tmp_path / "x.fa.gz", {"s": TEXT})
    other = "A" if TEXT[10] != "A" else "C"
    vcf = written(
        tmp_path / "x.vcf", ("s", "11", "v", TEXT[10], f"{other},{TEXT[10]}{other}"), ("s", "1", ".", TEXT[0], "T")
    )
    done = predict(predictor.run, [fasta], tmp_path / "out", PredictOptions(variants=vcf))
    assert done.written == (tmp_path / "out" / "x.variants.tsv",)
    head, *rows = [line.split("\t") for line in done.written[0].read_text().splitlines()]
    names = (*CLASSES, *END_NAMES)
    assert head[:6] == ["sequence", "position", "id", "reference", "alternative", "effect"]
    assert head[6::2] == list(names)
    assert [row[:5] for row in rows] == [
        ["s", "11", "v", TEXT[10], other], ["s", "11", "v", TEXT[10], TEXT[10] + other], ["s", "1", ".", TEXT[0], "T"]
    ]  # fmt: skip
    first = [float(cell) for cell in rows[0][6::2]]
    assert float(rows[0][5]) == max(map(abs, first))
    assert predict(predictor.run, [fasta], tmp_path / "out", PredictOptions(variants=vcf)).skipped == done.written


def test_a_letter_for_several_bases_is_given_as_vcf_asks_for(predictor, tmp_path):
    fasta = write_fasta(tmp_path / "x.fa", {"s": TEXT[:100] + "R" + TEXT[101:]})
    scorer, alternatives = VariantScorer(predictor, fasta, tmp_path / "x.vcf"), []
    for reference in ("A", "N", "R"):
        alternatives.append(scorer.effect(Variant("s", 100, ".", reference, "T", 1)).changes)
    assert np.ptp(alternatives, axis=0).max() == 0
    with pytest.raises(UserError, match=r"REF is G, but x\.fa has R there"):
        scorer.effect(Variant("s", 100, ".", "G", "T", 1))


@pytest.mark.parametrize("options", [{"ensemble": ("run",)}, {"uncertainty": True}, {"coverage": 0.9}])
def test_what_does_not_go_with_variants_is_refused(predictor, options, tmp_path):
    with pytest.raises(UserError, match="--variants writes its table alone, of one run: leave it or --"):
        predict(predictor.run, [tmp_path], tmp_path / "out", PredictOptions(variants=tmp_path / "x.vcf", **options))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("t", "1", ".", "A", "C"), r"line 3: x\.fa has no sequence t"),
        (("s", "1001", ".", "AA", "C"), "line 3: it ends at 1002, behind the 1001 bases of s"),
        (("s", "11", ".", "AC" if TEXT[10:12] != "AC" else "CC", "C"), "line 3: REF is .*, but x.fa has .* there"),
    ],
)
def test_variants_of_another_sequence_are_refused(predictor, row, said, tmp_path):
    fasta, vcf = write_fasta(tmp_path / "x.fa", {"s": TEXT}), written(tmp_path / "x.vcf", row)
    with pytest.raises(UserError, match=said):
        predict(predictor.run, [fasta], tmp_path / "out.tsv", PredictOptions(variants=vcf))
    assert {path.name for path in tmp_path.iterdir()} == {"x.fa", "x.vcf"}


def test_signals_beside_the_bases_are_refused(predictor, tmp_path):
    run = Run(predictor.run.folder, override(predictor.run.recipe, ['input.tracks=["methylation"]']))
    with pytest.raises(UserError, match="also reads methylation"):
        VariantScorer(load(run), tmp_path / "x.fa", tmp_path / "x.vcf")
