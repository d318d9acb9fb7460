"""Makes models_published.safetensors: what the published implementations answer, at published shapes
where that is quick (Whisper tiny's encoder, AV-HuBERT's whole picture trunk), smaller ones elsewhere.

Whisper, Llama and Qwen2 are Hugging Face's (transformers); AV-HuBERT is the published code itself:
its hubert.py and resnet.py, and the fairseq of its submodule, read from two folders beside the project:

    pip install torch transformers safetensors
    python make_published.py FOLDER_OF_av_hubert FOLDER_OF_fairseq

Weights and inputs are not stored: both sides make them from their names (`named` here, golden_named in
golden.h). Everything is computed in float64. In the file: CASE.ids and CASE.output; every 25th row of
an encoder's states; for qwen2 also the gradients that sum(logits * direction) gives biases and norms.
"""

import importlib
import sys
import types
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

torch.set_default_dtype(torch.float64)
ROWS = 25  # of an encoder's states, one in so many is kept


def uniform(name, count):
    """count float32 in [-1, 1): splitmix64 from the FNV-1a hash of name."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001B3 & (1 << 64) - 1
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).astype(np.float32)


def channels_last(shape):
    """[O, C, (D, H,) W] -> [O, D, H, W, C], a convolution's weight as src/nn has it; the way back."""
    if len(shape) < 3:
        return shape, None
    o, c, *k = shape
    return (o, *(1,) * (3 - len(k)), *k, c), lambda t: t.permute(0, 4, 1, 2, 3).reshape(shape)


def named(name, shape):
    ours, back = channels_last(tuple(shape))
    v = uniform(name, int(np.prod(ours)))
    f = np.float32
    if "running_var" in name:
        v = f(1) + f(0.5) * v
    elif len(ours) > 1:
        v = np.sqrt(f(3) / f(np.prod(ours[1:]))) * v
    elif name.endswith(("relu1.weight", "relu2.weight", "frontend3D.2.weight")):
        v = f(0.25) + f(0.25) * v
    elif name.endswith(".weight"):
        v = f(1) + f(0.3) * v
    else:
        v = f(0.2) * v
    t = torch.from_numpy(v).double().reshape(ours)
    return back(t) if back else t


def fill(module, prefix=""):
    done = set()
    with torch.no_grad():
        for name, t in [*module.named_parameters(), *module.named_buffers()]:
            if t.is_floating_point() and t.data_ptr() not in done and "inv_freq" not in name:
                done.add(t.data_ptr())
                t.copy_(named(prefix + name, t.shape))


out = {}


def whisper(case, mels, d, layers, heads, ffn, frames):
    config = WhisperConfig(num_mel_bins=mels, d_model=d, encoder_layers=layers,
                           encoder_attention_heads=heads, encoder_ffn_dim=ffn,
                           max_source_positions=1500)
    config._attn_implementation = "eager"
    m = WhisperEncoder(config).double().eval()
    fill(m, "model.encoder.")
    if frames != 3000:  # the published code takes nothing but its whole window: make that shorter
        m.embed_positions = nn.Embedding.from_pretrained(m.embed_positions.weight[: frames // 2])
        m.config.max_source_positions = frames // 2
    x = torch.from_numpy(uniform("input", frames * mels)).double().reshape(1, frames, mels)
    with torch.no_grad():
        y = m(x.transpose(1, 2)).last_hidden_state[0]
    out[case + ".output"] = y[::ROWS]


def language(case, d, heads, kv_heads, head_dim, ffn, theta, eps=1e-5, tied=False, bias=False,
             factor=None):
    rope = {"rope_type": "default", "rope_theta": theta}
    if factor:
        rope = {"rope_type": "llama3", "rope_theta": theta, "factor": factor, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    options = dict(vocab_size=97, hidden_size=d, intermediate_size=ffn, num_hidden_layers=2,
                   num_attention_heads=heads, num_key_value_heads=kv_heads, rms_norm_eps=eps,
                   max_position_embeddings=512, rope_parameters=rope, tie_word_embeddings=tied)
    if bias:
        assert head_dim * heads == d
        m = Qwen2ForCausalLM(Qwen2Config(**options, attn_implementation="eager"))
    else:
        m = LlamaForCausalLM(LlamaConfig(**options, head_dim=head_dim, attn_implementation="eager"))
    m = m.double().eval()
    fill(m)
    ids = torch.from_numpy((uniform(case + ".ids", 40) * 48.5 + 48.5).astype(np.int64))[None]
    y = m(ids).logits[0]
    out[case + ".ids"], out[case + ".output"] = ids[0].double(), y
    if bias:
        direction = torch.from_numpy(uniform("direction", y.numel())).double().reshape(y.shape)
        (y * direction).sum().backward()
        for name, p in m.named_parameters():
            if p.dim() == 1:
                out[f"{case}.grad.{name}"] = p.grad


class Stub(types.ModuleType):
    """A module that is imported but not used here. A package where folder is given: then its
    submodules are the published ones, its own __init__ is not run."""

    def __init__(self, name, folder=None, **names):
        super().__init__(name)
        self.__path__ = [str(folder)] if folder else []
        self.__dict__.update(names)
        sys.modules[name] = self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


def published_avhubert(folder, fairseq):
    same = lambda x, *rest, **named: x
    Stub("omegaconf", II=same)
    root = Stub("fairseq", fairseq / "fairseq")
    Stub("fairseq.data")
    Stub("fairseq.data.data_utils")
    Stub("fairseq.data.dictionary")
    Stub("fairseq.dataclass", ChoiceEnum=lambda names: str)
    Stub("fairseq.models", fairseq / "fairseq/models", BaseFairseqModel=nn.Module,
         register_model=lambda *a, **k: same)
    Stub("fairseq.models.wav2vec", fairseq / "fairseq/models/wav2vec")
    modules = Stub("fairseq.modules", fairseq / "fairseq/modules")
    for name, file in (("MultiheadAttention", "multihead_attention"), ("LayerNorm", "layer_norm"),
                       ("Fp32LayerNorm", "layer_norm"), ("SamePad", "same_pad"),
                       ("gelu", "gelu"), ("gelu_accurate", "gelu"), ("GradMultiply", "grad_multiply")):
        if file == "multihead_attention":  # fairseq.utils and this one import each other
            root.utils = importlib.import_module("fairseq.utils")
        setattr(modules, name, getattr(importlib.import_module("fairseq.modules." + file), name))
    Stub("avhubert", folder / "avhubert")
    for name in ("hubert_pretraining", "utils", "decoder"):
        Stub("avhubert." + name)
    return importlib.import_module("avhubert.hubert")


def avhubert(case, hubert, d, heads, ffn, layers, frames):
    cfg = hubert.AVHubertConfig()
    cfg.label_rate, cfg.audio_feat_dim, cfg.modality_fuse, cfg.final_dim = 25, 104, "concat", 16
    cfg.encoder_embed_dim, cfg.encoder_attention_heads, cfg.encoder_ffn_embed_dim = d, heads, ffn
    cfg.encoder_layers, cfg.layer_norm_first, cfg.resnet_relu_type = layers, True, "prelu"
    assert cfg.conv_pos == 128 and cfg.conv_pos_groups == 16 and cfg.sub_encoder_layers == 0
    m = hubert.AVHubertModel(cfg, types.SimpleNamespace(sample_rate=25), [None]).double().eval()
    fill(m)
    # weight norm: a v at other scales whose norms, tap by tap, are not g; w = g v / |v| is `named`
    conv = m.encoder.pos_conv[0]
    w = named("encoder.pos_conv.0.weight", conv.weight_v.shape)
    with torch.no_grad():
        conv.weight_v.copy_(w * (2 + torch.from_numpy(uniform("v", 128)).double()))
        conv.weight_g.copy_(w.norm(dim=(0, 1), keepdim=True))
    x = torch.from_numpy(uniform("input", frames * 88 * 88)).double().reshape(1, 1, frames, 88, 88)
    with torch.no_grad():
        y, _ = m.extract_finetune({"audio": None, "video": 2 * x})
    out[case + ".output"] = y[0]


av_hubert_folder, fairseq_folder = map(Path, sys.argv[1:])
whisper("whisper_tiny", 80, 384, 4, 6, 1536, 3000)
whisper("whisper_tiny_trimmed", 80, 384, 4, 6, 1536, 340)
whisper("whisper_large_v3", 128, 320, 3, 5, 1280, 3000)
whisper("whisper_large_v3_trimmed", 128, 320, 3, 5, 1280, 340)
language("llama2", 64, 4, 4, 16, 176, 10000.0)
language("llama3", 64, 8, 2, 8, 224, 500000.0)
language("llama31", 64, 8, 2, 8, 224, 500000.0, factor=8.0)
language("llama32", 64, 8, 2, 16, 256, 500000.0, tied=True, factor=32.0)
language("tinyllama", 64, 8, 1, 8, 176, 10000.0)
language("smollm2", 72, 9, 3, 8, 192, 100000.0, tied=True)
language("qwen2", 56, 7, 1, 8, 304, 1000000.0, eps=1e-6, bias=True)
language("qwen2_tied", 56, 7, 1, 8, 304, 1000000.0, eps=1e-6, bias=True, tied=True)
published = published_avhubert(av_hubert_folder, fairseq_folder)
avhubert("avhubert_base", published, 96, 12, 384, 3, 9)
avhubert("avhubert_large", published, 128, 16, 512, 4, 14)
save_file({k: v.detach().float().contiguous() for k, v in out.items()}, "models_published.safetensors")
