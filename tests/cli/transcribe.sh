#!/bin/sh
# mome transcribe on real media files: good ones in every layout, bad ones each with one line, nothing
# left behind. Usage: tests/cli/transcribe.sh BUILD_FOLDER
set -eu
. tests/cli/setup
make_model "$1"
clip=samples/000000.mp4 other=samples/000001.mp4 sound=samples/babble.m4a
MOME_MODEL=$model
export MOME_MODEL
quick="--max-tokens 3"

# ---- good ----
"$mome" transcribe $quick $clip >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
[ "$(wc -l <"$folder/out")" = 1 ] && [ ! -s "$folder/err" ] || fail "one clip is not one line"
"$mome" transcribe $quick - <$clip | cmp - "$folder/out" || fail "standard input gives another text"

"$mome" transcribe $quick --rate all --task asr,vsr,avsr $clip >"$folder/out"
[ "$(wc -l <"$folder/out")" = 9 ] || fail "--rate all: not a head and 2 + 2 + 4 rows"
awk 'NR > 1 { print $2, $3, $5 }' "$folder/out" >"$folder/rates"
# about 3 s: 150 states of sound, 75 of pictures, and what AAC adds; floor(states / rate) of each
awk '{ t[$1 " " $2] = $3 }
     function falls(a, b, least) { return t[a] - t[b] >= least && t[a] - t[b] <= least + 1 }
     END { exit !(falls("asr 4", "asr 16", 28) && falls("vsr 2", "vsr 5", 22) &&
                  falls("avsr 4,2", "avsr 16,5", 51) && falls("avsr 4,5", "avsr 16,5", 28)) }' \
    "$folder/rates" || fail "tokens do not fall with the rate: $(cat "$folder/rates")"

"$mome" transcribe $quick --json --beam 3 --n-best 2 --noise $sound --snr clean,0 $clip \
    >"$folder/out.json"
python3 - "$folder/out.json" <<'END' || fail "--json: $(cat "$folder/out.json")"
import json, sys
results = json.load(open(sys.argv[1]))
assert [r["snr_db"] for r in results] == [None, 0]
for r in results:
    assert r["file"] == "samples/000000.mp4" and r["task"] == "avsr"
    assert r["audio_rate"] == 4 and r["video_rate"] == 2
    assert isinstance(r["text"], str) and r["score"] <= 0
    assert 74 <= r["media_tokens"] <= 76 and r["prompt_tokens"] > r["media_tokens"]
    assert r["encode_seconds"] > 0 and r["decode_seconds"] > 0
    best = r["n_best"]
    assert len(best) == 2 and best[0]["score"] >= best[1]["score"]
    assert set(best[0]) == {"text", "score", "log_probability"} and best[0]["text"] == r["text"]
END

# words: all of the text, in order, within the clip, each with a confidence; read by CTC or spread
"$mome" transcribe --max-tokens 24 --rate all --task asr,vsr,avsr --json $clip >"$folder/spread.json"
"$mome" transcribe --model models/tiny --rate all --task asr,vsr,avsr --json $clip >"$folder/read.json"
python3 - "$folder/spread.json" "$folder/read.json" <<'END' || fail "words"
import json, sys
for name in sys.argv[1:]:
    results = json.load(open(name))
    assert len(results) == 8, name
    for r in results:
        words = r["words"]
        assert " ".join(w["word"] for w in words) == r["text"], r
        times = [t for w in words for t in (w["start"], w["end"])]
        assert times == sorted(times) and all(0 <= t <= 3.1 for t in times), r
        assert all(0 <= w["confidence"] <= 1 for w in words), r
    assert any(len(r["words"]) > 1 for r in results), name
END

"$mome" transcribe $quick $sound >"$folder/out" 2>"$folder/err" || fail "sound alone"
grep -q "no pictures: using the sound alone (asr)" "$folder/err" || fail "auto does not say asr"
"$mome" transcribe $quick --quiet $sound 2>&1 >/dev/null | grep . && fail "--quiet is not quiet"
"$mome" transcribe $quick --debug-mouth "$folder/seen.mp4" $clip >/dev/null || fail "--debug-mouth"
[ -s "$folder/seen.mp4" ] || fail "--debug-mouth writes nothing"

# a bad file does not stop the others
rc=0
"$mome" transcribe $quick --json $clip missing.mp4 $other >"$folder/out" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && [ "$(grep -c '"file"' "$folder/out")" = 2 ] || fail "the others did not go on"
[ "$(wc -l <"$folder/err")" = 1 ] && grep -q 'missing.mp4' "$folder/err" || fail "missing.mp4"

# ---- bad ----
bad=$folder/bad
mkdir "$bad"
: >"$bad/empty.mp4"
echo "set blue by f two now" >"$bad/text.mp4"
head -c 20000 $clip >"$bad/cut.mp4"
head -c 100000 /dev/zero >"$bad/zeros.mp4"
ls "$bad" >"$folder/before"
refused 1 'missing.mp4: cannot open' transcribe missing.mp4
refused 1 'empty.mp4: is empty' transcribe "$bad/empty.mp4"
refused 1 'text.mp4: not a media file' transcribe "$bad/text.mp4"
refused 1 'zeros.mp4: ' transcribe "$bad/zeros.mp4"
refused 1 'cut.mp4: an mp4 that is cut short' transcribe "$bad/cut.mp4"
refused 1 "$sound: no pictures in it, which vsr needs: try --task asr" transcribe --task vsr $sound
refused 1 "$clip: $model: the model has no audio rate 3; it has 4 16; --any-rate takes others" \
    transcribe --rate 3,2 $clip

# ---- a rate it was not trained at, where the user insists: said once, and as many tokens as that rate makes ----
"$mome" transcribe --any-rate --rate 8,3 --task avsr --max-tokens 8 --json $clip $clip >"$folder/out" \
    2>"$folder/err" || fail "--any-rate: $(cat "$folder/err")"
grep -q "$model: was not trained at --rate 8,3; the nearest rate's projector is used" "$folder/err" ||
    fail "no warning: $(cat "$folder/err")"
[ "$(grep -c 'was not trained' "$folder/err")" = 1 ] || fail "warned more than once"
python3 - "$folder/out" <<'END' || fail "--any-rate: $(cat "$folder/out")"
import json, sys
for r in json.load(open(sys.argv[1])):
    assert (r["audio_rate"], r["video_rate"]) == (8, 3)
    assert 150 // 8 + 75 // 3 - 2 <= r["media_tokens"] <= 150 // 8 + 75 // 3 + 2, r["media_tokens"]
END
"$mome" transcribe --any-rate --rate 4,2 --task avsr --max-tokens 8 $clip 2>&1 >/dev/null | grep 'not trained' &&
    fail "warned of a rate it was trained at"
refused 1 'the model has no video rate 7; it has 2 5' transcribe --task vsr --rate 7 $clip
refused 1 'nowhere: no such model folder: name one with --model DIR' transcribe --model nowhere $clip
refused 1 'missing.wav: cannot open' transcribe --noise missing.wav --snr 0 $clip
refused 1 "$folder/none/seen.mp4: cannot" transcribe --debug-mouth "$folder/none/seen.mp4" $clip
ls "$bad" | cmp - "$folder/before" || fail "something was left behind"

# ---- models that are damaged ----
damaged=$folder/damaged
cp -r "$model" "$damaged"
head -c 3000 "$model/model.safetensors" >"$damaged/model.safetensors"
refused 1 "$damaged/model.safetensors: " transcribe --model "$damaged" $clip
head -c -4 "$model/model.safetensors" >"$damaged/model.safetensors"
refused 1 "$damaged/model.safetensors: " inspect "$damaged"
cp "$model/model.safetensors" "$damaged"
sed 's/"hidden": *32/"hidden": 24/' "$model/config.json" >"$damaged/config.json"
refused 1 "the configuration says 24x32" inspect "$damaged"
echo '{' >"$damaged/config.json"
refused 1 "$damaged/config.json" inspect "$damaged"
rm "$damaged/config.json"
refused 1 "$damaged: this is not a model folder" transcribe --model "$damaged" $clip
"$mome" inspect --tensors "$model" | grep -q 'mome.layers.0' || fail "inspect --tensors"

# ---- full disk ----
rc=0
"$mome" transcribe $quick $clip >/dev/full 2>"$folder/err" || rc=$?
[ $rc = 1 ] && grep -q 'standard output: cannot write' "$folder/err" || fail "full stdout: code $rc"
rc=0
(ulimit -f 10 && exec "$mome" transcribe $quick --debug-mouth "$folder/full.mp4" $clip) \
    >"$folder/out" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && [ "$(wc -l <"$folder/err")" = 1 ] || fail "full disk: code $rc, $(cat "$folder/err")"
! ls "$folder" | grep -q full || fail "full disk: something was left behind"
