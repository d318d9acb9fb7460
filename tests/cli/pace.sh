#!/bin/sh
# --rate auto: limits on sample clips, units, what it refuses, the file of the measurement.
# Usage: tests/cli/pace.sh BUILD_FOLDER
set -eu
. tests/cli/setup
make_model "$1"
MOME_MODEL=$model XDG_CACHE_HOME=$folder/caches
export MOME_MODEL XDG_CACHE_HOME
clip=samples/000000.mp4 other=samples/000001.mp4
quick="--max-tokens 3"

# ---- time enough: the richest rate, and the text that it gives ----
"$mome" transcribe $quick --quiet --deadline 1000s $clip $other >"$folder/auto" 2>"$folder/err" ||
    fail "$(cat "$folder/err")"
[ ! -s "$folder/err" ] || fail "--quiet is not quiet: $(cat "$folder/err")"
"$mome" transcribe $quick --rate 4,2 $clip $other | cmp - "$folder/auto" || fail "not what rate 4,2 gives"
[ "$(ls "$folder/caches/mome")" = "$(cd "$folder/caches/mome" && echo pace-*.json)" ] ||
    fail "not one file of a measurement: $(ls "$folder/caches/mome")"

"$mome" transcribe $quick --rate auto --rtf 1000 --memory 8G --beam 3 --json $clip >"$folder/out.json" 2>"$folder/err"
grep -q "$clip: avsr, rate 4,2: [0-9]* ms\$" "$folder/err" || fail "does not say what it chose: $(cat "$folder/err")"
python3 - "$folder/out.json" <<'END' || fail "--json: $(cat "$folder/out.json")"
import json, sys
[r] = json.load(open(sys.argv[1]))
assert r["late"] is False and r["seconds"] >= r["encode_seconds"] > 0
[s] = r["segments"]
assert (s["task"], s["audio_rate"], s["video_rate"], s["beam"]) == ("avsr", 4, 2, 3)
assert s["start"] == 0 and s["end"] > 1 and r["audio_rate"] == 4
END

# ---- none: the cheapest, and said; sound alone only where the task is free ----
"$mome" transcribe $quick --deadline 0.001ms --beam 3 --json $clip >"$folder/out.json" 2>"$folder/err"
grep -q "$clip: asr, rate 16: .* more than is allowed" "$folder/err" || fail "late: $(cat "$folder/err")"
python3 -c 'import json, sys
[r] = json.load(open(sys.argv[1]))
assert r["late"] and r["task"] == "asr" and r["audio_rate"] == 16 and r["segments"][0]["beam"] == 1' \
    "$folder/out.json" || fail "late: $(cat "$folder/out.json")"
"$mome" transcribe $quick --task avsr --memory 1M $clip 2>&1 >/dev/null |
    grep -q "avsr, rate 16,5: .* more than is allowed" || fail "--memory 1M"

# ---- the file broken: told, measured again ----
for file in "$folder/caches/mome"/*; do
    echo '{"format": "mome-pace-1"}' >"$file"
done
"$mome" transcribe $quick --deadline 1000s $clip 2>&1 >/dev/null | grep -q 'pace-.*not the measurement' ||
    fail "a broken measurement is not told of"
"$mome" transcribe $quick --deadline 1000s $clip 2>&1 >/dev/null | grep 'not the measurement' &&
    fail "the measurement was not written again"
: >"$folder/file" # no place for it is no error
XDG_CACHE_HOME=$folder/file "$mome" transcribe $quick --deadline 1000s $clip >"$folder/out" 2>"$folder/err" ||
    fail "no place for a measurement: $(cat "$folder/err")"

# ---- evaluate: the rate that chooses itself beside the fixed ones ----
head -n 3 samples/manifest.tsv | sed "2,\$s|^|$PWD/samples/|" >"$folder/test.tsv"
"$mome" evaluate $quick --quiet --manifest "$folder/test.tsv" --rate auto,all --deadline 1000s \
    --json "$folder/out.json" >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
[ "$(wc -l <"$folder/out")" = 6 ] && grep -q 'held %' "$folder/out" || fail "table: $(cat "$folder/out")"
python3 - "$folder/out.json" <<'END' || fail "evaluate: $(cat "$folder/out.json")"
import json, sys
rows = json.load(open(sys.argv[1]))["results"]
assert [(r["audio_rate"], r["video_rate"]) for r in rows] == [(None, None), (4, 2), (4, 5), (16, 2), (16, 5)]
assert all(r["held"] == 1 and r["seconds"] > 0 and r["tflops"] > 0 for r in rows)
for key in "wer", "prompt_tokens", "tflops", "errors":
    assert rows[0][key] == rows[1][key], key
END
"$mome" compare "$folder/out.json" "$folder/out.json" >"$folder/out" 2>&1 || fail "compare: $(cat "$folder/out")"
"$mome" report "$folder/out.json" -o "$folder/report.html" 2>"$folder/err" || fail "report: $(cat "$folder/err")"

# ---- refused ----
for time in 300 300m 0ms -1s ms 1e3ms 1s2 '' nan inf; do
    refused 2 'such as 300ms or 1.5s, not' transcribe --deadline "$time" $clip
done
for size in 2 2g 0G -1M G 2GB 1e9K; do
    refused 2 'such as 800M or 2G, not' transcribe --memory "$size" $clip
done
refused 2 '--rtf takes a number above 0, not: 0' transcribe --rtf 0 $clip
refused 2 '--deadline chooses the rate: it goes with --rate auto, not with a fixed one' \
    transcribe --deadline 1s --rate 4,2 $clip
refused 2 '--memory chooses the rate' evaluate --manifest "$folder/test.tsv" --rates all --memory 2G
refused 2 '--rate auto needs --deadline, --rtf or --memory' transcribe --rate auto $clip
refused 2 'not both' transcribe --rate auto,all --deadline 1s $clip
