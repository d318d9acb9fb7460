#!/usr/bin/env python3
"""Makes tests/formats/data/torch_*.pt with PyTorch, and torch_expected.txt, what weights/torch.c must
find in them: names, types, shapes and sums are PyTorch's own. Run from the repository root.

    file PATH TENSORS       tensor NAME TYPE SHAPE SUM      number KEY VALUE    text KEY VALUE
    none KEY                neither tensor, number nor text

SUM is that of value * (1 + index % 7): a wrong order is seen. Values are multiples of 1/8: exact."""

import argparse
import collections
import enum
import os
import pathlib
import pickle
import sys
import types

import torch
from torch import nn

FOLDER = "tests/formats/data"
PUBLISHED = "../shared/data/models"
lines = []
generator = torch.Generator().manual_seed(3)


def numbers(*shape, dtype=torch.float32):
    return (torch.randint(-64, 64, shape, generator=generator).float() / 8).to(dtype)


def expect(path, tensors, facts=None, absent=()):
    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    lines.append(f"file {path} {len(tensors)}")
    for name, t in tensors.items():
        t = t.detach().as_subclass(torch.Tensor)
        kind = names.get(t.dtype, "other")
        total = 0.0
        if kind != "other":
            v = t.double().reshape(-1)
            total = (v * (1 + torch.arange(v.numel()) % 7)).sum().item()
        shape = "x".join(map(str, t.shape)) or "scalar"
        lines.append(f"tensor {name} {kind} {shape} {total!r}")
    for key, value in (facts or {}).items():
        is_text = isinstance(value, str)
        lines.append(f"text {key} {value}" if is_text else f"number {key} {float(value)!r}")
    lines.extend(f"none {key}" for key in absent)


def save(name, value, tensors, facts=None, absent=(), **options):
    path = f"{FOLDER}/torch_{name}.pt"
    torch.save(value, path, **options)
    assert os.path.getsize(path) < 20000, path
    expect(path, tensors, facts, absent)


class Colour(enum.Enum):
    RED = "red"


class Task:
    """Something that only its own program can import, and that refers to itself."""

    def __init__(self):
        self.me = self
        self.symbols = ["a", "b"]
        self.colour = Colour.RED
        self.path = pathlib.PurePosixPath("/a/b")
        self.items = {1, 2}, frozenset((3,)), b"bytes", 1 << 80, 1.5, None


def fairseq():
    model = collections.OrderedDict()
    model["encoder.layers.0.fc1.weight"] = numbers(6, 4)
    model["encoder.layers.0.fc1.bias"] = numbers(6)
    model["encoder.pos_conv.0.weight_g"] = numbers(1, 1, 3)
    args = argparse.Namespace(arch="av_hubert", encoder_layers=2, dropout=0.25, task=Task())
    state = {
        "args": args,
        "cfg": {"_name": None, "model": {"_name": "av_hubert", "encoder_layers": 2, "final": True},
                "common": Task()},
        "model": model,
        "criterion": None,
        "optimizer_history": [{"num_updates": 7, "optimizer_name": "FairseqAdam"}],
        "task_state": {"dictionaries": [Task()]},
        "extra_state": {"epoch": 3, "train_iterator": {"epoch": 3, "iterations_in_epoch": 100},
                        "ema": {"x": numbers(2)}},
        "last_optimizer_state": {"state": {0: {"exp_avg": numbers(6, 4)}}},
    }
    facts = {"args.arch": "av_hubert", "args.encoder_layers": 2, "args.dropout": 0.25,
             "cfg.model._name": "av_hubert", "cfg.model.final": True, "extra_state.epoch": 3,
             "cfg.model.encoder_layers": 2}
    absent = ("optimizer_history", "cfg._name", "extra_state.ema.x", "last_optimizer_state.state.0",
              "last_optimizer_state.state.0.exp_avg", "model.encoder.layers.0.fc1.bias")
    save("fairseq", state, model, facts, absent)
    save("fairseq_older", state, model, facts, absent, _use_new_zipfile_serialization=False)


def omegaconf():
    """Nodes as OmegaConf pickles them: each knows its parent."""
    for name in ("omegaconf", "omegaconf.dictconfig", "omegaconf.nodes"):
        sys.modules[name] = types.ModuleType(name)
    node = type("AnyNode", (), {"__module__": "omegaconf.nodes"})
    config = type("DictConfig", (), {"__module__": "omegaconf.dictconfig"})
    sys.modules["omegaconf.nodes"].AnyNode = node
    sys.modules["omegaconf.dictconfig"].DictConfig = config

    def make(value, parent):
        made = config() if isinstance(value, dict) else node()
        made._metadata = {"optional": True, "key": None}
        made._parent = parent
        if isinstance(value, dict):
            made._content = {k: make(v, made) for k, v in value.items()}
        else:
            made._val = value
        return made

    cfg = make({"model": {"encoder_layers": 24, "arch": "large"}, "task": {"fps": 25}}, None)
    model = {"w": numbers(3)}
    save("omegaconf", {"cfg": cfg, "model": model}, model,
         {"cfg.model.encoder_layers": 24, "cfg.model.arch": "large", "cfg.task.fps": 25})


def lightning():
    state = {"model.encoder.weight": numbers(3, 5), "model.encoder.bias": numbers(3)}
    save("lightning", {
        "epoch": 9, "global_step": 1200, "pytorch-lightning_version": "2.5.1",
        "state_dict": collections.OrderedDict(state),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"current": {"ready": 10}}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'wer'}": {"best_model_score": numbers(1)[0]}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(5.0), "exp_avg": numbers(3, 5)}},
                              "param_groups": [{"lr": 0.001, "betas": (0.9, 0.98)}]}],
        "lr_schedulers": [{"base_lrs": [0.001]}],
        "hparams_name": "kwargs",
        "hyper_parameters": {"lr": 0.5, "llm": "meta-llama/Llama-3.2-1B", "ranks": [8, 16],
                             "lora": True},
    }, state, {"epoch": 9, "hyper_parameters.lr": 0.5, "hyper_parameters.lora": 1,
               "hyper_parameters.llm": "meta-llama/Llama-3.2-1B",
               "pytorch-lightning_version": "2.5.1",
               "loops.fit_loop.epoch_progress.current.ready": 10},
        ("hyper_parameters.ranks", "hyper_parameters.ranks.0", "lr_schedulers.0.base_lrs.0"))


def whisper():
    state = {"encoder.conv1.weight": numbers(4, 8, 3, dtype=torch.float16),
             "encoder.positional_embedding": numbers(10, 4),
             "decoder.token_embedding.weight": numbers(20, 4, dtype=torch.float16)}
    dims = {"n_mels": 8, "n_audio_ctx": 10, "n_audio_state": 4, "n_vocab": 20}
    save("whisper", {"dims": dims, "model_state_dict": state}, state,
         {f"dims.{k}": v for k, v in dims.items()})


class Marked(torch.Tensor):
    pass


def kinds():
    """Every kind of number; no container around it."""
    state = {
        "f32": numbers(2, 3), "f16": numbers(7, dtype=torch.float16),
        "bf16": numbers(3, 3, dtype=torch.bfloat16), "f64": numbers(2, dtype=torch.float64),
        "i64": torch.arange(5), "i32": torch.arange(5, dtype=torch.int32), "i8": torch.zeros(3, dtype=torch.int8),
        "u8": torch.zeros(3, dtype=torch.uint8), "bool": torch.ones(2, 2, dtype=torch.bool),
        "complex": torch.zeros(2, dtype=torch.complex64), "u16": torch.zeros(4, dtype=torch.uint16),
        "f8": torch.zeros(4).to(torch.float8_e4m3fn), "scalar": torch.tensor(2.5), "empty": numbers(0, 4),
        "ünïcode": numbers(1), "nested.dots": numbers(2),
        "parameter": nn.Parameter(numbers(2, 2)),
    }
    state["parameter with attributes"] = nn.Parameter(numbers(2))
    state["parameter with attributes"].note = "x"
    state["subclass"] = numbers(3, 2).t().as_subclass(Marked)
    deep = {"a": {"b": {"c": numbers(2), 7: numbers(3)}}, "list": [numbers(1), {"x": numbers(2)}, 5]}
    flat = {"a.b.c": deep["a"]["b"]["c"], "a.b.7": deep["a"]["b"][7], "list.0": deep["list"][0],
            "list.1.x": deep["list"][1]["x"]}
    save("kinds", {**state, **deep, "version": 3}, {**state, **flat}, {"version": 3}, ("list.2",))
    for protocol in (3, 4, 5):
        save(f"protocol{protocol}", state, state, pickle_protocol=protocol)
    plain = {k: v for k, v in state.items() if k not in ("u16", "f8")}
    save("older", plain, plain, _use_new_zipfile_serialization=False)
    save("older_protocol4", plain, plain, _use_new_zipfile_serialization=False, pickle_protocol=4)


def views():
    a = numbers(6, 8)
    state = {
        "whole": a, "rows": a[2:5], "row": a[3], "columns": a[:, 2:5], "column": a[:, 1],
        "transposed": a.t(), "permuted": a.reshape(2, 3, 8).permute(2, 0, 1), "every": a[::2, ::3],
        "expanded": numbers(1, 3).expand(4, 3), "scalar": a[1, 1], "thin": a[:, :1].t(),
        "one": a[4:5, :4], "empty": a[6:], "tied": a,
        "half": numbers(4, 4, dtype=torch.float16).t(), "ints": torch.arange(6).reshape(2, 3).t(),
    }
    save("views", state, state)
    save("views_older", state, state, _use_new_zipfile_serialization=False)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(5, 4)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU()) for _ in range(2))
        self.head = nn.Linear(4, 5, bias=False)
        self.head.weight = self.embed.weight
        self.scale = nn.Parameter(torch.tensor(0.5))
        self.register_buffer("window", numbers(6))
        self.cache = numbers(3)  # not of its state
        self.all = list(self.layers)
        self.size = 4


def whole():
    model = Model()
    for p in model.parameters():
        p.data = numbers(*p.shape)
    state = model.state_dict()
    save("module", model, state, absent=("cache", "size", "training"))
    torch.serialization.get_source_lines_and_file = None  # the classes' source stays out of it
    save("module_older", {"epoch": 4, "model": model}, state, {"epoch": 4},
         _use_new_zipfile_serialization=False)


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(numbers(3, 2))

    def forward(self, x):
        return x * self.weight


class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = Scaled()
        self.other = Scaled()

    def forward(self, x):
        return self.model(x) + self.other(x)


def script():
    """TorchScript: the same pickle, of objects whose classes are in the archive."""
    module = Scripted()
    path = f"{FOLDER}/torch_script.pt"
    torch.jit.script(module).save(path)
    assert os.path.getsize(path) < 20000
    expect(path, module.state_dict())


def python2():
    class Ordered:
        def __init__(self, *pairs):
            self.pairs = [list(p) for p in pairs]

        def __reduce__(self):
            return collections.OrderedDict, (self.pairs,)

    a, b = numbers(2, 2), numbers(3)
    save("python2", Ordered(("a", a), ("b", Ordered(("c", b)))), {"a": a, "b.c": b})


class Call:
    """Asks for a call of `function` when it is unpickled."""

    def __init__(self, function, *args):
        self.made = function, args

    def __reduce__(self):
        return self.made


def hostile():
    """Would make a file when unpickled by Python. The tensors beside it can be had."""
    mark = "/tmp/mome-torch-was-run"
    w = numbers(3)
    save("hostile", {"w": w, "a": Call(os.system, f"touch {mark}"),
                     "b": {"c": Call(eval, f"open('{mark}', 'w')"), "d": 4}}, {"w": w}, {"b.d": 4},
         ("a", "b.c"))


def published():
    path = f"{PUBLISHED}/yunet_n.pth"
    whole = torch.load(path, map_location="cpu", weights_only=False)
    expect(path, whole["state_dict"], {"meta.epoch": whole["meta"]["epoch"],
                                       "meta.mmcv_version": whole["meta"]["mmcv_version"]},
           ("optimizer.param_groups.0.lr",))
    path = f"{PUBLISHED}/mtcnn-onet.pt"
    expect(path, torch.load(path))


os.makedirs(FOLDER, exist_ok=True)
for make in (fairseq, omegaconf, lightning, whisper, kinds, views, whole, script, python2, hostile,
             published):
    make()
with open(f"{FOLDER}/torch_expected.txt", "w", encoding="utf-8") as out:
    out.write("\n".join(lines) + "\n")
