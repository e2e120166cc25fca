def claims(book):
    (bytes_first,) = book.out("10 operations move 1159 MB: # µs")
    (matmul,) = book.out("the projection: 38.7 GFLOP: # µs")
    dear, cheap = book.out("sums of shifted copies 10 # #"), book.out("one kernel 1 # #")
    kernel, _, chain = book.out("float16 one kernel #e-04 to #e-04, PyTorch's operations #e-04")
    return [
        ("takes eight times as long as multiplying them", abs(bytes_first / matmul - 8) < 0.5),
        (
            "Guess 1: # times fewer bytes. The floor falls from # to # µs",
            dear[0] / cheap[0],
            dear[1],
            cheap[1],
        ),
        ("In float16 the kernel's error is half the chain's", 0.45 < kernel / chain < 0.55),
        ("# times fewer bytes here", dear[0] / cheap[0]),
    ]
