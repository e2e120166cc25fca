"""Derivatives beyond one gradient, of every kernel: the reference's, or one clear error."""

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from tests.kernels.every_kernel import EVERY
from zoology_teach.kernels import dispatch

pytestmark = pytest.mark.parametrize("name", EVERY)


@pytest.fixture
def auto(name, device, monkeypatch):
    """impl="auto" where it means Triton, and the inputs."""
    monkeypatch.setattr(dispatch, "on_gpu", lambda x: True)
    case = EVERY[name]
    return lambda *inputs: case.function(*inputs, impl="auto"), case.draw(device=device)


def reference(name):
    return lambda *inputs: EVERY[name].function(*inputs, impl="reference")


def curved(function):
    """A number whose Hessian is neither 0 nor symmetric by its form."""
    return lambda *inputs: (function(*inputs) ** 3).sum()


def agree(got, want):
    got, want = (x if isinstance(x, tuple) else (x,) for x in (got, want))
    return all(torch.allclose(g, w, rtol=1e-9, atol=1e-9) for g, w in zip(got, want, strict=True))


def test_gradients_of_gradients(name, device):
    """Against finite differences of the kernel's own gradients."""
    inputs = [x.requires_grad_() for x in EVERY[name].draw(device=device)]
    assert torch.autograd.gradgradcheck(
        lambda *inputs: EVERY[name].function(*inputs, impl="triton"), inputs, fast_mode=True
    )


@pytest.mark.filterwarnings("ignore:Using backward.. with create_graph")
def test_every_way_to_a_hessian(name, auto):
    function, inputs = auto
    x, *others = EVERY[name].draw(1, 3, 2, device=inputs[0].device)
    direction = torch.linspace(-1, 1, x.numel(), dtype=x.dtype, device=x.device).view_as(x)

    def number(x, function=function):
        return curved(function)(x, *others)

    want = hessian(lambda x: number(x, reference(name)))(x)
    product = (want * direction).flatten(x.dim()).sum(-1).view_as(x)
    for ours in (
        hessian(number),
        jacrev(grad(number)),
        jacfwd(grad(number)),
        lambda x: torch.autograd.functional.hessian(number, x),
        lambda x: torch.autograd.functional.hessian(number, x, vectorize=True),
    ):
        assert agree(ours(x), want)
    assert agree(torch.autograd.functional.hvp(number, x, direction)[1], product)
    leaf = x.clone().requires_grad_()
    number(leaf).backward(create_graph=True)
    (second,) = torch.autograd.grad(leaf.grad, leaf, direction)
    assert agree(second, product)


def test_third_derivatives(name, device):
    def third(function):
        x, *others = (z.requires_grad_() for z in EVERY[name].draw(1, 3, 2, device=device))
        y = curved(function)(x, *others)
        for _ in range(3):
            (g,) = torch.autograd.grad(y, x, create_graph=True)
            y = (g**2).sum()
        return torch.autograd.grad(y, others)

    kernel = third(lambda *inputs: EVERY[name].function(*inputs, impl="triton"))
    assert agree(kernel, third(reference(name)))


def test_forward_mode(name, auto):
    function, inputs = auto
    tangents = [x.flip(0) + 1 for x in inputs]
    want = jvp(reference(name), tuple(inputs), tuple(tangents))
    assert want[1].abs().max() > 0.1
    assert agree(jvp(function, tuple(inputs), tuple(tangents)), want)
    for alone in range(len(inputs)):
        with forward_ad.dual_level():
            dual = list(inputs)
            dual[alone] = forward_ad.make_dual(inputs[alone], tangents[alone])
            outputs = [forward_ad.unpack_dual(f(*dual)) for f in (function, reference(name))]
            assert agree(*(x.tangent for x in outputs))


def test_forward_mode_over_a_gradient(name, device):
    """The tangent is that of the gradient which backward starts from."""

    def tangents(impl):
        inputs = [x.requires_grad_() for x in EVERY[name].draw(device=device)]
        y = EVERY[name].function(*inputs, impl=impl)
        with forward_ad.dual_level():
            start = forward_ad.make_dual(torch.ones_like(y), y.detach().cos())
            grads = torch.autograd.grad(y, inputs, start)
            return tuple(forward_ad.unpack_dual(x).tangent for x in grads)

    assert agree(tangents("triton"), tangents("reference"))


def test_vmap_and_batched_gradients(name, auto, device):
    function, inputs = auto
    many = [torch.stack([x, x.flip(0), -x]) for x in inputs]
    want = torch.stack([reference(name)(*(x[i] for x in many)) for i in range(3)])
    assert agree(vmap(function)(*many), want)

    def rows(impl):
        leaves = [x.clone().requires_grad_() for x in inputs]
        y = EVERY[name].function(*leaves, impl=impl)
        weights = torch.stack([y.detach(), y.detach().cos()])
        return torch.autograd.grad(y, leaves, weights, is_grads_batched=True)

    assert agree(rows("triton"), rows("reference"))


def test_one_tensor_in_two_places(name, device):
    """Its second derivative counts each place once."""

    def second(impl):
        shared = EVERY[name].draw(2, 3, 3, device=device)
        leaves = {}
        for x in shared:  # inputs of one shape are one tensor
            leaves.setdefault(x.shape, x.requires_grad_())
        inputs = [leaves[x.shape] for x in shared]
        y = curved(lambda *z: EVERY[name].function(*z, impl=impl))(*inputs)
        first = torch.autograd.grad(y, list(leaves.values()), create_graph=True)
        return torch.autograd.grad(sum((g**2).sum() for g in first), list(leaves.values()))

    assert agree(second("triton"), second("reference"))


def test_under_torch_compile(name, auto):
    function, inputs = auto
    tangents = tuple(x.flip(0) + 1 for x in inputs)
    torch.compiler.reset()
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
    plain = compiled(*inputs)
    want = jvp(reference(name), tuple(inputs), tangents)
    assert agree(plain, want[0])

    @torch.compile(backend="aot_eager", fullgraph=True)
    def pushed(inputs, tangents):
        return jvp(function, inputs, tangents)

    assert agree(pushed(tuple(inputs), tangents), want)
    with forward_ad.dual_level():
        dual = map(forward_ad.make_dual, inputs, tangents)
        assert agree(forward_ad.unpack_dual(compiled(*dual)).tangent, want[1])


def test_a_compiled_backward_has_no_tangents(name, auto):
    function, inputs = auto
    torch.compiler.reset()
    leaves = [x.requires_grad_() for x in inputs]
    y = torch.compile(function, backend="aot_eager", fullgraph=True)(*leaves)
    with forward_ad.dual_level(), pytest.raises(RuntimeError, match=r"forward (mode|AD)"):
        torch.autograd.grad(y, leaves, forward_ad.make_dual(torch.ones_like(y), torch.ones_like(y)))


def test_triton_by_name_says_what_it_cannot(name, device):
    *_, last = inputs = EVERY[name].draw(device=device)

    def function(*inputs):
        return EVERY[name].function(*inputs, impl="triton")

    message = "^impl = 'triton': must be 'auto' or 'reference' in forward mode and under"
    for way in (
        lambda: jvp(function, tuple(inputs), tuple(inputs)),
        lambda: vmap(function)(*(x[None] for x in inputs)),
        lambda: grad(lambda last: curved(function)(*inputs[:-1], last))(last),
    ):
        with pytest.raises(ValueError, match=message):
            way()
