"""The properties of every mixer: of the library's, of those of examples/, and of broken ones."""

from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from zoology_teach import cli
from zoology_teach.mixers import MIXERS, find, plugin, properties
from zoology_teach.mixers.base_conv import BaseConv
from zoology_teach.mixers.mixer import Mixer, rows
from zoology_teach.mixers.properties import PROPERTIES, drawn, examine

ROOT = Path(__file__).parents[2]
EXAMPLES = {path.stem: path for path in sorted((ROOT / "examples").glob("*.py"))}
BY_TOKENS = {name for name, kind in MIXERS.items() if kind.wants_tokens}


def kind_of(name: str) -> type[Mixer]:
    if name in EXAMPLES:
        (name,) = plugin.load(EXAMPLES[name])
    return find(name)


@pytest.mark.parametrize("held", PROPERTIES, ids=lambda held: held.name)
@pytest.mark.parametrize("name", [*sorted(set(MIXERS) - BY_TOKENS), *EXAMPLES])
def test_every_mixer_keeps_it(name, held):
    mixer = drawn(kind_of(name))
    if held.of_step and not mixer.has_step:
        pytest.skip("it has no step")
    held.check(mixer)


def test_the_newer_animals_are_short_and_have_a_step():
    assert list(EXAMPLES) == ["delta_rule", "gated_delta_rule", "mamba2"]
    for name, path in EXAMPLES.items():
        assert 40 <= len(path.read_text().splitlines()) <= 80
        assert kind_of(name)(8).has_step


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_takes_what_the_librarys_own_take(name):
    """Any width, 16 bits, an empty list of rows, more than one chunk; FLOPs grow by the token."""
    kind = kind_of(name)
    with pytest.raises(ValueError, match="d_model = 0: must be an integer >= 1"):
        kind(0)
    assert kind(1)(torch.zeros(1, 3, 1)).shape == (1, 3, 1)
    torch.manual_seed(0)
    mixer, u = kind(16), torch.randn(2, 130, 16)
    expected = mixer(u)
    assert mixer(u, torch.zeros(2, 0, dtype=torch.int64)).shape == (2, 0, 16)
    half = mixer.bfloat16()
    assert torch.allclose(half(u.bfloat16()).float(), expected, atol=0.05, rtol=0.05)
    assert half.step(u[:, 0].bfloat16())[0].dtype == torch.bfloat16
    per_chunk = mixer.flops(64 * 6) - mixer.flops(64 * 5)
    assert mixer.flops(64 * 9) - mixer.flops(64 * 8) == per_chunk, "linear in the length"


def u(n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return torch.randn(2, n, 6, generator=generator, dtype=torch.float64)


def double(name: str) -> Mixer:
    torch.manual_seed(1)
    mixer = kind_of(name)(6).double()
    for parameter in mixer.parameters():
        nn.init.normal_(parameter, std=0.7)
    return mixer


@pytest.mark.parametrize("gated", [False, True])
def test_the_delta_rules_against_their_equation(gated):
    mixer, x = double("gated_delta_rule" if gated else "delta_rule"), u(70)
    for b in range(2):
        state = torch.zeros(6, 6, dtype=torch.float64)
        for t in range(70):
            now = x[b, t]
            q, k = (w(now) / w(now).norm() for w in (mixer.query, mixer.key))
            if gated:
                beta, delta = mixer.rates(now)
                alpha = torch.exp(-mixer.log_a.exp() * torch.log1p(delta.exp()))
            else:
                (beta,), alpha = mixer.rate(now), 1.0
            identity = torch.eye(6, dtype=torch.float64)
            beta = torch.sigmoid(beta)
            state = alpha * state @ (identity - beta * torch.outer(k, k))
            state = state + beta * torch.outer(mixer.value(now), k)
            y = state @ q
            if gated:
                z = mixer.gate(now)
                y = y * z * torch.sigmoid(z)
            assert torch.allclose(mixer(x)[b, t], mixer.out(y), atol=1e-10)


def test_mamba2_against_its_equation():
    mixer, x = double("mamba2"), u(70)
    s = mixer.sizes[1]
    for b in range(2):
        raw = x[b] @ mixer.project_in.weight.T
        z, xbc, dt = raw.split([6, 6 + 2 * s, 1], dim=-1)
        state = torch.zeros(6, s, dtype=torch.float64)
        for t in range(70):
            taps = mixer.conv.filter
            now = sum(taps[:, lag] * xbc[t - lag] for lag in range(min(4, t + 1)))
            now = now * torch.sigmoid(now)
            value, write, read = now.split([6, s, s])
            step = torch.log1p(torch.exp(dt[t] + mixer.bias))
            state = torch.exp(-mixer.log_a.exp() * step) * state + step * torch.outer(value, write)
            y = (state @ read + mixer.skip * value) * z[t] * torch.sigmoid(z[t])
            y = mixer.norm * y / torch.sqrt(y.square().mean() + 1e-5)
            assert torch.allclose(mixer(x)[b, t], mixer.out(y), atol=1e-9)


class Broken(BaseConv):
    """A short BaseConv, to be broken in one place."""

    def __init__(self, d_model: int):
        super().__init__(d_model)


class LooksAhead(Broken):
    def forward(self, u, positions=None):
        self.check(u, positions)
        return rows(super().forward(u.roll(-1, dims=1)), positions)


class ForgetsRows(Broken):
    def forward(self, u, positions=None):
        self.check(u, positions)
        return super().forward(u)[:, : u.shape[1] if positions is None else positions.shape[1]]


class TakesAnything(Broken):
    def check(self, u, positions=None):
        pass


class IdleWeight(Broken):
    def __init__(self, d_model):
        super().__init__(d_model)
        self.idle = nn.Parameter(torch.zeros(3))


class StepWithoutItsBias(Broken):
    def step(self, u_t, state=None):
        y, state = super().step(u_t, state)
        return y - 0.01, state


class StepWithoutAGradient(Broken):
    def step(self, u_t, state=None):
        y, state = super().step(u_t, state)
        return y, state.detach()


class CountsOneStateTwice(Broken):
    def state_size(self, n):
        return 2 * super().state_size(n)


class ForgetsItsProjection(Broken):
    def flops(self, n):
        return 6 * n * self.d_model


class CountsTwoFifths(Broken):
    def flops(self, n):
        return 204 * n


BROKEN = {
    LooksAhead: ("causal", "inputs changed after 0: output 0 changed too"),
    ForgetsRows: ("rows", "rows at `positions`: differs from the whole by"),
    TakesAnything: ("odd input", "it raised RuntimeError"),
    IdleWeight: ("gradients", "idle has no gradient: nothing depends on it"),
    StepWithoutItsBias: ("step", "1 tokens step by step: differs from the whole by 0.01"),
    StepWithoutAGradient: ("step gradients", "the gradient of u step by step: differs"),
    CountsOneStateTwice: ("state", "after 1 tokens 2 states hold 32 numbers, said are 64"),
    CountsTwoFifths: ("flops", "40 tokens take 20,480 in matrix products, flops says 8,160"),
    ForgetsItsProjection: ("flops", "40 tokens take 20,480 in matrix products, flops says 3,840"),
}


@pytest.mark.parametrize("kind", BROKEN, ids=lambda kind: kind.__name__)
def test_what_is_broken_is_found_and_named(kind, monkeypatch):
    monkeypatch.setattr(properties, "find", lambda name: kind)
    name, saw = BROKEN[kind]
    found = {f.name: f for f in examine("broken") if f.passed is False}
    assert name in found and found[name].saw.startswith(saw), found
    follows = {LooksAhead: {"step", "step gradients"}, IdleWeight: {"step gradients"}}
    assert set(found) - {name} <= follows.get(kind, set()), found


def test_examine_says_it_on_the_command_line(tmp_path):
    asked = CliRunner().invoke(cli.app, ["examine", str(EXAMPLES["delta_rule"])])
    assert asked.exit_code == 0, asked.output
    lines = asked.output.splitlines()
    assert lines[0] == "delta_rule:DeltaRule" and len(lines) == 1 + len(PROPERTIES)
    assert "  kept causal: output t depends on inputs 0 .. t, and on no later one" in lines
    source = EXAMPLES["delta_rule"].read_text()
    (tmp_path / "looks_ahead.py").write_text(source.replace("(q @ k.mT).tril()", "(q @ k.mT)"))
    asked = CliRunner().invoke(cli.app, ["examine", str(tmp_path / "looks_ahead.py")])
    assert asked.exit_code == 1
    assert "  no   causal: inputs changed after 0: output 0 changed too" in asked.output
