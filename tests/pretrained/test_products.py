"""Products by oneDNN are torch's own to the rounding of fp32, and so are their gradients. Where a processor is not for
oneDNN, its use is forced: only the speed differs.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.config import Backbone
from experiments.models.colbert.config import ColBERTConfig
from experiments.models.colbert.network import load_colbert
from experiments.models.cross_encoder.config import CrossEncoderConfig
from experiments.models.cross_encoder.network import load_cross_encoder
from experiments.models.dual_encoder.config import DualEncoderConfig
from experiments.models.dual_encoder.network import load_dual_encoder
from experiments.pretrained import products
from experiments.pretrained.encoder import load_encoder, load_sentence_transformer
from experiments.pretrained.products import FULL_WIDTH, FastLinear, linear, multiply_fast
from experiments.pretrained.source import Source

FIFTH = f"vendor_id\t: AuthenticAMD\nflags\t\t: avx2 avx512f {FULL_WIDTH} fsrm\n"
CLOSE = {"rtol": 1e-4, "atol": 1e-4}


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The products that oneDNN makes: all but empty ones."""
    found: list[Tensor] = []
    product = products._product
    monkeypatch.setattr(products, "_product", lambda *given: found.append(product(*given)) or found[-1])
    monkeypatch.setattr(products, "by_onednn", lambda: True)
    monkeypatch.setattr(products, "LEAST", 1)
    return found


@pytest.mark.parametrize("shape", [(7, 12), (2, 5, 12), (0, 12)], ids=["rows", "padded", "no row"])
@pytest.mark.parametrize("with_bias", [True, False])
def test_outputs_and_gradients_are_those_of_torch(shape: tuple[int, ...], with_bias: bool):
    torch.manual_seed(0)
    layer, found = nn.Linear(12, 9, bias=with_bias), []
    inputs = torch.randn(shape)
    for call in (linear, nn.functional.linear):
        read = inputs.clone().requires_grad_()
        layer.zero_grad()
        outputs = call(read, layer.weight, layer.bias)
        outputs.pow(2).sum().backward()
        found.append([outputs.detach(), read.grad, layer.weight.grad, *([layer.bias.grad] if with_bias else [])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, **CLOSE)


def test_a_gradient_that_is_one_number_for_all_outputs_is_taken():
    weight_OI = torch.ones(3, 2, requires_grad=True)
    linear(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), weight_OI).sum().backward()
    assert weight_OI.grad is not None
    assert weight_OI.grad.tolist() == [[4.0, 6.0]] * 3


def test_a_transposed_view_is_multiplied_as_its_values_lie():
    left, right = torch.randn(6, 4), torch.randn(4, 5)
    torch.testing.assert_close(linear(left, right.T), left @ right, **CLOSE)


def test_only_layers_that_multiply_plainly_are_changed_and_their_weights_stay(made: list[Tensor]):
    class Own(nn.Linear):
        pass

    network = nn.Sequential(nn.Linear(4, 4), Own(4, 4), nn.LayerNorm(4))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    multiply_fast(network)
    assert [type(layer) for layer in network] == [FastLinear, Own, nn.LayerNorm]
    assert {name: value.tolist() for name, value in network.state_dict().items()} == {
        name: value.tolist() for name, value in before.items()
    }
    network[0](torch.randn(2, 4))
    assert len(made) == 1


LENGTHS = {"max_length": 16, "max_query_tokens": 8}
LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "an encoder": lambda folder: load_encoder(source(folder))[0],
    "a library's encoder": lambda folder: load_sentence_transformer(source(folder), "SentenceTransformer", "cpu"),
    "a cross-encoder": lambda folder: load_cross_encoder(own(folder), CrossEncoderConfig(max_length=16), 1),
    "a ColBERT": lambda folder: load_colbert(own(folder), ColBERTConfig(dimension=8, **LENGTHS), 1),
    "a dual encoder": lambda folder: load_dual_encoder(own(folder), DualEncoderConfig(**PLAIN, **LENGTHS), 1),
}
PLAIN: dict[str, Any] = {"layers": None, "infused": [], "infuse_embeddings": False, "rest": "backbone"}


def source(folder: Path) -> Source:
    return Source(str(folder), "model.path", "give another")


def own(folder: Path) -> Backbone:
    return Backbone(name="own", path=str(folder))


@pytest.mark.parametrize("kind", LOADERS)
def test_every_loaded_network_multiplies_so(backbone: Path, kind: str):
    layers = [type(layer) for layer in LOADERS[kind](backbone).modules()]
    assert FastLinear in layers
    assert nn.Linear not in layers


def test_16_bits_and_other_types_are_left_to_torch(made: list[Tensor]):
    layer = nn.Linear(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(torch.randn(2, 4), layer.weight, layer.bias).dtype == torch.bfloat16
    layer.double()
    assert linear(torch.randn(2, 4).double(), layer.weight, layer.bias).dtype == torch.float64
    assert not made


def test_small_products_are_left_to_torch(made: list[Tensor], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(products, "LEAST", 2 * 4 * 4 + 1)
    layer = nn.Linear(4, 4)
    linear(torch.randn(2, 4), layer.weight, layer.bias)
    assert not made
    linear(torch.randn(3, 4), layer.weight, layer.bias)
    assert len(made) == 1


class TestChoice:
    """Of the processor, by what it says of itself."""

    @pytest.fixture
    def chosen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, pytest.MonkeyPatch]]:
        monkeypatch.undo()
        monkeypatch.setattr(products, "PROCESSOR", tmp_path / "cpuinfo")
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
        products.by_onednn.cache_clear()
        yield tmp_path / "cpuinfo", monkeypatch
        products.by_onednn.cache_clear()

    def test_amds_fifth_generation_multiplies_by_onednn(self, chosen: tuple[Path, pytest.MonkeyPatch]):
        chosen[0].write_text(FIFTH)
        assert products.by_onednn() is torch.backends.mkldnn.is_available()

    @pytest.mark.parametrize("said", [FIFTH.replace("AuthenticAMD", "GenuineIntel"), FIFTH.replace(FULL_WIDTH, "")])
    def test_another_maker_or_generation_does_not(self, chosen: tuple[Path, pytest.MonkeyPatch], said: str):
        chosen[0].write_text(said)
        assert not products.by_onednn()

    def test_where_torch_is_told_to_use_avx2_it_does_not(self, chosen: tuple[Path, pytest.MonkeyPatch]):
        chosen[0].write_text(FIFTH)
        chosen[1].setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
        assert not products.by_onednn()

    def test_a_system_that_does_not_say_does_not(self, chosen: tuple[Path, pytest.MonkeyPatch]):
        assert not products.by_onednn()
