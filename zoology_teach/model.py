"""The language model around the mixers: embedding -> blocks -> head (chapter 03, 05)."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoology_teach.checks import require, require_bool, require_int, require_positive, require_seed
from zoology_teach.configuration import config
from zoology_teach.mixers import find
from zoology_teach.mixers.mixer import Mixer, check_positions, rows, start_projections


@dataclass(frozen=True)
class Layer:
    """One block: the mixer's name and its options (all but d_model).

    A name of `mixers.MIXERS`, or "module:Class" for a mixer from outside (`mixers.find`).
    Raises ValueError for a name that is not found and an option that the mixer does not have.
    """

    mixer: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _, *parameters = inspect.signature(find(self.mixer)).parameters.values()
        known = [p.name for p in parameters]
        takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
        named = isinstance(self.options, Mapping)
        require(named, "options", self.options, "a mapping of names to values")
        for name in self.options:
            is_known = name in known or takes_any
            require(is_known, f"option of {self.mixer}", name, f"one of {known}")
        object.__setattr__(self, "options", dict(self.options))


def layer(mixer: str, **options: Any) -> Layer:
    """``layer("base_conv", filter="long")``: one block by name."""
    return Layer(mixer, options)


@config
class ModelConfig:
    """Everything that decides a `LanguageModel`, its random start included.

    vocab_size     V.
    d_model        D, the width.
    layers         the mixers, from the first to the last block.
    norm           LayerNorm before each mixer and before the head.
    max_len        None, or the number of learned position embeddings.
    mlp            None, or the hidden width of an MLP after each mixer.
    embedding_std  standard deviation of the token embedding at the start.
    seed           decides all initial weights; for another default dtype of torch, others.
    """

    vocab_size: int
    d_model: int
    layers: tuple[Layer, ...]
    norm: bool = True
    max_len: int | None = None
    embedding_std: float = 0.02
    seed: int = 0
    mlp: int | None = None

    def __post_init__(self) -> None:
        require_int("vocab_size", self.vocab_size, 2)
        require_int("d_model", self.d_model, 1)
        require_seed("seed", self.seed)
        require_bool("norm", self.norm)
        several = isinstance(self.layers, list | tuple) and len(self.layers) > 0
        require(several, "layers", self.layers, "a tuple of at least one layer(name, ...)")
        for one in self.layers:
            require(isinstance(one, Layer), "layers", one, "made of layer(name, ...)")
        if self.max_len is not None:
            require_int("max_len", self.max_len, 1)
        if self.mlp is not None:
            require_int("mlp", self.mlp, 1)
        require_positive("embedding_std", self.embedding_std)
        object.__setattr__(self, "layers", tuple(self.layers))


class LanguageModel(nn.Module):
    """Tokens (B, N) -> logits (B, N, V), through residual blocks u + mixer(norm(u)).

    With `config.mlp` each of them is followed by u + mlp(norm(u)), position by position.
    The head is the embedding's transpose (tied). With `positions` (B, P) only those rows
    are asked for: logits (B, P, V), and the last mixer computes only what they need. At
    V = 8192 that is most of the work saved.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        v, d = config.vocab_size, config.d_model
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.embedding = nn.Embedding(v, d)
            nn.init.normal_(self.embedding.weight, std=config.embedding_std)
            if config.max_len is not None:
                self.position_embedding = nn.Parameter(0.02 * torch.randn(config.max_len, d))
            mixers = nn.ModuleList(find(x.mixer)(d, **x.options) for x in config.layers)
            self.mixers = cast("Sequence[Mixer]", mixers)

        def norm() -> nn.Module:
            return nn.LayerNorm(d) if config.norm else nn.Identity()

        self.norms = nn.ModuleList(norm() for _ in config.layers)
        self.final_norm = norm()
        if config.mlp is not None:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                mlps = [MLP(d, config.mlp) for _ in config.layers]
            self.mlps = nn.ModuleList(nn.Sequential(norm(), mlp) for mlp in mlps)

    def forward(self, inputs: Tensor, positions: Tensor | None = None) -> Tensor:
        """inputs (B, N) int64 -> logits (B, N, V), or (B, P, V) at `positions` (B, P) int64.

        Raises ValueError for another shape or dtype, and for no token at all.
        """
        self._check(inputs, positions)
        u = self.embedding(inputs)
        if self.config.max_len is not None:
            u = u + self.position_embedding[: u.shape[1]]
        last = len(self.mixers) - 1
        for i, (norm, mixer) in enumerate(zip(self.norms, self.mixers, strict=True)):
            wanted = positions if i == last else None
            ids = {"tokens": inputs} if mixer.wants_tokens else {}
            u = rows(u, wanted) + mixer(norm(u), wanted, **ids)
            if self.config.mlp is not None:
                u = u + self.mlps[i](u)
        return self.final_norm(u) @ self.embedding.weight.T

    def _check(self, inputs: Tensor, positions: Tensor | None) -> None:
        fits = inputs.dim() == 2 and inputs.numel() > 0
        require(fits, "inputs shape", tuple(inputs.shape), "(B, N), none of them 0")
        if positions is not None:
            check_positions(positions, *inputs.shape)
        require(inputs.dtype == torch.int64, "inputs dtype", inputs.dtype, "torch.int64")
        longest = self.config.max_len
        if longest is not None:
            require(
                inputs.shape[1] <= longest, "N", inputs.shape[1], f"at most max_len = {longest}"
            )
        v = self.config.vocab_size
        if inputs.is_cpu and not torch.compiler.is_compiling():
            low, high = map(int, inputs.aminmax())
            require(0 <= low and high < v, "inputs", (low, high), f"tokens in 0 .. {v - 1}")

    def auxiliary_loss(self) -> Tensor | float:
        """What the mixers add to the loss of the last forward pass in training; mostly 0."""
        return sum(mixer.auxiliary_loss for mixer in self.mixers)

    def num_parameters(self) -> int:
        """Trainable numbers; the tied head counts once."""
        return sum(p.numel() for p in self.parameters())

    def state_size(self, n: int) -> int:
        """Floats kept per sequence after `n` tokens, summed over the mixers."""
        return sum(mixer.state_size(n) for mixer in self.mixers)


class MLP(nn.Sequential):
    """W_2 gelu(W_1 u + b_1) + b_2 at each position: (..., D) -> (..., D), `hidden` wide inside."""

    def __init__(self, d_model: int, hidden: int):
        inner, outer = nn.Linear(d_model, hidden), nn.Linear(hidden, d_model)
        super().__init__(inner, nn.GELU(), outer)
        start_projections("usual", inner, outer)


def match_parameters(config: ModelConfig, parameters: int) -> ModelConfig:
    """`config` with the MLP width that brings the model nearest to `parameters`.

    Compared models have to be of one size, whatever their mixers need. Raises ValueError where
    no width comes within 1 %.
    """
    require_int("parameters", parameters, 1)

    def count(mlp: int) -> int:
        with torch.device("meta"):  # shapes only
            return LanguageModel(replace(config, mlp=mlp)).num_parameters()

    smallest = count(1)
    width = max(1, round(1 + (parameters - smallest) / (count(2) - smallest)))
    reached = count(width)
    near = abs(reached - parameters) <= 0.01 * parameters
    require(near, "parameters", parameters, f"within 1 % of {reached:,}, the nearest there is")
    return replace(config, mlp=width)
