#!/bin/sh
# mome train: mistakes in one line, broken manifest lines told, Ctrl-C saves and --resume goes on;
# a dry run leaves no run; under mpirun one rank speaks for all.
# Usage: tests/cli/train.sh BUILD_FOLDER
set -eu
. tests/cli/setup

# config FILE MANIFEST STEPS: a small model that hears
config() {
    cat >"$folder/$1" <<END
{"output": "$folder/run", "cache": "$folder/cache", "model": {"video": null,
  "audio": {"d": 32, "layers": 1, "heads": 2, "ffn": 64}, "projector": {"hidden": 32},
  "llm": {"d": 32, "layers": 1, "heads": 2, "kv_heads": 1, "head_dim": 16, "ffn": 64}},
 "sources": [{"manifest": "$2"}],
 "stages": [{"name": "all", "train": ["audio", "projectors", "llm"], "steps": $3, "batch": 2}]}
END
}

"$1/mome-synth" --text "bin blue at f two now" --sound-only -o "$folder/one.wav" |
    tail -n 1 >"$folder/line"
printf 'path\ttext\twords_ms\tphones_ms\n' >"$folder/clips.tsv"
cat "$folder/line" >>"$folder/clips.tsv"
printf 'broken line\nnone.wav\tset red\t\t\n' >>"$folder/clips.tsv"

config bad.json "$folder/missing.tsv" 2
refused 1 "$folder/missing.tsv" train "$folder/bad.json"
echo '{"stages": 3}' >"$folder/bad.json"
refused 1 'bad.json: needs lists "sources"' train "$folder/bad.json"
refused 1 'nowhere.json' train nowhere.json
config bad.json "$folder/clips.tsv" '"two"'
refused 1 'bad.json: stages[0]: "steps" must be a whole number' train "$folder/bad.json"
[ ! -e "$folder/run/best" ] || fail "a model of nothing"

config good.json "$folder/clips.tsv" 3
"$mome" train --quiet "$folder/good.json" >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
grep -q 'clips.tsv:3: ' "$folder/err" || fail "the broken line is not told: $(cat "$folder/err")"
grep -q 'none.wav: ' "$folder/err" || fail "the missing clip is not told"
grep -q 'done: .*run/best' "$folder/err" || fail "does not say where the model is"
"$mome" inspect "$folder/run/best" | grep -q 'audio rates 4, 16' || fail "the model is not there"
"$mome" transcribe --model "$folder/run/best" --max-tokens 2 "$folder/one.wav" >/dev/null ||
    fail "the model does not run"
refused 1 'the model has no video encoder' transcribe --model "$folder/run/best" --task vsr x.mp4

# a dry run: tables, and no run
sed "s|$folder/run|$folder/dry|" "$folder/good.json" >"$folder/dry.json"
"$mome" train --dry-run --quiet "$folder/dry.json" >"$folder/out" || fail "dry run"
grep -q '^time a step (measured)  *[0-9]' "$folder/out" || fail "no time: $(cat "$folder/out")"
grep -q '^audio  *16 ' "$folder/out" || fail "no tokens: $(cat "$folder/out")"
[ ! -e "$folder/dry" ] || fail "a dry run left a run"
refused 1 'missing.json' train --dry-run "$folder/missing.json"

# two ranks, where there is MPI
ranks() {
    rc=0
    # MPI's own libraries leak, which the sanitizer would end us for
    OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_leaks=0 mpirun --allow-run-as-root --oversubscribe --bind-to none -n 2 \
        "$mome" train --quiet "$1" >"$folder/out" 2>"$folder/err" || rc=$?
}
if command -v mpirun >/dev/null; then
    ranks "$folder/dry.json"
    if grep -q 'built without MPI' "$folder/err"; then
        echo "$name: built without MPI" >&2
    else
        [ "$rc" = 0 ] || fail "two ranks: $(cat "$folder/err")"
        for line in 'done: ' 'clips.tsv:3: ' 'none.wav: '; do
            [ "$(grep -c "$line" "$folder/err")" = 1 ] || fail "not once: $line: $(cat "$folder/err")"
        done
        ranks "$folder/bad.json"
        [ "$rc" != 0 ] && [ "$(grep -c '^mome: ' "$folder/err")" = 1 ] ||
            fail "two ranks say: $(cat "$folder/err")"
    fi
fi

# stopped by a signal while it runs
config long.json "$folder/clips.tsv" 1000000
"$mome" train --quiet "$folder/long.json" >/dev/null 2>"$folder/err" &
child=$!
lines=0
for _ in $(seq 600); do
    lines=$(wc -l <"$folder/run/log.jsonl")
    [ "$lines" -gt 3 ] && kill -0 $child && grep -q '"step": 4' "$folder/run/log.jsonl" && break
    sleep 0.1
done
kill -INT $child || fail "training ended: $(cat "$folder/err")"
rc=0
wait $child || rc=$?
[ $rc = 1 ] && grep -q 'stopped; go on with --resume' "$folder/err" || fail "Ctrl-C: code $rc"
done_steps=$(wc -l <"$folder/run/log.jsonl")
config long.json "$folder/clips.tsv" $((done_steps + 2))
"$mome" train --quiet --resume "$folder/long.json" 2>"$folder/err" || fail "$(cat "$folder/err")"
python3 - "$folder/run/log.jsonl" $((done_steps + 2)) <<'END' || fail "the log has gaps"
import json, sys
steps = [json.loads(line)["step"] for line in open(sys.argv[1])]
assert steps == list(range(1, int(sys.argv[2]) + 1)), steps
END
