#!/bin/sh
# The comparison of docs/results.md, from nothing: MoME in its three placements, Llama-AVSR (one model
# a rate pair), Llama-MTSK SS and MSS, all on the same frozen parts, from the same projectors, over the
# same number of clips; then their error rates on clips that none of them saw, and the tables.
#
#   tools/make-results.sh BUILD WHISPER LLM [FOLDER]
#
#   BUILD     the build folder (build/release)
#   WHISPER   Whisper base, any published format     } tools/fetch-models.sh or
#   LLM       SmolLM2-135M-Instruct, GGUF            } tools/check-models.sh get them
#   FOLDER    for checkpoints and logs (default runs/results)
#
# The video encoder is models/tiny's, which this program trained on the GRID training clips.
# STEPS (48) steps of BATCH (8) clips for every system; SEEDS ("7 8 9") for MoME-layer and MTSK SS; BEAM (2).
# ONLY names systems to train and evaluate (default: all).
#
# A system is done when docs/results/SYSTEM.json is there (RESULTS: another folder), and is not done again: so the work
# can be spread over days and machines, by committing these files. The file recipe beside them says what they were made
# with; another recipe is refused. When all are there, docs/results.md is written and its figures drawn.
# What more steps bring: RESULTS=docs/results/longer STEPS=96 ONLY="..." tools/make-results.sh BUILD WHISPER LLM runs/longer
set -eu

[ $# -ge 3 ] || { sed -n '2,20s/^# \{0,1\}//p' "$0"; exit 2; }
mome=$1/mome whisper=$2 llm=$3 out=${4:-runs/results}
data=../shared/data steps=${STEPS:-48} batch=${BATCH:-8} seeds=${SEEDS:-7 8 9} beam=${BEAM:-2} results=${RESULTS:-docs/results}
first=${seeds%% *}
pairs="4,2 4,5 16,2 16,5"
[ -d "$data/grid" ] || { echo "$0: needs $data (its README says what it is)"; exit 1; }
mkdir -p "$out" "$results"
recipe="steps $steps, batch $batch, beam $beam"
[ -f "$results/recipe" ] || echo "$recipe" >"$results/recipe"
[ "$(cat "$results/recipe")" = "$recipe" ] || {
    echo "$0: $results was made with $(cat "$results/recipe"), not $recipe: empty it to begin anew"
    exit 1
}

augment='"copies": 4, "noise_share": 0.6, "snr_low": -5, "snr_high": 20,
   "augment": {"speed": 0.1, "gain_db": 6, "equalise": 0.2, "shift": 4, "flip": 0.5, "zoom": 0.05, "rotate": 5, "contrast": 0.2}'

# config NAME START MODEL SEED STAGE: FOLDER/NAME.train.json
config() {
    cat >"$out/$1.train.json" <<JSON
{"seed": $4, "start": "$2", "output": "$out/$1", "cache": "runs/cache", "noise": "$data/noise/babble_train.flac",
 "model": {$3},
 "sources": [{"manifest": "$data/grid/train.tsv", "weight": 0.95}, {"manifest": "$data/grid/other_train.tsv", "weight": 0.05}],
 "stages": [{$5, $augment}]}
JSON
}

run() { # NAME: trained once; goes on where it was stopped
    [ -f "$out/$1/best/model.safetensors" ] || {
        echo "== $1"
        $mome train --resume "$out/$1.train.json"
    }
}

start() { # what all share: the parts, and projectors that are aligned
    [ -f "$out/parts/config.json" ] ||
        $mome assemble --audio "$whisper" --video models/tiny --llm "$llm" --audio-window trim --hidden 1024 --mome none -o "$out/parts"
    config start "$out/parts" '"projector": {"norm": false}' "$first" '"name": "align", "train": ["projectors"], "steps": 400, "batch": 16,
   "rate": 2e-3, "warmup": 0.05, "decay": 0.05, "clip": 5, "text_weight": 0, "align_weight": 1'
    run start
}

wanted() {
    [ ! -f "$results/$1.json" ] || return 1
    [ -z "${ONLY:-}" ] && return
    for name in $ONLY; do [ "$name" = "$1" ] && return; done
    return 1
}

# system NAME ROW SEED ADAPTERS MODEL: trained from the common projectors, then evaluated at all its rates, clean and
# noisy; NAME is its file, those of one ROW are one row and line
system() {
    wanted "$1" || return 0
    start
    config "$1" "$out/start/best" "$5" "$3" "\"name\": \"adapters\", \"train\": [\"projectors\", \"$4\"], \"steps\": $steps, \"batch\": $batch,
   \"rate\": 1e-3, \"warmup\": 0.05, \"decay\": 0.1, \"clip\": 10, \"final_rate\": 0, \"load_balance\": 0.01, \"task_share\": [0, 0, 1]"
    run "$1"
    echo "== evaluating $1"
    experts=
    [ "$4" != mome ] || experts=--experts
    $mome evaluate --model "$out/$1/best" --name "$2" --manifest "$data/grid/test.tsv" --task avsr --rates all \
        --noise "$data/noise/babble_test.flac" --snr clean,5,0,-5 --beam "$beam" --max-tokens 32 $experts --json "$results/$1.json"
}

# ---- the systems ----
ss='"lora": {"inner": 18, "scale": 0.125, "global": false, "per_rate": true}'
for placement in mhsa ffn layer; do
    system "mome-$placement" "MoME-23/4-$(echo $placement | tr a-z A-Z)" "$first" mome "\"mome\": {\"placement\": \"$placement\"}"
done
system mome-layer-b1 "MoME-23/4-LAYER, b = 1" "$first" mome '"mome": {"placement": "layer", "bottleneck": 1}'
system mtsk-ss "Llama-MTSK SS" "$first" lora "$ss"
system mtsk-mss "Llama-MTSK MSS" "$first" lora '"lora": {"inner": 18, "scale": 0.125, "global": true, "per_rate": true}'
for pair in $pairs; do
    a=${pair%,*} v=${pair#*,}
    system "llama-avsr-$a-$v" "Llama-AVSR, one model a pair" "$first" lora \
        "\"projector\": {\"audio_rates\": [$a], \"video_rates\": [$v]}, \"lora\": {\"inner\": 18, \"scale\": 0.125}"
done
for seed in ${seeds#"$first"}; do
    system "mome-layer-seed$seed" "MoME-23/4-LAYER" "$seed" mome '"mome": {"placement": "layer"}'
    system "mtsk-ss-seed$seed" "Llama-MTSK SS" "$seed" lora "$ss"
done

python3 tools/results_table.py docs/results docs/results.md
if [ -f docs/results.md ]; then
    $mome report docs/results/*.json -o "$out/results.html" --svg "$out/figures"
    $mome report docs/results/mome-layer.json -o "$out/layer.html" --svg "$out/layer"
    cp "$out"/figures/wer-rate.svg "$out"/figures/wer-snr.svg "$out"/layer/experts-1.svg docs/results
fi
