"""Makes data/parts: one tiny random model of each kind, as each of its publishers would save it.

Numbers are exact in float16 (in the LLMs: in Q8_0), so that all files of a model must give the same
bits. Hugging Face's files are written by transformers, GGUF by gguf, .pt by torch; whisper.cpp's and
CTranslate2's formats are written here. expected_*.safetensors hold our own layout.

    pip install torch transformers safetensors gguf tokenizers && python make_parts.py
"""

import json
import os
import shutil
import struct

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          WhisperConfig, WhisperModel)

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "parts")
G = torch.Generator().manual_seed(11)
Q8 = gguf.GGMLQuantizationType.Q8_0


def path(*names):
    p = os.path.join(OUT, *names)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    return p


def randomise(module):
    for p in list(module.parameters()) + [b for b in module.buffers() if b.is_floating_point()]:
        p.data = torch.randn(p.shape, generator=G).half().float()


def channels_last(t):
    """[O, I, k...] -> [O, kd, kh, kw, I]"""
    while t.dim() < 5:
        t = t.unsqueeze(2)
    return t.permute(0, 2, 3, 4, 1).contiguous()


# ---- Whisper ----------------------------------------------------------------------------------

OPENAI = {"self_attn.q_proj": "attn.query", "self_attn.k_proj": "attn.key",
          "self_attn.v_proj": "attn.value", "self_attn.out_proj": "attn.out",
          "self_attn_layer_norm": "attn_ln", "final_layer_norm": "mlp_ln", "fc1": "mlp.0",
          "fc2": "mlp.2", "embed_positions.weight": "positional_embedding",
          "encoder.layer_norm": "encoder.ln_post", "encoder.layers": "encoder.blocks"}


def string(s):
    b = s.encode() + b"\0"
    return struct.pack("<H", len(b)) + b


def write_ggml(tensors, c):
    f = open(path("whisper_ggml.bin"), "wb")
    f.write(struct.pack("<12i", 0x67676d6c, c.vocab_size, c.max_source_positions, c.d_model,
                        c.encoder_attention_heads, c.encoder_layers, 8, c.d_model, 2, 1,
                        c.num_mel_bins, 1))
    f.write(struct.pack("<2i", c.num_mel_bins, 3) + bytes(4 * 3 * c.num_mel_bins))
    f.write(struct.pack("<i", 2) + struct.pack("<i", 1) + b"a" + struct.pack("<i", 2) + b"bc")
    for name, t in tensors.items():
        half = t.dim() > 1 and "positional" not in name
        if name.endswith(("conv1.bias", "conv2.bias")):
            t = t[:, None]
        a = t.numpy().astype(np.float16 if half else np.float32)
        f.write(struct.pack("<3i", a.ndim, len(name), int(half)))
        f.write(struct.pack("<%di" % a.ndim, *reversed(a.shape)) + name.encode() + a.tobytes())


def write_ct2(e, c):
    out = {"encoder/num_heads": np.array(c.encoder_attention_heads, np.int16),
           "encoder/position_encodings/encodings": e["embed_positions.weight"],
           "encoder/layer_norm/gamma": e["layer_norm.weight"],
           "encoder/layer_norm/beta": e["layer_norm.bias"],
           "decoder/layer_norm/gamma": torch.zeros(c.d_model)}
    for n in ("conv1", "conv2"):
        for k in ("weight", "bias"):
            out[f"encoder/{n}/{k}"] = e[f"{n}.{k}"]
    for i in range(c.encoder_layers):
        a, b = f"encoder/layer_{i}/", f"layers.{i}."
        for theirs, ours in (("self_attention/layer_norm", "self_attn_layer_norm"),
                             ("ffn/layer_norm", "final_layer_norm")):
            out[f"{a}{theirs}/gamma"] = e[f"{b}{ours}.weight"]
            out[f"{a}{theirs}/beta"] = e[f"{b}{ours}.bias"]
        q, k, v = (e[f"{b}self_attn.{x}_proj.weight"] for x in "qkv")
        bias = [e[f"{b}self_attn.q_proj.bias"], torch.zeros(c.d_model),
                e[f"{b}self_attn.v_proj.bias"]]
        out[a + "self_attention/linear_0/weight"] = torch.cat([q, k, v])
        out[a + "self_attention/linear_0/bias"] = torch.cat(bias)
        for theirs, ours in (("self_attention/linear_1", "self_attn.out_proj"),
                             ("ffn/linear_0", "fc1"), ("ffn/linear_1", "fc2")):
            for k in ("weight", "bias"):
                out[f"{a}{theirs}/{k}"] = e[f"{b}{ours}.{k}"]
    f = open(path("whisper_ct2", "model.bin"), "wb")
    f.write(struct.pack("<I", 6) + string("WhisperSpec") + struct.pack("<2I", 3, len(out)))
    for name in sorted(out):
        a = out[name] if isinstance(out[name], np.ndarray) else out[name].numpy().astype(np.float16)
        f.write(string(name) + struct.pack("<B", a.ndim) + struct.pack("<%dI" % a.ndim, *a.shape))
        f.write(struct.pack("<BI", 4 if a.dtype == np.float16 else 2, a.nbytes) + a.tobytes())
    f.write(struct.pack("<I", 0))


def whisper():
    c = WhisperConfig(num_mel_bins=6, d_model=16, encoder_layers=2, encoder_attention_heads=2,
                      encoder_ffn_dim=24, max_source_positions=10, vocab_size=64, decoder_layers=1,
                      decoder_attention_heads=2, decoder_ffn_dim=8, max_target_positions=8,
                      pad_token_id=0, bos_token_id=1, eos_token_id=2)
    m = WhisperModel(c)
    randomise(m)
    m.save_pretrained(path("whisper_hf"))
    e = {k: v.detach().clone() for k, v in m.encoder.state_dict().items()}
    full = {"encoder." + k: v for k, v in e.items()}
    full["decoder.layer_norm.weight"] = torch.zeros(16)
    short = {"model." + k: v.half() for k, v in full.items() if "embed_positions" not in k}
    save_file(short, path("whisper_hf_f16", "model.safetensors"))
    shutil.copy(path("whisper_hf", "config.json"), path("whisper_hf_f16", "config.json"))
    openai = {}
    for k, v in full.items():
        for a, b in OPENAI.items():
            k = k.replace(a, b)
        openai[k] = v
    dims = {"n_mels": 6, "n_audio_ctx": 10, "n_audio_state": 16, "n_audio_head": 2,
            "n_audio_layer": 2, "n_vocab": 64, "n_text_ctx": 8, "n_text_state": 16,
            "n_text_head": 2, "n_text_layer": 1}
    torch.save({"dims": dims, "model_state_dict": {k: v.half() for k, v in openai.items()}},
               path("whisper_openai.pt"))
    write_ggml(openai, c)
    write_ct2(e, c)
    save_file({"model.encoder." + k: channels_last(v) if k.startswith("conv") and v.dim() > 1
               else v for k, v in e.items()}, path("expected_whisper.safetensors"))
    return e


# ---- AV-HuBERT --------------------------------------------------------------------------------

def avhubert():
    d, ffn, stem, kernel, groups = 16, 24, 4, 8, 4
    t = {}

    def add(name, *shape):
        t[name] = torch.randn(shape, generator=G).half().float()

    def norm(name, n):
        for k in ("weight", "bias", "running_mean", "running_var"):
            add(f"{name}.{k}", n)
        t[name + ".running_var"] = t[name + ".running_var"].abs()
        t[name + ".num_batches_tracked"] = torch.tensor(7)

    r = "feature_extractor_video.resnet."
    add(r + "frontend3D.0.weight", stem, 1, 5, 7, 7)
    norm(r + "frontend3D.1", stem)
    add(r + "frontend3D.2.weight", stem)
    last = stem
    for s, width in enumerate((4, 5, 6, 7)):
        for b in range(2 if s == 0 else 1):
            p = f"{r}trunk.layer{s + 1}.{b}."
            add(p + "conv1.weight", width, last if b == 0 else width, 3, 3)
            add(p + "conv2.weight", width, width, 3, 3)
            norm(p + "bn1", width), norm(p + "bn2", width)
            add(p + "relu1.weight", width), add(p + "relu2.weight", width)
            if b == 0 and s > 0:
                add(p + "downsample.0.weight", width, last, 1, 1)
                norm(p + "downsample.1", width)
        last = width
    for name, out, n in (("feature_extractor_video.proj", d, last), ("post_extract_proj", d, 2 * d)):
        add(name + ".weight", out, n), add(name + ".bias", out)
    add("layer_norm.weight", 2 * d), add("layer_norm.bias", 2 * d)
    p = "encoder.pos_conv.0."
    add(p + "weight_g", 1, 1, kernel), add(p + "weight_v", d, d // groups, kernel), add(p + "bias", d)
    for i in range(2):
        q = f"encoder.layers.{i}."
        for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
            add(f"{q}self_attn.{n}.weight", d, d), add(f"{q}self_attn.{n}.bias", d)
        add(q + "fc1.weight", ffn, d), add(q + "fc1.bias", ffn)
        add(q + "fc2.weight", d, ffn), add(q + "fc2.bias", d)
        for n in ("self_attn_layer_norm", "final_layer_norm"):
            add(f"{q}{n}.weight", d), add(f"{q}{n}.bias", d)
    add("encoder.layer_norm.weight", d), add("encoder.layer_norm.bias", d)

    arch = {"_name": "av_hubert", "encoder_attention_heads": 2, "layer_norm_first": True}
    extra = {"mask_emb": torch.zeros(d), "feature_extractor_audio.proj.weight": torch.zeros(d, 4),
             "label_embs_concat": torch.zeros(5, 4)}
    half = {k: v.half() if v.is_floating_point() else v for k, v in {**t, **extra}.items()}
    torch.save({"args": None, "cfg": {"model": arch}, "model": half,
                "last_optimizer_state": {"state": {0: {"exp_avg": torch.zeros(3)}}}},
               path("avhubert_pretrained.pt"))
    tuned = {"encoder.w2v_model." + k: v for k, v in t.items()}
    tuned["decoder.embed_tokens.weight"] = torch.zeros(9, d)
    torch.save({"cfg": {"model": {"_name": "av_hubert_seq2seq", "w2v_args": {"model": arch}}},
                "model": tuned}, path("avhubert_finetuned.pt"), _use_new_zipfile_serialization=False)
    new = {k: v for k, v in t.items() if not k.startswith(p + "weight_")}
    new[p + "parametrizations.weight.original0"] = t[p + "weight_g"]
    new[p + "parametrizations.weight.original1"] = t[p + "weight_v"]
    new = {k: x.half() if x.is_floating_point() else x for k, x in new.items()}
    torch.save({"cfg": {"model": arch}, "model": new}, path("avhubert_parametrized.pt"),
               _use_new_zipfile_serialization=False)

    v = t[p + "weight_v"].double()
    w = t[p + "weight_g"].double() * v / v.square().sum((0, 1), keepdim=True).sqrt()
    ours = {k: channels_last(x) if x.dim() > 2 else x for k, x in t.items()
            if not k.endswith(("num_batches_tracked", "weight_g", "weight_v"))}
    ours[p + "weight"] = channels_last(w.float())
    save_file(ours, path("expected_avhubert.safetensors"))
    return t


# ---- LLMs -------------------------------------------------------------------------------------

def on_q8_grid(m):
    for p in m.parameters():
        a = (torch.randn(p.shape, generator=G) / 4).half().float().numpy()
        if a.ndim == 2:
            a = gguf.dequantize(gguf.quantize(a, Q8), Q8)
        p.data = torch.from_numpy(np.ascontiguousarray(a))


def tokenizer(folder, bos, eos):
    t = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(
        pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.decoder = decoders.ByteLevel()
    t.add_special_tokens([bos, eos])
    t.save(path(folder, "tokenizer.json"))
    json.dump({"bos_token": {"content": bos, "special": True}, "eos_token": eos},
              open(path(folder, "tokenizer_config.json"), "w"))
    return [t.id_to_token(i) for i in range(t.get_vocab_size())]


NAMES = {"model.embed_tokens": "token_embd", "lm_head": "output", "model.norm": "output_norm",
         "model.layers.": "blk.", "input_layernorm": "attn_norm",
         "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
         "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}


def interleave(a, heads):
    return a.reshape(heads, 2, a.shape[0] // heads // 2, *a.shape[1:]).swapaxes(1, 2).reshape(a.shape)


def write_gguf(name, arch, m, words, quantised=False, divisors=None):
    c = m.config
    w = gguf.GGUFWriter(path(name), arch)
    w.add_block_count(c.num_hidden_layers)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_head_count(c.num_attention_heads)
    w.add_head_count_kv(c.num_key_value_heads)
    w.add_rope_freq_base(c.rope_parameters["rope_theta"])
    w.add_layer_norm_rms_eps(c.rms_norm_eps)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("gpt-2")
    w.add_token_list(words)
    w.add_token_types([1] * 256 + [3] * (len(words) - 256))
    w.add_token_merges([])
    w.add_bos_token_id(256)
    w.add_eos_token_id(257)
    for k, t in m.state_dict().items():
        if k == "lm_head.weight" and c.tie_word_embeddings:
            continue
        a = t.numpy()
        if arch == "llama" and ".q_proj." in k:
            a = interleave(a, c.num_attention_heads)
        if arch == "llama" and ".k_proj." in k:
            a = interleave(a, c.num_key_value_heads)
        for x, y in NAMES.items():
            k = k.replace(x, y)
        if quantised and a.ndim == 2:
            w.add_tensor(k, gguf.quantize(a, Q8), raw_dtype=Q8)
        else:
            w.add_tensor(k, a)
    if divisors is not None:
        w.add_tensor("rope_freqs.weight", divisors)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def llms():
    common = dict(vocab_size=264, hidden_size=32, intermediate_size=32, num_attention_heads=4,
                  num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=131072)
    rope = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 32.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    m = LlamaForCausalLM(LlamaConfig(num_hidden_layers=1, rope_parameters=rope, bos_token_id=256,
                                     eos_token_id=257, tie_word_embeddings=False, **common))
    on_q8_grid(m)
    m.save_pretrained(path("llama_hf"), max_shard_size="60KB")
    words = tokenizer("llama_hf", "<|begin_of_text|>", "<|end_of_text|>")
    plain = 500000.0 ** (-np.arange(0, 8, 2) / 8)
    divisors = (plain / m.model.rotary_emb.inv_freq.numpy()).astype(np.float32)
    write_gguf("llama_f32.gguf", "llama", m, words, divisors=divisors)
    write_gguf("llama_q8_0.gguf", "llama", m, words, quantised=True, divisors=divisors)
    old = json.load(open(path("llama_hf", "config.json")))
    scaling = old.pop("rope_parameters")
    old["rope_theta"] = scaling.pop("rope_theta")
    old["rope_scaling"] = scaling
    json.dump(old, open(path("llama_torch", "config.json"), "w"), indent=1)
    torch.save({k[6:]: v for k, v in m.state_dict().items() if k.startswith("model.")} |
               {"lm_head.weight": m.lm_head.weight.data}, path("llama_torch", "pytorch_model.bin"))

    q = Qwen2ForCausalLM(Qwen2Config(num_hidden_layers=1, tie_word_embeddings=True,
                                     bos_token_id=257, eos_token_id=257, **common))
    on_q8_grid(q)
    q.save_pretrained(path("qwen2_hf"))
    words = tokenizer("qwen2_hf", "<|im_end|>", "<|endoftext|>")
    write_gguf("qwen2_f32.gguf", "qwen2", q, words)
    return m


# ---- a checkpoint of Omni-AVSR ----------------------------------------------------------------

def omni(audio, video, llm):
    def r(*shape):
        return (torch.randn(shape, generator=G) / 8).half().float()

    t, ours = {}, {}
    for name, rates, n in (("audio", (4, 16), 16), ("video", (2, 5), 16)):
        for place, rate in enumerate(rates):
            for k, shape in (("0.weight", (12, n)), ("0.bias", (12,)), ("2.weight", (32, 12)),
                             ("2.bias", (32,))):
                ours[f"projector.{name}.{rate}.{k}"] = t[f"model.{name}_proj.{place}.{k}"] = r(*shape)
    rows = r(260 + 3, 32)  # of 258 published tokens and five added ones
    t["model.llm.model.embed_tokens.weight"] = rows.half()
    ours["projector.tokens.weight"] = rows[-5:].clone()
    for i in range(1):
        for x, out in (("Q", 32), ("V", 16)):
            a = f"model.llm.model.layers.{i}.self_attn."
            down, up = r(4, 32), r(out, 4)
            t[f"{a}lora_down_{x}.weight"], t[f"{a}lora_up_{x}.weight"] = down, up
            w = llm.state_dict()[f"model.layers.{i}.self_attn.{x.lower()}_proj.weight"]
            t[f"{a}{x.lower()}_proj.weight"] = w
            ours[f"llm.model.layers.{i}.self_attn.{x.lower()}_proj.weight"] = (
                w.double() + 0.5 * up.double() @ down.double()).float()
    t.update({"model.video_encoder." + k: v.half() if v.is_floating_point() else v
              for k, v in video.items()})
    t["model.video_encoder.feature_extractor_video.resnet.frontend3D.1.running_mean"] = r(4)
    ours["video.running_mean"] = t["model.video_encoder.feature_extractor_video.resnet.frontend3D.1"
                                   ".running_mean"]
    q = "encoder.layers.1.self_attn."
    down, up = r(1, 16), r(16, 1)
    t[f"model.video_encoder.{q}lora_down_Q.weight"] = down
    t[f"model.video_encoder.{q}lora_up_Q.weight"] = up
    ours["video.q_proj"] = (video[q + "q_proj.weight"].double() + 2 * up.double() @ down.double()).float()
    t.update({"model.audio_encoder." + k: v.half() for k, v in audio.items()})
    t["model.prompt_audio"] = torch.zeros(1, 6, 32)
    torch.save({"epoch": 9, "state_dict": t, "optimizer_states": [], "pytorch-lightning_version": "2",
                "cfg": {"model": {"encoder_attention_heads": 2}},
                "hyper_parameters": {"rank": 8, "alpha": 4, "downsample_ratio_audio": [4, 16],
                                     "downsample_ratio_video": [2, 5]}}, path("omni.ckpt"),
               _use_new_zipfile_serialization=False)
    averaged = {k[6:]: v for k, v in t.items() if "_proj." in k and "self_attn" not in k}
    averaged["llm.model.embed_tokens.weight"] = rows.half()
    torch.save(averaged, path("omni_averaged.pth"))
    save_file({k: v.contiguous() for k, v in ours.items()}, path("expected_omni.safetensors"))


shutil.rmtree(OUT, ignore_errors=True)
encoder = whisper()
pictures = avhubert()
omni(encoder, pictures, llms())
for root, _, files in os.walk(OUT):
    for name in files:
        if name == "generation_config.json":
            os.remove(os.path.join(root, name))
