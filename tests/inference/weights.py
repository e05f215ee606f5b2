"""Copies of the embedded model with something changed, for tests. Knows both file formats and nothing else."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

EMBEDDED = Path(__file__).parents[2] / "inference" / "models" / "embedded"
Tensors = dict[str, NDArray[Any]]


def write_gguf(path: Path, change: Callable[[Tensors], None] = lambda _tensors: None) -> Path:
    """The embedded GGUF with every weight in f32 (a value-preserving change), then changed."""
    reader = gguf.GGUFReader(EMBEDDED / "model.gguf")
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    for name, entry in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            inner = entry.types[-1] if entry.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(name, entry.contents(), entry.types[0], inner)
    tensors = {tensor.name: tensor.data.astype(np.float32) for tensor in reader.tensors}
    change(tensors)
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_folder(folder: Path, change: Callable[[dict[str, Any], Tensors], None]) -> Path:
    """The embedded folder for MLX with its configuration and tensors changed."""
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).write_bytes((EMBEDDED / name).read_bytes())
    config = json.loads((EMBEDDED / "config.json").read_bytes())
    tensors = read_safetensors(EMBEDDED / "model.safetensors")
    change(config, tensors)
    (folder / "config.json").write_text(json.dumps(config))
    write_safetensors(folder / "model.safetensors", tensors)
    return folder


def read_safetensors(path: Path) -> Tensors:
    raw = path.read_bytes()
    start = 8 + struct.unpack_from("<Q", raw)[0]
    header = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    dtypes = {"F16": np.float16, "F32": np.float32}
    tensors: Tensors = {}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(raw[begin:end], dtypes[entry["dtype"]]).reshape(entry["shape"]).copy()
    return tensors


def write_safetensors(path: Path, tensors: Tensors) -> None:
    header, end = {}, 0
    for name, values in tensors.items():
        dtype = {"float16": "F16", "float32": "F32"}[values.dtype.name]
        header[name] = {"dtype": dtype, "shape": values.shape, "data_offsets": [end, end + values.nbytes]}
        end += values.nbytes
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + b"".join(v.tobytes() for v in tensors.values()))
