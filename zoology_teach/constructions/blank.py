"""What every construction starts from: a model whose every weight is 0."""

from torch import nn

from zoology_teach.checks import require, require_int
from zoology_teach.model import LanguageModel, ModelConfig


def blank_model(config: ModelConfig) -> LanguageModel:
    """A model whose every weight is 0, to be filled in."""
    model = LanguageModel(config)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def check_vocabulary(vocab_size: int) -> None:
    """Raise ValueError unless the vocabulary halves into keys and values."""
    require_int("vocab_size", vocab_size, 4)
    require(vocab_size % 2 == 0, "vocab_size", vocab_size, "even")
