"""What the published implementations (transformers) make of the published weights, in float32, for
models_continue.c and models_encode.c to compare with. Run by tools/check-models.sh.

    reference.py llm FOLDER FILE.gguf PROMPTS.txt OUT.safetensors
    reference.py whisper FOLDER OUT.safetensors CLIP...

llm: each line of PROMPTS.txt, continued greedily for 64 tokens (ends of text are not heeded):
N.prompt and N.continued are ids, N.second the runner-up of each step and N.margin by how much logit it
lost. whisper: of each clip N.logmel [3000, mels], by transformers' feature extractor from ffmpeg's sound,
N.states [1500, d], by its encoder, and N.bf16, how far PyTorch's own bfloat16 (autocast) comes from those:
max |a - b| / max |b|. What the whole of Whisper hears is printed: it shows that the weights are real. FOLDER has CTranslate2's model.bin, and tokenizer.json.
"""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

TOKENS = 64
torch.set_num_threads(2)


def save(path, tensors):
    save_file({k: torch.as_tensor(v).float().contiguous() for k, v in tensors.items()}, path)


def llm(folder, name, prompts, path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    assert all(p.dtype == torch.float32 for p in model.parameters())
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    out = {}
    for n, prompt in enumerate(Path(prompts).read_text("utf-8").splitlines()):
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        y = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS,
                           do_sample=False, eos_token_id=None, pad_token_id=0, output_logits=True,
                           return_dict_in_generate=True)
        continued = y.sequences[0, ids.shape[1]:]
        value, index = torch.stack(y.logits)[:, 0].topk(2)
        assert len(continued) == TOKENS and (index[:, 0] == continued).all()
        out.update({f"{n}.prompt": ids[0], f"{n}.continued": continued, f"{n}.second": index[:, 1],
                    f"{n}.margin": value[:, 0] - value[:, 1]})
        print(f"  {prompt}|{tokenizer.decode(continued)!r}", flush=True)
    save(path, out)


def ct2(path):
    """{name: tensor} of a CTranslate2 model of version 6, float16 or float32."""
    data = Path(path).read_bytes()
    at = 0

    def take(form):
        nonlocal at
        values = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize("<" + form)
        return values if len(values) > 1 else values[0]

    def text():
        nonlocal at
        length = take("H")
        at += length
        return data[at - length:at].rstrip(b"\0").decode()

    assert take("I") == 6, "not version 6"
    assert text() == "WhisperSpec"
    take("I")
    tensors = {}
    for _ in range(take("I")):
        name, rank = text(), take("B")
        shape = [take("I") for _ in range(rank)]
        kind, size = take("BI")
        if kind in (0, 4):
            a = np.frombuffer(data, np.float32 if kind == 0 else np.float16, offset=at,
                              count=size // (4 if kind == 0 else 2))
            tensors[name] = torch.from_numpy(a.astype(np.float32)).reshape(shape)
        at += size
    for _ in range(take("I")):
        alias, name = text(), text()
        tensors[alias] = tensors.get(name)
    return tensors


def whisper_state(c):
    """The same under Hugging Face's names; q, k, v of self-attention and k, v of the other are fused in
    CTranslate2's file."""
    s = {}

    def linear(to, source, parts=("",)):
        weight, bias = c[source + "/weight"].chunk(len(parts)), c[source + "/bias"].chunk(len(parts))
        for part, w, b in zip(parts, weight, bias):
            s[to + part + ".weight"] = w
            if part == "k_proj":
                assert not b.any()
            else:
                s[to + part + ".bias"] = b

    def norm(to, source):
        s[to + ".weight"], s[to + ".bias"] = c[source + "/gamma"], c[source + "/beta"]

    for side in "encoder", "decoder":
        to = f"model.{side}."
        s[to + "embed_positions.weight"] = c[side + "/position_encodings/encodings"]
        norm(to + "layer_norm", side + "/layer_norm")
        i = 0
        while f"{side}/layer_{i}/ffn/linear_0/weight" in c:
            a, b = f"{to}layers.{i}.", f"{side}/layer_{i}/"
            norm(a + "self_attn_layer_norm", b + "self_attention/layer_norm")
            linear(a + "self_attn.", b + "self_attention/linear_0", ("q_proj", "k_proj", "v_proj"))
            linear(a + "self_attn.out_proj", b + "self_attention/linear_1")
            if side == "decoder":
                norm(a + "encoder_attn_layer_norm", b + "attention/layer_norm")
                linear(a + "encoder_attn.q_proj", b + "attention/linear_0")
                linear(a + "encoder_attn.", b + "attention/linear_1", ("k_proj", "v_proj"))
                linear(a + "encoder_attn.out_proj", b + "attention/linear_2")
            norm(a + "final_layer_norm", b + "ffn/layer_norm")
            linear(a + "fc1", b + "ffn/linear_0")
            linear(a + "fc2", b + "ffn/linear_1")
            i += 1
    for conv in "conv1", "conv2":
        linear("model.encoder." + conv, "encoder/" + conv)
    s["model.decoder.embed_tokens.weight"] = s["proj_out.weight"] = c["decoder/embeddings/weight"]
    return s, i


def whisper(folder, path, *clips):
    from tokenizers import Tokenizer
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    state, layers = whisper_state(ct2(Path(folder) / "model.bin"))
    d, mels, _ = state["model.encoder.conv1.weight"].shape
    ffn = state["model.encoder.layers.0.fc1.weight"].shape[0]
    config = WhisperConfig(num_mel_bins=mels, d_model=d, encoder_layers=layers, decoder_layers=layers,
                           encoder_attention_heads=d // 64, decoder_attention_heads=d // 64,
                           encoder_ffn_dim=ffn, decoder_ffn_dim=ffn,
                           vocab_size=state["proj_out.weight"].shape[0])
    model = WhisperForConditionalGeneration(config).eval()
    model.load_state_dict(state)
    features = WhisperFeatureExtractor(feature_size=mels)
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    start = [tokenizer.token_to_id(t) for t in ("<|startoftranscript|>", "<|en|>", "<|transcribe|>",
                                                "<|notimestamps|>")]
    end = tokenizer.token_to_id("<|endoftext|>")
    out = {}
    for n, clip in enumerate(clips):
        sound = subprocess.run(["ffmpeg", "-v", "error", "-i", clip, "-ac", "1", "-ar", "16000", "-f",
                                "f32le", "-"], check=True, stdout=subprocess.PIPE).stdout
        logmel = features(np.frombuffer(sound, np.float32), sampling_rate=16000,
                          return_tensors="pt").input_features
        with torch.no_grad():
            states = model.model.encoder(logmel).last_hidden_state
            with torch.autocast("cpu", torch.bfloat16):
                rounded = model.model.encoder(logmel).last_hidden_state.float()
            ids, new, past = list(start), start, None
            while ids[-1] != end and len(ids) < 200:
                y = model(encoder_outputs=(states,), decoder_input_ids=torch.tensor([new]),
                          past_key_values=past, use_cache=True)
                past, new = y.past_key_values, [int(y.logits[0, -1].argmax())]
                ids += new
        error = (rounded - states).abs().max() / states.abs().max()
        out.update({f"{n}.logmel": logmel[0].T, f"{n}.states": states[0], f"{n}.bf16": error[None]})
        print(f"  {Path(clip).name}|{tokenizer.decode(ids)}", flush=True)
    save(path, out)


if __name__ == "__main__":
    {"llm": llm, "whisper": whisper}[sys.argv[1]](*sys.argv[2:])
