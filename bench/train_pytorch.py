#!/usr/bin/env python3
"""The MoME stage of train_speed.c in PyTorch: the same weights, batch and steps.

    bench-train_speed MODEL 8 3 10 write FILE
    train_pytorch.py FILE [steps] [--f32] [--compile] [--packed] [--losses FILE]

FILE has everything (train_speed.c, write_file). Frozen weights have requires_grad False and, with
bfloat16, are bfloat16 themselves; what trains is float32 under autocast. Requests run as scripts of
this kind run them, one forward a rate, padded to the longest of that rate; with --packed the linear
layers see all rows of all requests without padding, and only attention is padded. Prints medians of
the phases after the first step (with one thread of CPU time, as train_speed does), and the losses.
--losses FILE: what bench-train_speed printed; the
largest difference of a loss is printed, and both speeds' ratio. It needs torch and safetensors.
"""
import argparse
import json
import re
import statistics
import time

import torch
from safetensors import safe_open
from torch.nn import functional as F


class Model(torch.nn.Module):
    def __init__(self, path, bf16):
        super().__init__()
        with safe_open(path, "pt") as f:
            self.settings = json.loads(f.metadata()["mome"])
            tensors = {name: f.get_tensor(name) for name in f.keys()}
        self.batch = {k[6:]: tensors.pop(k) for k in list(tensors) if k.startswith("batch.")}
        self.trained = torch.nn.ParameterDict()
        self.w = {}
        for name, t in tensors.items():
            if name.startswith(("projector.", "mome.")):
                p = torch.nn.Parameter(t.clone())
                self.trained[name.replace(".", "/")] = p
                self.w[name] = p
            else:
                self.w[name] = t.to(torch.bfloat16) if bf16 and t.dim() > 1 else t
        self.layers = 1 + max(int(n.split(".")[3]) for n in tensors if n.startswith("llm.model.layers."))
        self.rates = sorted({int(r) for r in self.batch["requests"][:, 0]})
        self.sequences = self.make_sequences()
        s = self.settings
        self.inverse = 1 / s["rope_theta"] ** (torch.arange(0, s["head_dim"], 2) / s["head_dim"])

    def make_sequences(self):
        """Of each rate: [(first state, states, prefix, suffix, text)]"""
        bos, opening, closing, self.eos = (int(i) for i in self.batch["special"])
        prompt = self.batch["prompt"].long()
        out = {}
        for row in self.batch["requests"].long():
            rate, first, count, n = row[:4].tolist()
            text = row[4 : 4 + n]
            out.setdefault(rate, []).append((
                first, count // rate, torch.tensor([bos, opening]),
                torch.cat([torch.tensor([closing]), prompt, text]), text))
        return out

    def embed(self, ids):
        extra = self.settings["extra_from"]
        if "projector.tokens.weight" not in self.w:
            return F.embedding(ids, self.w["llm.model.embed_tokens.weight"]).float()
        plain = F.embedding(ids.clamp(max=extra - 1), self.w["llm.model.embed_tokens.weight"]).float()
        added = F.embedding((ids - extra).clamp(min=0), self.w["projector.tokens.weight"])
        return torch.where((ids < extra)[:, None], plain, added)

    def project(self, rate):
        """Rows of all clips at one rate, one after the other, and how many each has."""
        states, parts = self.batch["states"], []
        for first, n, *_ in self.sequences[rate]:
            parts.append(states[first : first + n * rate].view(n, rate, -1).mean(1))
        name = f"projector.audio.{rate}."
        x = F.relu(F.linear(torch.cat(parts), self.w[name + "0.weight"], self.w[name + "0.bias"]))
        x = F.linear(x, self.w[name + "2.weight"], self.w[name + "2.bias"])
        if name + "3.weight" in self.w:
            x = F.layer_norm(x.float(), x.shape[-1:], self.w[name + "3.weight"], self.w[name + "3.bias"])
        return x.float()

    def norm(self, name, x):
        return F.rms_norm(x, x.shape[-1:], self.w[name], self.settings["norm_eps"])

    def experts(self, layer, x):
        s, name = self.settings, f"mome.layers.{layer}."
        h = F.gelu(F.linear(x, self.w[name + "down.weight"], self.w.get(name + "down.bias")))
        scores = F.linear(x, self.w[name + "router.weight"]).float().softmax(-1)
        best, chosen = scores.topk(s["active"], -1)
        gates = torch.zeros_like(scores).scatter(-1, chosen, best)
        wide = gates.repeat_interleave(s["bottleneck"], -1)
        ones = wide.new_ones(*wide.shape[:-1], s["shared"] * s["bottleneck"])
        h = h * torch.cat([ones, wide], -1).to(h.dtype)
        if name + "down.bias" in self.w:
            h = torch.cat([h, gates.to(h.dtype)], -1)
        return F.linear(h, self.w[name + "up.weight"], self.w.get(name + "up.bias")), scores, chosen

    def attention(self, layer, n, mask, place):
        """n: rows, packed or [requests, longest]; place: where the packed rows lie in the padded."""
        s, name = self.settings, f"llm.model.layers.{layer}.self_attn."
        q, k, v = (F.linear(n, self.w[name + p + "_proj.weight"]) for p in "qkv")
        if place is not None:
            b, t = mask
            q, k, v = (x.new_zeros(b * t, x.shape[-1]).index_copy(0, place, x).view(b, t, -1) for x in (q, k, v))
        q, k, v = (x.unflatten(-1, (-1, s["head_dim"])).transpose(1, 2) for x in (q, k, v))
        q, k = self.rope(q), self.rope(k)
        y = F.scaled_dot_product_attention(q, k.to(q.dtype), v, is_causal=True, enable_gqa=True)
        y = y.transpose(1, 2).flatten(2)
        if place is not None:
            y = y.flatten(0, 1).index_select(0, place)
        return F.linear(y, self.w[name + "o_proj.weight"])

    def rope(self, x):
        angle = torch.arange(x.shape[2])[:, None] * self.inverse
        cosine, sine = angle.cos(), angle.sin()
        a, b = x.float().chunk(2, -1)
        return torch.cat([a * cosine - b * sine, b * cosine + a * sine], -1).to(x.dtype)

    def forward(self, rates, packed):
        """-> sum of the weighted losses of these rates' requests, load balance terms"""
        rows, lengths, targets, wanted, weight = [], [], [], [], []
        total = sum(len(s) for s in self.sequences.values())
        for rate in rates:
            audio, at = self.project(rate), 0
            for _, n, prefix, suffix, text in self.sequences[rate]:
                rows.append(torch.cat([self.embed(prefix), audio[at : at + n], self.embed(suffix)]))
                at += n
                lengths.append(rows[-1].shape[0])
                targets.append(torch.cat([text, torch.tensor([self.eos])]))
                wanted.append(torch.arange(lengths[-1] - len(text) - 1, lengths[-1]))
                weight.append(torch.full((len(text) + 1,), 1 / (total * (len(text) + 1))))
        t, b = max(lengths), len(lengths)
        place = torch.cat([torch.arange(n) + i * t for i, n in enumerate(lengths)])
        if packed:
            x, shape = torch.cat(rows), (b, t)
            starts = [sum(lengths[:i]) for i in range(b)]
            wanted = torch.cat([w + s for w, s in zip(wanted, starts)])
        else:
            x, shape = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), None
            wanted = torch.cat([w + i * t for i, w in enumerate(wanted)])
        balance = []
        for layer in range(self.layers):
            name, placement = f"llm.model.layers.{layer}.", self.settings["placement"]
            n1 = self.norm(name + "input_layernorm.weight", x)
            h = x + self.attention(layer, n1, shape, place if packed else None)
            moe = lambda seen: self.experts(layer, seen)
            assert placement == 1, "this script knows the placement mhsa"
            y, scores, chosen = moe(n1)
            h = h + y
            n2 = self.norm(name + "post_attention_layernorm.weight", h)
            gate, up = (F.linear(n2, self.w[name + f"mlp.{p}_proj.weight"]) for p in ("gate", "up"))
            x = h + F.linear(F.silu(gate) * up, self.w[name + "mlp.down_proj.weight"])
            pick = (lambda z: z) if packed else (lambda z: z.flatten(0, 1).index_select(0, place))
            balance.append((pick(scores), pick(chosen)))
        x = self.norm("llm.model.norm.weight", x).flatten(0, -2).index_select(0, wanted)
        head = self.w.get("llm.lm_head.weight", self.w["llm.model.embed_tokens.weight"])
        loss = F.cross_entropy(F.linear(x, head).float(), torch.cat(targets), reduction="none")
        return (loss * torch.cat(weight)).sum(), balance

    def loss(self, forward, packed):
        """All rates at once, or one after the other; the balance is over all rows either way."""
        s, text, terms = self.settings, 0, []
        for rates in [self.rates] if packed else [[r] for r in self.rates]:
            part, balance = forward(rates, packed)
            text = text + part
            terms.append(balance)
        even = 0
        for layer in zip(*terms):
            scores = torch.cat([t[0] for t in layer])
            chosen = torch.cat([t[1] for t in layer])
            share = torch.bincount(chosen.flatten(), minlength=s["routed"]) / chosen.numel()
            even = even + s["routed"] * (share * scores.mean(0)).sum() / self.layers
        return text + s["balance"] * even


def main():
    p = argparse.ArgumentParser()
    p.add_argument("file")
    p.add_argument("steps", nargs="?", type=int, default=10)
    for flag in ("f32", "compile", "packed"):
        p.add_argument("--" + flag, action="store_true")
    p.add_argument("--losses")
    a = p.parse_args()
    model = Model(a.file, not a.f32)
    s = model.settings
    params = list(model.trained.items())
    decays = [v for k, v in params if v.dim() > 1]
    others = [v for k, v in params if v.dim() == 1]
    optimiser = torch.optim.AdamW(
        [{"params": decays, "weight_decay": s["decay"]}, {"params": others, "weight_decay": 0.0}],
        lr=s["rate"], betas=(s["beta1"], s["beta2"]), eps=1e-8, fused=True)
    forward = torch.compile(model.forward) if a.compile else model.forward
    now = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times, losses = [], []
    for _ in range(a.steps):
        start = now()
        optimiser.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=not a.f32):
            loss = model.loss(forward, a.packed)
        middle = now()
        loss.backward()
        after = now()
        torch.nn.utils.clip_grad_norm_(model.trained.values(), s["clip"])
        optimiser.step()
        end = now()
        times.append((middle - start, after - middle, end - after, end - start))
        losses.append(loss.item())
    later = times[1:] or times
    for name, column in zip(("forward", "backward", "optimiser", "step"), zip(*later)):
        print(f"  {name:10} {statistics.median(column):8.3f} s")
    speed = s["clips"] / statistics.median([t[3] for t in later])
    print(f"  {speed:.3f} clips/s, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("losses", *(f"{x:.6f}" for x in losses))
    if a.losses:
        said = open(a.losses).read()
        ours = [float(x) for x in re.search(r"^losses (.*)", said, re.M).group(1).split()]
        ratio = float(re.search(r"([\d.]+) clips/s", said).group(1)) / speed
        print(f"largest difference of {min(len(ours), len(losses))} losses:",
              f"{max(abs(x - y) for x, y in zip(ours, losses)):.6f}; {ratio:.2f} x as fast")


if __name__ == "__main__":
    main()
