"""Motifs of a network whose weights contain known words: the words are found."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from atrous.analysis import motifs
from atrous.analysis.contributions import contributions
from atrous.analysis.motif import LETTERS, Motif
from atrous.analysis.motifs import Motifs, filter_motifs
from atrous.analysis.seqlets import Seqlet, gather
from atrous.analysis.similarity import similarity
from atrous.errors import UserError

WORDS = ("GATTACAG", "CCGTAAGC")


def one_hot(text: str) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[[LETTERS.index(base) for base in text]].T


def word(text: str) -> Motif:
    return Motif(text, one_hot(text) * 50.0)


def reads_words() -> nn.Module:
    """Return a network that predicts class 1 or 2 where the first or second word occurs, and class 0 elsewhere."""
    conv, mix = nn.Conv1d(4, 2, 8, padding=4), nn.Conv1d(2, 3, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.from_numpy(np.stack([one_hot(text) for text in WORDS])))
        conv.bias.fill_(-6.5)
        mix.weight.copy_(torch.tensor([[-1.0, -1.0], [3.0, 0.0], [0.0, 3.0]])[:, :, None])
        mix.bias.copy_(torch.tensor([0.5, 0.0, 0.0]))
    return nn.Sequential(conv, nn.ReLU(), mix)


def planted(count: int = 60, length: int = 200) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    result = []
    for _ in range(count):
        letters = rng.integers(0, 4, length)
        for k, text in enumerate(WORDS):
            at = int(rng.integers(20, 70)) + 90 * k
            letters[at : at + 8] = [LETTERS.index(base) for base in text]
        result.append(np.eye(4, dtype=np.float32)[letters].T)
    return result


@pytest.mark.parametrize("method", ["integrated", "gradients"])
def test_the_motif_of_a_class_is_its_word(method, tmp_path):
    result = motifs(reads_words(), planted(), method=method, classes=("none", *WORDS), width=8)
    assert [motif.name for motif in result.motifs] == list(WORDS)
    for motif in result.motifs:
        assert similarity(motif, word(motif.name)).similarity > 0.97
        assert 50 <= motif.sites <= 80
        assert motif.counts.sum(0).min() >= motif.sites / 2
    compared = result.compared([word(text) for text in WORDS], most=1)
    assert [matches[0].target.name for matches in compared.matches] == list(WORDS)
    assert json.loads(json.dumps(compared.to_dict()))["motifs"][0]["matches"][0]["similarity"] > 0.97
    assert WORDS[0] in compared.text()
    assert compared.draw(tmp_path / "logos.png").stat().st_size > 5000


def test_a_motif_of_one_strand_is_written_as_it_is_read():
    result = motifs(reads_words(), planted(), classes=("none", *WORDS), width=8)
    for motif in result.motifs:
        assert not motif.both_strands
        assert similarity(motif, word(motif.name)).strand == "+"
        assert result.compared([word(motif.name).reverse()]).motifs[0].both_strands is False


@pytest.mark.parametrize("first", [0, 1])
def test_a_motif_of_both_strands_is_written_as_the_known_one(first):
    text = "GATTACAG"
    letters = np.eye(4)[[LETTERS.index(base) for base in text]].T
    seqlets = [
        Seqlet((letters if i % 2 == first else letters[::-1, ::-1]).copy(), np.ones(8), 1.0 - i / 100)
        for i in range(20)
    ]
    (motif,) = gather(seqlets, "word")
    assert motif.both_strands
    assert motif.sites == 20
    assert motif.consensus == "CTGTAATC"  # before GATTACAG in the alphabet, whichever seqlet came first
    found = Motifs("net", "integrated", (motif,)).compared([word(text)])
    assert found.motifs[0].consensus == text
    assert found.matches[0][0].strand == "+"


def test_filters_are_the_windows_that_activate_them():
    result = filter_motifs(reads_words(), planted())
    by_name = {motif.name: motif for motif in result}
    for number, text in enumerate(WORDS):
        assert by_name[f"filter {number}"].consensus.upper() == text
    assert motifs(reads_words(), planted(), method="filters").motifs[0].score == result[0].score


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 0, 1), (2, 3, 1), (1, "same", 2), (3, 5, 2)])
def test_windows_are_those_that_the_convolution_reads(stride, padding, dilation):
    torch.manual_seed(0)
    conv = nn.Conv1d(4, 1, 5, stride=stride, padding=padding, dilation=dilation)
    sequence = planted(1)[0]
    (result,) = filter_motifs(conv, [sequence], share=-9, most=1)
    reach = 4 * dilation
    pad = reach // 2 if padding == "same" else int(padding)
    places = [i for i in range(sequence.shape[1] - reach) if (i + pad) % stride == 0]
    weight = conv.weight.detach().double().numpy()[0]
    sums = [(weight * sequence[:, i : i + reach + 1 : dilation]).sum() for i in places]
    best = places[int(np.argmax(sums))]
    np.testing.assert_array_equal(result.counts, sequence[:, best : best + reach + 1 : dilation])


def test_integrated_contributions_add_up():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(4, 8, 5, padding=2), nn.Tanh(), nn.Conv1d(8, 3, 3, padding=1)).double()
    sequence = planted(1)[0].astype(np.float64)
    x = torch.from_numpy(sequence)[None]
    where = network(x).argmax(1) == 1

    @torch.no_grad()
    def score(values):
        out = network(values)
        return float(((out[:, 1] - out[:, [0, 2]].mean(1)) * where).sum())

    result = contributions(network, sequence, 1, steps=32)
    assert result.sum() == pytest.approx(score(x) - score(torch.full_like(x, 0.25)), rel=1e-6)
    assert bool(where.any())


def test_mistakes():
    with pytest.raises(UserError, match=r"motifs need sequences of shape \(4, length\)"):
        motifs(reads_words(), [np.zeros((3, 50))])
    with pytest.raises(UserError, match="outside of 0 to 1"):
        motifs(reads_words(), [np.full((4, 50), 7.0)])
    with pytest.raises(UserError, match="choose from integrated"):
        motifs(reads_words(), planted(1), method="deeplift")
    with pytest.raises(UserError, match="no sequences"):
        motifs(reads_words(), [])
    with pytest.raises(UserError, match="does not read bases"):
        filter_motifs(nn.Conv1d(3, 1, 1), planted(1))
    with pytest.raises(UserError, match="output channels 0 to 2"):
        motifs(reads_words(), planted(1), targets=[3])
    with pytest.raises(UserError, match="nothing to draw"):
        motifs(reads_words(), planted(2)).draw("logos.png")
