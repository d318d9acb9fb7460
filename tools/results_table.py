#!/usr/bin/env python3
"""docs/results.md from the files that tools/make-results.sh evaluated.

usage: tools/results_table.py FOLDER OUTPUT.md

Reads FOLDER/*.json (`mome evaluate --json`), groups them into systems (seeds of one system, and
Llama-AVSR's four models, are one row), and writes: the table of word error rates at every rate
pair, clean and per noise level; parameters; and each claim of the paper as a comparison of two
numbers of these tables, with the p-value of the paired test between them where there is one.
"""
import glob
import json
import os
import random
import re
import sys

PAIRS = [(4, 2), (4, 5), (16, 2), (16, 5)]
ORDER = ["llama-avsr", "mtsk-ss", "mtsk-mss", "mome-mhsa", "mome-ffn", "mome-layer", "mome-layer-b1"]
NAMES = {
    "llama-avsr": "Llama-AVSR, one model a pair",
    "mtsk-ss": "Llama-MTSK SS",
    "mtsk-mss": "Llama-MTSK MSS",
    "mome-mhsa": "MoME-23/4-MHSA",
    "mome-ffn": "MoME-23/4-FFN",
    "mome-layer": "MoME-23/4-LAYER",
    "mome-layer-b1": "MoME-23/4-LAYER, b = 1",
}


def load(folder):
    """{system: {"active": n, "cells": {(pair, snr): [row of each seed]}, "files": [..]}}"""
    systems = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        data = json.load(open(path))
        name = os.path.basename(path)[: -len(".json")]
        name = re.sub(r"-seed\d+$", "", name)
        name = re.sub(r"^(llama-avsr)-\d+-\d+$", r"\1", name)
        s = systems.setdefault(name, {"active": 0, "cells": {}, "experts": None})
        s["active"] = max(s["active"], data["model"]["active_parameters"])
        s["experts"] = s["experts"] or data.get("experts")
        for row in data["results"]:
            pair = (row["audio_rate"], row["video_rate"])
            s["cells"].setdefault((pair, row["snr_db"]), []).append(row)
    return systems


def mean(numbers):
    return sum(numbers) / len(numbers)


def cell(system, pair, snr):
    rows = system["cells"].get((pair, snr))
    return 100 * mean([r["wer"] for r in rows]) if rows else None


def shown(system, pair, snr):
    rows = system["cells"].get((pair, snr))
    if not rows:
        return "-"
    wers = [100 * r["wer"] for r in rows]
    if len(wers) > 1:
        return f"{mean(wers):.1f} ({min(wers):.1f}-{max(wers):.1f})"
    return f"{wers[0]:.1f}"


def p_value(one, other, cells):
    """Two-sided, by 10,000 random swaps of the two systems' errors on each clip (first seeds)."""
    differences = []
    for key in cells:
        if key not in one["cells"] or key not in other["cells"]:
            return None
        a, b = one["cells"][key][0]["utterances"], other["cells"][key][0]["utterances"]
        differences.append([x[0] - y[0] for x, y in zip(a, b)])
    clips = [sum(d) for d in zip(*differences)]  # a clip's errors over all cells move together
    observed, rng, beyond = abs(sum(clips)), random.Random(1), 0
    for _ in range(10000):
        beyond += abs(sum(d if rng.random() < 0.5 else -d for d in clips)) >= observed
    return (beyond + 1) / 10001


def table(systems, snr):
    lines = ["| | active parameters | " + " | ".join(f"({a},{v})" for a, v in PAIRS) + " | mean |", "|---|---|" + "---|" * 5]
    for name in ORDER:
        if name not in systems:
            continue
        s = systems[name]
        values = [cell(s, p, snr) for p in PAIRS]
        whole = f"{mean(values):.1f}" if None not in values else "-"
        cells = " | ".join(shown(s, p, snr) for p in PAIRS)
        lines.append(f"| {NAMES[name]} | {s['active'] / 1e6:.2f} M | {cells} | {whole} |")
    return "\n".join(lines)


def average(system, snrs, pairs=PAIRS):
    values = [cell(system, p, n) for p in pairs for n in snrs]
    return None if None in values else mean(values)


def compare(lines, text, systems, one, other, snrs, pairs=PAIRS):
    if one not in systems or other not in systems:
        return
    a, b = average(systems[one], snrs, pairs), average(systems[other], snrs, pairs)
    if a is None or b is None:
        return
    p = p_value(systems[one], systems[other], [(q, n) for q in pairs for n in snrs])
    lines.append(f"| {text} | {NAMES[one]} {a:.1f} | {NAMES[other]} {b:.1f} | {a - b:+.1f} | {p:.3f} |")


def fall_off(lines, systems, name):
    s = systems.get(name)
    if not s:
        return
    clean = [cell(s, p, None) for p in PAIRS]
    loud = [average(s, [5, 0, -5], [p]) for p in PAIRS]
    if None in clean + loud:
        return
    lines.append(f"| {NAMES[name]} | {clean[3] - clean[0]:+.1f} | {loud[3] - loud[0]:+.1f} |")


def main():
    folder, output = sys.argv[1:]
    systems = load(folder)
    recipe = dict(part.split() for part in open(os.path.join(folder, "recipe")).read().split(", "))
    text = open(os.path.join(os.path.dirname(__file__), "results_head.md")).read().format(**recipe)
    text += "\n## Clean sound\n\nWER %; where three seeds were trained: mean (least-most).\n\n" + table(systems, None) + "\n"
    for snr in (5, 0, -5):
        text += f"\n## Babble at {snr} dB\n\n" + table(systems, snr) + "\n"
    everywhere = [None, 5, 0, -5]
    lines = ["| comparison (mean WER over pairs) | | | difference | p |", "|---|---|---|---|---|"]
    for name in ("mome-mhsa", "mome-ffn", "mome-layer"):
        compare(lines, "against one model a pair, clean", systems, name, "llama-avsr", [None])
        compare(lines, "against one model a pair, all noise levels", systems, name, "llama-avsr", everywhere)
        compare(lines, "against MTSK SS, all noise levels", systems, name, "mtsk-ss", everywhere)
        compare(lines, "the same at (16,5) alone", systems, name, "mtsk-ss", everywhere, [(16, 5)])
    compare(lines, "b = 1 against b = 12, all noise levels", systems, "mome-layer-b1", "mome-layer", everywhere)
    text += "\n## Comparisons\n\n" + "\n".join(lines) + "\n"
    lines = ["| fall-off from (4,2) to (16,5), WER points | clean | mean of 5, 0, -5 dB |", "|---|---|---|"]
    for name in ORDER:
        fall_off(lines, systems, name)
    text += "\n" + "\n".join(lines) + "\n"
    lines = ["| share of experts that two rate pairs choose alike, for the same moment of a clip | least | mean |", "|---|---|---|"]
    for name in ORDER:
        experts = systems.get(name, {}).get("experts")
        if not experts or not experts.get("agreement"):
            continue
        matrix = experts["agreement"]
        off = [matrix[i][j] for i in range(len(matrix)) for j in range(i)]
        chance = experts["active"] / experts["routed"]
        lines.append(f"| {NAMES[name]} (by chance {chance:.2f}) | {min(off):.2f} | {mean(off):.2f} |")
    text += "\n" + "\n".join(lines) + "\n"
    with open(output + ".tmp", "w") as f:
        f.write(text)
    os.replace(output + ".tmp", output)


if len(sys.argv) != 3:
    sys.exit(__doc__)
main()
