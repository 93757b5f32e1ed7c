"""Show where the time of re-ranking and of encoding goes, and what the machine's arithmetic leaves to gain.

    PYTHONPATH=tests python -m benchmarks.profile_passes [score_minilm score_int8 embed]

The work is ours of the lines of those names, on one thread: once as it is, once under torch's profiler, whose seconds
are grouped by kind of operation, and once its linear layers alone, on the same inputs one after another. The operations
a second of these are set beside those of one large product.
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from benchmarks.contestants import our_encoding, our_scoring
from benchmarks.harness.line import load
from benchmarks.harness.runner import prepare
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from experiments.models.int8 import Int8Linear
from experiments.pretrained.products import FastLinear, multiply_fast

PROGRAMS = {"score_minilm": our_scoring, "score_int8": our_scoring, "embed": our_encoding}
KINDS = {
    "products": (
        "aten::addmm",
        "aten::mm",
        "aten::bmm",
        "quantized::linear_dynamic",
        "aten::linear",
        "mkldnn::_linear_pointwise",
    ),
    "attention": ("aten::_scaled_dot_product_flash_attention_for_cpu",),
    "GELU": ("aten::gelu",),
    "normalisation": ("aten::native_layer_norm",),
    "lookups": ("aten::embedding", "aten::index_select", "aten::gather"),
    "copies and sums": ("aten::copy_", "aten::cat", "aten::add", "aten::add_"),
}
ROUNDS = 3
Product = tuple[nn.Module, Tensor]  # a linear layer, and what it is applied to


def main() -> None:
    """Profile the lines of the command line, or all."""
    torch.set_num_threads(1)
    for name in sys.argv[1:] or PROGRAMS:
        with tempfile.TemporaryDirectory() as folder:
            show(name, Path(folder))


def show(name: str, folder: Path) -> None:
    """Print the profile of a line."""
    line = load(name)
    settings = {**line.settings, **line.ours.settings, "folder": str(folder), "shared": str(folder), "threads": 1}
    settings["data"] = None
    prepare(line, settings)
    work = PROGRAMS[name].make(settings)
    with products_of() as products:
        work.function()
    whole = seconds_of(work.function)
    alone = seconds_of(lambda: apply(products))
    operations = sum(2 * inputs.numel() * outputs_of(layer) for layer, inputs in products)
    integers = any(isinstance(layer, Int8Linear) for layer, _ in products)
    unit = "billion operations a second in 8 bits" if integers else "GFLOP/s"
    print(f"{name}: {1000 * whole / work.units:.2f} ms a {line.unit}, least of {ROUNDS}")
    rate, best = operations / alone / 1e9, peak(integers) / 1e9
    print(f"  linear layers alone: {1000 * alone / work.units:.2f} ms ({alone / whole:.0%}), {rate:.0f} {unit}")
    print(f"  one large product: {best:.0f} {unit}")
    for kind, share in shares(work.function).items():
        print(f"  {share:6.1%} {kind}")


@contextmanager
def products_of() -> Iterator[list[Product]]:
    """Collect the linear layers that are called in a ``with`` block, with random inputs of the same shapes."""
    found: list[Product] = []
    inputs_of: dict[torch.Size, Tensor] = {}  # one for all calls of a shape, as all would take gigabytes
    calls = {kind: kind.forward for kind in (nn.Linear, FastLinear, Int8Linear)}

    def noting(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def forward(layer: nn.Module, inputs: Tensor) -> Tensor:
            if inputs.shape not in inputs_of:
                inputs_of[inputs.shape] = torch.randn(inputs.shape)
            found.append((layer, inputs_of[inputs.shape]))
            return call(layer, inputs)

        return forward

    for kind, call in calls.items():
        kind.forward = noting(call)  # type: ignore[method-assign]
    try:
        yield found
    finally:
        for kind, call in calls.items():
            kind.forward = call  # type: ignore[method-assign]


def apply(products: list[Product]) -> None:
    """Compute linear layers one after another."""
    for layer, inputs in products:
        layer(inputs)


def outputs_of(layer: Any) -> int:
    """Return the number of outputs of a linear layer."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    weight: Tensor = torch.ops.quantized.linear_unpack(layer.packed)[0]
    return int(weight.shape[0])


@torch.no_grad()
def seconds_of(function: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call, the least of some rounds after one that is not counted."""
    function()
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return min(times)


def peak(integers: bool) -> float:
    """Return the operations a second of one large product."""
    layer: nn.Module = nn.Linear(2048, 2048)
    multiply_fast(layer)
    layer = Int8Linear(layer) if integers else layer  # type: ignore[arg-type]
    inputs = torch.randn(2048, 2048)
    return 2 * 2048**3 / seconds_of(lambda: layer(inputs))


def shares(function: Callable[[], Any]) -> dict[str, float]:
    """Return the share of each kind of operation in a profiled call; the rest is Python and all else."""
    began = time.perf_counter()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        function()
    seconds, kind_of = time.perf_counter() - began, {name: kind for kind, names in KINDS.items() for name in names}
    totals: dict[str, float] = defaultdict(float)
    for event in profiled.key_averages():
        if event.key.startswith(("aten::", "quantized::", "mkldnn::")):
            totals[kind_of.get(event.key, "other operations")] += event.self_cpu_time_total / 1e6 / seconds
    totals["outside of torch's operations"] = 1 - sum(totals.values())
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


if __name__ == "__main__":
    main()
