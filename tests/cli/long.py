"""What tests/cli/long.sh asks of a long video. Usage: long.py MOME FOLDER ROUNDS

FOLDER has clips.tsv (path, text, words_ms), round.mp4 (the clips joined), long.mp4 (ROUNDS of it) and
alone/ (the transcripts of the clips by themselves).
"""
import json
import os
import pty
import re
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, "tools")
from alignment import align, duration  # noqa: E402

mome, folder, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
GROWTH = 1.04  # times the memory of the first minute: buffers, and plans of lengths that are still new
AWAY = 0.3  # seconds that most words may be off
WORSE = 0.01  # word error rate that joining may cost


def status_mb(pid, name):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def run(output, kill_at=None):
    """Transcribes long.mp4; [(seconds of media done, resident MB, most of them)] as it goes."""
    screen, terminal = pty.openpty()
    command = [mome, "transcribe", "--model", "models/tiny", "-f", "srt,json", "-o", output,
               f"{folder}/long.mp4"]
    process = subprocess.Popen(command, stderr=terminal)
    os.close(terminal)
    seen, text = [], ""
    while True:
        try:
            text = text[-200:] + os.read(screen, 4096).decode(errors="replace")
        except OSError:  # the other end is closed
            break
        times = re.findall(r"((?:\d+:)?\d+:\d\d)/(?:\d+:)?\d+:\d\d", text)
        if not times:
            continue
        done = 0
        for part in times[-1].split(":"):
            done = 60 * done + int(part)
        try:
            seen.append((done, status_mb(process.pid, "VmRSS"), status_mb(process.pid, "VmHWM")))
        except (OSError, StopIteration):  # it has just ended
            continue
        if kill_at and done >= kill_at:
            process.send_signal(signal.SIGKILL)
    os.close(screen)
    code = process.wait()
    assert code == (-signal.SIGKILL if kill_at else 0), f"exit code {code}: {text}"
    return seen


def words_of(path):
    with open(path) as file:
        return [w for u in json.load(file)["utterances"] for w in u["words"]]


clips, at = [], 0.0
for row in open(f"{folder}/clips.tsv"):
    path, text, times = row.rstrip("\n").split("\t")
    times = [[int(ms) / 1000 for ms in w.rsplit(":", 2)[1:]] for w in times.split()]
    length = duration(path)
    clips.append((path, text.split(), times, at, length))
    at += length
round_seconds, total = duration(f"{folder}/round.mp4"), duration(f"{folder}/long.mp4")
assert abs(round_seconds - at) < 0.2, f"a round takes {round_seconds} s, its clips {at}"

# ---- memory and time ----
start = time.monotonic()
seen = run(f"{folder}/out")
wall = time.monotonic() - start
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
first = max(mb for done, mb, _ in seen if done <= 60)
later = max(mb for done, mb, _ in seen if done > 60)
print(f"{total:.0f} s of media in {wall:.0f} s: real-time factor {wall / total:.3f}, of the processor "
      f"{(usage.ru_utime + usage.ru_stime) / total:.3f}; {first:.0f} MB in the first minute, {later:.0f} MB "
      f"after it, {seen[-1][1]:.0f} MB at the end, {seen[-1][2]:.0f} MB at most")
assert later <= GROWTH * first, "memory grows"

# ---- words: each belongs to the clip that its middle lies in ----
found = {}
for w in words_of(f"{folder}/out/long.json"):
    middle = (w["start"] + w["end"]) / 2
    number, into = divmod(middle, round_seconds)
    clip = max(i for i, c in enumerate(clips) if c[3] <= into)
    found.setdefault((int(number), clip), []).append(w)
wrong = alone = said = 0
off = []
for number in range(rounds):
    for i, (path, text, times, begin, _) in enumerate(clips):
        words = found.get((number, i), [])
        edits, right = align(text, [w["word"] for w in words])
        name = os.path.splitext(os.path.basename(path))[0]
        alone += align(text, [w["word"] for w in words_of(f"{folder}/alone/{name}.json")])[0]
        wrong += edits
        said += len(text)
        for r, w in right if times else []:
            shift = number * round_seconds + begin
            off += [abs(words[w]["start"] - shift - times[r][0]),
                    abs(words[w]["end"] - shift - times[r][1])]
off.sort()
print(f"{said} words: error rate {wrong / said:.3f}, {alone / said:.3f} of the clips alone; times off by "
      f"{off[len(off) // 2]:.3f} s (median), {off[len(off) * 9 // 10]:.3f} s (90 %)")
assert wrong <= alone + WORSE * said, "joining costs words"
assert off[len(off) * 9 // 10] <= AWAY, "words are not where they are said"

# ---- killed in the middle ----
run(f"{folder}/killed", kill_at=min(total / 2, 60))
left = os.listdir(f"{folder}/killed")
assert not left, f"left behind: {left}"
