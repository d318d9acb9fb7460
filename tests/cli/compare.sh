#!/bin/sh
# mome compare: a model against itself, a result against one that is better; files that do not fit.
# Usage: tests/cli/compare.sh BUILD_FOLDER
set -eu
. tests/cli/setup
make_model "$1"
MOME_MODEL=$model
export MOME_MODEL
clips=$PWD/samples
printf 'path\ttext\n%s\tlay white\n%s\tbin red with\n' "$clips/000000.mp4" "$clips/000001.mp4" \
    >"$folder/two.tsv"
"$mome" evaluate --quiet --max-tokens 3 --manifest "$folder/two.tsv" --task asr,vsr --rates all \
    --noise samples/babble.m4a --snr clean,-5 --seeds 1,2 --json "$folder/a.json" >/dev/null

"$mome" compare "$folder/a.json" "$folder/a.json" --json "$folder/same.json" >"$folder/out"
[ "$(wc -l <"$folder/out")" = 11 ] || fail "not a head and 2 x 3 + 2 rows: $(cat "$folder/out")"

# a hundred clips; B has an error less in every fourth at one condition, and lacks another
python3 - "$folder" <<'END'
import json, sys
folder = sys.argv[1]
row = lambda task, a, v, errors: {"task": task, "audio_rate": a, "video_rate": v,
                                  "clips": len(errors), "utterances": [[e, 6] for e in errors]}
clips = [{"path": str(i), "text": f"text {i}"} for i in range(100)]
write = lambda name, rows, clips: json.dump(
    {"format": "mome-evaluation-1", "model": {"name": name}, "results": rows, "clips": clips},
    open(f"{folder}/{name}.json", "w"))
write("one", [row("asr", 4, None, [2] * 100), row("vsr", None, 5, [1, 2] * 50),
              row("asr", 16, None, [1] * 100)], clips)
write("other", [row("vsr", None, 5, [2, 1] * 50), row("asr", 4, None, [1, 2, 2, 2] * 25)], clips)
write("texts", [row("asr", 4, None, [1] * 100)], clips[1:] + clips[:1])
write("short", [row("asr", 4, None, [1] * 99)], None)
write("none", [row("vsr", None, 2, [1] * 100)], clips)
END
"$mome" compare "$folder/one.json" "$folder/other.json" --json "$folder/d.json" >"$folder/out"
grep -q 'A: one   B: other' "$folder/out" || fail "names: $(cat "$folder/out")"
python3 - "$folder/d.json" "$folder/same.json" <<'END' || fail "--json: $(cat "$folder/d.json")"
import json, sys
d, same = (json.load(open(f)) for f in sys.argv[1:])
assert d["format"] == "mome-comparison-1" and (d["a"], d["b"]) == ("one", "other")
asr, vsr = d["conditions"]
assert (asr["task"], asr["audio_rate"], asr["video_rate"]) == ("asr", 4, None)
assert abs(asr["wer_a"] - 2 / 6) < 1e-8 and abs(asr["difference"] + 0.25 / 6) < 1e-8
assert asr["p"] < 0.001 and asr["low"] < asr["difference"] < asr["high"] < 0
assert (asr["better_a"], asr["better_b"], asr["clips"]) == (0, 25, 100)
assert vsr["task"] == "vsr" and vsr["difference"] == 0 and vsr["p"] == 1
assert vsr["low"] < 0 < vsr["high"] and vsr["better_a"] == vsr["better_b"] == 50
assert len(same["conditions"]) == 8
for c in same["conditions"]:
    assert c["p"] == 1 and c["difference"] == c["low"] == c["high"] == 0
END

refused 1 'clip 1 is "text 0"' compare "$folder/one.json" "$folder/texts.json"
refused 1 'these are not the same' compare "$folder/one.json" "$folder/short.json"
refused 1 'no task, rate and noise level in common' compare "$folder/one.json" "$folder/none.json"
refused 1 'missing.json: ' compare "$folder/one.json" missing.json
echo '{}' >"$folder/empty.json"
refused 1 'empty.json: "format"' compare "$folder/one.json" "$folder/empty.json"
refused 2 'needs two files' compare "$folder/one.json"
refused 1 "$folder/nowhere/d.json: " compare "$folder/one.json" "$folder/other.json" \
    --json "$folder/nowhere/d.json"
