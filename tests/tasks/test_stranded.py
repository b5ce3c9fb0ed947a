import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from atrous.labels import BASE_BIT, IGNORE
from atrous.objects.genes import GeneRules
from atrous.objects.orfs import FRAMES
from atrous.tasks.gene_ends import end_loss
from atrous.tasks.stranded import Stranded
from atrous.tasks.task import Task

CLASSES = ("CDS+", "CDS-", "tRNA+", "tRNA-")


def test_it_keeps_the_protocol():
    assert isinstance(Stranded(CLASSES), Task)
    assert Stranded(CLASSES).out_channels == 4
    assert Stranded(CLASSES, frames=True).out_channels == 4 + FRAMES
    with pytest.raises(ValueError, match="8 channels"):
        Stranded(tuple(f"{i}{s}" for i in range(4) for s in "+-"))


@given(st.lists(st.integers(0, 15), min_size=1, max_size=40), st.booleans())
@settings(deadline=None)
def test_decode_gives_back_the_sets_that_outputs_say(sets, frames):
    task = Stranded(CLASSES, frames=frames)
    bits = torch.tensor([[value >> k & 1 for value in sets] for k in range(4)])
    output = torch.cat([bits * 8.0 - 4, torch.full((task.out_channels - 4, len(sets)), 9.0)])[None]
    assert task.decode(output).tolist() == [sets]
    assert task.decode(output).dtype == torch.uint8
    assert task.probabilities(output).shape == (1, 4, len(sets))


def test_the_threshold_decides():
    output = torch.logit(torch.tensor([[[0.3, 0.5, 0.7]], [[0.3, 0.5, 0.7]]])).reshape(1, 2, 3)
    assert Stranded(("a+", "a-"), threshold=0.6).decode(output).tolist() == [[0, 0, 3]]
    assert Stranded(("a+", "a-"), threshold=0.2).decode(output).tolist() == [[3, 3, 3]]


def test_cross_entropy_is_that_of_torch_over_the_bases_that_count():
    torch.manual_seed(0)
    target = torch.tensor([[0, 1, 3, IGNORE, 4]])
    output = torch.randn(1, 4, 5)
    kept = [0, 1, 2, 4]
    truth = torch.tensor([[v >> k & 1 for v in (0, 1, 3, 4)] for k in range(4)], dtype=torch.float32)
    want = F.binary_cross_entropy_with_logits(output[0][:, kept], truth, reduction="sum") / 4
    assert Stranded(CLASSES, dice=0).loss(output, target).item() == pytest.approx(want.item(), rel=1e-6)
    moved = output.clone()
    moved[..., 3] += 100
    assert Stranded(CLASSES).loss(moved, target).item() == pytest.approx(Stranded(CLASSES).loss(output, target).item())
    void = torch.full((1, 5), IGNORE)
    assert Stranded(CLASSES).loss(output, void).item() == 0


def test_dice_is_added_with_its_weight():
    target = torch.tensor([[0, 1, 2, 3]])
    output = torch.tensor([[[9.0, -9, 9, -9], [9, -9, 9, -9]]])  # class a+ is wrong everywhere, class a- at two bases
    losses = [Stranded(("a+", "a-"), dice=weight).loss(output, target).item() for weight in (0, 0.5, 1, 2)]
    dice = losses[2] - losses[0]
    assert dice == pytest.approx((1 + 0.5) / 2, abs=0.2)
    assert losses[1] - losses[0] == pytest.approx(dice / 2, rel=1e-5)
    assert losses[3] - losses[0] == pytest.approx(2 * dice, rel=1e-5)


def test_frames_are_learned_from_the_high_byte():
    task = Stranded(("CDS+", "CDS-"), dice=0, frames=True)
    plus = torch.tensor([0, 1, 2, 3])
    target = ((plus.clamp(max=1)) | plus << 8)[None]
    right = torch.full((1, 8, 4), -20.0)
    right[0, 0, 1:] = 20
    for position, row in ((1, 2), (2, 4), (3, 6)):
        right[0, row, position] = 20
    assert task.loss(right, target).item() < 1e-6
    wrong = right.clone()
    wrong[0, [2, 4]] = right[0, [4, 2]]
    assert task.loss(wrong, target).item() > 5
    minus = target & 0xFF | plus << 10
    assert task.loss(right, minus).item() > 5


def test_frames_are_read_from_the_bits_of_either_strand():
    # Bits 8 and 9 say which base of a codon on the + strand a base is, bits 10 and 11 on the - strand; 0 is none.
    target = torch.tensor([[1 << 8, 2 << 8, 3 << 8, 1 << 10, 2 << 10, 3 << 10, 0, 1 << 8 | 3 << 10]])
    plus, minus = [1, 2, 3, 0, 0, 0, 0, 1], [0, 0, 0, 1, 2, 3, 0, 3]
    truth = torch.tensor([[base == k for base in strand] for k in (1, 2, 3) for strand in (plus, minus)]).float()
    task = Stranded(CLASSES, frames=True)
    sure = torch.full((1, 4, 8), -20.0)
    right = torch.cat([sure, (truth[None] * 2 - 1) * 20], dim=1)
    assert task.loss(right, target).item() < 1e-3
    for row in range(FRAMES):
        wrong = right.clone()
        wrong[:, 4 + row] *= -1
        assert task.loss(wrong, target).item() > 0.1


def with_genes(**options):
    return Stranded(CLASSES, frames=True, genetic_codes=(11, 4), **options)


def test_genes_have_channels_of_their_ends_which_probabilities_keep():
    task = with_genes(shortest=(90, 80, 30, 30))
    assert task.out_channels == 4 + FRAMES + 4
    assert task.evidence == FRAMES + 4
    output = torch.randn(1, task.out_channels, 7)
    torch.testing.assert_close(task.probabilities(output)[:, :-4], output[:, :-4].sigmoid())
    torch.testing.assert_close(task.probabilities(output)[:, -4:], (output[:, -4:] - math.log(99)).sigmoid())
    assert task.decode(output).equal(Stranded(CLASSES).decode(output))
    assert task.gene_rules == GeneRules((11, 4), 80, 60)
    assert Stranded(CLASSES).gene_rules is None


def test_the_loss_of_ends_is_added_with_its_weight():
    torch.manual_seed(0)
    target = torch.randint(0, 4, (1, 60)) | torch.randint(0, 5, (1, 60)) << BASE_BIT
    target[0, :9] = torch.tensor([1, 4, 3, 1, 1, 1, 4, 1, 1]) << BASE_BIT
    output = torch.randn(1, 14, 60)
    plain = Stranded(CLASSES, frames=True).loss(output[:, :10], target).item()
    ends = end_loss(output[:, -4:] - math.log(99), target, [11, 4]).item()
    assert ends > 0
    assert with_genes(ends=3.0).loss(output, target).item() == pytest.approx(plain + 3 * ends, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": False, "genetic_codes": (11,)}, "need frames = true"),
        ({"classes": ("tRNA+", "tRNA-"), "genetic_codes": (11,)}, r"the classes CDS\+ and CDS-"),
        ({"genetic_codes": (7,)}, "7 is no genetic code"),
        ({"genetic_codes": (11, 11)}, "each once"),
    ],
)
def test_genetic_codes_that_do_not_fit_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        Stranded(**{"classes": CLASSES, "frames": True} | options)
