"""A mixer from outside: the delta rule (arXiv:2102.11174), which corrects what a key holds."""

import torch
from torch import nn

from zoology_teach.mixers.mixer import Mixer, rows


class Delta(Mixer):
    """S += beta (v - S k) k^T, out = W_o S q: u (B, N, D) -> (B, N, D)."""

    def __init__(self, d_model: int):
        super().__init__()
        self.d_model = d_model
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.beta = nn.Linear(d_model, 1)
        self.out = nn.Linear(d_model, d_model, bias=False)

    def start(self, batch: int) -> torch.Tensor:
        return torch.zeros(batch, self.d_model, self.d_model)

    def step(self, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        k = nn.functional.normalize(k, dim=-1)
        error = v - torch.einsum("bij,bj->bi", state, k)
        state = state + torch.einsum("bi,bj->bij", self.beta(x).sigmoid() * error, k)
        return self.out(torch.einsum("bij,bj->bi", state, q)), state

    def forward(self, u: torch.Tensor, positions: torch.Tensor | None = None) -> torch.Tensor:
        state, out = self.start(len(u)).to(u), []
        for x in u.unbind(dim=1):
            y, state = self.step(x, state)
            out.append(y)
        return rows(torch.stack(out, dim=1), positions)

    def state_size(self, n: int) -> int:
        return self.d_model**2

    def flops(self, n: int) -> int:
        return n * (8 * self.d_model**2 + 2 * self.d_model + 7 * self.d_model**2)
