#!/usr/bin/env python3
"""The encoders of encoder_speed.c in PyTorch, random weights: what there is to beat.

    encoder_pytorch.py whisper|avhubert [frames] [runs] [threads]

Prints median and best time of each way PyTorch has: float32, bfloat16 weights, autocast to
bfloat16; for avhubert also with the pictures channels last. Architectures as in src/models/whisper.h
and avhubert.h, in plain torch.nn; attention by F.scaled_dot_product_attention. With one thread it
counts CPU time, as encoder_speed does.
"""
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


class Layer(nn.Module):
    def __init__(self, d, heads, ffn, k_bias):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.q, self.k, self.v = nn.Linear(d, d), nn.Linear(d, d, bias=k_bias), nn.Linear(d, d)
        self.out = nn.Linear(d, d)
        self.fc1, self.fc2 = nn.Linear(d, ffn), nn.Linear(ffn, d)

    def forward(self, x):
        n = self.norm1(x)
        q, k, v = (f(n).unflatten(-1, (self.heads, -1)).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Whisper(nn.Module):
    """[1, 80, frames] -> [1, frames / 2, 512]"""

    def __init__(self, mels=80, d=512, layers=6, heads=8, ffn=2048, positions=1500):
        super().__init__()
        self.conv1 = nn.Conv1d(mels, d, 3, padding=1)
        self.conv2 = nn.Conv1d(d, d, 3, stride=2, padding=1)
        self.positions = nn.Parameter(torch.randn(positions, d))
        self.layers = nn.ModuleList(Layer(d, heads, ffn, False) for _ in range(layers))
        self.norm = nn.LayerNorm(d)

    def forward(self, x):
        x = F.gelu(self.conv2(F.gelu(self.conv1(x)))).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


class Block(nn.Module):
    """Batch norms are folded: the convolutions have biases instead."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.relu1, self.relu2 = nn.PReLU(outputs), nn.PReLU(outputs)
        changes = stride != 1 or inputs != outputs
        self.downsample = nn.Conv2d(inputs, outputs, 1, stride) if changes else nn.Identity()

    def forward(self, x):
        return self.relu2(self.conv2(self.relu1(self.conv1(x))) + self.downsample(x))


class AVHubert(nn.Module):
    """[1, 1, frames, 88, 88] -> [1, frames, 1024]"""

    def __init__(self, stem=64, widths=(64, 128, 256, 512), d=1024, layers=24, heads=16, ffn=4096):
        super().__init__()
        self.stem = nn.Conv3d(1, stem, (5, 7, 7), (1, 2, 2), (2, 3, 3))
        self.slope = nn.PReLU(stem)
        self.pool = nn.MaxPool2d(3, 2, 1)
        inputs, blocks = stem, []
        for stage, width in enumerate(widths):
            blocks += [Block(inputs, width, 2 if stage else 1), Block(width, width, 1)]
            inputs = width
        self.trunk = nn.Sequential(*blocks)
        self.front = nn.Linear(inputs, d)
        self.input_norm = nn.LayerNorm(2 * d)
        self.input = nn.Linear(2 * d, d)
        self.position = nn.Conv1d(d, d, 128, padding=64, groups=16)
        self.layers = nn.ModuleList(Layer(d, heads, ffn, True) for _ in range(layers))
        self.norm = nn.LayerNorm(d)
        self.last = torch.contiguous_format  # the pictures' layout

    def forward(self, x):
        x = self.slope(self.stem(x)).squeeze(0).transpose(0, 1)
        x = self.pool(x.contiguous(memory_format=self.last))
        x = self.front(self.trunk(x).mean((2, 3))).unsqueeze(0)
        x = self.input(self.input_norm(torch.cat((torch.zeros_like(x), x), -1)))
        x = x + F.gelu(self.position(x.transpose(1, 2))[..., :-1]).transpose(1, 2)
        for layer in self.layers:
            x = layer(x)
        return self.norm(x)


def measure(name, model, x, runs, autocast):
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times = []
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        for _ in range(runs + 2):
            start = clock()
            model(x)
            times.append(clock() - start)
    times = times[2:]
    print(f"{name:32s} median {statistics.median(times) * 1e3:8.1f} ms, "
          f"best {min(times) * 1e3:8.1f} ms of {runs}", flush=True)


def main():
    what = sys.argv[1] if len(sys.argv) > 1 else "whisper"
    video = what == "avhubert"
    frames = int(sys.argv[2]) if len(sys.argv) > 2 else 75 if video else 3000
    runs = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 2)
    torch.manual_seed(1)
    print(f"PyTorch {torch.__version__}, {what}, {frames} frames, {torch.get_num_threads()} threads")
    model = (AVHubert() if video else Whisper()).eval()
    x = torch.rand(1, 1, frames, 88, 88) if video else torch.rand(1, 80, frames)
    for layout in (torch.contiguous_format, torch.channels_last) if video else (None,):
        note = ""
        if video:
            model.trunk.to(memory_format=layout)
            model.last = layout
            note = ", channels last" if layout == torch.channels_last else ""
        measure("float32" + note, model, x, runs, False)
        measure("bfloat16 by autocast" + note, model, x, runs, True)
        model.bfloat16()
        measure("bfloat16" + note, model, x.bfloat16(), runs, False)
        model.float()


if __name__ == "__main__":
    main()
