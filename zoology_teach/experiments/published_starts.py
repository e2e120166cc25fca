"""Each mixer's projections as its own authors' code starts them (chapter 05).

The usual start of this library is one for all: weights normal with std 0.02. What is published
differs in the projections only; filters, decays and steps have their authors' start anyway.

    attention, BaseConv, H3, Hyena, Based   GPT-2's: std 0.02, and the projection that writes the
                                            output is divided by sqrt(2 L), L the number of layers
    Mamba (arXiv:2312.00752)                PyTorch's default, uniform in ±1/sqrt(inputs), and the
                                            output's divided by sqrt(L)
    RWKV-4 (arXiv:2305.13048)               receptance, key and output zero, value orthogonal
"""

import math

import torch
from torch import nn

from zoology_teach.mixers.mamba import Mamba
from zoology_teach.mixers.mixer import Mixer
from zoology_teach.mixers.rwkv import RWKV
from zoology_teach.model import LanguageModel


def start_as_published(model: LanguageModel) -> None:
    """Draw the projections of all mixers anew, in place; `model.config.seed` decides them.

    The embedding stays as it is: RWKV's own, 1e-4 wide, needs a norm behind it and a head that
    is not tied to it.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(model.config.seed)
        for mixer in model.mixers:
            _start(mixer, len(model.mixers))


def _start(mixer: Mixer, num_layers: int) -> None:
    inner, out = mixer.projections()
    if isinstance(mixer, RWKV):
        for zero in (mixer.receptance, mixer.key, mixer.out):
            nn.init.zeros_(zero.weight)
        nn.init.orthogonal_(mixer.value.weight)
        return
    if isinstance(mixer, Mamba):
        for linear in (mixer.project_in, mixer.select, mixer.out):
            nn.init.kaiming_uniform_(linear.weight, a=math.sqrt(5))
        mixer.out.weight /= math.sqrt(num_layers)
        return
    for linear in inner:
        nn.init.normal_(linear.weight, std=0.02)
    if out is not None:
        nn.init.normal_(out.weight, std=0.02 / math.sqrt(2 * num_layers))
