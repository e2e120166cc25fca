"""S4D (chapter 04): a long filter with few parameters that is also a recurrence.

Each channel drives d_state linear equations x' = A x + u with diagonal, complex A = (A_n),
which come in conjugate pairs, so d_state/2 of them are kept. A zero-order hold over steps
of length dt makes them a recurrence, and unrolling that makes it a convolution:

    Ā_n = exp(dt A_n)    B̄_n = (Ā_n - 1) / A_n                     A, C (D, d_state/2); dt (D)
    x_t = Ā x_{t-1} + B̄ u_t     y_t = 2 Re sum_n C_n x_{t,n} + skip u_t       u, y (B, N, D)
    y = K * u + skip ⊙ u        K_l = 2 Re sum_n C_n B̄_n Ā_n^l                       K (D, N)

The start A_n = -1/2 + iπn ("S4D-Lin") is the diagonal stand-in for HiPPO, the matrix whose
state is the best polynomial memory of the past. Gu et al., arXiv:2206.11893.
"""

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn.functional import gelu, pad

from zoology_teach.checks import require, require_int
from zoology_teach.mixers.convolution import fft_conv_flops, fft_flops, long_conv
from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections

DT_MIN, DT_MAX = 0.001, 0.1  # a channel's step length starts log-uniform between them


class DiagonalSSM(nn.Module):
    """The state-space map alone, each channel for itself: (B, D, N) -> (B, D, N).

    Time is the last dimension, as `long_conv` wants it. `step` is the same map, token by
    token. S4D and H3 are built around it and document its options.
    """

    def __init__(self, d_model: int, d_state: int):
        super().__init__()
        require_int("d_model", d_model, 1)
        require_int("d_state", d_state, 2)
        require(d_state % 2 == 0, "d_state", d_state, "even: its modes come in conjugate pairs")
        pairs = d_state // 2
        self.log_dt = nn.Parameter(
            torch.empty(d_model).uniform_(math.log(DT_MIN), math.log(DT_MAX))
        )
        # Re A = -exp(log_decay) stays negative in training: no mode ever explodes.
        self.log_decay = nn.Parameter(torch.full((d_model, pairs), math.log(0.5)))
        self.frequency = nn.Parameter(math.pi * torch.arange(float(pairs)).repeat(d_model, 1))
        # Real and imaginary part side by side, so that .double() converts it.
        self.C = nn.Parameter(torch.randn(d_model, pairs, 2) * 0.5**0.5)
        self.skip = nn.Parameter(torch.randn(d_model))

    def start_as_sum(self) -> None:
        """Start near K_l = 1, the sum of all tokens: one mode that hardly fades, no skip."""
        with torch.no_grad():
            self.log_decay[:, 0] = math.log(0.01)
            _, b_bar, _ = self.discretise()
            self.C.mul_(0.02)
            self.C[:, 0] = torch.stack([0.5 / b_bar[:, 0].real, torch.zeros(len(b_bar))], dim=1)
            self.skip.zero_()

    def discretise(self) -> tuple[Tensor, Tensor, Tensor]:
        """log Ā = dt A, B̄ and C, each complex (D, d_state/2), of float32 at least."""
        precise = torch.promote_types(self.C.dtype, torch.float32)
        decay, frequency, log_dt, c = (
            x.to(precise) for x in (self.log_decay, self.frequency, self.log_dt, self.C)
        )
        a = torch.complex(-decay.exp(), frequency)
        log_a_bar = log_dt.exp()[:, None] * a
        return log_a_bar, torch.expm1(log_a_bar) / a, torch.view_as_complex(c)

    def kernel(self, n: int) -> Tensor:
        """K (D, n), with the skip as more weight on lag 0.

        With l = a m + b and m ≈ √n, Ā^l = Ā^(a m) Ā^b: the product of two small tables,
        2√n powers of each mode instead of n, and no (D, modes, n) array.
        """
        log_a_bar, b_bar, c = self.discretise()
        m = math.isqrt(n - 1) + 1
        lag = torch.arange(m, device=log_a_bar.device)
        within = _powers(log_a_bar, lag)
        starts = 2 * (c * b_bar)[..., None] * _powers(log_a_bar, m * lag[: -(-n // m)])
        # Re(x y) = Re x Re y - Im x Im y, as one real product over 2 x modes.
        left = torch.cat([starts.real, -starts.imag], dim=1)
        right = torch.cat([within.real, within.imag], dim=1)
        k = rearrange(left.mT @ right, "d a b -> d (a b)")[:, :n]
        return k + pad(self.skip[:, None], (0, n - 1))

    def forward(self, u: Tensor) -> Tensor:
        """u (B, D, N) -> K * u (B, D, N), the skip in K."""
        return long_conv(u, self.kernel(u.shape[-1]))

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u_t (B, D), state complex (B, D, d_state/2) or None -> y_t (B, D), new state."""
        log_a_bar, b_bar, c = self.discretise()
        state = b_bar * u_t[..., None] + (0 if state is None else log_a_bar.exp() * state)
        return (2 * (c * state).real.sum(-1)).to(u_t.dtype) + self.skip * u_t, state

    def flops(self, n: int) -> int:
        """The kernel, a multiply-add for each lag and kept number, and the convolution."""
        return 2 * n * self.C.numel() + self.skip.numel() * fft_conv_flops(n)

    def shared_flops(self, n: int) -> int:
        """The kernel and its transform."""
        return 2 * n * self.C.numel() + self.skip.numel() * fft_flops(n)


def _powers(log_a: Tensor, lags: Tensor) -> Tensor:
    """exp(log_a · lag), (..., lags). On a CPU real functions take half the time of complex exp."""
    size, angle = (log_a.real[..., None] * lags).exp(), log_a.imag[..., None] * lags
    return torch.complex(size * angle.cos(), size * angle.sin())


class S4D(Mixer):
    """y = W_o gelu(K * u + skip ⊙ u) + b_o, no gate.

    d_state  real numbers of state for each channel (even: conjugate pairs).

    A channel's step length dt starts log-uniform in 0.001 .. 0.1: it remembers some 2/dt tokens.
    The original trains A and dt with a smaller learning rate; here all parameters are alike.
    Raises ValueError for a wrong option.
    """

    has_step = True

    def __init__(self, d_model: int, *, d_state: int = 64):
        super().__init__(d_model)
        self.ssm = DiagonalSSM(d_model, d_state)
        self.d_state = d_state
        self.out = nn.Linear(d_model, d_model)
        start_projections("usual", self.out)

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        y = self.ssm(u.transpose(1, 2)).transpose(1, 2)
        return self.out(gelu(rows(y, positions)))

    def step(self, u_t: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The next token: u_t (B, D) and the last state (None at first) -> y_t (B, D), state."""
        self.check_step(u_t)
        y_t, state = self.ssm.step(u_t, state)
        return self.out(gelu(y_t)), state

    def projections(self) -> Projections:
        """W_o."""
        return (), self.out

    def state_size(self, n: int) -> int:
        """d_state numbers a channel, however long the sequence."""
        return self.d_model * self.d_state

    def flops(self, n: int) -> int:
        """State-space map and projection; the gelu counts as one operation."""
        return self.ssm.flops(n) + 2 * n * self.d_model**2 + n * self.d_model

    def shared_flops(self, n: int) -> int:
        """Of the state-space map."""
        return self.ssm.shared_flops(n)
