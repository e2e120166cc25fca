"""Derivatives of every order and in every way of asking, of the mixers that write out their own."""

import pytest
import torch
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, vmap
from torch.nn.functional import scaled_dot_product_attention

from zoology_teach.mixers import MIXERS
from zoology_teach.mixers.causal_attention import causal_attention, masked_attention
from zoology_teach.mixers.convolution import long_conv, short_conv
from zoology_teach.mixers.scan import linear_scan
from zoology_teach.mixers.selective_scan import selective_scan

D, N = 2, 4
CASES = [
    ("base_conv", {}),
    ("base_conv", {"filter": "long", "max_len": N}),
    ("base_conv", {"filter": "implicit", "max_len": N}),
    ("base_conv_autocorrelation", {}),
    ("long_conv", {"max_len": N}),
    ("s4d", {"d_state": 2}),
    ("h3", {"d_state": 2}),
    ("hyena", {"max_len": N}),
    ("rwkv", {}),
    ("mamba", {"d_state": 2}),
]


@pytest.fixture(params=CASES, ids=[f"{n}-{o}" for n, o in CASES])
def mixer(request):
    name, options = request.param
    torch.manual_seed(0)
    made = MIXERS[name](D, **options).double()
    for parameter in made.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return made


@pytest.fixture
def u() -> torch.Tensor:
    return torch.randn(1, N, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def finite_difference(f, x: torch.Tensor, step: float = 1e-5) -> torch.Tensor:
    """The derivative of f(x), x's dimensions last."""
    columns = []
    for i in range(x.numel()):
        h = torch.zeros_like(x).flatten()
        h[i] = step
        columns.append((f(x + h.view_as(x)) - f(x - h.view_as(x))) / (2 * step))
    return torch.stack(columns, -1).unflatten(-1, x.shape)


def test_a_row_that_sees_nothing_is_0_under_forward_mode_too():
    """As PyTorch's own attention gives it, which has no forward mode."""
    q, k, v = torch.randn(3, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    visible = torch.tensor([[False, False], [True, True]])
    plain = masked_attention(q, k, v, visible)
    y, tangent = torch.func.jvp(lambda x: masked_attention(x, k, v, visible), (q,), (q,))
    assert torch.allclose(y, plain) and not y[:, 0].any() and y[:, 1].all()
    assert not tangent[:, 0].any() and tangent[:, 1].all()


def test_a_hessian_however_it_is_asked_for(mixer, u):
    def loss(x):
        return mixer(x).square().sum()

    def gradient(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(loss(x), x)[0]

    truth = finite_difference(gradient, u)
    asked = {
        "autograd": torch.autograd.functional.hessian(loss, u),
        "vectorised": torch.autograd.functional.hessian(loss, u, vectorize=True),
        "func": hessian(loss)(u),
        "reverse twice": jacrev(jacrev(loss))(u),
        "forward twice": jacfwd(jacfwd(loss))(u),
    }
    for way, found in asked.items():
        assert torch.allclose(found, truth, atol=1e-5, rtol=1e-5), way
    v = torch.randn_like(u)
    _, product = torch.autograd.functional.hvp(loss, u, v)
    _, forward_over_reverse = jvp(grad(loss), (u,), (v,))
    expected = (truth * v).sum((-3, -2, -1))
    assert torch.allclose(product, expected, atol=1e-5, rtol=1e-5)
    assert torch.allclose(forward_over_reverse, expected, atol=1e-5, rtol=1e-5)


def test_a_penalty_on_the_gradient_reaches_the_weights(mixer, u):
    """A gradient of a gradient for every parameter, against differences."""

    def penalty(parameters: dict) -> torch.Tensor:
        x = u.clone().requires_grad_()
        loss = functional_call(mixer, parameters, (x,)).square().sum()
        return torch.autograd.grad(loss, x, create_graph=True)[0].square().sum()

    parameters = dict(mixer.named_parameters())
    found = torch.autograd.grad(penalty(parameters), list(parameters.values()), allow_unused=True)
    for (name, value), mine in zip(parameters.items(), found, strict=True):
        v = torch.randn_like(value)
        up, down = (
            penalty(parameters | {name: (value + step * v).detach()}) for step in (1e-5, -1e-5)
        )
        truth = (up - down).item() / 2e-5
        slope = 0.0 if mine is None else (mine * v).sum().item()
        assert slope == pytest.approx(truth, rel=1e-4, abs=1e-4), name


def test_forward_mode_and_vmap(mixer, u):
    v = torch.randn_like(u)
    tangent = jvp(mixer, (u,), (v,))[1]
    expected = (finite_difference(mixer, u) * v).sum((-3, -2, -1))
    assert torch.allclose(tangent, expected, atol=1e-6)
    with forward_ad.dual_level():
        dual = mixer(forward_ad.make_dual(u, v))
        assert torch.allclose(forward_ad.unpack_dual(dual).tangent, expected, atol=1e-6)
    many = torch.cat([u, 2 * u, u.flip(1)])[:, None]
    one_by_one = torch.stack([mixer(x) for x in many])
    assert torch.allclose(vmap(mixer)(many), one_by_one, atol=1e-12)
    each = vmap(grad(lambda x: mixer(x).square().sum()))(many)
    x = many.flatten(0, 1).clone().requires_grad_()
    (whole,) = torch.autograd.grad(mixer(x).square().sum(), x)
    assert torch.allclose(each.flatten(0, 1), whole, atol=1e-12)


def numbers(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("f", "shapes"),
    [
        (short_conv, [(2, 5, 3), (3, 3)]),
        (short_conv, [(2, 2, 3), (3, 4)]),
        (long_conv, [(2, 3, 5), (3, 5)]),
        (long_conv, [(2, 3, 5), (3, 2)]),
        (long_conv, [(2, 3, 4), (3, 7)]),
        (long_conv, [(2, 3, 4), (2, 1, 4)]),
        (linear_scan, [(2, 6, 3), (2, 6, 3)]),
        (linear_scan, [(2, 5, 1, 2), (2, 5, 3, 2)]),
        (selective_scan, [(1, 5, 2), (3, 2), (1, 5, 3), (1, 5, 3), (1, 5, 2)]),
    ],
)
def test_the_operations_to_second_order_batched_and_forward(f, shapes):
    torch.manual_seed(0)
    inputs = tuple(numbers(*shape) for shape in shapes)
    assert gradcheck(f, inputs, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(f, inputs, check_fwd_over_rev=True, check_batched_grad=True)


@pytest.mark.parametrize("n", [1, 3, 9])
def test_attention_in_blocks_to_second_order_batched_and_forward(n):
    torch.manual_seed(0)
    inputs = tuple(numbers(2, 1, n, 64) for _ in range(3))
    expected = scaled_dot_product_attention(*inputs, is_causal=True)
    assert torch.allclose(causal_attention(*inputs), expected)
    quick = {"fast_mode": True, "check_batched_grad": True}
    assert gradcheck(causal_attention, inputs, check_forward_ad=True, **quick)
    assert gradgradcheck(causal_attention, inputs, check_fwd_over_rev=True, **quick)


@pytest.mark.parametrize("size", [0, 1])
def test_vmap_over_either_input(size):
    torch.manual_seed(0)
    for f, shapes in (
        (short_conv, [(2, 5, 3), (3, 3)]),
        (long_conv, [(2, 3, 5), (3, 5)]),
        (linear_scan, [(2, 6, 3), (2, 6, 3)]),
    ):
        inputs = [torch.randn(*shape) for shape in shapes]
        inputs[size] = torch.stack([inputs[size], -2 * inputs[size]], dim=1)
        in_dims = [None, None]
        in_dims[size] = 1
        found = vmap(f, in_dims=tuple(in_dims))(*inputs)
        for i in range(2):
            one = [x.select(1, i) if j == size else x for j, x in enumerate(inputs)]
            assert torch.allclose(found[i], f(*one), atol=1e-5)


def test_a_filter_longer_than_the_sequence_reads_no_future():
    u, h = torch.randn(1, 2, 5, dtype=torch.float64), torch.randn(2, 9, dtype=torch.float64)
    assert torch.allclose(long_conv(u, h), long_conv(u, h[:, :5]))
    changed = u.clone()
    changed[..., 3:] += 1
    assert torch.allclose(long_conv(changed, h)[..., :3], long_conv(u, h)[..., :3])
    padded = torch.cat([h[:, :2], torch.zeros(2, 3, dtype=torch.float64)], dim=1)
    assert torch.allclose(long_conv(u, h[:, :2]), long_conv(u, padded))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: long_conv(torch.zeros(0, 2, 5), torch.zeros(2, 5)), "u shape = (0, 2, 5)"),
        (lambda: long_conv(torch.zeros(1, 2, 0), torch.zeros(2, 5)), "u shape = (1, 2, 0)"),
        (lambda: long_conv(torch.zeros(1, 2, 5), torch.zeros(2, 0)), "h shape = (2, 0)"),
        (lambda: linear_scan(torch.zeros(1, 0, 2), torch.zeros(1, 0, 2)), "x shape = (1, 0, 2)"),
    ],
)
def test_empty_input_is_named(call, named):
    with pytest.raises(ValueError) as error:
        call()
    assert named in str(error.value)
