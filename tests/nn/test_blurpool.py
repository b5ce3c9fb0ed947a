"""Anti-aliased pooling: what it computes and what it gains."""

import pytest
import torch
from torch.nn import functional as F

from atrous.nn.blurpool import BlurPool, MaxBlurPool, binomial


@pytest.mark.parametrize(("ndim", "stride"), [(1, 2), (2, (1, 2)), (3, 2)])
def test_a_constant_stays_and_the_grid_thins_out(ndim, stride):
    strides = (stride,) * ndim if isinstance(stride, int) else stride
    found = BlurPool(ndim, 2, stride)(torch.full((1, 2, *(7,) * ndim), 3.0))
    assert list(found.shape[2:]) == [-(-7 // step) for step in strides]
    torch.testing.assert_close(found, torch.full_like(found, 3.0))


def test_the_finest_ripple_is_gone():
    """A wave of period 2, which plain thinning turns into a constant, blurs to its mean."""
    ripple = torch.tensor([1.0, -1.0]).repeat(8)[None, None]
    assert float(ripple[..., ::2].abs().min()) == 1
    assert float(BlurPool(1, 1, 2)(ripple)[..., 1:-1].abs().max()) < 1e-6


def test_a_shift_by_one_changes_less_than_after_max_pooling():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 32, 32)
    blurred = MaxBlurPool(2, 3, taps=5)
    plain = (F.max_pool2d(x, 2) - F.max_pool2d(x.roll(1, 3), 2)).square().mean() / F.max_pool2d(x, 2).var()
    smooth = (blurred(x) - blurred(x.roll(1, 3))).square().mean() / blurred(x).var()
    assert float(smooth) < 0.5 * float(plain)


def test_taps():
    assert binomial(5).mul(16).tolist() == [1, 4, 6, 4, 1]
    with pytest.raises(ValueError, match="4 taps are even"):
        BlurPool(2, 3, taps=4)
