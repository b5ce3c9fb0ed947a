import pytest
import torch
from torch import nn

from atrous.models.codons import codons
from atrous.nn.mirror import MirrorNorm, mirror, plain, strand_pairs
from tests.toy_models import settled


def trained(width=8, tracks=0, outputs=6, local=0):
    """A network whose batch norms have seen data, in float64."""
    torch.manual_seed(0)
    widths = (width, local)
    network = codons(1, 4 + tracks, outputs, width=widths, dilations=(1, 2, 4), reverse_complement=True).double()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
    for _ in range(3):
        network(torch.rand(2, 4 + tracks, 99, dtype=torch.float64))
    return network


def reverse_complement(x):
    return torch.cat([x[:, :4].flip(1), x[:, 4:]], 1).flip(-1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("tracks", "local"), [(0, 0), (2, 0), (0, 4), (2, 6)])
def test_the_reverse_complement_gives_the_reverse_complement(training, tracks, local):
    network = trained(tracks=tracks, local=local).train(training)
    x = torch.rand(2, 4 + tracks, 300, dtype=torch.float64)
    with torch.no_grad():
        want = network(x)[:, strand_pairs(6)].flip(-1)
        found = network(reverse_complement(x))
    assert (found - want).abs().max() < 1e-12 * want.abs().max()
    assert (network(x) - want).abs().max() > 1e-3


def test_outputs_without_a_strand_are_their_own_partners():
    torch.manual_seed(0)
    network = settled(codons(1, 4, 3, width=8, dilations=(1, 2), reverse_complement=(0, 2, 1)).double())
    x = torch.rand(1, 4, 300, dtype=torch.float64)
    with torch.no_grad():
        want = network(x)[:, [0, 2, 1]].flip(-1)
        found = network(reverse_complement(x))
    assert (found - want).abs().max() < 1e-12 * want.abs().max()


@pytest.mark.parametrize("partners", [(0,), (1, 2, 0), (0, 0, 1), (0, 1, 3)])
def test_partners_are_partners_of_each_other(partners):
    with pytest.raises(ValueError, match="give for each output"):
        codons(1, 4, 3, width=8, reverse_complement=partners)


def test_a_network_that_does_not_share_is_not_equivariant():
    torch.manual_seed(0)
    network = codons(1, 4, 6, width=8, dilations=(1, 2)).double().eval()
    x = torch.rand(1, 4, 300, dtype=torch.float64)
    with torch.no_grad():
        assert (network(reverse_complement(x)) - network(x)[:, strand_pairs(6)].flip(-1)).abs().max() > 1e-3


@pytest.mark.parametrize("local", [0, 4])
def test_plain_layers_give_the_same_values(local):
    network = trained(local=local).eval()
    x = torch.rand(1, 4, 120, dtype=torch.float64)
    with torch.no_grad():
        want = network(x)
        made = plain(network)
        found = made(x)
    assert (found - want).abs().max() < 1e-12 * want.abs().max()
    kinds = {type(module) for module in made.modules()}
    assert MirrorNorm not in kinds
    assert not any("parametriz" in name for name in made.state_dict())


def test_shared_weights_begin_with_the_variance_of_free_ones():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv1d(4, 64, 9), nn.Conv1d(64, 64, 9), nn.Conv1d(64, 2, 1))
    before = network[1].weight.var().item()
    mirror(network, network[0], network[2])
    assert network[1].weight.var().item() == pytest.approx(before, rel=0.1)


def test_odd_widths_are_refused():
    with pytest.raises(ValueError, match="even"):
        codons(1, 4, 6, width=7, reverse_complement=True)
