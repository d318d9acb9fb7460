#!/bin/sh
# mome assemble: the embedded model, taken apart into the files in which others publish such parts, is
# put together again and says the same. Wrong files are named. Usage: tests/cli/assemble.sh BUILD_FOLDER
set -eu
. tests/cli/setup
clip=samples/000000.mp4 tiny=models/tiny
python3 tests/cli/make_parts.py $tiny "$folder"
whisper=$folder/whisper video=$folder/avhubert.pt llm=$folder/llama

# ---- by reference: the same words at every task and rate, the same window ----
"$mome" assemble --audio "$whisper" --video "$video" --llm "$llm" --adapters $tiny \
    -o "$folder/model" >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
grep -q '^audio .*Whisper.* loaded, 0 missing, 1 left over' "$folder/out" || fail "report: audio"
grep -q 'left over: model.decoder.layer_norm.weight' "$folder/out" || fail "report: left over"
grep -q '^video .*AV-HuBERT.* loaded, 0 missing, 13 left over' "$folder/out" || fail "report: video"
grep -q 'and 10 more' "$folder/out" || fail "report: left over"
grep -q '^llm .*Llama.* 39 tensors loaded, 0 missing, 0 left over' "$folder/out" || fail "report: llm"
grep -q '^adapters ' "$folder/out" || fail "report: adapters"
grep -q "avhubert.pt: AV-HuBERT's licence .* non-commercial" "$folder/err" || fail "the licence"
[ "$(wc -l <"$folder/err")" = 1 ] || fail "stderr: $(cat "$folder/err")"
words="transcribe --quiet --f32 --rate all --task asr,vsr,avsr"
"$mome" $words $clip | awk '{ $6 = ""; print }' >"$folder/want"
"$mome" $words --model "$folder/model" $clip | awk '{ $6 = ""; print }' >"$folder/got"
[ "$(wc -l <"$folder/got")" = 9 ] || fail "not a head and 8 rows"
cmp "$folder/want" "$folder/got" || fail "other words: $(diff "$folder/want" "$folder/got")"
"$mome" inspect "$folder/model" >"$folder/out"
grep -q 'window trim' "$folder/out" || fail "the adapters' window is not recorded"
grep -q "^video .*avhubert.pt: AV-HuBERT" "$folder/out" || fail "inspect: parts"
grep -q "non-commercial" "$folder/out" || fail "inspect: the licence"
"$mome" assemble --audio "$whisper" --video "$video" --llm "$llm" --adapters $tiny --left-over \
    -o "$folder/model" 2>/dev/null | grep -c num_batches_tracked >"$folder/out"
[ "$(cat "$folder/out")" = 12 ] || fail "--left-over names $(cat "$folder/out") of 12"

# the window that it was not trained with is told of
"$mome" transcribe --max-tokens 2 --model "$folder/model" --audio-window exact $clip \
    >/dev/null 2>"$folder/err" || fail "--audio-window"
grep -q 'trained with --audio-window trim; with exact they make' "$folder/err" || fail "no warning"
"$mome" transcribe --max-tokens 2 --model "$folder/model" --audio-window trim $clip 2>&1 >/dev/null |
    grep . && fail "a warning of nothing"

# ---- copied: needs its parts no longer ----
"$mome" assemble --copy --audio "$whisper" --video "$video" --llm "$llm" --adapters $tiny \
    -o "$folder/copy" >/dev/null 2>&1
mkdir "$folder/away"
mv "$whisper" "$video" "$llm" "$folder/away"
"$mome" $words --model "$folder/copy" $clip | awk '{ $6 = ""; print }' >"$folder/got"
cmp "$folder/want" "$folder/got" || fail "the copy says other words"
refused 1 "$folder/" transcribe --model "$folder/model" $clip
mv "$folder/away/"* "$folder"

# ---- parts of a model folder of this program: the same words, no licence but its own ----
"$mome" assemble --audio $tiny --video $tiny --llm $tiny --adapters $tiny -o "$folder/own" \
    >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
grep -q '^video .*video encoder (mome): 109 tensors loaded, 0 missing, 0 left over' "$folder/out" ||
    fail "own video: $(cat "$folder/out")"
[ ! -s "$folder/err" ] || fail "stderr: $(cat "$folder/err")"
"$mome" $words --model "$folder/own" $clip | awk '{ $6 = ""; print }' >"$folder/got"
cmp "$folder/want" "$folder/got" || fail "own parts say other words"
"$mome" assemble --audio "$whisper" --video $tiny --llm "$llm" -o "$folder/mixed" >"$folder/out" 2>&1 ||
    fail "$(cat "$folder/out")"
"$mome" transcribe --quiet --max-tokens 2 --task vsr --rate 2 --model "$folder/mixed" $clip >/dev/null ||
    fail "own video encoder beside published parts"

# ---- without adapters: random, but whole; the choices are recorded ----
"$mome" assemble --audio "$whisper" --llm "$llm" --audio-rates 4,8 --hidden 64 --mome ffn --routed 6 \
    --active 2 --shared 0 --bottleneck 8 -o "$folder/new" >"$folder/out" 2>&1 || fail "$(cat "$folder/out")"
grep -q 'are random: what it says means nothing' "$folder/out" || fail "does not say that it is untrained"
"$mome" inspect "$folder/new" >"$folder/out"
grep -q 'window exact; audio rates 4, 8' "$folder/out" || fail "rates: $(cat "$folder/out")"
grep -q 'placement ffn, 6 routed experts (2 active) + 0 shared, bottleneck 8' "$folder/out" ||
    fail "experts: $(cat "$folder/out")"
"$mome" transcribe --quiet --max-tokens 3 --rate 8 --model "$folder/new" $clip >/dev/null ||
    fail "the new model does not run"

# ---- wrong usage ----
refused 2 'needs --llm L' assemble --audio x -o y
refused 2 'needs --audio W, --video V or both' assemble --llm x -o y
refused 2 'needs -o DIR' assemble --llm x --audio y
refused 2 'takes parts by their options, not: x' assemble x
refused 2 '--audio-rates takes' assemble --audio-rates 4,x
refused 2 '--audio-window takes exact or trim' assemble --audio-window long
refused 2 '--mome takes none, mhsa, ffn or layer, not: lora' assemble --mome lora
