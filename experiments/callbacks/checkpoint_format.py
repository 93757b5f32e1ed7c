"""Write the state of a training as one safetensors file, and read it back: nothing is unpickled.

The tensors are the file's tensors. All else (numbers, texts, lists, mappings) is JSON in its header, in which a tensor
is ``{"$tensor": name}``, a tuple ``{"$tuple": [...]}``, and a mapping with other keys than texts ``{"$items": [[key,
value], ...]}``. A file that comes from elsewhere can thus hold wrong values, but no code.
"""

import json
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from experiments.common.disk import replacing
from experiments.common.errors import ExperimentError
from experiments.common.text import first_line

SUFFIX = ".safetensors"
FORMAT, VERSION = "rerank-ablations checkpoint", "2"  # version 1 were pickles
STATE = "state"
TENSOR, TUPLE, ITEMS = "$tensor", "$tuple", "$items"
PICKLES = (b"PK\x03\x04", b"\x80")  # first bytes of torch.save's files and of bare pickles
DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a state durably and atomically.

    Raises:
        ExperimentError: it holds something else than tensors, numbers, texts, lists, tuples and mappings, or the disk
            refuses the file, of which nothing is left.
    """
    encoded = _Encoded()
    metadata = {"format": FORMAT, "version": VERSION, STATE: json.dumps(encoded.of(state, ""))}
    with replacing(path, durable=True) as file:
        _write(file, encoded.tensors, metadata)


def _write(file: IO[bytes], tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write safetensors' format: the length of the header, the header, the tensors one after the other.

    Its own ``save_file`` replaces the file by itself, and hides which error the disk gave.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for tensor in tensors.values():
        file.write(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def read_state(path: Path, only: str | None = None) -> dict[str, Any]:
    """Read a state, its tensors on the CPU. ``only``: the one top-level key to read.

    Raises:
        ExperimentError: the file is no checkpoint of this version.
    """
    try:
        with safe_open(path, framework="pt", device="cpu") as tensors:
            metadata = tensors.metadata() or {}
            if (metadata.get("format"), metadata.get("version")) != (FORMAT, VERSION):
                raise ValueError("another program wrote it, or another version")
            state = json.loads(metadata[STATE])
            state = state if only is None else {only: state[only]}
            # a copy: what safetensors returns lies in the file itself, which is deleted after the next checkpoint
            return dict(_decoded(state, lambda name: tensors.get_tensor(name).clone()))
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        with path.open("rb") as file:
            pickled = file.read(4).startswith(PICKLES)
        reason = "it is a pickle, which could run code and is not read" if pickled else first_line(error)
        raise ExperimentError(
            f"{path} is no checkpoint of this version ({reason}): delete it and run the job again, which goes on from "
            f"an earlier checkpoint or begins anew"
        ) from error


class _Encoded:
    """Collects the tensors of a state while it is turned into JSON."""

    def __init__(self) -> None:
        self.tensors: dict[str, torch.Tensor] = {}
        self._names: dict[Any, str] = {}  # of tensors that occur several times, such as tied weights

    def of(self, value: Any, where: str) -> Any:
        """Return a value as JSON. ``where``: its keys, for the message."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.generic):
            return self.of(value.item(), where)
        if isinstance(value, torch.Tensor):
            return {TENSOR: self._name(value, where)}
        if isinstance(value, tuple):
            return {TUPLE: [self.of(inner, f"{where}.{i}") for i, inner in enumerate(value)]}
        if isinstance(value, list):
            return [self.of(inner, f"{where}.{i}") for i, inner in enumerate(value)]
        if isinstance(value, Mapping):
            items = [(key, self.of(inner, f"{where}.{key}")) for key, inner in value.items()]
            if all(isinstance(key, str) and not key.startswith("$") for key, _ in items):
                return dict(items)
            return {ITEMS: [[self.of(key, f"{where}.{key}"), inner] for key, inner in items]}
        raise ExperimentError(
            f"a checkpoint cannot hold {where.removeprefix('.')}, a {type(value).__name__}: the state of a callback or "
            f"a model may have tensors, numbers, texts, lists, tuples and mappings of them"
        )

    def _name(self, tensor: torch.Tensor, where: str) -> str:
        tensor = tensor.detach()
        if tensor.layout is not torch.strided or tensor.dtype not in DTYPES:
            kind = f"tensor of {tensor.dtype} ({tensor.layout})"
            raise ExperimentError(f"a checkpoint cannot hold {where.removeprefix('.')}, a {kind}")
        seen = (tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.device)
        if tensor.numel() and seen in self._names:
            return self._names[seen]
        name = str(len(self.tensors))
        self.tensors[name], self._names[seen] = tensor, name
        return name


def _decoded(value: Any, tensor_of: Callable[[str], torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decoded(inner, tensor_of) for inner in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {TENSOR}:
        return tensor_of(value[TENSOR])
    if value.keys() == {TUPLE}:
        return tuple(_decoded(value[TUPLE], tensor_of))
    if value.keys() == {ITEMS}:
        return {_decoded(key, tensor_of): _decoded(inner, tensor_of) for key, inner in value[ITEMS]}
    return {key: _decoded(inner, tensor_of) for key, inner in value.items()}
