import torch

from zoology_teach.mixers import MIXERS
from zoology_teach.mixers.convolution import long_conv


def h3_and_two_base_convs():
    """Two BaseConvs of width 2D on [x, 0], and H3 with k = x: (B, N, D) each, float32."""
    g = torch.Generator().manual_seed(0)
    x, w_q, w_v = (torch.randn(*shape, generator=g) for shape in ((2, 8, 3), (3, 3), (3, 3)))
    short, long = torch.randn(2, 3, 8, generator=g)
    none, eye, zero, one = torch.zeros(3, 3), torch.eye(3), torch.zeros(3), torch.ones(3)

    def conv(u, h):
        return long_conv(u.mT, h).mT

    def base_conv(u, weight, h, b2):
        return (u @ weight) * (conv(u, torch.cat([h, torch.zeros(3, 8)])) + b2)

    first = torch.cat([torch.cat([w_v, w_q], 1), torch.zeros(3, 6)])
    second = torch.cat([torch.zeros(3, 6), torch.cat([eye, none], 1)])
    z = base_conv(torch.cat([x, 0 * x], dim=-1), first, short, torch.cat([zero, one]))
    z = base_conv(z, second, long, torch.zeros(6))
    return z[..., :3], (x @ w_q) * conv((x @ w_v) * conv(x, short), long)


def claims(book):
    fft = MIXERS["base_conv"](64, filter="long")
    crossing = book.out("the FFT needs fewer from N = # on")[0]

    def direct(n):
        return 2 * n * 64**2 + 3 * n * 64 + 64 * n * (n + 1)

    closed, opened = book.out("fixed open # # # #")[-1], book.out("working # # # #")[-1]
    two, h3 = h3_and_two_base_convs()
    return [
        (
            "H3 with its key unprojected is two BaseConvs, up to rounding",
            torch.allclose(two, h3, atol=1e-4),
        ),
        (
            "the FFT needs fewer from N = # on",
            next(n for n in range(2, 2000) if fft.flops(n) < direct(n)),
        ),
        ("passes below the definition near # tokens", crossing),
        ("begins to need fewer? The result: #", 128, 64 < crossing < 256),
        (
            "near the # of picking one of the four values that occur, a little above",
            1 / 4,
            0.25 < closed < 0.35 < opened,
        ),
    ]
