def claims(book):
    (bytes_first, _), (matmul, _) = (
        book.out("moving 1159 MB # #"),
        book.out("multiplying, 38.7 GFLOP # #"),
    )
    dear, cheap = book.out("sums of shifted copies 10 all is kept # # #"), once(book)
    loose = book.out("one kernel 1 none # # #")
    good = book.out("H100 rows of u # # # # #")
    bad = book.out("H100 channels of W # # # # #")
    kernel, _, chain = book.out("float16 #e-04 to #e-04 #e-04")
    fused, convolutions = measured(book, "base_conv"), measured(book, "short_conv")
    gated = measured(book, "gated_short_conv")
    return [
        ("takes nine times as long as multiplying them", abs(bytes_first / matmul - 9) < 0.5),
        ("the floor falls from # to # µs", dear[1], cheap[1]),
        ("would move eight times as much", abs(loose[0] / cheap[0] - 8) < 0.5),
        ("a wave needs a fifth of the H100's L2", abs(good[1] / good[2] - 0.2) < 0.03),
        ("in the other a wave alone fills it", bad[1] / bad[2] > 0.95),
        ("$u$ comes from memory six times", abs(bad[3] / 50.3 - 6) < 0.2),
        ("the bytes are close to the floor", good[3] < 1.2 * (cheap[0] - 50.3)),
        ("In float16 the kernel's error is half the chain's", 0.45 < kernel / chain < 0.55),
        ("# times fewer bytes here", dear[0] / cheap[0]),
        ("the fused layer is the fastest, at a third", fused[2048][1] < fused[2048][3]),
        ("at a third of the speed that its floor allows", 30 < fused[2048][2] < 36),
        (
            "The convolutions alone are not",
            all(x[2048][1] > x[2048][3] for x in (gated, convolutions)),
        ),
        (
            "at 512 tokens ours take as long as at 2,048, or longer: that",
            all(x[512][1] > 0.95 * x[2048][1] for x in (fused, gated, convolutions)),
        ),
        ("up to thirty times the floor", abs(convolutions[512][1] / convolutions[512][0] - 30) < 2),
    ]


def once(book):
    return book.out("one kernel 1 all is kept # # #")


def measured(book, kernel):
    """By N: floor, our time, percent of the floor, the fastest other's time."""
    return {n: book.out(f" {kernel} {n} # # # torch.compile #") for n in (512, 2048)}
