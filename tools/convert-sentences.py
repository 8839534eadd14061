"""convert-sentences.py FOLDER OUT: Universal Sentence Encoder Lite, from a graph of TensorFlow.js to a safetensors file
with the names and the order of dimensions of PyTorch's layers, and its vocabulary to a text file. For fetch-models.
SPDX-License-Identifier: MIT"""
import array
import json
import os
import struct
import sys

SIZES = {"float32": 4, "int32": 4, "bool": 1, "uint8": 1}


def die(message):
    sys.exit(f"convert-sentences: {message}")


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        die(f"{path}: {error}")


def read_weights(folder):
    """Name -> (shape, bytes) of each float tensor of a model.json and its shards."""
    weights = {}
    groups = read_json(os.path.join(folder, "model.json")).get("weightsManifest")
    if not groups:
        die("model.json: weightsManifest is missing")
    for group in groups:
        data = b""
        for path in group["paths"]:
            try:
                with open(os.path.join(folder, path), "rb") as file:
                    data += file.read()
            except OSError as error:
                die(f"{path}: {error.strerror}")
        at = 0
        for tensor in group["weights"]:
            name, kind = tensor["name"], tensor["dtype"]
            if kind not in SIZES or "quantization" in tensor:
                die(f"{name}: has the dtype {kind}{' (quantized)' if kind in SIZES else ''}, which this doesn't know")
            count = 1
            for size in tensor["shape"]:
                count *= size
            end = at + count * SIZES[kind]
            if end > len(data):
                die(f"{name}: needs the bytes {at} .. {end}, but the shards have {len(data)}: they are cut short")
            if kind == "float32":
                weights[name] = (tensor["shape"], data[at:end])
            at = end
        if at != len(data):
            die(f"the shards have {len(data)} bytes, but the tensors {at}")
    return weights


def transposed(shape, data):
    """[.., K, N] as [N, K]: a row for each output."""
    inputs, outputs = shape[-2], shape[-1]
    values = array.array("f", data)
    return [outputs, inputs], b"".join(values[n::outputs].tobytes() for n in range(outputs))


class Model:
    def __init__(self, weights):
        self.weights = weights
        self.tensors = {}

    def find(self, parts):
        """The tensor whose name has all these parts."""
        found = [name for name in self.weights if all(part in name for part in parts)]
        if len(found) != 1:
            die(f"{len(found)} tensors have {' and '.join(parts)} in their names, and not one")
        return self.weights[found[0]]

    def add(self, name, *parts):
        shape, data = self.find(parts)
        self.tensors[name] = ([size for size in shape], data)

    def add_linear(self, name, weight, bias, joint="."):
        self.tensors[f"{name}{joint}weight"] = transposed(*self.find(weight))
        self.add(f"{name}{joint}bias", *bias)

    def add_norm(self, name, *parts):
        self.add(f"{name}.weight", *parts, "layer_norm_scale")
        self.add(f"{name}.bias", *parts, "layer_norm_bias")

    def add_layer(self, index):
        layer, name = f"Layer_{index}/TransformerLayer/", f"layers.{index}."
        attention = layer + "MultiheadAttention/"
        self.add_norm(name + "norm1", layer + "layer_prepostprocess/")
        self.add_linear(name + "self_attn.in_proj", [attention + "qkv_transform_single/kernel"],
                        [attention + "qkv_transform_single/bias"], "_")
        self.add_linear(name + "self_attn.out_proj", [attention + "output_transform_single/kernel"],
                        [attention + "output_transform_single/bias"])
        self.add_norm(name + "norm2", layer + "FFN/layer_prepostprocess/")
        for number in (1, 2):
            self.add_linear(f"{name}linear{number}", [f"{layer}FFN/conv{number}/Tensordot/Reshape_1"],
                            [f"{layer}FFN/conv{number}/bias"])
        if any(layer + "dense/kernel" in weight for weight in self.weights):
            self.add_linear(name + "residual", [layer + "dense/kernel"], [layer + "dense/bias"])

    def write(self, path, metadata):
        header, at = {"__metadata__": metadata}, 0
        for name, (shape, data) in self.tensors.items():
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(data)]}
            at += len(data)
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for _, data in self.tensors.values():
                file.write(data)


def write_vocabulary(source, path):
    """A score that is missing counts as 0, as it does for the publisher's tokenizer."""
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for number, entry in enumerate(read_json(source)):
            if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)
                    and isinstance(entry[1], (int, float, type(None)))) or not entry[0] or set(entry[0]) & set("\t\n\0"):
                die(f"{source}: entry {number} is not a piece and its score")
            file.write(f"{entry[0]}\t{entry[1] or 0!r}\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, out = sys.argv[1:]
    model = Model(read_weights(folder))
    model.add("embedding.weight", "module/Embeddings_en")
    layers = 0
    while any(f"/Layer_{layers}/TransformerLayer/" in name for name in model.weights):
        model.add_layer(layers)
        layers += 1
    model.add_linear("hidden", ["hidden_layers/tanh_layer_0/weights"], ["hidden_layers/tanh_layer_0/bias"])
    os.makedirs(out, exist_ok=True)
    model.write(os.path.join(out, "model.safetensors"), {"heads": "4", "model": "Universal Sentence Encoder Lite"})
    write_vocabulary(os.path.join(folder, "vocab.json"), os.path.join(out, "vocabulary.txt"))


main()
