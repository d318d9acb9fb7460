"""Takes a model folder of ours apart into the files in which others publish such parts, without their
programs: python3 make_parts.py MODEL OUT writes

    OUT/whisper/            config.json, model.safetensors; Hugging Face's names, with a decoder's tensor
    OUT/avhubert.pt         fairseq's: a PyTorch zip, the positional convolution weight-normed
    OUT/llama/              config.json, tokenizer.json, two shards and their index; Hugging Face's names
"""

import array
import collections
import json
import math
import os
import pickle
import shutil
import struct
import sys
import types
import zipfile


def read(path):
    """name -> (shape, array of float)"""
    tensors = {}
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    for name, t in header.items():
        if name == "__metadata__":
            continue
        raw = data[slice(*t["data_offsets"])]
        if t["dtype"] == "BF16":
            wide = bytearray(2 * len(raw))
            wide[2::4], wide[3::4] = raw[0::2], raw[1::2]
            raw = wide
        tensors[name] = (t["shape"], array.array("f", bytes(raw)))
    return tensors


def write(path, tensors):
    header, at = {}, 0
    for name, (shape, values) in tensors.items():
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + 4 * len(values)]}
        at += 4 * len(values)
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, values in tensors.values():
            f.write(values.tobytes())


def channels_first(shape, values):
    """[O, D, H, W, C] -> [O, C, D, H, W] without the sides that are 1 for all of its kind."""
    out, *kernel, channels = shape
    size = math.prod(kernel)
    result = array.array("f")
    for o in range(out):
        block = values[o * size * channels : (o + 1) * size * channels]
        for c in range(channels):
            result.extend(block[c::channels])
    return [out, channels, *kernel], result


def part(tensors, prefix):
    return {n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)}


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f)


def whisper(tensors, config, folder):
    os.makedirs(folder)
    for name in ("model.encoder.conv1.weight", "model.encoder.conv2.weight"):
        shape, values = channels_first(*tensors[name])
        tensors[name] = ([shape[0], shape[1], shape[4]], values)
    tensors["model.decoder.layer_norm.weight"] = ([config["d"]], array.array("f", [1.0] * config["d"]))
    write(folder + "/model.safetensors", tensors)
    write_json(folder + "/config.json", {
        "model_type": "whisper", "d_model": config["d"], "encoder_layers": config["layers"],
        "encoder_attention_heads": config["heads"], "encoder_ffn_dim": config["ffn"],
        "num_mel_bins": config["mels"], "max_source_positions": config["positions"]})


def llama(tensors, config, tokenizer, folder):
    os.makedirs(folder)
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[: len(names) // 2],
              "model-00002-of-00002.safetensors": names[len(names) // 2 :]}
    for file, some in halves.items():
        write(f"{folder}/{file}", {n: tensors[n] for n in some})
    write_json(folder + "/model.safetensors.index.json",
               {"metadata": {}, "weight_map": {n: f for f, some in halves.items() for n in some}})
    write_json(folder + "/config.json", {
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu",
        "vocab_size": config["vocab"], "hidden_size": config["d"],
        "num_hidden_layers": config["layers"], "num_attention_heads": config["heads"],
        "num_key_value_heads": config["kv_heads"], "head_dim": config["head_dim"],
        "intermediate_size": config["ffn"], "rope_theta": config["rope_theta"],
        "rms_norm_eps": config["norm_eps"], "tie_word_embeddings": config["tied"],
        "bos_token_id": 377, "eos_token_id": 378, "max_position_embeddings": 8192})
    shutil.copy(tokenizer, folder + "/tokenizer.json")


def torch_module():
    """What a checkpoint's pickle names of PyTorch."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    exec("def _rebuild_tensor_v2(*args): pass", utils.__dict__)
    exec("class FloatStorage: pass", torch.__dict__)
    torch.FloatStorage.__module__ = "torch"
    utils._rebuild_tensor_v2.__module__ = "torch._utils"
    sys.modules.update({"torch": torch, "torch._utils": utils})
    return torch, utils


class Tensor:
    def __init__(self, utils, key, shape, values):
        self.utils, self.key, self.shape, self.values = utils, key, shape, values

    def __reduce__(self):
        strides = [math.prod(self.shape[i + 1 :]) for i in range(len(self.shape))]
        return self.utils._rebuild_tensor_v2, (
            Storage(self), 0, tuple(self.shape), tuple(strides), False, collections.OrderedDict())


class Storage:
    def __init__(self, tensor):
        self.tensor = tensor


def write_torch(path, root, tensors):
    torch, utils = torch_module()
    items = [Tensor(utils, str(i), shape, values) for i, (shape, values) in enumerate(tensors.values())]
    root["model"] = collections.OrderedDict(zip(tensors, items))

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if isinstance(obj, Storage):
                t = obj.tensor
                return ("storage", torch.FloatStorage, t.key, "cpu", len(t.values))

    with zipfile.ZipFile(path, "w") as z:
        with z.open("archive/data.pkl", "w") as f:
            Pickler(f, 2).dump(root)
        for t in items:
            z.writestr(f"archive/data/{t.key}", t.values.tobytes())
        z.writestr("archive/version", "3\n")


def avhubert(tensors, config, path):
    position = "encoder.pos_conv.0."
    result = {}
    for name, (shape, values) in tensors.items():
        if len(shape) == 5:
            shape, values = channels_first(shape, values)
            if "frontend3D" not in name and name != position + "weight":
                shape = [shape[0], shape[1], shape[3], shape[4]]
        if name == position + "weight":  # weight = g v / |v|, over all but the kernel
            kernel = shape[4]
            norms = [math.sqrt(sum(x * x for x in values[k::kernel])) for k in range(kernel)]
            result[position + "weight_g"] = ([1, 1, kernel], array.array("f", norms))
            name, shape = position + "weight_v", [shape[0], shape[1], kernel]
        result[name] = (shape, values)
        if name.endswith("running_var"):
            result[name.replace("running_var", "num_batches_tracked")] = ([], array.array("f", [7]))
    result["final_proj.weight"] = ([2, 2], array.array("f", [0] * 4))
    root = {"args": None, "cfg": {"model": {"encoder_attention_heads": config["heads"],
                                            "layer_norm_first": True}}}
    write_torch(path, root, result)


def main(model, out):
    config = json.load(open(model + "/config.json"))
    tensors = read(model + "/model.safetensors")
    whisper(part(tensors, "audio."), config["audio"], out + "/whisper")
    llama(part(tensors, "llm."), config["llm"], model + "/tokenizer.json", out + "/llama")
    avhubert(part(tensors, "video."), config["video"], out + "/avhubert.pt")


main(*sys.argv[1:])
