"""Random weights and statistics that hide nothing, shared by the tests of surgery."""

import torch
from torch import nn


def randomized(network: nn.Module, seed: int = 0) -> nn.Module:
    """Evaluation mode; norms, biases and layer scales drawn anew, so that nothing is the fresh identity or zero."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        if parameter.numel() == max(parameter.shape, default=1):
            parameter.data.copy_(0.5 + torch.rand(parameter.shape, generator=generator))
    for module in network.modules():
        mean, var = getattr(module, "running_mean", None), getattr(module, "running_var", None)
        if mean is not None and var is not None:
            mean.copy_(0.3 * torch.randn(mean.shape, generator=generator))
            var.copy_(0.5 + torch.rand(var.shape, generator=generator))
    return network.eval()
