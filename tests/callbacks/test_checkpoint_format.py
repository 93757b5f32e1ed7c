"""What a checkpoint holds comes back as it was, to the bit; nothing in a file is run."""

import json
import math
import os
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open

from experiments.callbacks.checkpoint_format import read_state, write_state
from experiments.common.errors import ExperimentError


def there_and_back(tmp_path: Path, value: Any) -> Any:
    write_state(tmp_path / "state.safetensors", {"value": value})
    return read_state(tmp_path / "state.safetensors")["value"]


@pytest.mark.parametrize(
    "value",
    [
        None, True, 7, -1, 2**70, 0.1, 1e-300, math.inf, "ä\n\0", "", [], {}, (), [1, (2, 3)], {"betas": (0.9, 0.999)},
        {0: {"step": 1}, 1: {}}, {"$tensor": "0"}, {"$items": []}, {"$tuple": [1]}, {None: 1, True: 2, 1.5: 3},
    ],
)  # fmt: skip
def test_numbers_texts_lists_tuples_and_mappings_come_back_with_their_types(tmp_path: Path, value: Any):
    found = there_and_back(tmp_path, value)
    assert found == value
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_nan_comes_back(tmp_path: Path):
    assert math.isnan(there_and_back(tmp_path, math.nan))


TENSORS = {
    "double": torch.tensor([0.1, -0.0, math.inf], dtype=torch.float64),
    "single": torch.tensor([[1.5, 2.5]]),
    "half": torch.tensor([1.5], dtype=torch.float16),
    "brain": torch.tensor([1.5], dtype=torch.bfloat16),
    "long": torch.tensor([2**40]),
    "bytes": torch.tensor([255], dtype=torch.uint8),
    "bool": torch.tensor([True, False]),
    "scalar": torch.tensor(3.0),
    "empty": torch.empty(0, 4),
    "transposed": torch.arange(6.0).reshape(2, 3).T,
    "part": torch.arange(6.0)[2:4],
    "every other": torch.arange(6.0)[::2],
    "parameter": torch.nn.Parameter(torch.ones(2)),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_come_back_to_the_bit(tmp_path: Path, name: str):
    found, tensor = there_and_back(tmp_path, TENSORS[name]), TENSORS[name]
    assert torch.equal(found, tensor)
    assert (found.dtype, found.shape, found.requires_grad) == (tensor.dtype, tensor.shape, False)


def test_a_tensor_that_occurs_twice_is_written_once(tmp_path: Path):
    tied = torch.arange(4.0)
    found = there_and_back(tmp_path, {"a": tied, "b": tied.detach(), "c": tied[:2]})
    assert found["b"].tolist() == [0, 1, 2, 3]
    assert found["c"].tolist() == [0, 1]
    with safe_open(tmp_path / "state.safetensors", "pt") as file:
        assert len(file.keys()) == 2


def test_the_state_of_an_optimiser_and_of_a_schedule_goes_on_to_the_same_weights(tmp_path: Path):
    def steps(weight: torch.nn.Parameter, count: int, states: dict[str, Any] | None = None) -> dict[str, Any]:
        optimizer = torch.optim.AdamW([weight], lr=0.1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
        if states is not None:
            optimizer.load_state_dict(states["optimizer"])
            schedule.load_state_dict(states["schedule"])
        for _ in range(count):
            optimizer.zero_grad()
            (weight**3).sum().backward()
            optimizer.step()
            schedule.step()
        return {"weight": weight, "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}

    whole = steps(torch.nn.Parameter(torch.tensor([0.3, 0.7])), 4)
    half = there_and_back(tmp_path, steps(torch.nn.Parameter(torch.tensor([0.3, 0.7])), 2))
    resumed = steps(torch.nn.Parameter(half["weight"]), 2, half)
    assert torch.equal(resumed["weight"], whole["weight"])
    assert resumed["schedule"] == whole["schedule"]


def test_mappings_of_other_classes_come_back_as_plain_ones_and_numbers_of_numpy_as_numbers(tmp_path: Path):
    found = there_and_back(tmp_path, OrderedDict(a=np.float32(1.5), b=np.int64(2)))
    assert found == {"a": 1.5, "b": 2}
    assert type(found) is dict


def test_one_key_is_read_alone(tmp_path: Path):
    write_state(tmp_path / "state", {"state_dict": {"w": torch.ones(1)}, "optimizer_states": [torch.zeros(9)]})
    assert read_state(tmp_path / "state", only="state_dict") == {"state_dict": {"w": torch.ones(1)}}


class Strange:
    pass


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Strange(), "value.0, a Strange"),
        ({1}, "value.0, a set"),
        (b"x", "value.0, a bytes"),
        (np.zeros(2), "value.0, a ndarray"),
        (torch.zeros(2).to_sparse(), "value.0, a tensor of torch.float32"),
        (torch.zeros(2, dtype=torch.complex64), "value.0, a tensor of torch.complex64"),
    ],
)
def test_anything_else_is_refused_by_its_place_and_leaves_no_file(tmp_path: Path, value: Any, named: str):
    with pytest.raises(ExperimentError, match=f"a checkpoint cannot hold {named}"):
        there_and_back(tmp_path, [value])
    assert list(tmp_path.iterdir()) == []


class Boom:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return exec, ("raise SystemExit('the file was run')",)


def torch_pickle(path: Path) -> None:
    torch.save({"state_dict": Boom()}, path)


def bare_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Boom()))


@pytest.mark.parametrize("write", [torch_pickle, bare_pickle])
def test_a_pickle_is_named_and_never_run(tmp_path: Path, write: Callable[[Path], None]):
    write(tmp_path / "last")
    with pytest.raises(ExperimentError, match=r"last is no checkpoint of this version \(it is a pickle, .*: delete it"):
        read_state(tmp_path / "last")


def header(values: dict[str, Any]) -> bytes:
    text = json.dumps(values).encode()
    return len(text).to_bytes(8, "little") + text


OURS = {"format": "rerank-ablations checkpoint", "version": "2"}
NO_CHECKPOINTS = {
    "empty": b"",
    "text": b"hello, this is no checkpoint",
    "a huge header": b"\xff" * 64,
    "a model's weights": header({"__metadata__": {"format": "pt"}}),
    "another version": header({"__metadata__": {**OURS, "version": "3", "state": "{}"}}),
    "no state": header({"__metadata__": OURS}),
    "no JSON": header({"__metadata__": {**OURS, "state": "{"}}),
    "no mapping": header({"__metadata__": {**OURS, "state": "3"}}),
    "no such tensor": header({"__metadata__": {**OURS, "state": '{"a": {"$tensor": "0"}}'}}),
    "nested too deep": header({"__metadata__": {**OURS, "state": "[" * 100_000}}),
}


@pytest.mark.parametrize("name", NO_CHECKPOINTS)
def test_what_is_no_checkpoint_is_one_line(tmp_path: Path, name: str):
    (tmp_path / "last").write_bytes(NO_CHECKPOINTS[name])
    with pytest.raises(ExperimentError, match=r"last is no checkpoint of this version.*: delete it and run") as error:
        read_state(tmp_path / "last")
    assert len(str(error.value)) < 600


def test_a_full_disk_leaves_the_earlier_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_state(tmp_path / "last", {"step": 1})

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExperimentError, match="there is no space left on this disk"):
        write_state(tmp_path / "last", {"step": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["last"]
    assert read_state(tmp_path / "last") == {"step": 1}
