#!/bin/sh
# mome convert: every type, size as it should be, the same words behind it; nothing is lost or left
# behind when it fails. Usage: tests/cli/convert.sh BUILD_FOLDER
set -eu
. tests/cli/setup
clip=samples/000000.mp4 tiny=models/tiny
weights=$tiny/model.safetensors

# bytes FILE: of all its tensors; types FILE: "BF16 F32"
bytes() { "$mome" inspect --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes"])'; }
types() { "$mome" inspect --json "$1" | python3 -c 'import json, sys; print(*sorted(json.load(sys.stdin)["types"]))'; }

# ---- types and sizes: matrices are 5985792 of its numbers; others keep their 16 bits ----
for expected in f32:28725760:F32 q8_0:9330080:BF16\ F32\ Q8_0 q4_0:6337184:BF16\ F32\ Q4_0; do
    type=${expected%%:*} rest=${expected#*:}
    "$mome" convert $weights -o "$folder/$type.safetensors" --type "$type" >"$folder/out" \
        2>"$folder/err" || fail "$(cat "$folder/err")"
    grep -q '259 tensors' "$folder/out" || fail "$type: $(cat "$folder/out")"
    [ "$(bytes "$folder/$type.safetensors")" = "${rest%%:*}" ] ||
        fail "$type: $(bytes "$folder/$type.safetensors") bytes"
    [ "$(types "$folder/$type.safetensors")" = "${rest#*:}" ] || fail "$type: types"
done
[ "$("$mome" convert $weights -o "$folder/quiet" --quiet --type f16 2>&1)" = "" ] || fail "--quiet"
case $(types "$folder/quiet") in *F16*) ;; *) fail "f16: types: $(types "$folder/quiet")" ;; esac

# as it is: the same bytes; and by way of bf16, which all its matrices are, the same numbers
"$mome" convert $tiny -o "$folder/same.safetensors" --quiet
"$mome" convert "$folder/f32.safetensors" -o "$folder/bf16.safetensors" --quiet --type bf16
"$mome" convert "$folder/bf16.safetensors" -o "$folder/again.safetensors" --quiet --type f32
# the mean with itself, twice
"$mome" convert "$folder/f32.safetensors" --mean $weights --mean $tiny -o "$folder/mean.safetensors" --quiet
head -c 100 $weights >"$folder/cut"
refused 1 'there is no mean' convert $weights --mean models/voice/model.safetensors -o "$folder/none"
refused 1 "$folder/cut" convert $weights --mean "$folder/cut" -o "$folder/none"
refused 2 'would replace' convert $weights --mean "$folder/mean.safetensors" -o "$folder/mean.safetensors"
[ ! -e "$folder/none" ] || fail "a mean of other tensors is written"
python3 - "$folder" $weights <<'END' || fail "other numbers"
import json, struct, sys
def tensors(path):
    f = open(path, "rb")
    head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
    data = f.read()
    return {n: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])])
            for n, t in head.items() if n != "__metadata__"}
folder, weights = sys.argv[1:]
assert tensors(folder + "/same.safetensors") == tensors(weights)
assert tensors(folder + "/mean.safetensors") == tensors(folder + "/f32.safetensors")
assert tensors(folder + "/again.safetensors") == tensors(folder + "/f32.safetensors")
END
mkdir "$folder/model"
cp $tiny/config.json $tiny/tokenizer.json "$folder/model"
cp "$folder/q8_0.safetensors" "$folder/model/model.safetensors"
said=$("$mome" transcribe --quiet --task asr --model "$folder/model" $clip)
[ "$(echo "$said" | wc -w)" = 6 ] || fail "q8_0 says: $said"

# what the input said is in the file
"$mome" inspect --json "$folder/q8_0.safetensors" >"$folder/out"
python3 - "$folder/out" <<'END' || fail "metadata: $(head -c 2000 "$folder/out")"
import json, sys
said = json.loads(json.load(open(sys.argv[1]))["metadata"]["mome"])
assert said["converted_from"] == "model.safetensors" and said["format"] == "safetensors", said
END

# ---- PyTorch, and a folder of shards ----
python3 tests/cli/make_parts.py $tiny "$folder"
"$mome" convert "$folder/avhubert.pt" -o "$folder/av.safetensors" --quiet
"$mome" inspect "$folder/av.safetensors" | grep -q 'recognised as  video: AV-HuBERT' || fail "a .pt"
"$mome" convert "$folder/llama" -o "$folder/llm.safetensors" --quiet --type bf16
[ "$(bytes "$folder/llm.safetensors")" = 5115904 ] || fail "shards: $(bytes "$folder/llm.safetensors")"

# ---- refused: the input stays, nothing else appears ----
cp $weights "$folder/in.safetensors"
ln -s in.safetensors "$folder/link.safetensors"
head -c 100000 $weights >"$folder/cut.safetensors"
ls "$folder" >"$folder/before"
refused 2 'would replace a file that is read' convert "$folder/in.safetensors" -o "$folder/in.safetensors"
refused 2 'would replace a file that is read' convert "$folder/in.safetensors" -o "$folder/link.safetensors"
refused 2 'would replace a file that is read' convert "$folder/llama" \
    -o "$folder/llama/model-00001-of-00002.safetensors"
refused 2 'would replace a file that is read' convert "$folder/llama/model.safetensors.index.json" \
    -o "$folder/llama/model-00002-of-00002.safetensors"
refused 1 "$folder/cut.safetensors: " convert "$folder/cut.safetensors" -o "$folder/x.safetensors"
refused 1 'missing.safetensors: ' convert missing.safetensors -o "$folder/x.safetensors"
refused 1 "$folder/none/x: " convert $weights -o "$folder/none/x"
refused 2 '--type takes f32, f16, bf16, q8_0 or q4_0, not: q6_k' convert x -o y --type q6_k
refused 2 'needs -o FILE' convert x
refused 2 'takes one file or folder' convert x y -o z
rc=0
(ulimit -f 1000 && exec "$mome" convert --quiet $weights -o "$folder/full.safetensors") \
    >"$folder/out" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && [ "$(wc -l <"$folder/err")" = 1 ] || fail "full disk: code $rc, $(cat "$folder/err")"
ls "$folder" | grep -v '^\(before\|after\|out\|err\)$' >"$folder/after"
grep -v '^\(before\|after\|out\|err\)$' "$folder/before" | cmp - "$folder/after" || fail "something was left behind"
cmp $weights "$folder/in.safetensors" || fail "the input has changed"
