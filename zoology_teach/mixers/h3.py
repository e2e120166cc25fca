"""H3 (chapter 04): two gates around two state-space maps, made to compare tokens.

    q, k, v = W_q u, W_k u, W_v u                                          u, y (B, N, D)
    y = W_o ( q ⊙ SSM_diag( SSM_shift(k) ⊙ v ) )

The shift map's state is the last few keys, so it is a short convolution: it can hand over
the previous key to meet this value. The diagonal map (`DiagonalSSM`, see s4d.py) remembers
the products, and the query picks from what it remembers. Head dimension 1: every channel
has one number of each. Fu et al., arXiv:2212.14052.
"""

from torch import Tensor, nn

from zoology_teach.checks import require_int
from zoology_teach.mixers.convolution import ShortConv
from zoology_teach.mixers.mixer import Mixer, Projections, project, rows, start_projections
from zoology_teach.mixers.s4d import DiagonalSSM


class H3(Mixer):
    """y = W_o(q ⊙ diag(shift(k) ⊙ v)), head dimension 1.

    d_state     real numbers of diagonal state for each channel (even).
    shift_taps  taps of the shift map, this token's among them.
    init        "usual": projections normal with std 0.02, random filters. "identity":
                W = 1 plus the same noise, the shift hands over the previous key and the
                diagonal map sums: y_t = u_t ⊙ sum_{s<=t} u_{s-1} ⊙ u_s, a holographic
                memory in one layer (chapter 07).

    A training step on a CPU (N = 256, D = 128) takes about twice that of a BaseConv with a
    long filter: four projections instead of one, the short convolution and the kernel.
    Raises ValueError for a wrong option.
    """

    has_step = True

    def __init__(
        self, d_model: int, *, d_state: int = 64, shift_taps: int = 3, init: str = "usual"
    ):
        super().__init__(d_model)
        require_int("shift_taps", shift_taps, 1)
        self.diagonal = DiagonalSSM(d_model, d_state)
        self.d_state, self.shift_taps = d_state, shift_taps
        self.query, self.key, self.value, self.out = (nn.Linear(d_model, d_model) for _ in range(4))
        start_projections(init, self.query, self.key, self.value, self.out)
        self.shift = ShortConv(d_model, shift_taps, "previous" if init == "identity" else init)
        if init == "identity":
            self.diagonal.start_as_sum()

    def forward(self, u: Tensor, positions: Tensor | None = None) -> Tensor:
        """u (B, N, D) -> (B, N, D), or (B, P, D) at `positions` (B, P)."""
        self.check(u, positions)
        k, v = project(u, self.key, self.value)
        memory = self.diagonal((self.shift(k) * v).mT).mT
        (q,) = project(rows(u, positions), self.query)
        (y,) = project(q * rows(memory, positions), self.out)
        return y

    def step(
        self, u_t: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The next token: u_t (B, D) and the last state (None at first) -> y_t (B, D), state.

        The state is the last keys, at most shift_taps - 1 of them (B, shift_taps - 1, D),
        oldest first, and the diagonal map's state (B, D, d_state/2), complex.
        """
        self.check_step(u_t)
        q, k, v = self.query(u_t), self.key(u_t), self.value(u_t)
        recent, diagonal = (None, None) if state is None else state
        shifted, recent = self.shift.step(k, recent)
        memory, diagonal = self.diagonal.step(shifted * v, diagonal)
        return self.out(q * memory), (recent, diagonal)

    def projections(self) -> Projections:
        """W_q, W_k, W_v, then W_o."""
        return (self.query, self.key, self.value), self.out

    def state_size(self, n: int) -> int:
        """The diagonal state and the keys that the shift map still sees."""
        return self.d_model * (self.d_state + min(n, self.shift_taps - 1))

    def flops(self, n: int) -> int:
        """Four projections, the shift's taps, two gates, the diagonal map."""
        local = self.shift.flops(n) + 2 * n * self.d_model
        return 8 * n * self.d_model**2 + local + self.diagonal.flops(n)

    def shared_flops(self, n: int) -> int:
        """Of the diagonal map."""
        return self.diagonal.shared_flops(n)
