#!/usr/bin/env python3
"""How well words are placed in time, and what their confidences are worth.

usage: tools/word_times.py MANIFEST.tsv RESULT.json...

RESULT is what `mome transcribe --json` printed of clips of MANIFEST. For each task, rate and noise
level: words recognised, of them right; where the manifest has words_ms, of the right ones the
median and the 90th hundredth of |start error| and |end error| in ms; and how well confidence tells
right words from wrong ones (the area under the ROC curve: the chance that a right word has the
higher one).
"""
import json
import os
import sys

from alignment import align


def read_manifest(path):
    """{path of a clip: [(word, start, end) in seconds, None where they are not known]}"""
    clips = {}
    with open(path, encoding="utf-8") as lines:
        head = next(lines).rstrip("\n").split("\t")
        for line in lines:
            row = dict(zip(head, line.rstrip("\n").split("\t")))
            clip = os.path.realpath(os.path.join(os.path.dirname(path), row["path"]))
            clips[clip] = [(w, None, None) for w in row["text"].split()]
            if row.get("words_ms"):
                words = [w.rsplit(":", 2) for w in row["words_ms"].split()]
                clips[clip] = [(w, int(start) / 1e3, int(end) / 1e3) for w, start, end in words]
    return clips


def hundredth(values, share):
    values = sorted(values)
    return values[min(int(len(values) * share), len(values) - 1)] if values else float("nan")


def roc_area(right, wrong):
    if not right or not wrong:
        return float("nan")
    wins = sum((r > w) + (r == w) / 2 for r in right for w in wrong)
    return wins / len(right) / len(wrong)


class Group:
    def __init__(self):
        self.words, self.start, self.end = 0, [], []
        self.right, self.wrong = [], []

    def add(self, reference, words):
        self.words += len(words)
        right = {j: i for i, j in align([r[0] for r in reference], [w["word"].lower() for w in words])[1]}
        for j, word in enumerate(words):
            at = right.get(j)
            (self.wrong if at is None else self.right).append(word["confidence"])
            if at is not None and reference[at][1] is not None:
                self.start.append(1e3 * abs(word["start"] - reference[at][1]))
                self.end.append(1e3 * abs(word["end"] - reference[at][2]))

    def row(self):
        numbers = [hundredth(x, share) for x in (self.start, self.end) for share in (0.5, 0.9)]
        return f"{self.words:6} {len(self.right):6}" + "".join(f" {x:8.0f}" for x in numbers) + \
            f"    {roc_area(self.right, self.wrong):.3f}"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    clips, groups = read_manifest(sys.argv[1]), {}
    for path in sys.argv[2:]:
        with open(path, encoding="utf-8") as file:
            results = json.load(file)
        for r in results:
            rates = ",".join(str(x) for x in (r["audio_rate"], r["video_rate"]) if x)
            noise = "clean" if r["snr_db"] is None else f"{r['snr_db']:g} dB"
            group = groups.setdefault((r["task"], rates, noise), Group())
            group.add(clips[os.path.realpath(r["file"])], r["words"])
    print("task  rate  noise    words  right   start ms: 50 %  90 %  end ms: 50 %  90 %    ROC")
    for (task, rates, noise), group in groups.items():
        print(f"{task:5} {rates:5} {noise:6} {group.row()}")


if __name__ == "__main__":
    main()
