"""Makes models_*.safetensors: tiny random parts of the network, computed by PyTorch in float64.

Whisper's encoder and Llama come from Hugging Face transformers; AV-HuBERT, the projector and the
MoME module are written here after their papers. Each file holds the parameters under the names that
src/models uses (convolutions channels last), inputs as input.X, outputs as output.X and, for the loss
sum(output * direction), gradients as grad.NAME.

    pip install torch transformers safetensors && python make_models.py
"""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

torch.set_default_dtype(torch.float64)


def randomise(module, seed):
    g = torch.Generator().manual_seed(seed)
    for name, p in module.named_parameters():
        with torch.no_grad():
            if p.dim() > 1:
                p.copy_(torch.randn(p.shape, generator=g) / (p[0].numel() ** 0.5))
            elif name.endswith("weight"):
                p.copy_(1 + 0.2 * torch.randn(p.shape, generator=g))
            else:
                p.copy_(0.2 * torch.randn(p.shape, generator=g))
    for name, b in module.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(0.1 * torch.randn(b.shape, generator=g))
        if name.endswith("running_var"):
            b.copy_(0.5 + torch.rand(b.shape, generator=g))


def channels_last(t):
    """A convolution's weight [O, C, (D, H,) W] as [O, D, H, W, C]; anything else as it is."""
    if t.dim() == 3:
        t = t[:, :, None, None, :]
    if t.dim() == 4:
        t = t[:, :, None, :, :]
    return t.permute(0, 2, 3, 4, 1) if t.dim() == 5 else t


def save(name, tensors):
    out = {k: v.detach().to(torch.float32).contiguous().clone() for k, v in tensors.items()}
    save_file(out, name)


def state(module, prefix=""):
    return {prefix + k: channels_last(v).clone() for k, v in module.state_dict().items()
            if not k.endswith("num_batches_tracked")}


def gradients(module, output, prefix="", extra=()):
    """direction and grad.*, for all parameters and the extra (name, tensor) inputs."""
    direction = torch.randn(output.shape, generator=torch.Generator().manual_seed(7))
    module.zero_grad()
    for _, t in extra:
        t.grad = None
    (output * direction).sum().backward()
    out = {"direction": direction}
    for k, p in module.named_parameters():
        if p.grad is not None:
            out["grad." + prefix + k] = channels_last(p.grad)
    for k, t in extra:
        out["grad." + k] = t.grad
    return out


def whisper():
    config = WhisperConfig(num_mel_bins=12, d_model=32, encoder_layers=2, encoder_attention_heads=4,
                           encoder_ffn_dim=48, max_source_positions=20, vocab_size=64,
                           decoder_layers=1, decoder_attention_heads=4, decoder_ffn_dim=16,
                           dropout=0.0, pad_token_id=0, bos_token_id=1, eos_token_id=2)
    config._attn_implementation = "eager"
    m = WhisperEncoder(config).double().eval()
    positions = m.embed_positions.weight.data.clone()
    randomise(m, 1)
    m.embed_positions.weight.data = positions
    m.embed_positions.weight.requires_grad_(False)
    x = torch.randn(2, 12, 40, generator=torch.Generator().manual_seed(2))
    x.requires_grad_(True)
    y = m(x).last_hidden_state
    t = state(m, "model.encoder.")
    t.update(gradients(m, y, "model.encoder."))
    t["grad.input.logmel"] = x.grad.transpose(1, 2)
    t["input.logmel"] = x.transpose(1, 2)
    t["output.states"] = y
    save("models_whisper.safetensors", t)


def llama(name, **options):
    config = LlamaConfig(vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                         rms_norm_eps=1e-5, **options)
    config._attn_implementation = "eager"
    m = LlamaForCausalLM(config).double().eval()
    randomise(m, 3)
    ids = torch.randint(0, 40, (1, 17), generator=torch.Generator().manual_seed(4))
    y = m(ids).logits
    t = state(m)
    if options.get("tie_word_embeddings"):
        t.pop("lm_head.weight", None)
    t.update(gradients(m, y))
    t["input.ids"] = ids.double()
    t["output.logits"] = y
    save(name, t)


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(o)
        self.relu1 = nn.PReLU(o)
        self.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(o)
        self.relu2 = nn.PReLU(o)
        self.downsample = None
        if stride != 1 or i != o:
            self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False),
                                            nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, stem, widths, blocks):
        super().__init__()
        self.frontend3D = nn.Sequential(
            nn.Conv3d(1, stem, (5, 7, 7), (1, 2, 2), (2, 3, 3), bias=False),
            nn.BatchNorm3d(stem), nn.PReLU(stem), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)))
        self.trunk = nn.Module()
        i = stem
        for s, (w, n) in enumerate(zip(widths, blocks)):
            stage = []
            for b in range(n):
                stage.append(Block(i, w, 2 if s > 0 and b == 0 else 1))
                i = w
            setattr(self.trunk, f"layer{s + 1}", nn.Sequential(*stage))

    def forward(self, x):  # [N, 1, T, H, W]
        x = self.frontend3D(x)
        n, c, t, h, w = x.shape
        x = x.transpose(1, 2).reshape(n * t, c, h, w)
        for s in range(4):
            x = getattr(self.trunk, f"layer{s + 1}")(x)
        return x.mean((2, 3)).reshape(n, t, -1)


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj = nn.Linear(d, d), nn.Linear(d, d)
        self.v_proj, self.out_proj = nn.Linear(d, d), nn.Linear(d, d)

    def forward(self, x):
        n, t, d = x.shape
        q, k, v = (p(x).reshape(n, t, self.heads, -1).transpose(1, 2)
                   for p in (self.q_proj, self.k_proj, self.v_proj))
        a = (q @ k.transpose(2, 3) / (d // self.heads) ** 0.5).softmax(-1)
        return self.out_proj((a @ v).transpose(1, 2).reshape(n, t, d))


class Layer(nn.Module):
    def __init__(self, d, heads, ffn):
        super().__init__()
        self.self_attn = Attention(d, heads)
        self.self_attn_layer_norm = nn.LayerNorm(d)
        self.fc1, self.fc2 = nn.Linear(d, ffn), nn.Linear(ffn, d)
        self.final_layer_norm = nn.LayerNorm(d)

    def forward(self, x):
        x = x + self.self_attn(self.self_attn_layer_norm(x))
        return x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))


class AvHubert(nn.Module):
    def __init__(self, d, heads, ffn, layers, kernel, groups, stem, widths, blocks, zeros):
        super().__init__()
        self.zeros = zeros
        self.feature_extractor_video = nn.Module()
        self.feature_extractor_video.resnet = ResNet(stem, widths, blocks)
        if zeros:
            self.feature_extractor_video.proj = nn.Linear(widths[3], d)
        wide = 2 * d if zeros else widths[3]
        self.layer_norm = nn.LayerNorm(wide)
        self.post_extract_proj = nn.Linear(wide, d)
        self.encoder = nn.Module()
        self.encoder.pos_conv = nn.Sequential(nn.Conv1d(d, d, kernel, padding=kernel // 2,
                                                        groups=groups))
        self.encoder.layers = nn.ModuleList(Layer(d, heads, ffn) for _ in range(layers))
        self.encoder.layer_norm = nn.LayerNorm(d)

    def forward(self, x):
        x = self.feature_extractor_video.resnet(x)
        if self.zeros:
            x = self.feature_extractor_video.proj(x)
            x = torch.cat([torch.zeros_like(x), x], -1)
        x = self.post_extract_proj(self.layer_norm(x))
        p = self.encoder.pos_conv(x.transpose(1, 2))[:, :, : x.shape[1]]
        x = x + F.gelu(p.transpose(1, 2))
        for layer in self.encoder.layers:
            x = layer(x)
        return self.encoder.layer_norm(x)


def avhubert(name, zeros, kernel):
    m = AvHubert(16, 4, 24, 2, kernel, 4, 4, (4, 6, 8, 10), (1, 2, 1, 1), zeros)
    randomise(m, 5)
    # multiples of 1/8, which bfloat16 holds exactly
    x = torch.randint(-16, 17, (1, 1, 7, 88, 88), generator=torch.Generator().manual_seed(6)) / 8.0
    t = state(m)
    m.eval()
    with torch.no_grad():
        t["output.inference"] = m(x)
    m.train()
    y = m(x)
    t["output.training"] = y
    t.update({"after." + k: v for k, v in state(m).items() if "running" in k})
    t.update(gradients(m, y))
    t["input.pictures"] = x.permute(0, 2, 3, 4, 1)
    out = {k: v.detach().to(torch.bfloat16 if k == "input.pictures" else torch.float32)
           .contiguous().clone() for k, v in t.items()}
    save_file(out, name)


class Mome(nn.Module):
    """Ns shared and Nr routed experts, one by one, as the paper's formula has it."""

    def __init__(self, d, routed, active, shared, b, biases, renormalise):
        super().__init__()
        self.routed, self.active, self.shared, self.b = routed, active, shared, b
        self.renormalise = renormalise
        n = routed + shared
        self.down = nn.Parameter(torch.zeros(n, b, d))
        self.up = nn.Parameter(torch.zeros(n, d, b))
        if biases:
            self.down_bias = nn.Parameter(torch.zeros(n, b))
            self.up_bias = nn.Parameter(torch.zeros(n, d))
        self.biases = biases
        self.router = nn.Parameter(torch.zeros(routed, d))

    def expert(self, n, x):
        h = x @ self.down[n].T
        h = F.gelu(h + self.down_bias[n] if self.biases else h)
        y = h @ self.up[n].T
        return y + self.up_bias[n] if self.biases else y

    def forward(self, x):
        s = (x @ self.router.T).softmax(-1)
        value, chosen = s.topk(self.active, -1)
        g = torch.zeros_like(s).scatter(-1, chosen, value)
        if self.renormalise:
            g = g / g.sum(-1, keepdim=True)
        y = sum(self.expert(n, x) for n in range(self.shared))
        for n in range(self.routed):
            y = y + g[:, n:n + 1] * self.expert(self.shared + n, x)
        share = torch.zeros_like(s).scatter(-1, chosen, 1.0).mean(0) / self.active
        return y, self.routed * (share * s.mean(0)).sum(), share

    def ours(self, grad=False):
        """The same tensors as src/nn/experts.h lays them out."""
        pick = (lambda p: p.grad) if grad else (lambda p: p.data)
        n, d = self.routed + self.shared, self.router.shape[1]
        up = pick(self.up).permute(1, 0, 2).reshape(d, -1)
        t = {"down.weight": pick(self.down).reshape(n * self.b, d),
             "router.weight": pick(self.router)}
        if self.biases:
            t["down.bias"] = pick(self.down_bias).reshape(-1)
            up = torch.cat([up, pick(self.up_bias)[self.shared:].T], 1)
            # the shared experts' biases act as their sum, so each has the sum's gradient
            shared = pick(self.up_bias)[: self.shared]
            t["up.bias"] = shared[0] if grad else shared.sum(0)
        t["up.weight"] = up
        return t


def mome(name, biases, renormalise, shared):
    m = Mome(24, 7, 3, shared, 5, biases, renormalise)
    g = torch.Generator().manual_seed(8)
    for p in m.parameters():
        p.data = torch.randn(p.shape, generator=g) * 0.3
    x = torch.randn(11, 24, generator=g).requires_grad_(True)
    y, balance, share = m(x)
    direction = torch.randn(y.shape, generator=g)
    ((y * direction).sum() + 3 * balance).backward()
    t = m.ours()
    t.update({"grad." + k: v for k, v in m.ours(grad=True).items()})
    t.update({"input.x": x, "grad.input.x": x.grad, "output.y": y, "output.balance": balance[None],
              "output.share": share, "direction": direction})
    save(name, t)


def projector(name, stack, norm):
    rate, d = 3, 10
    m = nn.Sequential(nn.Linear(d * (rate if stack else 1), 12), nn.ReLU(), nn.Linear(12, 14))
    if norm:
        m.append(nn.LayerNorm(14))
    randomise(m, 9)
    x = torch.randn(20, d, generator=torch.Generator().manual_seed(10)).requires_grad_(True)
    parts = []
    for start, length in ((2, 7), (9, 11)):  # 2 and 3 rows; remainders of 1 and 2 dropped
        rows = x[start:start + length // rate * rate].reshape(length // rate, rate, d)
        parts.append(rows.reshape(-1, rate * d) if stack else rows.mean(1))
    y = m(torch.cat(parts))
    t = state(m)
    t.update(gradients(m, y, "", [("input.x", x)]))
    t.update({"input.x": x, "output.y": y})
    save(name, t)


whisper()
llama("models_llama.safetensors", tie_word_embeddings=True, rope_theta=10000.0)
llama("models_llama_scaled.safetensors", tie_word_embeddings=False, attention_bias=False,
      rope_theta=500000.0,
      rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0, "original_max_position_embeddings": 32})
avhubert("models_avhubert.safetensors", True, 6)
avhubert("models_avhubert_own.safetensors", False, 5)
mome("models_mome.safetensors", True, False, 2)
mome("models_mome_plain.safetensors", False, True, 1)
projector("models_projector.safetensors", False, True)
projector("models_projector_stack.safetensors", True, False)
