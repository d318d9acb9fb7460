#!/usr/bin/env python3
"""How late live text is, and what being live costs in words: GRID's dev clips joined into one video,
read at its own pace by `mome live` and as a file by `mome transcribe`, at the same rates.

    bench/live.py BUILD [--clips 40] [--rates 4,2 16,5 auto] [--model models/tiny] [--task avsr]

Latency is measured against the corpus' own word ends, not the model's: from the end of a word to the
moment from which on it stood at its place in every reading up to the last. Only words that are
right count, which the error rates show to be nearly all. Run it on an idle machine.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tools"))
from alignment import align, duration  # noqa: E402

GRID = "../shared/data/grid"


def join(count, folder):
    """round.mp4 of so many clips; their words as (text, end in seconds)."""
    words, at, names = [], 0.0, []
    with open(f"{GRID}/dev.tsv") as rows:
        next(rows)
        for row in list(rows)[:count]:
            path, text, times = row.rstrip("\n").split("\t")[:3]
            ends = [int(w.rsplit(":", 1)[1]) / 1000 for w in times.split()]
            path = os.path.realpath(f"{GRID}/{path}")
            names.append(f"file '{path}'\n")
            words += [(w, at + end) for w, end in zip(text.split(), ends)]
            at += duration(path)
    with open(f"{folder}/list", "w") as file:
        file.writelines(names)
    subprocess.run(["ffmpeg", "-v", "error", "-f", "concat", "-safe", "0", "-i", f"{folder}/list", "-vf",
                    "scale=360:288,setsar=1,fps=25", "-preset", "ultrafast", "-crf", "20", "-ac", "1", "-ar", "16000",
                    "-af", "aresample=async=1", f"{folder}/round.mp4"], check=True)
    return words


def since(events, final, place):
    """When the word at a place of an utterance that is over stood there for good."""
    at = final["at"]
    for event in reversed([e for e in events if e["start"] == final["start"]]):
        words = event["words"]
        if place >= len(words) or words[place]["word"] != final["words"][place]["word"]:
            break
        at = event["at"]
    return at


def live(options, arguments, folder, reference):
    command = [f"{options.build}/mome", "live", f"{folder}/round.mp4", "--json", "-q"] + arguments
    events = [json.loads(line) for line in subprocess.check_output(command, text=True).splitlines()]
    finals = [e for e in events if e["event"] == "final"]
    partials = [e for e in events if e["event"] == "partial"]
    words = [(w["word"], f, i) for f in finals for i, w in enumerate(f["words"])]
    wrong, right = align([w for w, _ in reference], [w for w, _, _ in words])
    late = sorted(since(partials, words[j][1], words[j][2]) - reference[i][1] for i, j in right)
    rates = {(f["audio_rate"] or 0, f["video_rate"] or 0) for f in finals}
    return wrong / len(reference), late[len(late) // 2], late[len(late) * 95 // 100], events[-1], len(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rates", nargs="+", default=["4,2", "16,5", "auto"])
    parser.add_argument("--model", default="models/tiny")
    parser.add_argument("--task", default="auto")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        reference = join(options.clips, folder)
        print("| rate | WER as a file % | live % | latency, median s | 95 % s | as it says itself s | 95 % s | rates used |")
        print("|---|---|---|---|---|---|---|---|")
        for rate in options.rates:
            chosen = ["--model", options.model, "--task", options.task] + (["--rate", rate] if rate != "auto" else [])
            command = [f"{options.build}/mome", "transcribe", "-q", "-f", "txt", f"{folder}/round.mp4"] + chosen
            said = subprocess.check_output(command, text=True).split()
            alone = align([w for w, _ in reference], said)[0] / len(reference)
            wer, median, p95, end, rates = live(options, chosen, folder, reference)
            print(f"| {rate} | {100 * alone:.1f} | {100 * wer:.1f} | {median:.2f} | {p95:.2f} | "
                  f"{end['shown']['median']:.2f} | {end['shown']['p95']:.2f} | {rates} |", flush=True)


if __name__ == "__main__":
    main()
