"""A filter as a function of the lag (Hyena's idea; chapter 04).

A long explicit filter has N free weights per channel. An implicit one asks a small network
"how much does lag t count?", so its size does not depend on N. Poli et al., arXiv:2302.10866.
"""

import math

import torch
from torch import Tensor, nn

BANDS, HIDDEN = 8, 32  # frequencies among the features; width of the network


class ImplicitFilter(nn.Module):
    """h (D, n) = MLP(features of the lag)ᵀ ⊙ exp(-decay_d · t / max_len).

    The features are t / max_len and sines and cosines of it; the network has sine
    activations, so it can be sharp; the window starts each channel at its own horizon.
    """

    time: Tensor
    features: Tensor

    def __init__(self, d_model: int, max_len: int):
        super().__init__()
        time = torch.arange(max_len) / max_len
        angles = 2 * math.pi * time[:, None] * torch.arange(1, BANDS + 1)
        features = torch.cat([time[:, None], angles.sin(), angles.cos()], dim=1)
        self.register_buffer("time", time, persistent=False)
        self.register_buffer("features", features, persistent=False)
        self.inner = nn.Linear(2 * BANDS + 1, HIDDEN)
        self.middle = nn.Linear(HIDDEN, HIDDEN)
        self.outer = nn.Linear(HIDDEN, d_model, bias=False)
        # From a window over the whole sequence to one that fades within a twentieth of it.
        self.decay = nn.Parameter(torch.linspace(0.0, 20.0, d_model))

    def start_near(self, level: float) -> None:
        """Start at about `level` for every lag, without a window; some randomness stays."""
        with torch.no_grad():
            self.decay.zero_()
            # Half-way up the sine the hidden units are alike, and can still move either way.
            self.middle.weight *= 0.3
            self.middle.bias.fill_(math.pi / 4)
            self.outer.weight *= 0.1
            self.outer.weight += level / (self.outer.in_features * math.sin(math.pi / 4))

    def forward(self, n: int) -> Tensor:
        """(D, n): the filter's first `n` lags."""
        hidden = torch.sin(self.inner(self.features[:n]))
        hidden = torch.sin(self.middle(hidden))
        window = torch.exp(-self.decay[:, None].abs() * self.time[:n])
        return self.outer(hidden).T * window

    def flops(self, n: int) -> int:
        """By rule a multiply-add for each parameter and lag."""
        return 2 * n * sum(p.numel() for p in self.parameters())
