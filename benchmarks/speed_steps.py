"""Training steps of one mixer's model, timed on demand: a process of benchmarks/speed.py.

Its arguments are the model's name and V; it answers each line with the CPU seconds of one step.
Which code it times is decided by PYTHONPATH, so it uses only what the library has always had.
"""

import sys
import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from zoology_teach.model import LanguageModel, ModelConfig, layer
from zoology_teach.tasks.mqar import MQAR

SEQ_LEN, D_MODEL, BATCH, NUM_PAIRS = 256, 128, 32, 16
LONG = {"max_len": SEQ_LEN}
MODELS = {
    "attention": (layer("attention"),) * 2,
    "attention, 4 heads": (layer("attention", num_heads=4),) * 2,
    "attention behind BaseConv": (layer("base_conv"), layer("attention")),
    "Hyena": (layer("hyena", **LONG),) * 2,
    "H3": (layer("h3"),) * 2,
    "Mamba": (layer("mamba"),) * 2,
    "BaseConv": (layer("base_conv"), layer("base_conv", filter="long", **LONG)),
    "RWKV": (layer("rwkv"),) * 2,
    "Based": (layer("linear_attention"),) * 2,
    "S4D": (layer("s4d"),) * 2,
    "LongConv": (layer("long_conv", **LONG),) * 2,
    "sliding window": (layer("sliding_window"),) * 2,
    "sparse attention": (layer("base_conv"), layer("sparse_attention")),
}


def step(name: str, vocab_size: int) -> Callable[[], None]:
    """An update of the model `name`: forward, backward, clipping, AdamW."""
    model = LanguageModel(ModelConfig(vocab_size, D_MODEL, MODELS[name]))
    batch = MQAR(SEQ_LEN, NUM_PAIRS, vocab_size).sample(BATCH, seed=0)
    answers = batch.labels.gather(1, batch.positions)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.1, fused=True)

    def update() -> None:
        optimizer.zero_grad()
        logits = model(batch.inputs, batch.positions)
        loss = cross_entropy(logits.flatten(0, 1), answers.flatten()) + model.auxiliary_loss()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return update


def main() -> None:
    """Answer until the lines end. The CPU's time: what else the machine does counts less."""
    torch.set_num_threads(1)
    name, vocab_size = sys.argv[1:]
    update = step(name, int(vocab_size))
    for _ in sys.stdin:
        started = time.process_time()
        update()
        print(time.process_time() - started, flush=True)


if __name__ == "__main__":
    main()
