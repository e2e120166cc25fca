"""Compiles the shipped kernels for GPUs that need not be here: registers, spills, shared memory.

    python tests/kernels/compile_kernels.py [family ...]

prints one JSON object per kernel, configuration and GPU. A process of its own, because Triton
either interprets or compiles, and ``test_compile.py`` runs beside tests that interpret.
"""

import contextlib
import importlib
import io
import itertools
import json
import math
import os
import re
import sys
from dataclasses import dataclass, field, replace

from zoology_teach.kernels import attention_tiles, base_conv

# Bytes of shared memory a program may have: an RTX 3090/4090 (sm_86, sm_89) runs sm_80 code but
# has less than an A100, so it sets the limit there.
SHARED_LIMIT = {80: 101376, 90: 232448}


@dataclass(frozen=True)
class Config:
    """One way a kernel is launched.

    kernel     "module.function" in zoology_teach.kernels
    arguments  "name:type" for each run-time argument, in the order of the signature:
               "u:*bf16 bias:*fp32 N:i32". Pointers are taken as aligned to 16 bytes;
               "D:i32/16" is an integer divisible by 16, as Triton specialises it.
    constants  the constexpr arguments; the name of a type of Triton, "float32", is that type
    maxnreg    the most registers a thread may have, where the launch says so
    matmul     the work is a matmul: on sm_90 it has to become wgmma
    """

    kernel: str
    arguments: str
    constants: dict = field(default_factory=dict)
    num_warps: int = 4
    num_stages: int = 3
    maxnreg: int | None = None
    matmul: bool = False
    targets: tuple[int, ...] = (80, 90)


# At D = 768 in bfloat16; k = 8 with a gate asks for the most registers.
GATED_CONV = Config(
    "short_conv.forward_kernel",
    "u:*bf16 filter:*bf16 bias:*bf16 gate:*bf16 y:*bf16 M:i32/16 N:i32/16",
    {"D": 768, "TAPS": 8, "ACC": "float32", "BM": 64, "BD": 64},
    num_warps=8,
)
GATED_CONV_BACKWARD = replace(
    GATED_CONV,
    kernel="short_conv.backward_kernel",
    arguments="u:*bf16 filter:*bf16 bias:*bf16 gate:*bf16 grad:*bf16 grad_u:*bf16 grad_gate:*bf16"
    " sums:*fp32 M:i32/16 N:i32/16",
    constants=GATED_CONV.constants | {"SUMS": 10},
)
PLAIN_CONV = replace(
    GATED_CONV,
    arguments="u:*fp32 filter:*fp32 y:*fp32 M:i32/16 N:i32/16",
    constants=GATED_CONV.constants | {"TAPS": 3, "bias": None, "gate": None},
)
PLAIN_CONV_BACKWARD = replace(
    PLAIN_CONV,
    kernel="short_conv.backward_kernel",
    arguments="u:*fp32 filter:*fp32 grad:*fp32 grad_u:*fp32 grad_gate:*fp32 sums:*fp32"
    " M:i32/16 N:i32/16",
    constants=PLAIN_CONV.constants | {"SUMS": 4},
)


def fused_base_conv(dtype: str, d: int, keeps_gate: bool, taps: int) -> Config:
    tile = base_conv.tiles(d, 4 if dtype == "fp32" else 2, taps)
    options = {key: tile.pop(key) for key in list(tile) if key not in ("BM", "BD", "BK")}
    names = "u weight bias_proj filter bias_conv y" + " gate" * keeps_gate
    return Config(
        "base_conv.fused_kernel",
        " ".join(f"{name}:*{dtype}" for name in names.split()) + " M:i32/16 N:i32/16",
        {"D": d, "TAPS": taps, "ACC": "float32", "WIDEN": False, **tile}
        | ({} if keeps_gate else {"gate": None}),
        matmul=dtype != "fp32",
        **options,
    )


BASE_CONV = [
    fused_base_conv("bf16", 768, True, 8),
    fused_base_conv("bf16", 768, True, 4),
    fused_base_conv("bf16", 768, False, 3),
    fused_base_conv("bf16", 64, True, 8),
    fused_base_conv("bf16", 64, True, 4),
    fused_base_conv("fp32", 128, True, 8),
    fused_base_conv("fp32", 64, False, 3),
]

SCAN = [
    Config(
        "scan.scan_kernel",
        f"a:*{dtype} x:*{dtype} s0:*{dtype} s:*{dtype} products:*fp32 ends:*fp32 "
        f"states:*{dtype} grad_a:*{dtype} N:i32/16 D:i32/16 LENGTH:i32/16",
        {"REVERSE": reverse, "SUMMARY": summary, "STAGES": 3, "ACC": "float32", "BN": 64, "BD": bd},
    )
    for dtype, bd in [("bf16", 64), ("fp32", 32)]
    for reverse in (False, True)
    for summary in (False, True)
]

# (dtype, P, BC, num_warps) for sequences above 32 tokens, by their length and the batch.
LONG_CONV_BLOCKS = [("bf16", 128, columns, 8) for columns in (32, 64, 128)]
LONG_CONV_BLOCKS += [("bf16", 64, columns, 4) for columns in (32, 64, 128)]
LONG_CONV_BLOCKS += [("fp32", 64, columns, 4) for columns in (32, 64)]
LONG_CONV = [
    Config(
        "long_conv.convolve_kernel",
        f"u:*{dtype} h:*{dtype} y:*{dtype} B:i32/16 D:i32/16 N:i32/16",
        {"REVERSE": reverse, "WIDEN": False, "ACC": "float32", "P": p, "BC": columns},
        num_warps=num_warps,
        matmul=dtype == "bf16",
    )
    for dtype, p, columns, num_warps in LONG_CONV_BLOCKS
    for reverse in (False, True)
] + [
    Config(
        "long_conv.filter_grad_kernel",
        f"u:*{dtype} grad:*{dtype} shares:*fp32 B:i32/16 D:i32/16 N:i32/16",
        {"WIDEN": False, "ACC": "float32", "P": p, "BC": columns},
        num_warps=num_warps,
        matmul=dtype == "bf16",
    )
    for dtype, p, columns, num_warps in LONG_CONV_BLOCKS
    if columns <= 64
]


def attention_configs(module: str, tensors: dict[str, str], integers: str, cases: list) -> list:
    """The three kernels of an attention for each (dtype, d, further constants) of `cases`.

    tensors    the pointers of each kernel, in the order of its signature; "x" is the dtype
    """
    configs = []
    for (dtype, d, further), kernel in itertools.product(cases, tensors):
        tile = attention_tiles.tiles(kernel, d, 4 if dtype == "fp32" else 2)
        options = {key: tile.pop(key) for key in list(tile) if key not in ("BM", "BN")}
        scale = math.log2(math.e) / math.sqrt(d)
        configs.append(
            Config(
                f"{module}.{kernel}_kernel",
                f"{tensors[kernel]} {integers}".replace(":x", f":*{dtype}"),
                {"D": d, "PAD": d, "SCALE": scale, "WIDEN": False, **tile, **further},
                matmul=dtype != "fp32",
                **options,
            )
        )
    return configs


FLASH_ATTENTION = attention_configs(
    "flash_attention",
    {
        "forward": "q:x k:x v:x out:x lse:*fp32",
        "query": "q:x k:x v:x out:x lse:*fp32 grad:x delta:*fp32 dq:x",
        "key": "q:x k:x v:x lse:*fp32 grad:x delta:*fp32 dk:x dv:x",
    },
    "N:i32/16 window:i32/16",
    [("bf16", d, {"BANDED": banded}) for d in (64, 128) for banded in (False, True)]
    + [("fp32", 128, {"BANDED": True})],
)
SPARSE_ATTENTION = attention_configs(
    "sparse_attention",
    {
        "forward": "q:x k:x v:x at:*i32 order:*i32 out:x lse:*fp32",
        "query": "q:x k:x v:x at:*i32 order:*i32 out:x lse:*fp32 grad:x delta:*fp32 dq:x",
        "key": "q:x k:x v:x at:*i32 order:*i32 seen_from:*i64 lse:*fp32 grad:x delta:*fp32"
        " dk:x dv:x",
    },
    "H:i32 K:i32/16 N:i32/16",
    [("bf16", 64, {}), ("bf16", 128, {}), ("fp32", 128, {})],
)

FAMILIES: dict[str, list[Config]] = {
    "short_conv": [GATED_CONV, GATED_CONV_BACKWARD, PLAIN_CONV, PLAIN_CONV_BACKWARD],
    "base_conv": BASE_CONV,
    "scan": SCAN,
    "long_conv": LONG_CONV,
    "flash_attention": FLASH_ATTENTION,
    "sparse_attention": SPARSE_ATTENTION,
}


def compile_config(config: Config, capability: int) -> dict:
    """Compile for ("cuda", capability) and report what ptxas says of the result."""
    import triton
    import triton.language as tl
    from triton.backends.compiler import GPUTarget

    module, name = config.kernel.rsplit(".", 1)
    kernel = getattr(importlib.import_module(f"zoology_teach.kernels.{module}"), name)
    given = dict(argument.split(":") for argument in config.arguments.split())
    constants = {k: getattr(tl, str(v), v) for k, v in config.constants.items()}
    signature = {k: given[k].split("/")[0] if k in given else "constexpr" for k in kernel.arg_names}
    attrs = {
        (i,): [["tt.divisibility", 16]]
        for i, argument in enumerate(kernel.arg_names)
        if given.get(argument, "").startswith("*") or given.get(argument, "").endswith("/16")
    }
    with contextlib.redirect_stdout(io.StringIO()) as log:
        compiled = triton.compile(
            triton.compiler.ASTSource(kernel, signature, constants, attrs),
            target=GPUTarget("cuda", capability, 32),
            options={
                "num_warps": config.num_warps,
                "num_stages": config.num_stages,
                "maxnreg": config.maxnreg,
            },
        )
    return {
        "kernel": config.kernel,
        "arguments": config.arguments,
        "constants": config.constants,
        "num_warps": config.num_warps,
        "num_stages": config.num_stages,
        "maxnreg": config.maxnreg,
        "capability": capability,
        "shared": compiled.metadata.shared,
        "wgmma": "wgmma.mma_async" in compiled.asm["ptx"],
        **ptxas_report(log.getvalue()),
    }


def ptxas_report(log: str) -> dict[str, int]:
    """Registers of a thread, and bytes that did not fit into them."""
    spilled = re.findall(r"(\d+) bytes spill (?:stores|loads)", log)
    registers = re.search(r"Used (\d+) registers", log)
    return {"registers": int(registers[1]), "spills": sum(map(int, spilled))}


if __name__ == "__main__":
    # What Triton has compiled before has no log of ptxas.
    os.environ |= {"TRITON_DUMP_PTXAS_LOG": "1", "TRITON_ALWAYS_COMPILE": "1"}
    for family in sys.argv[1:] or FAMILIES:
        for config in FAMILIES[family]:
            for capability in config.targets:
                print(json.dumps(compile_config(config, capability)), flush=True)
