import pytest
import torch

from atrous.encoders.pairs import Siamese, WithDifference
from atrous.encoders.resnet import ResNet
from atrous.models.fcn import fcn
from atrous.stream.stream import stream


def encoder(channels):
    torch.manual_seed(0)
    return ResNet(2, in_channels=channels, depth=10, width=8, strides=(2, 2))


def test_a_siamese_encoder_gives_both_features_and_their_difference():
    siamese = Siamese(encoder(3)).eval()
    first, second = torch.rand(2, 3, 32, 48), torch.rand(2, 3, 32, 48)
    levels = siamese(torch.cat([first, second], dim=1))
    for level, f, g in zip(levels, siamese.inner(first), siamese.inner(second), strict=True):
        torch.testing.assert_close(level, torch.cat([f, g, (f - g).abs()], dim=1))
    assert [level.shape[1] for level in levels] == list(siamese.channels)


def test_batch_norm_has_one_mean_for_both_images_in_training():
    siamese = Siamese(encoder(1)).train()
    dark, bright = torch.rand(2, 1, 32, 32), 5 + torch.rand(2, 1, 32, 32)
    level = siamese(torch.cat([dark, bright], dim=1))[0].detach()
    f, g, _ = level.chunk(3, dim=1)
    assert (f - g).mean((0, 2, 3)).abs().max() > 0.1  # with a mean for each, both would have the same


def test_equal_images_have_no_difference():
    level = Siamese(encoder(3)).eval()(torch.rand(1, 3, 32, 32).repeat(1, 2, 1, 1))[-1]
    assert level.chunk(3, dim=1)[2].abs().max() < 1e-6


def test_the_difference_of_values_is_given_as_channels():
    inner = encoder(9).eval()
    early = WithDifference(inner)
    first, second = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    expected = inner(torch.cat([first, second, (first - second).abs()], dim=1))
    for one, other in zip(early(torch.cat([first, second], dim=1)), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert early.channels == inner.channels
    with pytest.raises(ValueError, match="8 channels"):
        WithDifference(encoder(8))


@pytest.mark.parametrize("make", [lambda: Siamese(encoder(3)), lambda: WithDifference(encoder(9))])
def test_both_stream_exactly(make):
    network = fcn(make(), outputs=2, width=16).eval()
    image = torch.randn(6, 211, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = network(image[None])[0]
    streamed = torch.empty_like(whole).numpy()
    stream(network, image.numpy(), streamed, strip=64, strategy="strips")
    assert (torch.from_numpy(streamed) - whole).abs().max() < 5e-5 * whole.abs().max()
