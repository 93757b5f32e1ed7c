"""Score the pairs of a run by sentence-transformers' ``CrossEncoder.predict`` at its defaults.

``backend``: torch (the default), onnx with the library's own export to dynamic int8, or openvino. The library's int8
for OpenVINO wants texts of a hub for its calibration and is not measured.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contestants.runs import longest, read_run
from benchmarks.harness.child import Calls, serve
from benchmarks.harness.machine import cpu_name
from sentence_transformers import CrossEncoder
from torch import nn


def make(settings: Mapping[str, Any]) -> Calls:
    """Return the work: all scores of the run."""
    pairs = [(row["query"], row["passage"]) for row in read_run(settings)]
    model = load(settings)
    return Calls(lambda: model.predict(pairs, show_progress_bar=False), units=len(pairs))


def load(settings: Mapping[str, Any]) -> CrossEncoder:
    """Load the shared weights into a backend."""
    path = str(Path(settings["folder"]) / "model")
    given = {"max_length": longest(settings), "activation_fn": nn.Identity(), "device": settings.get("device", "cpu")}
    backend = settings.get("backend", "torch")
    if backend == "torch":
        return CrossEncoder(path, **given)
    exported = str(Path(settings["folder"]) / f"model_{backend}")
    model = CrossEncoder(path, backend=backend, **given)
    model.save_pretrained(exported)
    if backend == "onnx":
        from sentence_transformers import export_dynamic_quantized_onnx_model

        instructions: Any = "avx512_vnni" if "(avx512_vnni)" in cpu_name() else "avx2"
        export_dynamic_quantized_onnx_model(model, instructions, exported)
        name = f"model_qint8_{instructions}.onnx" if instructions != "avx2" else "model_quint8_avx2.onnx"
        return CrossEncoder(exported, backend=backend, model_kwargs={"file_name": f"onnx/{name}"}, **given)
    return model


if __name__ == "__main__":
    serve(make)
