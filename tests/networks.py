"""Networks for tests: random weights, but with batch-norm statistics that are not the trivial 0 and 1."""

import torch
from torch import nn

from chexmodel import network
from chexmodel.network import Network


def lively(backbone: str, *, seed: int = 0, side: int = 96) -> Network:
    """Build a network, shift and scale its batch norms, and let them see noise; then in evaluation mode."""
    torch.manual_seed(seed)
    net = network.build(backbone)
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.3)
        norm.momentum = 0.9
    with torch.no_grad():
        net.train()(torch.randn(4, 3, side, side))
    return net.eval().requires_grad_(False)
