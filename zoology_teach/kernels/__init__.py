"""GPU kernels in Triton, each beside its reference in PyTorch (chapters 12, 13)."""
