from zoology_teach.mixers import MIXERS


def claims(book):
    fft = MIXERS["base_conv"](64, filter="long")
    crossing = book.out("the FFT needs fewer from N = #")[0]

    def direct(n):
        return 2 * n * 64**2 + 3 * n * 64 + 64 * n * (n + 1)

    closed, opened = book.out("gates False: mean #")[0], book.out("gates True : mean #")[0]
    return [
        (
            "the FFT needs fewer from N = #",
            next(n for n in range(2, 2000) if fft.flops(n) < direct(n)),
        ),
        ("passes below the definition near # tokens", crossing),
        ("the counts cross near the middle answer", 64 < crossing < 256),
        (
            "near the # of picking one of the four values that occur, a little above",
            1 / 4,
            0.25 < closed < 0.35 < opened,
        ),
    ]
