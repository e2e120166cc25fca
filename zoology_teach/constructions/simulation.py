"""Other mixers as stacks of BaseConvs, number for number: cases of Theorem 4.2 (chapter 07).

    y = (u W + b1) ⊙ (h * u + b2)

With h = 0 and b2 = 1 a BaseConv is a projection; with W = 0 and b1 = 1 a convolution; in
general the gate of one channel may be any other channel. So one layer can carry the three
streams q, k, v side by side in 3D channels and multiply, convolve or pass each.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from zoology_teach.checks import require, require_int
from zoology_teach.mixers import H3, BaseConv, Hyena


class Stack(nn.Sequential):
    """BaseConvs one after another in 3D channels, no residuals: (B, N, D) -> (B, N, D)."""

    def forward(self, u: Tensor) -> Tensor:
        """u (B, N, D) -> (B, N, D): the first D of the 3D channels; the others start at 0."""
        return super().forward(pad(u, (0, 2 * u.shape[-1])))[..., : u.shape[-1]]


@torch.no_grad()
def as_base_convs(mixer: H3 | Hyena, n: int) -> Stack:
    """The stack of BaseConvs that equals `mixer` on sequences of up to `n` tokens.

    H3 in four layers: project to (k, v, q); multiply v with the shifted k; multiply q with
    the diagonal map of that; project. Hyena of order 2 in five: project to (v, x1, x2),
    three short convolutions, twice gate times long convolution, project.
    """
    require(isinstance(mixer, H3 | Hyena), "mixer", mixer, "an H3 or a Hyena")
    require_int("n", n, 1)
    if isinstance(mixer, H3):
        layers = [
            _project(n, mixer.key, mixer.value, mixer.query),
            _gate(n, mixer.shift.filter, by=1, keep=2),
            _gate(n, mixer.diagonal.kernel(n), by=2),
            _project(n, mixer.out),
        ]
    else:
        layers = [
            _project(n, mixer.value, mixer.gate1, mixer.gate2),
            _convolve(n, *(conv.filter for conv in mixer.short)),
            _gate(n, mixer.filter(0, n), by=1, keep=2),
            _gate(n, mixer.filter(1, n), by=2),
            _project(n, mixer.out),
        ]
    return Stack(*layers)


def _project(n: int, *projections: nn.Linear) -> BaseConv:
    """The first D channels through each projection, side by side: gates only (h = 0, b2 = 1)."""
    d = projections[0].in_features
    layer = _blank(n, projections[0].weight)
    layer.conv_bias[:] = 1
    for i, projection in enumerate(projections):
        layer.projection.weight[i * d : (i + 1) * d, :d] = projection.weight
        layer.projection.bias[i * d : (i + 1) * d] = projection.bias
    return layer


def _convolve(n: int, *filters: Tensor) -> BaseConv:
    """Each stream through its own filter (D, taps): no gates (W = 0, b1 = 1)."""
    layer = _blank(n, filters[0])
    layer.projection.bias[:] = 1
    layer.explicit_filter[:] = torch.cat([_taps(filter, n) for filter in filters])
    return layer


def _gate(n: int, filter: Tensor, *, by: int, keep: int | None = None) -> BaseConv:
    """Stream `by` ⊙ (filter * stream 0) becomes stream 0; stream `keep` passes unchanged."""
    d = len(filter)
    layer, eye = _blank(n, filter), torch.eye(d).to(filter)
    layer.projection.weight[:d, by * d : (by + 1) * d] = eye
    layer.explicit_filter[:d] = _taps(filter, n)
    if keep is not None:
        kept = slice(keep * d, (keep + 1) * d)
        layer.projection.weight[kept, kept] = eye
        layer.conv_bias[kept] = 1
    return layer


def _taps(filter: Tensor, n: int) -> Tensor:
    """A filter (D, taps) as one of n taps."""
    return pad(filter, (0, max(0, n - filter.shape[1])))[:, :n]


def _blank(n: int, like: Tensor) -> BaseConv:
    """A BaseConv of 3D channels whose every weight is 0; `like` has D rows, and its kind."""
    layer = BaseConv(3 * len(like), filter="long", max_len=n).to(like)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
