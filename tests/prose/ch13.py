def claims(book):
    ((moving,), (work,)) = book.out("13254 MB # µs"), book.out("103 GFLOP # µs")
    (first,) = book.out("the first 16 reads #% of k and v")
    tiles = book.out("conv, Toeplitz tiles # # #* #* #*")
    flash, rows = book.out("attention, flash # #* #* #* #*"), book.out("256 rows # # # # #")
    return [
        ("The arithmetic takes # µs", work),
        ("to and fro takes # times as long", moving / work),
        (
            "attention's is twice the convolution's",
            all(abs(a / c - 2) < 0.05 for a, c in zip(flash[2:], tiles[2:], strict=True)),
        ),
        (
            "from 2,048 tokens on they are the cheapest",
            all(x < c for x, c in zip(rows[2:], tiles[2:], strict=True)) and rows[1] > tiles[1],
        ),
        ("does it read: # %, half, or nearly all", first),
    ]
