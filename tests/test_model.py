"""The model around the mixers."""

from dataclasses import replace

import pytest
import torch

from zoology_teach.model import LanguageModel, Layer, ModelConfig, layer, match_parameters
from zoology_teach.tasks.mqar import MQAR, sample
from zoology_teach.training import TrainConfig

LAYERS = (layer("base_conv"), layer("attention"))


@pytest.mark.parametrize("last", ["attention", "base_conv"])
@pytest.mark.parametrize("max_len", [None, 40])
def test_logits_at_positions_are_those_of_the_whole(last, max_len):
    config = ModelConfig(64, 16, (layer("base_conv"), layer(last)), max_len=max_len)
    model = LanguageModel(config).double()
    batch = sample(3, 32, 4, 64)
    whole = model(batch.inputs)
    assert whole.shape == (3, 32, 64)
    picked = model(batch.inputs, batch.positions)
    assert torch.allclose(picked, whole.gather(1, batch.positions[..., None].expand(-1, -1, 64)))


def test_the_seed_decides_the_weights_and_leaves_the_global_generator_alone():
    before = torch.random.get_rng_state()
    a, b, c = (LanguageModel(ModelConfig(64, 16, LAYERS, seed=s)) for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    pairs = list(zip(a.parameters(), b.parameters(), strict=True))
    assert all(torch.equal(x, y) for x, y in pairs)
    assert not torch.equal(a.embedding.weight, c.embedding.weight)


def test_counts():
    model = LanguageModel(ModelConfig(64, 16, (layer("attention"),), norm=False))
    assert model.num_parameters() == 64 * 16 + 4 * (16 * 16 + 16)
    assert model.state_size(10) == 2 * 16 * 10


def test_an_mlp_follows_each_mixer_and_leaves_its_start_alone():
    plain = LanguageModel(ModelConfig(64, 16, LAYERS))
    model = LanguageModel(ModelConfig(64, 16, LAYERS, mlp=24)).double()
    for name, value in plain.named_parameters():
        assert torch.equal(value.double(), model.state_dict()[name])
    each = 2 * 16 + 2 * 16 * 24 + 16 + 24  # norm, two matrices, their biases
    assert model.num_parameters() == plain.num_parameters() + 2 * each
    batch = sample(3, 32, 4, 64)
    whole = model(batch.inputs)
    picked = model(batch.inputs, batch.positions)
    assert torch.allclose(picked, whole.gather(1, batch.positions[..., None].expand(-1, -1, 64)))
    u = model.embedding(batch.inputs)
    for norm, mixer, (mlp_norm, mlp) in zip(model.norms, model.mixers, model.mlps, strict=True):
        u = u + mixer(norm(u))
        hidden = torch.nn.functional.gelu(mlp[0](mlp_norm(u)))
        u = u + hidden @ mlp[2].weight.T + mlp[2].bias
    assert torch.allclose(model.final_norm(u) @ model.embedding.weight.T, whole)


@pytest.mark.parametrize("mixer", ["attention", "base_conv", "hyena"])
def test_models_are_matched_by_the_width_of_their_mlp(mixer):
    config = match_parameters(ModelConfig(64, 16, (layer(mixer),)), 20_000)
    assert abs(LanguageModel(config).num_parameters() - 20_000) <= 200
    with pytest.raises(ValueError, match="parameters = 1000: must be within 1 % of"):
        match_parameters(config, 1000)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: layer("atention"), "mixer = 'atention': must be one of"),
        (lambda: layer("attention", heads=2), "option of attention = 'heads'"),
        (lambda: layer("base_conv", d_model=2), "option of base_conv = 'd_model'"),
        (lambda: Layer("attention", {"window": 3, "wndow": 3}), "'wndow'"),
        (lambda: ModelConfig(64, 16, ()), "layers = ()"),
        (lambda: ModelConfig(64, 16, ("attention",)), "layers = 'attention'"),
        (lambda: ModelConfig(1, 16, LAYERS), "vocab_size = 1"),
        (lambda: ModelConfig(64, 16, LAYERS, mlp=0), "mlp = 0"),
        (lambda: ModelConfig(64, 16, LAYERS, embedding_std=0.0), "embedding_std = 0.0"),
    ],
)
def test_a_wrong_configuration_names_the_field(make, named):
    with pytest.raises(ValueError) as error:
        make()
    assert named in str(error.value)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ModelConfig(64, widht=16, layers=LAYERS), "field of ModelConfig = 'widht'"),
        (lambda: TrainConfig(stpes=3), "field of TrainConfig = 'stpes': must be one of ['steps'"),
        (lambda: MQAR(pairs=3), "field of MQAR = 'pairs'"),
    ],
)
def test_an_unknown_field_is_an_error_that_lists_the_known_ones(make, named):
    with pytest.raises(ValueError) as error:
        make()
    assert named in str(error.value)


@pytest.mark.parametrize(
    ("inputs", "named"),
    [
        (torch.zeros(5, dtype=torch.int64), "inputs shape = (5,)"),
        (torch.zeros(0, 5, dtype=torch.int64), "inputs shape = (0, 5): must be (B, N), none of"),
        (torch.zeros(2, 0, dtype=torch.int64), "inputs shape = (2, 0)"),
        (torch.zeros(1, 5), "inputs dtype"),
        (torch.full((1, 5), 64), "inputs = (64, 64): must be tokens in 0 .. 63"),
        (torch.zeros(1, 9, dtype=torch.int64), "N = 9: must be at most max_len = 8"),
    ],
)
def test_wrong_inputs_never_reach_torch(inputs, named):
    model = LanguageModel(ModelConfig(64, 16, LAYERS, max_len=8))
    with pytest.raises(ValueError) as error:
        model(inputs)
    assert named in str(error.value)


@pytest.mark.parametrize(
    ("positions", "named"),
    [
        (torch.zeros(1, dtype=torch.int64), "positions shape = (1,): must be (B, P)"),
        (torch.zeros(2, 1, dtype=torch.int64), "positions shape = (2, 1)"),
        (torch.zeros(1, 1), "positions dtype = torch.float32: must be torch.int64"),
        (torch.tensor([[0, 5]]), "positions = (0, 5): must be places in 0 .. 4"),
        (torch.tensor([[-1, 2]]), "positions = (-1, 2): must be places in 0 .. 4"),
    ],
)
def test_wrong_positions_are_named_and_none_are_no_rows(positions, named):
    model = LanguageModel(ModelConfig(64, 16, LAYERS))
    inputs = torch.zeros(1, 5, dtype=torch.int64)
    assert model(inputs, torch.zeros(1, 0, dtype=torch.int64)).shape == (1, 0, 64)
    with pytest.raises(ValueError) as error:
        model(inputs, positions)
    assert named in str(error.value)


def test_a_layer_has_options_of_its_own():
    assert Layer("attention") == layer("attention") and Layer("attention").options == {}
    options = {"window": 3}
    made = Layer("attention", options)
    options["window"] = 4
    assert made.options == {"window": 3}
    first = LanguageModel(ModelConfig(64, 16, (Layer("base_conv"),))).mixers[0]
    assert first.filter(9).shape == (16, 3), "the mixer's own defaults"


def test_the_embeddings_start_with_the_seed_and_their_sizes():
    config = ModelConfig(8, 4, (layer("attention"),), max_len=6, embedding_std=0.5, seed=3)
    model = LanguageModel(config)
    torch.manual_seed(3)
    embedding = torch.nn.init.normal_(torch.nn.Embedding(8, 4).weight, std=0.5)
    assert torch.equal(model.embedding.weight, embedding)
    assert torch.equal(model.position_embedding, 0.02 * torch.randn(6, 4))


def test_a_size_is_met_within_one_percent_or_refused():
    config = ModelConfig(8, 16, (layer("base_conv"),))
    plain = LanguageModel(config).num_parameters()
    sizes = [plain + 2 * 16 + 16 + w * (2 * 16 + 1) for w in range(1, 60)]  # norm and biases too
    assert LanguageModel(replace(config, mlp=1)).num_parameters() == sizes[0]
    for parameters in range(sizes[9], sizes[11], 4):
        nearest = min(sizes, key=lambda size: abs(size - parameters))
        if abs(nearest - parameters) <= 0.01 * parameters:
            assert match_parameters(config, parameters).mlp == 1 + sizes.index(nearest)
        else:
            with pytest.raises(ValueError, match=f"parameters = {parameters}: must be within 1 %"):
                match_parameters(config, parameters)


def test_an_mlp_starts_small_and_without_a_bias():
    model = LanguageModel(ModelConfig(8, 64, (layer("base_conv"),), mlp=128))
    (_, (inner, _, outer)) = model.mlps[0]
    for linear in (inner, outer):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.1) and not linear.bias.any()
