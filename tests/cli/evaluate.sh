#!/bin/sh
# mome evaluate: table and JSON, broken lines told with their number, full disk.
# Usage: tests/cli/evaluate.sh BUILD_FOLDER
set -eu
. tests/cli/setup
make_model "$1"
MOME_MODEL=$model
export MOME_MODEL
clips=$PWD/samples
quick="--max-tokens 3 --quiet"
printf 'path\ttext\n%s\tlay white\nbroken\n%s\tbin red with\nmissing.mp4\tset blue now by\n' \
    "$clips/000000.mp4" "$clips/000001.mp4" >"$folder/test.tsv"

"$mome" evaluate $quick --manifest "$folder/test.tsv" --task asr,vsr,avsr --rates all \
    --noise samples/babble.m4a --snr clean,-5 --cache "$folder/cache" --example \
    --json "$folder/out.json" --hypotheses "$folder/out.tsv" >"$folder/out" 2>"$folder/err" ||
    fail "$(cat "$folder/err")"
[ "$(wc -l <"$folder/out")" = 15 ] || fail "not a head and 2 x 2 + 2 + 2 x 4 rows"
grep -q 'test.tsv:3: ' "$folder/err" || fail "the broken line is not told: $(cat "$folder/err")"
grep -q 'missing.mp4: cannot open' "$folder/err" || fail "the missing clip is not told"
[ "$(wc -l <"$folder/err")" = 2 ] || fail "more than two remarks: $(cat "$folder/err")"
[ "$(wc -l <"$folder/out.tsv")" = 43 ] || fail "--hypotheses: not a head and 14 x 3 rows"
python3 - "$folder/out.json" <<'END' || fail "--json: $(cat "$folder/out.json")"
import json, sys
whole = json.load(open(sys.argv[1]))
results = whole["results"]
assert whole["format"] == "mome-evaluation-1" and whole["seeds"] == [1] and whole["beam"] == 1
model = whole["model"]
assert model["name"] == "test-model" and model["placement"] == "mhsa"
assert model["parameters"] > model["adapter_parameters"] > model["active_parameters"] > 0
assert whole["peak_memory_bytes"] > 1e6 and whole["noise"].endswith("babble.m4a")
assert len(results) == 14
seen = set()
for i, r in enumerate(results):
    seen.add((r["task"], r["audio_rate"], r["video_rate"], r["snr_db"]))
    assert r["words"] == 9 and r["clips"] == 3 and r["failed"] == 1
    assert abs(r["wer"] - r["errors"] / r["words"]) < 1e-6 and r["errors"] >= 4
    assert r["wer_low"] <= r["wer"] <= r["wer_high"] and r["seconds"] > 0
    assert r["tflops"] > 0 and abs(r["rtf"] - r["seconds"] / r["audio_seconds"]) < 1e-6
    assert r["cer"] > 0 and r["wer_normalised"] > 0 and r["media_tokens"] < r["prompt_tokens"]
    assert [sum(u[k] for u in r["utterances"]) for k in (0, 1)] == [r["errors"], r["words"]]
    assert r["utterances"][2] == [4, 4] # the missing clip
assert len(seen) == 14 and ("vsr", None, 5, None) in seen and ("avsr", 16, 2, -5) in seen
by_rate = {(r["task"], r["audio_rate"]): r["tflops"] for r in results if r["task"] == "asr"}
assert by_rate["asr", 16] < by_rate["asr", 4]
clips = whole["clips"]
assert [c["text"] for c in clips] == ["lay white", "bin red with", "set blue now by"]
assert clips[0]["seconds"] > 1 and clips[2]["hypotheses"] == [""] * 14
END

# several seeds: rows of their own where noise is mixed in; the first gives what it gives alone
"$mome" evaluate $quick --manifest "$folder/test.tsv" --task asr,vsr --rate 4,2 --name tiny \
    --noise samples/babble.m4a --snr clean,-5 --seeds 3,1 --cache "$folder/cache" \
    --json "$folder/seeds.json" >"$folder/out" 2>&1 || fail "$(cat "$folder/out")"
python3 - "$folder/seeds.json" "$folder/out.json" <<'END' || fail "--seeds: $(cat "$folder/out")"
import json, sys
seeds, one = (json.load(open(f)) for f in sys.argv[1:])
key = lambda r: (r["task"], r["audio_rate"], r["video_rate"], r["snr_db"])
assert seeds["model"]["name"] == "tiny" and seeds["seeds"] == [3, 1]
assert [(r["task"], r["snr_db"], r["seed"]) for r in seeds["results"]] == [
    ("asr", None, 3), ("asr", -5, 3), ("asr", -5, 1), ("vsr", None, 3)]
for i, r in enumerate(seeds["results"]):
    j = next(j for j, s in enumerate(one["results"]) if key(s) == key(r))
    if r["seed"] == 1 or r["snr_db"] is None:
        assert [c["hypotheses"][i] for c in seeds["clips"]] == [
            c["hypotheses"][j] for c in one["clips"]], r
END
refused 2 'not a number in range' evaluate --manifest "$folder/test.tsv" --seeds 1,x

# experts: shares add up, a rate agrees with itself, and what is read is what was read without
"$mome" evaluate $quick --manifest "$folder/test.tsv" --task asr,vsr,avsr --rates all --experts \
    --cache "$folder/cache" --json "$folder/experts.json" >"$folder/out" 2>&1 ||
    fail "$(cat "$folder/out")"
python3 - "$folder/experts.json" "$folder/out.json" <<'END' || fail "--experts"
import json, sys
new, old = (json.load(open(f)) for f in sys.argv[1:])
e, s = new["experts"], new["similarity"]
assert old["experts"] is None and old["similarity"] is None
assert (e["layers"], e["routed"], e["active"], len(e["conditions"])) == (1, 4, 2, 8)
assert e["conditions"][7] == {"task": "avsr", "audio_rate": 16, "video_rate": 5}
assert all(abs(sum(layer) - 1) < 1e-3 for c in e["share"] for layer in c)
assert all(e["agreement"][i][i] == 1 for i in range(8)) and e["agreement_by_layer"][0][0][0] == 1
assert [(t["modality"], t["rate"]) for t in s["tokens"]] == [
    ("audio", 4), ("audio", 16), ("video", 2), ("video", 5)]
assert len(s["matrix"]) == len(s["matrix"][0]) == sum(t["count"] for t in s["tokens"])
key = lambda r: (r["task"], r["audio_rate"], r["video_rate"], r["snr_db"])
for i, r in enumerate(new["results"]):
    j = next(j for j, o in enumerate(old["results"]) if key(o) == key(r))
    assert [c["hypotheses"][i] for c in new["clips"]] == [c["hypotheses"][j] for c in old["clips"]]
END
refused 2 '--experts needs --json' evaluate --manifest "$folder/test.tsv" --experts

# the same again, from the cache, gives the same
"$mome" evaluate $quick --manifest "$folder/test.tsv" --task asr,avsr --rate 16,5 --snr 0 \
    --noise samples/babble.m4a --cache "$folder/cache" --hypotheses "$folder/a.tsv" >/dev/null 2>&1
"$mome" evaluate $quick --manifest "$folder/test.tsv" --task asr,avsr --rate 16,5 --snr 0 \
    --noise samples/babble.m4a --hypotheses "$folder/b.tsv" >/dev/null 2>&1
cmp "$folder/a.tsv" "$folder/b.tsv" || fail "two runs differ"

printf 'file\ttext\nx.mp4\thello\n' >"$folder/columns.tsv"
refused 1 'missing.tsv' evaluate --manifest missing.tsv
refused 1 'columns.tsv' evaluate --manifest "$folder/columns.tsv"
refused 1 'the model has no video rate 3; it has 2 5' evaluate --manifest "$folder/test.tsv" \
    --task avsr --rate 4,3
printf 'path\ttext\n%s\tlay white\n' "$clips/000000.mp4" >"$folder/one.tsv"
refused 1 "$folder/none/out.json: " evaluate $quick --manifest "$folder/one.tsv" --task asr \
    --json "$folder/none/out.json"
(ulimit -f 1 && exec "$mome" evaluate $quick --manifest "$folder/one.tsv" --task asr,vsr,avsr \
    --rates all --json "$folder/full.json") 2>"$folder/err" | cat >"$folder/out"
grep -q 'full.json: cannot write' "$folder/err" || fail "full disk: $(cat "$folder/err")"
! ls "$folder" | grep -q full || fail "full disk: something was left behind"
[ "$(wc -l <"$folder/out")" = 9 ] || fail "full disk: the table is lost"
