"""RWKV-4 time mixing (chapter 04): an average of the past whose weights fade.

    x_t = μ ⊙ u_t + (1 - μ) ⊙ u_{t-1}     its own μ for each of r, k, v     u, x, y (B, N, D)
    r, k, v = W_r x, W_k x, W_v x

            sum_{i<t} exp(k_i - (t-1-i) w) ⊙ v_i + exp(k_t + b) ⊙ v_t
    wkv_t = ---------------------------------------------------------          w, b, μ (D)
            sum_{i<t} exp(k_i - (t-1-i) w)       + exp(k_t + b)

    y_t = W_o ( sigmoid(r_t) ⊙ wkv_t )

Like attention it is a weighted average, but no query chooses the weights: a key says only
how much its token matters, the decay w > 0 and the bonus b (the paper's u) say the rest.
Peng et al., arXiv:2305.13048.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from zoology_teach.mixers.mixer import Mixer, Projections, rows, start_projections
from zoology_teach.mixers.scan import linear_scan


class RWKV(Mixer):
    """y = W_o(sigmoid(r) ⊙ wkv), with decay and bonus learned for each channel.

    Both sums are kept divided by exp(m), where m_t = max(m_{t-1} - w, k_t) is their largest
    exponent so far: no key is too large for `exp`. m cancels, so no gradient goes through it.
    The start is RWKV-4's: decays from e^-5 to e^3 a token across the channels.

    A training step on a CPU costs some three times that of a long BaseConv: nearly half goes
    to the four projections, the rest to exponentials and products of the size of the input.

    init  "usual": as above, projections normal with std 0.02. "identity": slow decays, small
          bonus; the value is this token, the key the one before, the receptance twice this
          token (W = 1 or 2, plus the same noise). So a key weighs its value by exp(key) in
          each channel, and an equal query opens the channels where it weighed most.

    Raises ValueError for a wrong option.
    """

    has_step = True

    def __init__(self, d_model: int, *, init: str = "usual"):
        super().__init__(d_model)
        channel = torch.linspace(0, 1, d_model)
        self.log_decay = nn.Parameter(-5 + 8 * channel)
        self.bonus = nn.Parameter(math.log(0.3) + 0.5 * (torch.arange(d_model) % 3 - 1.0))
        self.mix = nn.Parameter(torch.stack([channel**0.5, channel, channel]))
        self.receptance, self.key, self.value, self.out = (
            nn.Linear(d_model, d_model, bias=False) for _ in range(4)
        )
        start_projections(init, self.receptance, self.key, self.value, self.out)
        if init == "identity":
            self.log_decay.data.fill_(-6.0)
            self.bonus.data.fill_(-2.0)
            self.mix.data = torch.tensor([1.0, 0.0, 1.0])[:, None].repeat(1, d_model)
            self.receptance.weight.data += torch.eye(d_model)

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        previous = _previous(u)
        average = rows(self._wkv(*self._keys_and_values(u, previous)), positions)
        return self._received(rows(u, positions), rows(previous, positions), average)

    def _keys_and_values(self, u: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        _, mix_k, mix_v = self.mix.to(u.dtype)
        return self.key(torch.lerp(previous, u, mix_k)), self.value(torch.lerp(previous, u, mix_v))

    def _received(self, u: Tensor, previous: Tensor, average: Tensor) -> Tensor:
        """W_o(sigmoid(r) ⊙ wkv)."""
        r = self.receptance(torch.lerp(previous, u, self.mix[0].to(u.dtype)))
        return self.out(torch.sigmoid(r) * average)

    def _wkv(self, k: Tensor, v: Tensor) -> Tensor:
        """The average of each position, k, v (B, N, D) -> (B, N, D), by one scan."""
        w = self.log_decay.exp()
        with torch.no_grad():
            # m_t + t w is a running maximum of k_t + t w. Its rounding does no harm: any
            # m near the maximum serves, and all below use the same one.
            drift = w * torch.arange(k.shape[1], device=k.device, dtype=k.dtype)[:, None]
            m = (k + drift).cummax(1).values - drift
            m_before = _previous(m, -torch.inf)
        scaled = torch.exp(k - m)
        sums = linear_scan(
            torch.exp(m_before - w - m)[:, :, None], torch.stack([scaled * v, scaled], dim=2)
        )
        numerator, denominator = _previous(sums).unbind(2)
        return self._average(k, v, numerator, denominator, m_before)

    def _average(
        self, k: Tensor, v: Tensor, numerator: Tensor, denominator: Tensor, m: Tensor
    ) -> Tensor:
        """The past's sums, in units of exp(m), and this token with its bonus."""
        now = k + self.bonus
        top = torch.maximum(now, m).detach()
        past, now = torch.exp(m - top), torch.exp(now - top)
        return (past * numerator + now * v) / (past * denominator + now)

    def step(
        self, u_t: Tensor, state: tuple[Tensor, ...] | None = None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The next token: u_t (B, D) and the last state (None at first) -> y_t (B, D), state.

        The state is numerator, denominator, m and the last token, each (B, D).
        """
        self.check_step(u_t)
        zero = torch.zeros_like(u_t)
        numerator, denominator, m, last = state or (zero, zero, zero - torch.inf, zero)
        k, v = self._keys_and_values(u_t, last)
        y_t = self._received(u_t, last, self._average(k, v, numerator, denominator, m))
        faded = m - self.log_decay.exp()
        m = torch.maximum(faded, k).detach()
        fade, scaled = torch.exp(faded - m), torch.exp(k - m)
        return y_t, (fade * numerator + scaled * v, fade * denominator + scaled, m, u_t)

    def projections(self) -> Projections:
        """W_r, W_k, W_v, then W_o."""
        return (self.receptance, self.key, self.value), self.out

    def state_size(self, n: int) -> int:
        """Numerator, denominator, maximum and last token, however long the sequence."""
        return 4 * self.d_model

    def flops(self, n: int) -> int:
        """Four projections, three token mixes, some 24 operations a channel for the average."""
        return 8 * n * self.d_model**2 + (9 + 24) * n * self.d_model


def _previous(x: Tensor, first: float = 0.0) -> Tensor:
    """x (B, N, ...) one token later; the first sees `first`."""
    return pad(x[:, :-1], (0, 0) * (x.dim() - 2) + (1, 0), value=first)
