"""What the kernels are compared with: PyTorch's own operations, and packages where installed."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv1d, pad, scaled_dot_product_attention

from zoology_teach.mixers.convolution import _LongConv

BF16 = (torch.bfloat16,)


@dataclass(frozen=True)
class Peer:
    """An implementation that may have inputs of its own.

    call        what is timed.
    prepare     (*ours) -> its inputs.
    output      (y, *ours) -> our output, out of its own.
    gradients   (its inputs' gradients, *ours) -> those of our inputs.
    dtypes      what it takes; None for all.
    """

    call: Callable[..., Tensor]
    prepare: Callable[..., tuple[Tensor, ...]] = lambda *inputs: inputs
    output: Callable[..., Tensor] = lambda y, *inputs: y
    gradients: Callable[..., tuple[Tensor, ...]] = lambda gradients, *inputs: gradients
    dtypes: tuple[torch.dtype, ...] | None = None


def depthwise(u: Tensor, taps: Tensor, bias: Tensor) -> Tensor:
    """PyTorch's own convolution."""
    padded = pad(u.mT, (taps.shape[1] - 1, 0))
    return conv1d(padded, taps[:, None], bias, groups=len(taps)).mT


def oldest_first(u: Tensor, filter: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    """Taps in the order of torch.nn.Conv1d; once more gives ours back."""
    return u, filter.flip(1), bias


def turned(call: Callable[..., Tensor]) -> Peer:
    """A short convolution that takes the taps oldest first."""
    return Peer(call, oldest_first, gradients=lambda gradients, *_: oldest_first(*gradients))


def fft(u: Tensor, h: Tensor) -> Tensor:
    """The mixers' torch.fft, its backward written out; 16-bit numbers are widened."""
    wide = torch.promote_types(u.dtype, torch.float32)
    return _LongConv.apply(u.to(wide), h.to(wide)).to(u.dtype)


def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's attention, by the backend that it chooses."""
    return scaled_dot_product_attention(q, k, v, is_causal=True)


def flash(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same, by its flash backend."""
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return causal(q, k, v)


def masked(q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
    """PyTorch's attention of the selected rows, by a mask."""
    seen = torch.arange(k.shape[2], device=k.device) <= positions[:, None, :, None]
    return scaled_dot_product_attention(q, k, v, attn_mask=seen)


def all_rows() -> Peer:
    """PyTorch's attention of all N rows, those that were selected among them."""

    def at(q: Tensor, positions: Tensor) -> Tensor:
        return positions[:, None, :, None].expand_as(q)

    def fill(q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> tuple[Tensor, ...]:
        return torch.randn_like(k).scatter(2, at(q, positions), q), k, v

    def select(y: Tensor, q: Tensor, k: Tensor, v: Tensor, positions: Tensor) -> Tensor:
        return y.gather(2, at(q, positions))

    return Peer(causal, fill, select, lambda grads, *ours: (select(grads[0], *ours), *grads[1:]))


def tokens_before_heads(f: Callable[..., Tensor]) -> Peer:
    """flash-attn's function, whose tensors are (B, N, H, d)."""

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return f(*(x.transpose(1, 2) for x in (q, k, v)), causal=True).transpose(1, 2)

    return Peer(call, dtypes=BF16)


# Package: the kernel that it is a peer of, module, function, and how that becomes a peer.
PACKAGES = {
    "fla-core": (
        "short_conv", "fla.modules.causal_conv1d", "causal_conv1d",
        lambda f: turned(lambda u, taps, bias: f(u, taps, bias)[0]),
    ),
    "causal-conv1d": (
        "short_conv", "causal_conv1d", "causal_conv1d_fn",
        lambda f: turned(lambda u, taps, bias: f(u.mT, taps, bias).mT),
    ),
    "flash-attn": ("flash_attention", "flash_attn", "flash_attn_func", tokens_before_heads),
}  # fmt: skip


def installed() -> tuple[dict[str, Peer], dict[str, str]]:
    """The packages' functions that can be imported, and the version of each package."""
    peers, versions = {}, {}
    for package, (_, module, name, adapt) in PACKAGES.items():
        try:
            peer = adapt(getattr(import_module(module), name))
            versions[package] = metadata.version(package)
            peers[package] = peer
        except Exception as error:  # a package that breaks on import is as good as none
            versions[package] = f"absent ({type(error).__name__})"
    return peers, versions
