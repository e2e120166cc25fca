"""Mixers and models that run on Triton's kernels give the numbers they give without them.

Without a GPU the kernels are interpreted, and the test pretends that CPU tensors are a GPU's.
"""

import pytest
import torch

from zoology_teach.kernels import dispatch
from zoology_teach.mixers import MIXERS, convolution
from zoology_teach.model import LanguageModel, ModelConfig, layer

# Mixer, options, and the custom operators that forward has to call; none: S4D, say, is an FFT
# or a matmul that has no kernel of ours.
CASES = [
    ("attention", {"num_heads": 2, "short_conv": 3}, {"short_conv"}),
    ("sliding_window", {"window": 5}, {"attention"}),
    ("sparse_attention", {}, set()),
    ("sparse_attention", {"selection": "random", "num_heads": 2}, {"sparse_attention"}),
    (
        "sparse_attention",
        {"selection": "learned", "short_conv": 2},
        {"sparse_attention", "short_conv"},
    ),
    ("base_conv", {}, {"base_conv"}),
    ("base_conv", {"kernel_size": 9}, set()),
    ("base_conv", {"filter": "long", "max_len": 32}, {"long_conv"}),
    ("base_conv_autocorrelation", {}, set()),
    ("long_conv", {"max_len": 32}, {"long_conv"}),
    ("s4d", {"d_state": 4}, {"long_conv"}),
    ("h3", {"d_state": 4}, {"short_conv", "long_conv"}),
    ("hyena", {"max_len": 32}, {"short_conv", "long_conv"}),
    ("rwkv", {}, {"linear_scan"}),
    ("mamba", {"d_state": 4}, {"short_conv", "linear_scan"}),
    ("linear_attention", {"feature_dim": 4}, set()),
]
IDS = [f"{name} {options}" for name, options, _ in CASES]


@pytest.fixture
def pretend(monkeypatch):
    """Call it, and "auto" means Triton from then on."""
    return lambda: monkeypatch.setattr(dispatch, "on_gpu", lambda x: True)


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def build(name: str, options: dict, d: int = 8) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        mixer = MIXERS[name](d, **options).to(device())
        for parameter in mixer.parameters():  # no bias of 0 that a kernel could forget
            parameter.data += 0.1 * torch.randn_like(parameter)
    return mixer.eval()  # in which a selection of rows is the same every time


def run(mixer, u, positions, weight) -> list[torch.Tensor]:
    """The output, and the gradients of its weighted sum for the input and all parameters."""
    u = u.clone().requires_grad_()
    y = mixer(u, positions)
    return [y.detach(), *torch.autograd.grad((y * weight).sum(), [u, *mixer.parameters()])]


@pytest.fixture
def called(monkeypatch):
    """The names of our operators that are run."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Listen(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.names = set()

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            if operation.namespace == "zoology_teach":
                self.names.add(operation._schema.name.split("::")[1])
            return operation(*args, **(kwargs or {}))

    return Listen()


@pytest.mark.parametrize("rows", ["all rows", "some rows"])
@pytest.mark.parametrize(("name", "options", "operators"), CASES, ids=IDS)
def test_the_same_numbers_as_without(name, options, operators, rows, pretend, called):
    mixer, generator = build(name, options), torch.Generator().manual_seed(1)
    u = torch.randn(2, 17, 8, generator=generator).to(device())
    positions = None if rows == "all rows" else torch.tensor([[3, 0], [16, 9]], device=device())
    weight = torch.randn(2, 17 if positions is None else 2, 8, generator=generator).to(device())
    want = run(
        mixer.cpu(), u.cpu(), positions if positions is None else positions.cpu(), weight.cpu()
    )
    mixer.to(device())
    pretend()
    got = run(mixer, u, positions, weight)
    for g, w in zip(got, want, strict=True):
        assert torch.allclose(g.cpu(), w, rtol=1e-4, atol=1e-5)
    with called:
        mixer(u)
    assert called.names == operators


@pytest.mark.parametrize(("name", "options", "operators"), CASES, ids=IDS)
def test_a_model_survives_torch_compile(name, options, operators, pretend):
    """Traced whole, forward and backward, with the kernels as operators of their own.

    Not whole where the number of selected rows, hence a shape, depends on the input.
    """
    torch.compiler.reset()  # models of other cases do not count as recompilations of this one
    layers = (layer("base_conv"), layer(name, **options))
    model = LanguageModel(ModelConfig(16, 8, layers)).to(device()).eval()
    inputs = torch.arange(34, device=device()).view(2, 17) % 16
    pretend()
    want = model(inputs)
    compiled = torch.compile(model, backend="aot_eager", fullgraph="selection" not in options)
    got = compiled(inputs)
    assert torch.allclose(got, want, atol=1e-5)
    got.square().sum().backward()
    grads = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(inputs).square().sum().backward()
    for g, p in zip(grads, model.parameters(), strict=True):
        assert torch.allclose(g, p.grad, rtol=1e-3, atol=1e-5)


def test_autocast_hands_a_kernel_one_dtype(pretend):
    """bfloat16 from the projections meets float32 taps."""
    pretend()
    u = torch.randn(2, 17, 8, generator=torch.Generator().manual_seed(1)).to(device())
    for name, options, _ in CASES:
        if name in ("s4d", "base_conv_autocorrelation"):  # complex numbers, counts
            continue
        mixer = build(name, options)
        with torch.autocast(u.device.type, torch.bfloat16):
            y = mixer(u)
        assert y.isfinite().all() and torch.allclose(y.float(), mixer(u), atol=0.1, rtol=0.1), name


@pytest.mark.parametrize("taps, batch", [(16, ()), (1, ()), (17, (2,))], ids=str)
def test_a_filter_that_is_not_as_long_as_u_has_no_kernel(taps, batch, pretend, called):
    """Too short, or one of its own for each sequence: the same numbers by FFT."""
    generator = torch.Generator().manual_seed(1)
    u = torch.randn(2, 8, 17, generator=generator).to(device())
    h = torch.randn(*batch, 8, taps, generator=generator).to(device())
    pretend()
    with called:
        y = convolution.long_conv(u, h)
    assert not called.names
    for t in range(17):
        past = u[..., max(0, t - taps + 1) : t + 1].flip(-1)
        assert torch.allclose(y[..., t], (h[..., : past.shape[-1]] * past).sum(-1), atol=1e-5)


@pytest.mark.parametrize("autocast", [False, True])
def test_the_crossing_is_that_of_the_numbers_which_a_kernel_gets(autocast, pretend, called):
    """600 tokens are too many in float32 and few in bfloat16; beyond, torch.fft in float32."""
    pretend()
    u, h = (torch.ones(s, device=device()) for s in ((1, 1, 600), (1, 600)))
    with called, torch.autocast(u.device.type, torch.bfloat16, enabled=autocast):
        y = convolution.long_conv(u, h)
    assert called.names == ({"long_conv"} if autocast else set())
    count = torch.arange(1.0, 601.0, device=device())
    assert torch.allclose(y[0, 0].float(), count, rtol=1e-2)


def test_16_bits_beyond_the_crossing(pretend, called):
    pretend()
    u, h = (torch.ones(s, device=device(), dtype=torch.bfloat16) for s in ((1, 1, 8193), (1, 8193)))
    with called:
        y = convolution.long_conv(u, h)
    assert not called.names and y.dtype == torch.bfloat16
    assert torch.allclose(y[0, 0].float(), torch.arange(1.0, 8194.0, device=device()), rtol=1e-2)


def test_forward_mode_and_hessians_are_those_without_kernels(pretend):
    """A transform of torch.func reaches no kernel."""
    mixer = build("base_conv", {})
    u = torch.randn(1, 3, 8, generator=torch.Generator().manual_seed(1)).to(device())

    def number(u):
        taps = mixer.explicit_filter
        gate = mixer.projection(u)
        past = sum(
            torch.nn.functional.pad(u, (0, 0, lag, 0))[:, :3] * taps[:, lag] for lag in range(3)
        )
        return (gate * (past + mixer.conv_bias)).pow(3).sum()

    want = torch.func.jvp(number, (u,), (u,))[1], torch.func.hessian(number)(u)
    pretend()

    def ours(u):
        return mixer(u).pow(3).sum()

    got = torch.func.jvp(ours, (u,), (u,))[1], torch.func.hessian(ours)(u)
    for g, w in zip(got, want, strict=True):
        assert torch.allclose(g, w, rtol=1e-4, atol=1e-5)
