#!/usr/bin/env python3
"""The voice detector, models/voice/model.safetensors: trained from nothing (src/features/voice.h says what it is).

    tools/train-voice.py --data ../shared/data --music FOLDER --unheard FOLDER -o models/voice/model.safetensors

Needs PyTorch, NumPy and ffmpeg. Both folders hold music and sounds without speech, in any format; a sixth of the first's
files, by hash of their names, and all of the second's are only listened to in the end. Speech: LibriSpeech, LJSpeech and
GRID training clips, whose frames are labelled by their energy. Noise is made: white, pink, brown, gusts, hum, crackle; so are
tunes.

Everything is taken to mel powers of 10 ms once. An example adds up those of speech and of music, noise or babble at -8 to
30 dB (and what sounds of one band, whose phases nobody knows, do to each other), through a filter that tilts and waves.
In the end: how often the detector is right, by kind of sound, on readers and music that it has not heard.
"""
import argparse, glob, hashlib, json, os, random, struct, subprocess
import numpy as np
import torch

RATE, HOP, WINDOW, MELS, STEP = 16000, 160, 400, 40, 4
WIDTH, DILATIONS = 48, (1, 2, 4)
FRAMES, BATCH = 250, 24  # of an example: 10 s
VOICE = torch.tensor(1.5)  # what missing a frame of it weighs in training; half of what that moves the bias is taken back


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
    return torch.tensor((shape * 2 / (high - low)).astype(np.float32))


FILTERS, HANN = mel_filters(), torch.hann_window(WINDOW)
CROSS = 1 / torch.sqrt((FILTERS > 0).sum(1).clamp(min=1).float())  # of two sounds in a band: bins that average out


def powers(pcm):
    """[hops, MELS]: log10 of the mel power, a whole number of frames."""
    count = len(pcm) // (HOP * STEP) * STEP
    padded = torch.tensor(np.pad(pcm, WINDOW // 2, mode="reflect"))
    parts = []
    for at in range(0, count, 5000):
        n = min(5000, count - at)
        frames = padded[at * HOP:(at + n - 1) * HOP + WINDOW].unfold(0, WINDOW, HOP) * HANN
        parts.append(torch.log10(torch.clamp(torch.fft.rfft(frames).abs().square() @ FILTERS.T, min=1e-8)))
    return torch.cat(parts).half()


def inputs(log_powers):
    """[.., frames, MELS] of [.., hops, MELS]"""
    x = log_powers.clamp(min=-6)
    return x.unflatten(-2, (-1, STEP)).mean(-2)


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


def tune(n, rng):
    """Notes one after the other or together, in a scale and with harmonics and a decay of its own."""
    x, at, beat = np.zeros(n + RATE, np.float32), 0, int(RATE * rng.uniform(0.08, 0.6))
    base, harmonics, fall, decay = rng.uniform(80, 700), rng.integers(1, 9), rng.uniform(0.4, 2), rng.uniform(0.5, 12)
    scale = rng.choice([0, 2, 3, 4, 5, 7, 8, 9, 11, 12], 5)
    while at < n:
        length = min(beat * int(rng.choice([1, 1, 1, 2])), RATE)
        t = np.arange(length) / RATE
        for _ in range(int(rng.choice([1, 1, 3]))):
            f0 = base * 2 ** (rng.choice(scale) / 12)
            note = sum(k ** -fall * np.sin(2 * np.pi * f0 * k * t + rng.uniform(0, 6)) for k in range(1, harmonics + 1) if f0 * k < 8000)
            x[at:at + length] += note * np.exp(-decay * t) * np.minimum(1, t / 0.005)
        at += length
    return (x[:n] / (np.sqrt(np.mean(np.square(x[:n]))) + 1e-9)).astype(np.float32)


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


def speed(pcm, factor):
    return np.interp(np.arange(0, len(pcm) - 1, factor), np.arange(len(pcm)), pcm).astype(np.float32)


def level(x):
    """log10 of the mean mel power"""
    return torch.log10(torch.pow(10, x.float()).mean() + 1e-8)


def cut(x, hops, rng):
    at = STEP * int(rng.integers(0, max(1, (len(x) - hops) // STEP + 1)))
    x = x[at:at + hops].float()
    return x if len(x) == hops else x.repeat(-(-hops // len(x)), 1)[:hops]


def background(sets, shares, rng):
    pool = sets[rng.choice(len(sets), p=shares)]
    x = cut(pool[rng.integers(len(pool))], FRAMES * STEP, rng)
    return x - level(x)


def add(a, b):
    """Two sounds' powers [hops, MELS]; in a band they add up by phases that nobody knows."""
    pa, pb = torch.pow(10, a), torch.pow(10, b)
    cross = 1.4 * torch.randn_like(pa) * torch.sqrt(pa * pb) * CROSS
    return torch.log10(torch.maximum(pa + pb + cross, 0.02 * (pa + pb)))


def example(speech, sounds, noises, babble, rng):
    hops = FRAMES * STEP
    x, y = torch.full((hops, MELS), -8.0), torch.zeros(FRAMES)
    if rng.uniform() < 0.55:
        at = int(rng.integers(0, 50))
        while at < FRAMES - 10:
            some = speech[int(rng.uniform() < 0.4)]
            p, on = some[rng.integers(len(some))]
            take = min(len(on), FRAMES - at)
            x[STEP * at:STEP * (at + take)] = p[:STEP * take].float() + rng.uniform(-0.4, 0.4)
            y[at:at + take] = on[:take]
            at += take + int(rng.integers(0, 75))
        if y.any():
            x = x - level(x[y.bool().repeat_interleave(STEP)])
        if rng.uniform() < 0.8:
            x = add(x, background((sounds, noises, babble), (0.5, 0.42, 0.08), rng) - rng.uniform(-0.8, 3))
    elif rng.uniform() < 0.9:
        x = background((sounds, noises), (0.75, 0.25), rng)
        if rng.uniform() < 0.3:
            x = add(x, background((sounds, noises), (0.5, 0.5), rng) - rng.uniform(0, 2))
    mel = torch.linspace(-1, 1, MELS)
    x = x + mel * rng.uniform(-0.6, 0.6) + rng.uniform(0, 0.25) * torch.sin(rng.uniform(1, 6) * mel + rng.uniform(0, 6))
    floor = -6 + torch.randn(hops, MELS) * 0.2 + rng.uniform(-3, 0.5)
    return inputs(add(x + rng.uniform(-4.2, -0.4), floor)), y


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


def load_net(path):
    """What save wrote, with the bias as it is while training."""
    data, net = open(path, "rb").read(), Net()
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, t in json.loads(data[8:begin]).items():
        at, end = t["data_offsets"]
        tensors[name] = torch.tensor(np.frombuffer(data[begin + at:begin + end], "<f4").reshape(t["shape"]).copy())
        if name.startswith("layers") and name.endswith("weight"):
            tensors[name] = tensors[name].permute(0, 2, 1)
    tensors["out.weight"] = tensors["out.weight"][None, :, None]
    tensors["out.bias"] += torch.log(VOICE) / 2
    net.load_state_dict(tensors)
    return net


def media(folder):
    kinds = (".ogg", ".oga", ".mp3", ".wav", ".flac", ".opus")
    files = sorted(glob.glob(folder + "/**/*", recursive=True))
    return [p for p in files if p.lower().endswith(kinds) and "voice" not in p.lower() and not os.path.islink(p)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--music", required=True)
    parser.add_argument("--unheard", required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--start", help="go on with a file that this wrote")
    parser.add_argument("-o", "--output", required=True)
    o = parser.parse_args()
    torch.manual_seed(1), torch.set_num_threads(1)
    rng, pick = np.random.default_rng(1), random.Random(1)
    manifests = lambda m: [os.path.join(o.data, os.path.dirname(m), l.split("\t")[0]) for l in open(os.path.join(o.data, m)).read().splitlines()[1:]]
    load = lambda paths: [(p, label(p)) for p in map(decode, paths) if len(p) > 8000]
    some = lambda name, count: [(powers(p), torch.tensor(on)) for p, on in load(pick.sample(manifests(name + ".tsv"), count))]
    speech = (some("librispeech/train", 350) + some("ljspeech/train", 80), some("grid/train", 150) + some("grid/other_train", 50))
    files = media(o.music)
    held = [p for p in files if hashlib.md5(os.path.basename(p).encode()).digest()[0] < 40]
    pcm = [x for x in (decode(p, 150) for p in files if p not in held) if len(x) > 4000 and np.abs(x).max() > 0.01]
    print(f"{sum(map(len, speech))} clips of speech, {sum(map(len, pcm)) / RATE / 60:.0f} min of music and sounds", flush=True)
    sounds = [powers(p) for p in pcm] + [powers(speed(p, rng.uniform(0.75, 1.3))) for p in pcm]
    noises = [powers(make(10 * RATE, rng) * 0.05) for make, count in ((noise, 300), (tune, 150)) for _ in range(count)]
    babble = [powers(decode(os.path.join(o.data, "noise/babble_train.flac")))]
    weights = np.array([min(max(len(s), 500), 6000) for s in sounds], float)  # picked as their lengths, 5 s to 60 s, deserve
    sounds = [sounds[i] for i in rng.choice(len(sounds), 20000, p=weights / weights.sum())]

    net = load_net(o.start) if o.start else Net()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-3 if o.start else 3e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, o.steps)
    total = 0.0
    for step in range(1, o.steps + 1):
        x, y = zip(*(example(speech, sounds, noises, babble, rng) for _ in range(BATCH)))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(torch.stack(x)), torch.stack(y), pos_weight=VOICE)
        optimiser.zero_grad(), loss.backward(), optimiser.step(), schedule.step()
        total += loss.item()
        if step % 200 == 0:
            print(f"step {step} loss {total / 200:.3f}", flush=True)
            total = 0.0
    with torch.no_grad():
        net.out.bias -= torch.log(VOICE) / 2
    save(o.output, net)
    report(o, net, load, manifests, held)


def report(o, net, load, manifests, held):
    """How often the detector is right, by kind of sound."""
    rng, pick = np.random.default_rng(2), random.Random(2)

    def said(pcm):
        with torch.no_grad():
            return torch.sigmoid(net(inputs(powers(np.clip(pcm, -1, 1)).float())[None]))[0].numpy() > 0.5

    unheard = [x for x in (decode(p, 60) for p in media(o.unheard)) if len(x) > 3 * RATE]
    songs = np.concatenate(unheard)

    def music(n):
        at = rng.integers(0, len(songs) - n)
        return songs[at:at + n] / (np.sqrt(np.mean(songs[at:at + n] ** 2)) + 1e-6)

    ways = [("", lambda p: p)]
    for kind, make in (("noise", lambda n: noise(n, rng)), ("unheard music", music)):
        for snr in (10, 0, -5):
            ways.append((f" in {kind} at {snr} dB",
                         lambda p, make=make, snr=snr: p + make(len(p)) * np.sqrt(np.mean(p ** 2)) * 10 ** (-snr / 20)))
    for name in ("librispeech/dev", "grid/dev"):
        clips = load(pick.sample(manifests(name + ".tsv"), 60))
        truth = np.concatenate([t for _, t in clips])
        for where, mix in ways:
            s = np.concatenate([said(mix(p)) for p, _ in clips])
            print(f"{name + where:42} voice found {100 * s[truth].mean():5.1f} %,",
                  f"pauses taken for voice {100 * s[~truth].mean():5.1f} %")

    def taken(name, clips):
        print(f"{name:42} frames taken for voice {100 * np.mean(np.concatenate([said(c) for c in clips])):5.1f} %")

    mine = [x for x in (decode(p, 60) for p in held) if len(x) > RATE]
    taken(f"files not heard ({len(mine)})", mine)
    for package in sorted(os.listdir(o.unheard)):
        some = [x for x in (decode(p, 60) for p in media(os.path.join(o.unheard, package))) if len(x) > 3 * RATE]
        taken(f"{package}, not heard ({len(some)} files)", some)
    taken("tunes", [tune(8 * RATE, rng) * 0.05 for _ in range(60)])
    taken("noise", [noise(8 * RATE, rng) * 0.05 for _ in range(60)])
    taken("silence", [np.zeros(8 * RATE, np.float32), rng.standard_normal(8 * RATE).astype(np.float32) * 1e-4])


if __name__ == "__main__":
    main()
