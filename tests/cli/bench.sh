#!/bin/sh
# mome bench: rows for every task, rate and number of beams, in each format; the plot; what it refuses.
# Usage: tests/cli/bench.sh BUILD_FOLDER
set -eu
. tests/cli/setup
make_model "$1"
MOME_MODEL=$model
export MOME_MODEL
clip=samples/000000.mp4
quick="--max-tokens 3 --quiet -r 2 --cache $folder/cache"
head -n 3 samples/manifest.tsv | sed "2,\$s|^|$PWD/samples/|" >"$folder/test.tsv"

"$mome" bench $quick --manifest "$folder/test.tsv" --beam 1,3 -o json --plot "$folder/plot.svg" \
    >"$folder/out.json" 2>"$folder/err" || fail "$(cat "$folder/err")"
python3 - "$folder/out.json" "$folder/plot.svg" <<'END' || fail "json: $(cat "$folder/out.json")"
import json, sys
import xml.etree.ElementTree as xml
whole = json.load(open(sys.argv[1]))
assert whole["format"] == "mome-bench-1" and whole["repetitions"] == 2 and whole["clips"] == 2
rows = whole["results"]
assert len(rows) == 2 * (2 + 2 + 4)
assert len({(r["task"], r["audio_rate"], r["video_rate"], r["beam"]) for r in rows}) == len(rows)
for r in rows:
    assert r["clips"] == 2 and r["words"] == 12 and abs(r["wer"] - r["errors"] / 12) < 1e-6
    assert r["wer_low"] <= r["wer"] <= r["wer_high"]
    parts = [r[k]["mean"] for k in ("encode_seconds", "prefill_seconds", "search_seconds")]
    assert min(parts) > 0 and abs(sum(parts) - r["seconds"]["mean"]) < 1e-6
    assert abs(r["rtf"]["mean"] - r["seconds"]["mean"] * 2 / whole["clip_seconds"]) < 0.02
    assert r["seconds"]["deviation"] >= 0 and r["peak_memory_bytes"] > 1e6
    assert 0 < r["media_tokens"] < r["prompt_tokens"]
tokens = {(r["audio_rate"], r["video_rate"]): r["prompt_tokens"] for r in rows if r["task"] == "avsr"}
assert tokens[4, 2] > tokens[4, 5] > tokens[16, 5] and tokens[4, 2] > tokens[16, 2]
text = "".join(xml.parse(sys.argv[2]).getroot().itertext())
for label in ("avsr, beam 3", "(16,5)", "word error rate (%)"):
    assert label in text, label
END

# a file: no error rates; the other formats
"$mome" bench $quick -o csv --task asr,avsr --rate 4,2 $clip >"$folder/out.csv" 2>"$folder/err" ||
    fail "$(cat "$folder/err")"
python3 - "$folder/out.csv" <<'END' || fail "csv: $(cat "$folder/out.csv")"
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))
assert [(r["task"], r["audio_rate"], r["video_rate"]) for r in rows] == [("asr", "4", ""), ("avsr", "4", "2")]
for r in rows:
    assert None not in r and None not in r.values() and r["beam"] == "1"
    assert r["wer"] == "" and r["words"] == "0" and float(r["total_ms"]) > 0
    assert float(r["total_ms_sd"]) >= 0 and int(r["peak_bytes"]) > 1e6
END
"$mome" bench $quick -o md --task asr $clip >"$folder/out.md" 2>"$folder/err" || fail "$(cat "$folder/err")"
[ "$(wc -l <"$folder/out.md")" = 4 ] || fail "md: not a head, a rule and 2 rows"
awk -F'|' 'NF != 14 { exit 1 }' "$folder/out.md" || fail "md: not 12 columns: $(cat "$folder/out.md")"
"$mome" bench $quick --task asr --rate 16 $clip >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
[ "$(wc -l <"$folder/out")" = 2 ] || fail "table: not a head and a row"
# sound alone: the tasks that are possible
"$mome" bench $quick -r 1 -o csv samples/babble.m4a >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
[ "$(cut -d, -f1 "$folder/out" | sort -u | tr '\n' ' ')" = "asr task " ] || fail "sound alone: $(cat "$folder/out")"
# a file that can't be read is told of
"$mome" bench --max-tokens 1 -r 1 --task asr --rate 16 $clip missing.mp4 >"$folder/out" 2>"$folder/err" ||
    fail "$(cat "$folder/err")"
grep -q 'missing.mp4: cannot open' "$folder/err" || fail "missing.mp4 is not told of"

refused 2 'table, md, csv or json, not: xml' bench -o xml
refused 2 '--beam takes numbers from 1 to 256' bench --beam 1,,2
refused 2 '--repeat takes 1 to 1000, not: 0' bench -r 0
refused 2 'it measures fixed rates' bench --deadline 1s
refused 2 'it measures clean sound' bench --noise x --snr 0
refused 2 'not both' bench --manifest x.tsv $clip
refused 1 'missing.tsv: ' bench --manifest missing.tsv
refused 1 'none of the clips has what vsr needs' bench --quiet --task vsr samples/babble.m4a
refused 2 'says what was said' bench --max-tokens 1 -r 1 --quiet --task asr --rate 16 --plot "$folder/no.svg" $clip
[ ! -e "$folder/no.svg" ] || fail "a plot of nothing"
rc=0
"$mome" bench $quick --task asr --rate 16 $clip >/dev/full 2>"$folder/err" || rc=$?
[ $rc = 1 ] && grep -q 'standard output: cannot write' "$folder/err" || fail "full stdout: code $rc"
