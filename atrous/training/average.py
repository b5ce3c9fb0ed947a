"""The running average of the weights: the network that a run validates and saves."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class PowerAverage(AveragedModel):
    """The average of a network over a fixed share of the run so far, batch-norm statistics included.

    At update t = 1, 2, ... the average a moves towards the weights w:

        a = k a + (1 - k) w,   k = (1 - 1/t) ** (1 + gamma)

    (Karras et al. 2024, "Analyzing and improving the training dynamics of diffusion models", eq. 1 of section 3). The
    larger gamma, the shorter the average: gamma = 17 averages over about 5 % of the run. Integer tensors are copied.
    """

    def __init__(self, network: nn.Module, gamma: float) -> None:
        super().__init__(network, use_buffers=True)
        self.gamma = gamma

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Take the weights of a network into the average; all of them at once, without waiting for a GPU."""
        update = int(self.n_averaged) + 1
        keep = (1 - 1 / update) ** (1 + self.gamma)
        pairs = list(zip(_tensors(self.module), _tensors(model), strict=True))
        floating = [(old, new) for old, new in pairs if old.is_floating_point()]
        old, new = [old for old, _ in floating], [new for _, new in floating]
        torch._foreach_lerp_(old, new, 1 - keep)  # pyright: ignore[reportPrivateImportUsage]
        for old, new in pairs:
            if not old.is_floating_point():
                old.copy_(new)
        self.n_averaged += 1


def _tensors(network: nn.Module) -> list[torch.Tensor]:
    """Parameters and buffers."""
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]


def averaged(network: nn.Module, gamma: float = 17.0) -> PowerAverage:
    """Return a running average of the network's weights and buffers, batch-norm statistics included.

    Call `update_parameters(network)` on the result after every step.

    >>> average = averaged(nn.Linear(2, 1))
    >>> average.update_parameters(nn.Linear(2, 1))
    >>> int(average.n_averaged)
    1
    """
    return PowerAverage(network, gamma)


def on_device(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, and let it take inputs from any device and return its output on the CPU.

    >>> network = nn.Linear(2, 1)
    >>> on_device(network, torch.device("cpu"))
    >>> network(torch.zeros(3, 2)).shape
    torch.Size([3, 1])
    """
    network.to(device)
    network.register_forward_pre_hook(lambda _, inputs: tuple(x.to(device) for x in inputs))
    network.register_forward_hook(lambda _, inputs, output: output.cpu())
