#!/usr/bin/env python3
"""Clips of mixed length out of short ones, for `mome evaluate --rate auto --deadline`.

    mixed_clips.py OUTPUT [clips] [DATA]

Takes the development clips of GRID and Lombard GRID in DATA (default ../shared/data): one in four is
cut behind its second to fifth word (those that have word times), the rest are one to three clips of
one speaker, one after the other: 1 to 9 seconds. Writes OUTPUT/NAME.mp4 and OUTPUT/manifest.tsv; what
is drawn depends on nothing but the number of clips. Needs ffmpeg.
"""
import csv
import os
import random
import subprocess
import sys

MANIFESTS = ("grid/dev.tsv", "grid/other_dev.tsv", "lombard/dev.tsv")


def read(data):
    clips = []
    for manifest in MANIFESTS:
        folder = os.path.dirname(os.path.join(data, manifest))
        with open(os.path.join(data, manifest), newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                path = os.path.join(folder, row["path"])
                words = [w.rsplit(":", 2) for w in (row.get("words_ms") or "").split()]
                clips.append((path, row["text"], words, os.path.dirname(path)))
    return clips


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True)


def write(parts, seconds, path):
    inputs, streams = [], ""
    for i, part in enumerate(parts):
        inputs += ["-i", part]
        streams += f"[{i}:v][{i}:a]"
    joined = f"{streams}concat=n={len(parts)}:v=1:a=1[v][a]"
    length = ["-t", f"{seconds:.3f}"] if seconds else []
    ffmpeg(*inputs, "-filter_complex", joined, "-map", "[v]", "-map", "[a]", *length,
           "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-c:a", "flac", "-strict", "-2",
           "-threads", "1", path)


def draw(chance, clips):
    """Paths, seconds (None: all of them), text."""
    if chance.random() < 0.25:
        path, text, words, _ = chance.choice([c for c in clips if c[2]])
        kept = chance.randint(2, 5)
        return [path], (int(words[kept - 1][2]) + int(words[kept][1])) / 2000, \
            " ".join(text.split()[:kept])
    first = chance.choice(clips)
    others = [c for c in clips if c[3] == first[3]]
    parts = [first] + [chance.choice(others) for _ in range(chance.randint(0, 2))]
    return [p[0] for p in parts], None, " ".join(p[1] for p in parts)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    output = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    clips = read(sys.argv[3] if len(sys.argv) > 3 else "../shared/data")
    chance = random.Random(1)
    os.makedirs(output, exist_ok=True)
    rows = []
    for i in range(count):
        parts, seconds, text = draw(chance, clips)
        name = f"{i:04d}.mp4"
        write(parts, seconds, os.path.join(output, name))
        rows.append(f"{name}\t{text}\n")
    with open(os.path.join(output, "manifest.tsv"), "w", encoding="utf-8") as file:
        file.writelines(["path\ttext\n", *rows])


if __name__ == "__main__":
    main()
