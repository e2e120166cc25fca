"""Causal depthwise convolution: short by shifts, long by FFT (chapter 04).

On a GPU the kernels of chapters 12 and 13 do the same.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from zoology_teach.checks import require, require_int
from zoology_teach.kernels import long_conv as long_kernel
from zoology_teach.kernels import short_conv as short_kernel
from zoology_teach.kernels.derivatives import beyond_one_gradient, transformed
from zoology_teach.kernels.dispatch import alike

IN_CACHE = 1 << 17  # numbers of u whose spectra a core's cache holds
SHORT_INITS = ("usual", "identity", "previous")


def short_conv(u: Tensor, filter: Tensor) -> Tensor:
    """y[:, t] = sum_l filter[:, l] * u[:, t-l] for u (B, N, D) and filter (D, k), small k.

    A sum of k shifted copies: no im2col, and on a CPU faster than conv1d.
    """
    if short_kernel.takes(u, filter):
        return short_kernel.short_conv(*alike(u, filter))
    if transformed(u, filter):
        return _sum_of_copies(u, filter)
    return _ShortConv.apply(u, filter)


def _sum_of_copies(u: Tensor, filter: Tensor, ahead: bool = False) -> Tensor:
    """The definition; `ahead` reads u[:, t+l] instead, which is the gradient for u."""
    y, n = u * filter[:, 0], u.shape[1]
    for lag in _lags(u, filter):
        shifted = pad(u[:, lag:], (0, 0, 0, lag)) if ahead else pad(u, (0, 0, lag, 0))[:, :n]
        y = y + shifted * filter[:, lag]
    return y


class _ShortConv(torch.autograd.Function):
    """Backward shifts the other way. Written out so that every tap adds in place.

    Taps (k, D), for a product with a row takes a third of the time of one with a column.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, filter: Tensor) -> Tensor:
        ctx.save_for_backward(u, filter)
        taps = filter.T.contiguous()
        y = u * taps[0]
        for lag in _lags(u, filter):
            y[:, lag:].addcmul_(u[:, :-lag], taps[lag])
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        u, filter = ctx.saved_tensors
        to_taps = [(grad * u).sum((0, 1))]
        to_taps += [(grad[:, lag:] * u[:, :-lag]).sum((0, 1)) for lag in _lags(u, filter)]
        grad_filter = pad(torch.stack(to_taps, dim=1), (0, filter.shape[1] - len(to_taps)))
        if beyond_one_gradient(grad):
            return _sum_of_copies(grad, filter, ahead=True), grad_filter
        taps = filter.T.contiguous()
        grad_u = grad * taps[0]
        for lag in _lags(u, filter):
            grad_u[:, :-lag].addcmul_(grad[:, lag:], taps[lag])
        return grad_u, grad_filter


def _lags(u: Tensor, filter: Tensor) -> range:
    """The lags that reach back to a token: a filter may be longer than the sequence."""
    return range(1, min(filter.shape[1], u.shape[1]))


def short_conv_step(u_t: Tensor, filter: Tensor, recent: Tensor | None) -> tuple[Tensor, Tensor]:
    """`short_conv` at the next token: u_t (B, D) -> y_t (B, D), and what to keep of the past.

    recent  the inputs so far, at most the last k - 1 (B, <k, D), oldest first; None before
            the first token.
    """
    k, u_t = filter.shape[1], u_t[:, None]
    seen = u_t if recent is None else torch.cat([recent, u_t], dim=1)
    taps = filter[:, : seen.shape[1]].flip(1)
    return torch.einsum("bkd,dk->bd", seen, taps), seen[:, max(0, seen.shape[1] - k + 1) :]


def long_conv(u: Tensor, h: Tensor) -> Tensor:
    """y[..., t] = sum_{s<=t} h[d, t-s] * u[..., s] for u (B, D, N) and h (D, N).

    By FFT in O(N log N). Padding to 2N keeps the end from wrapping round to the start.
    Time is the last, contiguous dimension: 1.3 to 1.5 times faster than the middle one.
    h may broadcast to u before time, have fewer lags (the others count as 0) or more (they
    reach no token). 16-bit numbers are convolved in float32, as no FFT takes them here.

    Raises ValueError for an empty u or h.
    """
    require(u.numel() > 0, "u shape", tuple(u.shape), "(B, D, N), none of them 0")
    require(h.numel() > 0, "h shape", tuple(h.shape), "(D, lags), none of them 0")
    if h.shape[-1] > u.shape[-1]:
        h = h[..., : u.shape[-1]]
    cast = alike(u, h)
    if long_kernel.takes(*cast):
        return long_kernel.long_conv(*cast)
    if min(u.itemsize, h.itemsize) < 4:  # torch.fft knows no bfloat16
        return long_conv(u.float(), h.float()).to(u.dtype)
    return (_product_of_spectra if transformed(u, h) else _LongConv.apply)(u, h)


def _product_of_spectra(u: Tensor, h: Tensor, ahead: bool = False) -> Tensor:
    """The convolution; `ahead` correlates: y[t] = sum_{s>=t} h[s-t] u[s], the conjugate."""
    n = u.shape[-1]
    spectrum_u, spectrum_h = torch.fft.rfft(u, n=2 * n), torch.fft.rfft(h, n=2 * n)
    product = spectrum_u * (spectrum_h.conj() if ahead else spectrum_h)
    return torch.fft.irfft(product, n=2 * n)[..., :n]


class _LongConv(torch.autograd.Function):
    """The gradient of a convolution is a correlation: the conjugate spectrum.

    Written out because PyTorch differentiates rfft through a complex FFT of full length, and so
    that a few sequences at a time go all the way: what is between stays in the cache.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, h: Tensor) -> Tensor:
        n, some = u.shape[-1], _sequences_at_a_time(u, h)
        spectrum_h, spectra = torch.fft.rfft(h, n=2 * n), []
        y = u.new_empty(u.shape, dtype=torch.promote_types(u.dtype, h.dtype))
        for u_, y_ in zip(u.split(some), y.split(some), strict=True):
            spectra.append(torch.fft.rfft(u_, n=2 * n))
            y_.copy_(torch.fft.irfft(spectra[-1] * spectrum_h, n=2 * n)[..., :n])
        ctx.save_for_backward(u, h, *spectra)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        u, h, *spectra = ctx.saved_tensors
        n, lags, some = u.shape[-1], h.shape[-1], _sequences_at_a_time(u, h)
        if beyond_one_gradient(grad):
            to_h = _product_of_spectra(grad, u, ahead=True).sum_to_size(*h.shape[:-1], n)
            return _product_of_spectra(grad, h, ahead=True), to_h.narrow(-1, 0, lags)
        # conj_physical: a product with the view that conj() gives takes five times as long.
        spectrum_h = torch.conj_physical(torch.fft.rfft(h, n=2 * n))
        to_u, to_h = torch.empty_like(u), torch.zeros_like(spectrum_h)
        parts = zip(spectra, grad.split(some), to_u.split(some), strict=True)
        for spectrum_u, grad_, to_u_ in parts:
            spectrum = torch.fft.rfft(grad_, n=2 * n)
            to_h += (torch.conj_physical(spectrum_u) * spectrum).sum_to_size(to_h.shape)
            to_u_.copy_(torch.fft.irfft(spectrum * spectrum_h, n=2 * n)[..., :n])
        return to_u, torch.fft.irfft(to_h, n=2 * n)[..., :lags]


def _sequences_at_a_time(u: Tensor, h: Tensor) -> int:
    """All of them where each has a filter of its own."""
    return len(u) if h.dim() == u.dim() else max(1, IN_CACHE // u[0].numel())


def fft_flops(n: int) -> int:
    """One real FFT of length M = 2N, 5/2 M log2 M, as a long convolution of N tokens takes it."""
    m = 2 * n
    return 5 * m * max(1, m.bit_length() - 1) // 2


def fft_conv_flops(n: int) -> int:
    """One channel's causal convolution over `n` tokens, the filter's transform included.

    Three real FFTs and N + 1 complex products.
    """
    return 3 * fft_flops(n) + 6 * (n + 1)


class ShortConv(nn.Module):
    """Causal depthwise convolution of `kernel_size` taps, (B, N, D) -> (B, N, D).

    init  "usual" draws PyTorch's uniform(+-1/sqrt(k)); "identity" starts as y = u, "previous"
          hands over the token before.

    Raises ValueError for another init, and for fewer taps than it needs.
    """

    def __init__(self, d_model: int, kernel_size: int, init: str = "usual"):
        super().__init__()
        require_int("d_model", d_model, 1)
        require(init in SHORT_INITS, "init", init, f"one of {SHORT_INITS}")
        require_int("kernel_size", kernel_size, 2 if init == "previous" else 1)
        self.filter = nn.Parameter(torch.zeros(d_model, kernel_size))
        if init == "usual":
            nn.init.uniform_(self.filter, -(kernel_size**-0.5), kernel_size**-0.5)
        else:
            self.filter.data[:, 1 if init == "previous" else 0] = 1

    def forward(self, u: Tensor) -> Tensor:
        """`short_conv` with its filter."""
        return short_conv(u, self.filter)

    def step(self, u_t: Tensor, recent: Tensor | None) -> tuple[Tensor, Tensor]:
        """`short_conv_step` with its filter."""
        return short_conv_step(u_t, self.filter, recent)

    def flops(self, n: int) -> int:
        """A multiply-add for each tap, none spared at the start."""
        return 2 * n * self.filter.numel()
