import pytest
import torch

from atrous.geometry.field import certify
from atrous.models.codons import codons
from atrous.nn.mirror import plain
from atrous.stream import stream
from tests.toy_models import settled


def make(local=0, **options):
    torch.manual_seed(0)
    options.setdefault("dilations", (1, 2, 8))
    return settled(plain(codons(1, 4, 6, width=(8, local), **options)))


@pytest.mark.parametrize("length", [1, 2, 3, 100, 301])
@pytest.mark.parametrize(("shared", "local"), [(True, 0), (False, 0), (True, 4)])
def test_any_length(length, shared, local):
    network = make(reverse_complement=shared, local=local)
    with torch.no_grad():
        assert network(torch.rand(2, 4, length)).shape == (2, 6, length)


@pytest.mark.parametrize(("shared", "local"), [(False, 0), (True, 4)])
def test_no_base_depends_on_the_strip(shared, local):
    network = make(reverse_complement=shared, local=local)
    x = torch.rand(4, 1000)
    with torch.no_grad():
        want = network(x[None])[0]
    for strip in (30, 99, 500):
        found = torch.from_numpy(stream(network, x.numpy(), strip=strip))
        assert (found - want).abs().max() < 5e-5 * want.abs().max()


def test_shifts_by_a_codon_shift_the_output():
    network = make()
    x = torch.rand(1, 4, 600)
    with torch.no_grad():
        whole, shifted = network(x), network(x[..., 3:])
    inner = slice(150, -150)
    assert (whole[..., 3:][..., inner] - shifted[..., inner]).abs().max() < 1e-5


def test_the_default_sees_three_thousand_bases():
    found = certify(plain(codons(1, 4, 12, width=(4, 2))).eval(), (4, 9000))
    assert 3000 < found.fields[0].receptive_field < 3500


def test_the_path_of_single_bases_sees_a_binding_site_before_a_start():
    torch.manual_seed(0)
    network = codons(1, 4, 2, width=(4, 32)).eval()
    x = torch.rand(1, 4, 300, requires_grad=True)
    network.encoder(x)[0][0, :, 150].sum().backward()
    seen = x.grad.abs().sum((0, 1)).nonzero().flatten()
    assert (seen.min().item(), seen.max().item()) == (132, 168)
    assert 13 + len("AGGAG") == 18
