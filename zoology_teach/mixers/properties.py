"""What every mixer keeps, as checks that run on any of them (chapter 14).

The tests of the library run them on its own mixers, `zoology-teach examine` on those of a file.
Weights are drawn anew and wide (std 0.4, float64), so that nothing is hidden by a small start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoology_teach.mixers import find
from zoology_teach.mixers.mixer import Mixer

D = 16
BATCH = 2


@dataclass(frozen=True)
class Property:
    """A name, the sentence that must hold, and the check: it asserts, and says what it saw."""

    name: str
    says: str
    check: Callable[[Mixer], None]
    of_step: bool = False


@dataclass(frozen=True)
class Finding:
    """What a check found: `passed` is None where the mixer has no `step` to ask."""

    name: str
    says: str
    passed: bool | None
    saw: str = ""

    @property
    def verdict(self) -> str:
        """ "kept", "no", or "–" where there is nothing to ask."""
        return {True: "kept", False: "no", None: "–"}[self.passed]


def examine(mixer: str, **options: Any) -> list[Finding]:
    """Check every property of a mixer by name (`mixers.find`); none stops at another's failure.

    A check that raises has failed too, with what was raised. Raises ValueError where the mixer
    is not found.
    """
    kind, findings = find(mixer), []
    for held in PROPERTIES:
        passed: bool | None = True
        saw = ""
        try:
            made = drawn(kind, **options)
            if held.of_step and not made.has_step:
                passed = None
            else:
                held.check(made)
        except AssertionError as seen:
            passed, saw = False, str(seen)
        except Exception as error:  # whatever a mixer of somebody else's raises
            passed, saw = False, f"it raised {type(error).__name__}: {error}"
        findings.append(Finding(held.name, held.says, passed, saw))
    return findings


def drawn(kind: type[Mixer], **options: Any) -> Mixer:
    """A mixer of width 16 in float64 whose weights are normal with std 0.4 (seed 0)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        mixer = kind(D, **options)
        for parameter in mixer.parameters():
            nn.init.normal_(parameter, std=0.4)
    return mixer.double().eval()


def inputs(n: int) -> Tensor:
    """(2, n, 16), normal."""
    generator = torch.Generator().manual_seed(n)
    return torch.randn(BATCH, n, D, generator=generator, dtype=torch.float64)


def step_by_step(mixer: Mixer, u: Tensor) -> Tensor:
    """`mixer(u)` by its `step`, token by token."""
    state, outputs = None, []
    for u_t in u.unbind(1):
        y_t, state = mixer.step(u_t, state)
        outputs.append(y_t)
    return torch.stack(outputs, dim=1)


def _shape(mixer: Mixer) -> None:
    for n in (1, 2, 7, 70):
        found = tuple(mixer(inputs(n)).shape)
        assert found == (BATCH, n, D), f"({BATCH}, {n}, {D}) became {found}"


def _causal(mixer: Mixer) -> None:
    u = inputs(70)
    y = mixer(u)
    for t in (0, 5, 62, 63, 68):
        changed = u.clone()
        changed[:, t + 1 :] += 1.0
        differs = (mixer(changed) - y).abs().amax((0, 2))
        early = (differs[: t + 1] > 1e-9).nonzero().flatten().tolist()
        assert not early, f"inputs changed after {t}: output {early[0]} changed too"
        assert differs[t + 1 :].max() > 1e-6, f"inputs changed after {t}: nothing noticed it"


def _rows(mixer: Mixer) -> None:
    u, positions = inputs(20), torch.tensor([[0, 3, 19], [7, 7, 1]])
    expected = mixer(u).gather(1, positions[..., None].expand(-1, -1, D))
    _close("rows at `positions`", mixer(u, positions), expected)


def _odd(mixer: Mixer) -> None:
    for shape in ((BATCH, 5, D + 1), (BATCH, 0, D), (5, D)):
        try:
            mixer(torch.zeros(shape, dtype=torch.float64))
        except ValueError:
            continue
        raise AssertionError(
            f"u of shape {shape} gave no ValueError: call self.check(u, positions)"
        )


def _gradients(mixer: Mixer) -> None:
    u = inputs(9)[:1].requires_grad_()
    assert torch.autograd.gradcheck(mixer, (u,), fast_mode=True, raise_exception=False), (
        "the gradient of u is not the slope of the outputs"
    )
    mixer(inputs(70)).square().sum().backward()
    for name, parameter in mixer.named_parameters():
        gradient = torch.zeros(1) if parameter.grad is None else parameter.grad
        assert gradient.abs().max() > 0, f"{name} has no gradient: nothing depends on it"
        assert gradient.isfinite().all(), f"the gradient of {name} is not finite"


def _step(mixer: Mixer) -> None:
    for n in (1, 2, 7, 70):
        u = inputs(n)
        _close(f"{n} tokens step by step", step_by_step(mixer, u), mixer(u))


def _step_gradients(mixer: Mixer) -> None:
    u, weight = inputs(70).requires_grad_(), inputs(71)[:, 1:]
    wanted = {"u": u, **dict(mixer.named_parameters())}
    whole = torch.autograd.grad((mixer(u) * weight).sum(), list(wanted.values()))
    steps = torch.autograd.grad((step_by_step(mixer, u) * weight).sum(), list(wanted.values()))
    for name, found, expected in zip(wanted, steps, whole, strict=True):
        _close(f"the gradient of {name} step by step", found, expected)


def _state(mixer: Mixer) -> None:
    state, u = None, inputs(9)
    for n, u_t in enumerate(u.unbind(1), start=1):
        _, state = mixer.step(u_t, state)
        held, says = _numbers(state), BATCH * mixer.state_size(n)
        assert held == says, f"after {n} tokens 2 states hold {held} numbers, said are {says}"


def _numbers(state: Any) -> int:
    """How many real numbers a state holds, its parts together."""
    if isinstance(state, Tensor):
        return torch.view_as_real(state).numel() if state.is_complex() else state.numel()
    return sum(_numbers(part) for part in state)


def _flops(mixer: Mixer) -> None:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        mixer(inputs(40)[:1])
    dense, says = counter.get_total_flops(), mixer.flops(40)
    assert says >= dense / 2, f"40 tokens take {dense:,} in matrix products, flops says {says:,}"
    assert mixer.flops(80) > says > mixer.projection_flops(40) - 1, "flops must grow with n"
    assert 0 <= mixer.shared_flops(40) < says, "shared_flops is a part of flops"


def _close(what: str, found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape, f"{what}: {tuple(found.shape)}, {tuple(expected.shape)}"
    off = (found - expected).abs().max().item()
    limit = 1e-8 * max(1.0, expected.abs().max().item())
    assert off <= limit, f"{what}: differs from the whole by {off:.2g}"


PROPERTIES = [
    Property("shape", "(B, N, D) stays (B, N, D), for any N", _shape),
    Property("causal", "output t depends on inputs 0 .. t, and on no later one", _causal),
    Property("rows", "rows asked for are the rows of the whole", _rows),
    Property("odd input", "another shape is one ValueError", _odd),
    Property("gradients", "right, finite, and every weight has one", _gradients),
    Property("step", "token by token gives what the whole sequence gives", _step, True),
    Property("step gradients", "and the same gradients", _step_gradients, True),
    Property("state", "the state holds as many numbers as state_size says", _state, True),
    Property("flops", "not below half of the matrix products that PyTorch counts", _flops),
]
