"""A GPU in six numbers, and the least time that they leave for bytes and FLOPs (chapter 12)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """sms         streaming multiprocessors, each of which runs programs of its own
    matmul      FLOPs a second of one SM in 16-bit matrix products, dense, summed in float32
    registers   bytes of registers an SM
    shared      bytes of shared memory an SM
    l2          bytes of the cache that all SMs share
    bandwidth   bytes a second between memory and chip
    launch      seconds that the CPU takes to start a kernel

    `sms` and `matmul` are one number of the six: how much is calculated at once.
    """

    name: str
    sms: int
    matmul: float
    registers: int
    shared: int
    l2: int
    bandwidth: float
    launch: float

    def numbers(self) -> dict[str, str]:
        """The six, in words."""
        return {
            "SMs, and their 16-bit TFLOP/s": f"{self.sms}, {self.sms * self.matmul / 1e12:.0f}",
            "registers of an SM (KiB)": f"{self.registers >> 10}",
            "shared memory of an SM (KiB)": f"{self.shared >> 10}",
            "L2 cache of all (MiB)": f"{self.l2 >> 20}",
            "bandwidth of the memory (TB/s)": f"{self.bandwidth / 1e12:.2f}",
            "a launch (µs)": f"about {1e6 * self.launch:.0f}",
        }

    def moving(self, bytes: float) -> float:
        """Microseconds, at the least, to move so many bytes between memory and chip."""
        return 1e6 * bytes / self.bandwidth

    def multiplying(self, flops: float) -> float:
        """Microseconds, at the least, for 16-bit matrix products of so many FLOPs."""
        return 1e6 * flops / (self.sms * self.matmul)

    def in_flight(self, shared: int) -> int:
        """Programs that run at once, if each takes so many bytes of shared memory."""
        return self.sms * (self.shared // shared)


# NVIDIA's H100 white paper and data sheet (SXM5): 989 TFLOP/s in all.
H100 = Gpu("H100", 132, 989e12 / 132, 256 << 10, 228 << 10, 50 << 20, 3.35e12, 5e-6)
# 24 SMs of Ada (compute capability 8.9): 512 FLOPs a clock and SM as on an RTX 4090, at 2.37 GHz.
LAPTOP = Gpu("RTX 4060 Laptop", 24, 512 * 2.37e9, 256 << 10, 100 << 10, 32 << 20, 256e9, 5e-6)
