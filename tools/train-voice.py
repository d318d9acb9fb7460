#!/usr/bin/env python3
"""The voice detector, models/voice/model.safetensors: trained from nothing (src/features/voice.h says what it is).

    tools/train-voice.py --data ../shared/data --music FOLDER -o models/voice/model.safetensors

Needs PyTorch, NumPy and ffmpeg. FOLDER holds music and sounds without speech, in any format; a tenth of its files,
by hash of their names, are only listened to in the end. Speech: LibriSpeech, LJSpeech and GRID training clips, whose
frames are labelled by their energy. Noise is made: white, pink, brown, gusts, hum, crackle. Speech is mixed with
music, noise and babble at -5 to 30 dB. In the end: how often the detector is right, by kind of sound, on readers and
music that it has not heard (librispeech/dev, the tenth).
"""
import argparse, glob, hashlib, json, os, random, struct, subprocess
import numpy as np
import torch

RATE, HOP, WINDOW, MELS, WIDTH, STEP = 16000, 160, 400, 40, 32, 4
DILATIONS = (1, 2, 4)


def decode(path, seconds=None):
    limit = ["-t", str(seconds)] if seconds else []
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", path, *limit, "-ac", "1", "-ar", str(RATE), "-f", "s16le", "-"],
                         capture_output=True).stdout
    return np.frombuffer(raw, np.int16).astype(np.float32) / 32768


def mel_filters():
    to_hz = lambda m: np.where(m < 15, m * 200 / 3, 1000 * np.exp((m - 15) * np.log(6.4) / 27))
    top = 15 + np.log(8000 / 1000) * 27 / np.log(6.4)
    edges = to_hz(top * np.arange(MELS + 2) / (MELS + 1))
    hz = np.arange(WINDOW // 2 + 1) * RATE / WINDOW
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    shape = np.maximum(0, np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre)))
    return (shape * 2 / (high - low)).astype(np.float32)


FILTERS = mel_filters()
HANN = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)).astype(np.float32)


def features(pcm):
    """[frames at 25 a second, MELS]: log10 of the mel power, mean of four hops."""
    count = len(pcm) // (HOP * STEP) * STEP
    padded = np.pad(pcm, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count] * HANN
    power = np.abs(np.fft.rfft(frames)) ** 2
    mel = np.log10(np.maximum(power @ FILTERS.T, 1e-6))
    return mel.reshape(-1, STEP, MELS).mean(1).astype(np.float32)


def label(pcm):
    """Frames of clean speech that are speech."""
    frames = pcm[: len(pcm) // 640 * 640].reshape(-1, 640)
    level = 10 * np.log10((frames ** 2).sum(1) + 1e-10)
    loud, floor = np.percentile(level, 90), np.percentile(level, 3)
    on = level > max(floor, loud - 45) + min(loud - floor, 45) / 3
    for reach, value in ((8, False), (3, True)):  # pauses up to 0.3 s are closed, then blips taken out
        edges = np.flatnonzero(np.diff(np.concatenate(([not value], on, [not value])).astype(int)))
        for a, b in zip(edges[::2], edges[1::2]):
            if b - a <= reach and (value or (a > 0 and b < len(on))):
                on[a:b] = not value
    return on


def noise(n, rng):
    kind = rng.integers(6)
    white = rng.standard_normal(n).astype(np.float32)
    if kind < 4:  # 1/f^a, or gusts of it
        spectrum = np.fft.rfft(white)
        f = np.maximum(np.fft.rfftfreq(n), 1 / n)
        x = np.fft.irfft(spectrum * f ** (-rng.uniform(0, 1.2)), n).astype(np.float32)
        if kind == 3:
            x = x * np.abs(np.interp(np.arange(n), np.linspace(0, n, 40), rng.standard_normal(40)))
    elif kind == 4:  # hum with harmonics, beeps
        t, f0 = np.arange(n) / RATE, rng.choice([50, 60, 100, 120, rng.uniform(200, 3000)])
        x = sum(rng.uniform(0, 1) / k * np.sin(2 * np.pi * f0 * k * t + rng.uniform(0, 6)) for k in range(1, 9) if f0 * k < 8000)
        if rng.uniform() < 0.5:
            x = x * (np.sin(2 * np.pi * rng.uniform(0.3, 6) * t) > 0)
        x = x + 0.01 * white
    else:  # crackle, clicks, knocks
        x = np.zeros(n, np.float32)
        for _ in range(int(rng.integers(5, 80))):
            at, length = int(rng.integers(0, n - 4000)), int(rng.integers(10, 3000))
            x[at:at + length] += rng.standard_normal(length) * np.exp(-np.arange(length) / (length / 5)) * rng.uniform(0, 1)
        x = x + 0.005 * white
    return (x / (np.sqrt(np.mean(np.square(x))) + 1e-9)).astype(np.float32)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Conv1d(MELS if i == 0 else WIDTH, WIDTH, 5, dilation=d, padding=2 * d)
                                          for i, d in enumerate(DILATIONS))
        self.out = torch.nn.Conv1d(WIDTH, 1, 1)

    def forward(self, x):  # [batch, frames, MELS]
        x = (x.transpose(1, 2) + 4) / 4
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)[:, 0]


def cut(x, n, rng):
    if len(x) < n:
        x = np.tile(x, n // len(x) + 1)
    at = rng.integers(0, len(x) - n + 1)
    return x[at:at + n]


def background(sounds, n, rng, babble):
    pick = rng.uniform()
    if pick < 0.45:
        x = cut(sounds[rng.integers(len(sounds))], n, rng)
    elif pick < 0.9 or babble is None:
        x = noise(n, rng)
    else:
        x = cut(babble, n, rng)
    return x / (np.sqrt(np.mean(np.square(x))) + 1e-6)


def example(speech, sounds, babble, rng, seconds=8):
    n = seconds * RATE
    x, y = np.zeros(n, np.float32), np.zeros(n // 640, bool)
    if rng.uniform() < 0.62:
        at = int(rng.integers(0, 2 * 25)) * 640
        while at < n - 640 * 10:
            pcm, on = speech[rng.integers(len(speech))]
            take = min(len(on) * 640, n - at)
            x[at:at + take] = pcm[:take]
            y[at // 640:(at + take) // 640] = on[: take // 640]
            at += take + int(rng.integers(0, 75)) * 640
        power = np.mean(np.square(x[np.repeat(y, 640)])) if y.any() else 1e-4
        x = x * 0.05 / np.sqrt(power + 1e-9)
        if rng.uniform() < 0.75:
            x = x + background(sounds, n, rng, babble) * 0.05 * 10 ** (-rng.uniform(-5, 30) / 20)
    elif rng.uniform() < 0.85:
        x = background(sounds, n, rng, None) * 0.05
        if rng.uniform() < 0.3:
            x = x + background(sounds, n, rng, None) * 0.05 * 10 ** (-rng.uniform(0, 20) / 20)
    x = x * 10 ** (rng.uniform(-25, 15) / 20) + rng.standard_normal(n).astype(np.float32) * 10 ** rng.uniform(-6, -3.5)
    return features(np.clip(x, -1, 1)), y


def save(path, net):
    tensors = {}
    for i, layer in enumerate(net.layers):  # [out, tap, in]
        tensors[f"layers.{i}.weight"] = layer.weight.detach().permute(0, 2, 1).contiguous().numpy()
        tensors[f"layers.{i}.bias"] = layer.bias.detach().numpy()
    tensors["out.weight"] = net.out.weight.detach()[0, :, 0].contiguous().numpy()
    tensors["out.bias"] = net.out.bias.detach().numpy()
    header, data = {}, b""
    for name, t in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [len(data), len(data) + t.nbytes]}
        data += t.astype("<f4").tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".part", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)
    os.replace(path + ".part", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--music", required=True)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("-o", "--output", required=True)
    o = parser.parse_args()
    torch.manual_seed(1), torch.set_num_threads(1)
    rng, pick = np.random.default_rng(1), random.Random(1)
    manifests = lambda m: [os.path.join(o.data, os.path.dirname(m), l.split("\t")[0]) for l in open(os.path.join(o.data, m)).read().splitlines()[1:]]
    load = lambda paths: [(p, label(p)) for p in map(decode, paths) if len(p) > 8000]
    speech = load(pick.sample(manifests("librispeech/train.tsv"), 250) + pick.sample(manifests("ljspeech/train.tsv"), 60) +
                  pick.sample(manifests("grid/train.tsv"), 150) + pick.sample(manifests("grid/other_train.tsv"), 40))
    files = sorted(p for p in glob.glob(o.music + "/**/*", recursive=True) if p.endswith((".ogg", ".oga", ".mp3", ".wav", ".flac", ".opus")))
    held = [p for p in files if hashlib.md5(os.path.basename(p).encode()).digest()[0] < 40]
    sounds = [x for x in (decode(p, 180) for p in files if p not in held) if len(x) > 4000 and np.abs(x).max() > 0.01]
    babble = decode(os.path.join(o.data, "noise/babble_train.flac"))
    print(f"{len(speech)} clips of speech, {sum(map(len, sounds)) / RATE / 60:.0f} min of music and sounds", flush=True)

    net = Net()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, o.steps)
    for step in range(1, o.steps + 1):
        x, y = zip(*(example(speech, sounds, babble, rng) for _ in range(8)))
        logits = net(torch.tensor(np.stack(x)))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor(np.stack(y)).float())
        optimiser.zero_grad(), loss.backward(), optimiser.step(), schedule.step()
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f}", flush=True)
            save(o.output, net)

    def report(name, clips, truth=None):
        with torch.no_grad():
            said = [torch.sigmoid(net(torch.tensor(features(c))[None]))[0].numpy() for c in clips]
        if truth is None:
            print(f"{name:34} frames taken for voice {100 * np.mean(np.concatenate(said) > 0.5):5.1f} %")
        else:
            s, t = np.concatenate(said) > 0.5, np.concatenate(truth)
            print(f"{name:34} voice found {100 * s[t].mean():5.1f} %, pauses taken for voice {100 * s[~t].mean():5.1f} %")

    dev = load(pick.sample(manifests("librispeech/dev.tsv"), 30))
    grid = load(pick.sample(manifests("grid/dev.tsv"), 30))
    for name, clips in (("librispeech/dev", dev), ("grid/dev", grid)):
        report(name, [p for p, _ in clips], [t for _, t in clips])
        for snr in (10, 0, -5):
            mixed = [p + noise(len(p), rng) * np.sqrt(np.mean(p ** 2)) * 10 ** (-snr / 20) for p, _ in clips]
            report(f"  in noise at {snr} dB", mixed, [t for _, t in clips])
    unheard = [x for x in (decode(p, 60) for p in held) if len(x) > 16000]
    report(f"music not heard ({len(unheard)} files)", unheard)
    report("noise", [noise(8 * RATE, rng) * 0.05 for _ in range(60)])
    report("silence", [np.zeros(8 * RATE, np.float32), rng.standard_normal(8 * RATE).astype(np.float32) * 1e-4])


main()
