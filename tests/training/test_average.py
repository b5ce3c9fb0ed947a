"""The running average of the weights."""

import torch
from torch import nn

from atrous.training.average import averaged, on_device


def test_the_average_is_the_power_weighted_mean_of_all_updates():
    """Unrolled, the weight of update i is proportional to i**(1+gamma) in the limit; here in float64."""
    gamma, updates = 3.0, 12
    network = nn.Linear(1, 1, bias=False)
    average = averaged(network, gamma)
    truth = None
    for t in range(1, updates + 1):
        network.weight.data.fill_(float(t * t))
        average.update_parameters(network)
        keep = (1 - 1 / t) ** (1 + gamma)
        truth = float(t * t) if truth is None else keep * truth + (1 - keep) * t * t
    assert abs(float(average.module.weight.detach()) - truth) < 1e-3 * truth


def test_batch_norm_statistics_are_averaged_and_counters_copied():
    network = nn.BatchNorm1d(1)
    average = averaged(network)
    for value in (0.0, 10.0, 10.0):
        network.running_mean.fill_(value)
        network.num_batches_tracked += 1
        average.update_parameters(network)
    assert 0 < float(average.module.running_mean) < 10.0001
    assert int(average.module.num_batches_tracked) == 3
    assert torch.isfinite(average.module.running_var).all()


def test_the_average_validates_where_the_network_trains():
    """The device without data stands for an accelerator."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            assert x.device == self.layer.weight.device == self.layer(x).device
            return torch.zeros(x.shape, dtype=x.dtype)

    average = averaged(Net())
    names = list(average.state_dict())
    on_device(average.module, torch.device("meta"))
    assert average.module(torch.ones(3, 2)).device == torch.device("cpu")
    assert {p.device.type for p in average.parameters()} == {"meta"}
    assert average.n_averaged.device == torch.device("cpu")
    assert list(average.state_dict()) == names
