"""Made-up results of evaluations, in the format of eval/result.h, for trying `mome report`.

usage: make_results.py FOLDER [LAYERS [ROUTED]]

Nothing here was measured: numbers are drawn at random around shapes that such experiments have
(errors rise with compression and noise, several seeds scatter, experts differ by layer). Names and
texts hold what must be escaped.
"""
import json
import math
import random
import sys

PAIRS = [(4, 2), (4, 5), (16, 2), (16, 5)]
WORDS = "bin lay place set blue green red white at by in with one two three four again now".split()
HARD = ["<b>&amp;</b>", "it's", "\u00fcber", "\u65e5\u672c\u8a9e", "x\u0001y"]


def rates(task, pairs):
    if task == "avsr":
        return pairs
    return [(a, None) for a in (4, 16)] if task == "asr" else [(None, v) for v in (2, 5)]


def tokens(a, v, seconds):
    return (int(50 * seconds / a) if a else 0) + (int(25 * seconds / v) if v else 0)


def spoil(rng, text, rate):
    out = []
    for word in text.split():
        x = rng.random()
        if x < rate * 0.6:
            out.append(rng.choice(WORDS))
        elif x >= rate * 0.8:
            out.append(word)
        if rate * 0.8 <= x < rate:
            out.append(rng.choice(WORDS))
    return " ".join(out)


def errors_of(reference, hypothesis):
    a, b = reference.split(), hypothesis.split()
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def interval(rng, utterances):
    rates = []
    for _ in range(200):
        some = [rng.choice(utterances) for _ in utterances]
        rates.append(sum(e for e, _ in some) / max(1, sum(w for _, w in some)))
    rates.sort()
    return rates[5], rates[194]


def make_experts(rng, conditions, layers, routed, active):
    base = [[rng.gammavariate(1.2, 1) for _ in range(routed)] for _ in range(layers)]
    share = []
    for _ in conditions:
        share.append([])
        for layer in base:
            weights = [w * math.exp(rng.gauss(0, 0.12)) for w in layer]
            share[-1].append([w / sum(weights) for w in weights])
    n = len(conditions)
    by_layer = []
    for layer in range(layers):
        matrix = [[1.0] * n for _ in range(n)]
        for i in range(n):
            for k in range(i):
                near = sum(conditions[i][x] == conditions[k][x] for x in ("audio_rate", "video_rate"))
                value = 0.5 + 0.12 * near + 0.02 * (layer % 7) + rng.uniform(-0.04, 0.04)
                matrix[i][k] = matrix[k][i] = min(value, 1.0)
        by_layer.append(matrix)
    mean = [[sum(m[i][k] for m in by_layer) / layers for k in range(n)] for i in range(n)]
    return {"layers": layers, "routed": routed, "active": active, "conditions": conditions,
            "share": share, "agreement": mean, "agreement_by_layer": by_layer}


def make_similarity(rng):
    kinds = [("audio", 4), ("audio", 16), ("video", 2), ("video", 5)]
    seconds, at, counts = 2.96, [], []
    for modality, rate in kinds:
        hertz = (50 if modality == "audio" else 25) / rate
        count = int(seconds * hertz)
        counts.append({"modality": modality, "rate": rate, "count": count})
        at += [(modality, (i + 0.5) / hertz) for i in range(count)]
    size = range(len(at))
    matrix = [[1.0] * len(at) for _ in size]
    for i in size:
        for k in range(i):
            same = 0.35 if at[i][0] == at[k][0] else 0.05
            value = same + 0.55 * math.exp(-abs(at[i][1] - at[k][1]) / 0.15) + rng.gauss(0, 0.03)
            matrix[i][k] = matrix[k][i] = round(max(-1, min(1, value)), 4)
    return {"clip": "clips/first & last.mp4", "tokens": counts, "matrix": matrix}


def make(folder, file, name, wer, fall, active, seed, tasks=("avsr",), pairs=PAIRS,
         snrs=(None, 5, 0, -5), experts=None):
    rng = random.Random(seed)
    clips = []
    for i in range(40):
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(5, 9)))
        clips.append({"path": f"clips/{i:03d}.mp4", "seconds": round(rng.uniform(2, 4), 2),
                      "text": text, "hypotheses": []})
    clips[0]["text"] += " " + HARD[seed % len(HARD)]
    clips[0]["path"] = "clips/<script>alert(1)</script>.mp4"
    results = []
    for task in tasks:
        for snr in snrs if task != "vsr" else (None,):
            for a, v in rates(task, pairs):
                coarse = (a or 4) / 16 + (v or 2) / 10
                rate = wer * (1 + fall * coarse) * (4 if task == "vsr" else 1)
                rate *= math.exp(rng.gauss(0, 0.06)) * (1 if snr is None else 1 + 1.9 ** ((5 - snr) / 5))
                rate = min(rate, 0.9)
                utterances = []
                for clip in clips:
                    hypothesis = spoil(rng, clip["text"], rate)
                    clip["hypotheses"].append(hypothesis)
                    utterances.append([errors_of(clip["text"], hypothesis), len(clip["text"].split())])
                errors, words = (sum(u[x] for u in utterances) for x in (0, 1))
                low, high = interval(rng, utterances)
                media = tokens(a, v, 3)
                results.append({
                    "task": task, "audio_rate": a, "video_rate": v, "snr_db": snr, "seed": seed,
                    "wer": errors / words, "wer_low": min(low, errors / words),
                    "wer_high": max(high, errors / words), "wer_normalised": errors / words * 0.97,
                    "cer": errors / words * 0.55, "words": words, "errors": errors,
                    "clips": len(clips), "failed": 0, "prompt_tokens": media + 14.0,
                    "media_tokens": float(media),
                    "tflops": 0.031 + 0.0021 * (media + 20) * (1 + 5e-9 * active),
                    "seconds": 9.0, "audio_seconds": 120.0, "rtf": 0.05 + 0.0004 * media,
                    "utterances": utterances})
    conditions = []
    for r in results:
        if r["snr_db"] is None:
            conditions.append({k: r[k] for k in ("task", "audio_rate", "video_rate")})
    root = {
        "format": "mome-evaluation-1",
        "model": {"name": name, "folder": f"runs/{file}", "parameters": 172_000_000,
                  "adapter_parameters": active * 2, "active_parameters": active,
                  "placement": "layer"},
        "manifest": "clips/made-up.tsv", "beam": 15, "noise": "babble.flac", "seeds": [1],
        "peak_memory_bytes": 1_200_000_000, "results": results, "clips": clips,
        "experts": make_experts(rng, conditions, *experts) if experts else None,
        "similarity": make_similarity(rng) if experts else None}
    with open(f"{folder}/{file}.json", "w") as out:
        json.dump(root, out)


def main():
    folder = sys.argv[1]
    layers = int(sys.argv[2]) if len(sys.argv) > 2 else 4
    routed = int(sys.argv[3]) if len(sys.argv) > 3 else 23
    experts = (layers, routed, 4)
    for seed in range(3):
        make(folder, f"mome-layer-{seed}", "MoME-23/4 <layer>", 0.05, 0.6, 1_300_000, seed,
             experts=experts)
        make(folder, f"mtsk-{seed}", "Llama-MTSK SS & Co", 0.07, 1.0, 2_100_000, 10 + seed)
    make(folder, "mome-mhsa", "MoME-23/4 \"mhsa\"", 0.055, 0.65, 1_300_000, 20)
    for i, pair in enumerate(PAIRS):
        make(folder, f"avsr-{i}", "Llama-AVSR (one model a rate)", 0.08, 1.2, 2_100_000, 30 + i,
             pairs=[pair])
    make(folder, "three-tasks", "all three tasks, " + "a very long name " * 8, 0.06, 0.8,
         1_300_000, 40, tasks=("avsr", "asr", "vsr"), snrs=(None, 20, 10, 5, 2.5, 0, -5),
         experts=(min(layers, 6), routed, 4))


main()
