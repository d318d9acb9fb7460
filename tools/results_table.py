#!/usr/bin/env python3
"""docs/results.md from the files that tools/make-results.sh evaluated.

usage: tools/results_table.py FOLDER OUTPUT.md

Reads FOLDER/*.json (`mome evaluate --json`), groups them into systems by their names (seeds of one,
and Llama-AVSR's four models, are one row), and writes: the table of word error rates at every rate
pair, clean and per noise level; parameters; and each claim of the paper as a comparison of two
numbers of these tables, with the p-value of the paired test between them; and what the systems of
FOLDER/longer gain by more steps. Nothing is written before all systems are there.
"""
import glob
import json
import os
import random
import sys

PAIRS = [(4, 2), (4, 5), (16, 2), (16, 5)]
AVSR, SS, MSS = "Llama-AVSR, one model a pair", "Llama-MTSK SS", "Llama-MTSK MSS"
MHSA, FFN, LAYER, THIN = "MoME-23/4-MHSA", "MoME-23/4-FFN", "MoME-23/4-LAYER", "MoME-23/4-LAYER, b = 1"
LOUD = [5, 0, -5]  # dB
EVERYWHERE = [None] + LOUD
ORDER = [AVSR, SS, MSS, MHSA, FFN, LAYER, THIN]


def load(folder):
    """Systems that are there at all pairs: {name: {"active": n, "cells": {(pair, snr): [row of each seed]}, "experts": ..}}"""
    systems = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        data = json.load(open(path))
        s = systems.setdefault(data["model"]["name"], {"active": 0, "cells": {}, "experts": None})
        s["active"] = max(s["active"], data["model"]["active_parameters"])
        s["experts"] = s["experts"] or data.get("experts")
        for row in data["results"]:
            pair = (row["audio_rate"], row["video_rate"])
            s["cells"].setdefault((pair, row["snr_db"]), []).append(row)
    return {n: s for n, s in systems.items() if all((p, snr) in s["cells"] for p in PAIRS for snr in EVERYWHERE)}


def read_recipe(folder):
    """{"steps": .., "batch": .., "beam": ..}, as text"""
    with open(os.path.join(folder, "recipe")) as file:
        return dict(part.split() for part in file.read().strip().split(", "))


def mean(numbers):
    return sum(numbers) / len(numbers)


def cell(system, pair, snr):
    return 100 * mean([r["wer"] for r in system["cells"][pair, snr]])


def shown(system, pair, snr):
    wers = [100 * r["wer"] for r in system["cells"][pair, snr]]
    if len(wers) > 1:
        return f"{mean(wers):.1f} ({min(wers):.1f}-{max(wers):.1f})"
    return f"{wers[0]:.1f}"


def errors(rows):
    """Each clip's errors, mean over seeds."""
    return [mean([u[0] for u in clip]) for clip in zip(*[r["utterances"] for r in rows])]


def p_value(one, other, plus, minus=()):
    """Two-sided, by 10,000 random swaps of the two systems' errors on each clip; a clip's errors
    count for the cells of `plus` and against those of `minus`, and move together."""
    differences = []
    for key, sign in [(k, 1) for k in plus] + [(k, -1) for k in minus]:
        differences.append([sign * (a - b) for a, b in zip(errors(one["cells"][key]), errors(other["cells"][key]))])
    clips = [sum(d) for d in zip(*differences)]
    observed, rng, beyond = abs(sum(clips)) - 1e-9, random.Random(1), 0
    for _ in range(10000):
        beyond += abs(sum(d if rng.random() < 0.5 else -d for d in clips)) >= observed
    return (beyond + 1) / 10001


def table(systems, snr):
    lines = ["| | active parameters | " + " | ".join(f"({a},{v})" for a, v in PAIRS) + " | mean |", "|---|---|" + "---|" * 5]
    for name in ORDER:
        s = systems[name]
        cells = " | ".join(shown(s, p, snr) for p in PAIRS)
        lines.append(f"| {name} | {s['active'] / 1e6:.2f} M | {cells} | {average(s, [snr]):.1f} |")
    return "\n".join(lines)


def table_of_budgets(budgets):
    """What the systems that were trained for longer gain by it: a row each and number of steps."""
    lines = ["| | steps | " + " | ".join(f"({a},{v})" for a, v in PAIRS) + " |", "|---|---|" + "---|" * 4]
    for name in ORDER:
        for steps, systems in budgets if name in budgets[-1][1] else []:
            cells = [f"{cell(systems[name], p, None):.1f} / {average(systems[name], LOUD, [p]):.1f}" for p in PAIRS]
            lines.append(f"| {name} | {steps} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def average(system, snrs, pairs=PAIRS):
    return mean([cell(system, p, n) for p in pairs for n in snrs])


def verdict(difference, p):
    """What a difference of two error rates (negative: the first is better) says."""
    if p >= 0.05:
        return "no difference beyond chance"
    return "better" if difference < 0 else "worse"


def fall_off(system, snrs):
    """WER points lost from the finest pair to the coarsest, mean over noise levels."""
    return average(system, snrs, [PAIRS[3]]) - average(system, snrs, [PAIRS[0]])


def row(text, one, a, other, b, p, form=".1f"):
    chance = "< 0.001" if p < 0.001 else f"{p:.3f}"
    return f"| {text} | {one} {a:{form}} | {other} {b:{form}} | {a - b:+.1f} | {chance} | {verdict(a - b, p)} |"


def compare(text, systems, one, other, snrs, pairs=PAIRS):
    """A row: two systems' mean WER over pairs and noise levels."""
    a, b = systems[one], systems[other]
    p = p_value(a, b, [(q, n) for q in pairs for n in snrs])
    return row(text, one, average(a, snrs, pairs), other, average(b, snrs, pairs), p)


def compare_fall_off(text, systems, one, other, snrs):
    a, b = systems[one], systems[other]
    p = p_value(a, b, [(PAIRS[3], n) for n in snrs], [(PAIRS[0], n) for n in snrs])
    return row(text, one, fall_off(a, snrs), other, fall_off(b, snrs), p, "+.1f")


def comparisons(head, rows):
    return "\n".join([f"| {head} | | | difference | p | so the first is |", "|---|---|---|---|---|---|"] + rows) + "\n"


def overlap(share, one, other):
    """What the shares of experts at two (rate pair, layer) have in common: 1 where the curves coincide."""
    return sum(min(a, b) for a, b in zip(share[one[0]][one[1]], share[other[0]][other[1]]))


def table_of_experts(systems):
    lines = ["| | chosen alike, mean of two pairs (least) | by chance | shares in common, two pairs of one layer | of two layers |", "|---|---|---|---|---|"]
    for name in ORDER:
        experts = systems[name]["experts"]
        if not experts:
            continue
        matrix, share = experts["agreement"], experts["share"]
        rates, layers = range(len(share)), range(len(share[0]))
        off = [matrix[i][j] for i in rates for j in range(i)]
        same = mean([overlap(share, (i, l), (j, l)) for l in layers for i in rates for j in range(i)])
        different = mean([overlap(share, (i, l), (i, m)) for l in layers for m in range(l) for i in rates])
        lines.append(f"| {name} | {mean(off):.2f} ({min(off):.2f}) | {experts['active'] / experts['routed']:.2f} | {same:.2f} | {different:.2f} |")
    return "\n".join(lines)


def more_steps(steps, systems, longer_steps, longer):
    rows = []
    for other in [n for n in (AVSR, SS) if n in longer]:
        rows += [compare("clean, mean over pairs", longer, LAYER, other, [None]),
                 compare("all noise levels, mean over pairs", longer, LAYER, other, EVERYWHERE),
                 compare("all noise levels, (16,5) alone", longer, LAYER, other, EVERYWHERE, PAIRS[3:]),
                 compare_fall_off("fall-off, clean", longer, LAYER, other, [None]),
                 compare_fall_off("fall-off, all noise levels", longer, LAYER, other, EVERYWHERE)]
    return "\n## More steps\n\nWER %, clean / mean of 5, 0 and -5 dB.\n\n" + \
        table_of_budgets([(steps, systems), (longer_steps, longer)]) + "\n\n" + comparisons(f"WER after {longer_steps} steps", rows)


def page(folder, systems):
    recipe = read_recipe(folder)
    text = open(os.path.join(os.path.dirname(__file__), "results_head.md")).read().format(**recipe)
    claims = os.path.join(folder, "claims.md")  # which hold, in words: written by whoever looked at the tables below
    if os.path.exists(claims):
        text += "\n" + open(claims).read()
    text += "\n## Clean sound\n\nWER %; where three seeds were trained: mean (least-most).\n\n" + table(systems, None) + "\n"
    for snr in LOUD:
        text += f"\n## Babble at {snr} dB\n\n" + table(systems, snr) + "\n"

    moes, baselines = (MHSA, FFN, LAYER), (AVSR, SS, MSS)
    rows = [compare(t, systems, m, AVSR, snrs) for m in moes for t, snrs in (("clean", [None]), ("all noise levels", EVERYWHERE))]
    rows += [compare("all noise levels", systems, m, o, EVERYWHERE) for m in moes for o in (SS, MSS)]
    rows += [compare("all noise levels, (16,5) alone", systems, m, o, EVERYWHERE, PAIRS[3:]) for m in moes for o in baselines]
    text += "\n## One model for all rates, against one a pair and against LoRA for all\n\n" + comparisons("WER, mean over pairs", rows)

    rows = [compare_fall_off("all noise levels", systems, m, o, EVERYWHERE) for m in moes for o in baselines]
    text += "\n## Fall-off\n\n" + comparisons("WER points from (4,2) to (16,5)", rows)

    rows = [compare("clean", systems, THIN, LAYER, [None])]
    rows += [compare("all noise levels", systems, THIN, o, EVERYWHERE) for o in (LAYER,) + baselines]
    text += "\n## A bottleneck of one\n\n" + comparisons("WER, mean over pairs", rows)

    text += "\n## Experts\n\n" + table_of_experts(systems) + "\n"
    text += f"\n{LAYER}, layer by layer:\n\n![share of each expert](results/experts-1.svg)\n"
    longer = os.path.join(folder, "longer")
    if os.path.isdir(longer):
        text += more_steps(recipe["steps"], systems, read_recipe(longer)["steps"], load(longer))
    return text


def main():
    folder, output = sys.argv[1:]
    systems = load(folder)
    missing = [n for n in ORDER if n not in systems]
    if missing:
        print(f"{output}: waits for {', '.join(missing)}")
        return
    text = page(folder, systems)
    with open(output + ".tmp", "w") as f:
        f.write(text)
    os.replace(output + ".tmp", output)


if len(sys.argv) != 3:
    sys.exit(__doc__)
main()
