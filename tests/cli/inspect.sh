#!/bin/sh
# mome inspect: model folders and files of weights, as text and as JSON.
# Usage: tests/cli/inspect.sh BUILD_FOLDER
set -eu
. tests/cli/setup
tiny=models/tiny

# ---- a model folder ----
"$mome" inspect $tiny >"$folder/out" || fail "models/tiny"
grep -q '^total  *6892000 parameters .*, 6404688 active per token' "$folder/out" || fail "sizes"
grep -q 'window trim; audio rates 4, 16' "$folder/out" || fail "window and rates"
"$mome" inspect --tensors $tiny | grep -q '    llm.lm_head.weight  *[A-Z0-9_]*  *\[379, 256\]' ||
    fail "--tensors"
"$mome" inspect --json $tiny >"$folder/out"
python3 - "$folder/out" <<'END' || fail "--json of a model"
import json, sys
m = json.load(open(sys.argv[1]))
assert m["format"] == "model folder" and m["parameters"] == 6892000
assert m["active_parameters"] == 6404688 and m["config"]["audio"]["exact_window"] is False
assert sum(p["parameters"] for p in m["parts"].values()) == m["parameters"]
assert sum(t["bytes"] for t in m["tensors"]) == m["bytes"]
assert m["config"]["projector"]["video_rates"] == [2, 5]
END

# ---- files of weights ----
python3 tests/cli/make_parts.py $tiny "$folder"
expect() { # PATH TEXT...: all in what is printed
    "$mome" inspect "$1" >"$folder/out" 2>"$folder/err" || fail "$1: $(cat "$folder/err")"
    path=$1
    shift
    for text; do
        grep -qF -e "$text" "$folder/out" || fail "$path: no '$text' in: $(cat "$folder/out")"
    done
}
expect "$folder/whisper" ': safetensors, 68 tensors, 2224320 parameters, 8.9 MB' \
    'recognised as  audio: Whisper, 4 layers of 192 (Hugging Face, F32)'
expect "$folder/whisper/model.safetensors" 'recognised as  audio: '
expect "$folder/avhubert.pt" ': PyTorch, 123 tensors' 'recognised as  video: AV-HuBERT' 'non-commercial'
expect "$folder/llama" ', 39 tensors, ' 'recognised as  llm: Llama'
expect "$folder/llama/model.safetensors.index.json" ', 39 tensors, ' 'recognised as  llm: Llama'
expect tests/golden/models_projector.safetensors 'no part of a model that this program'
expect $tiny/model.safetensors 'recognised as  adapters: ' 'BF16'
"$mome" inspect --tensors "$folder/avhubert.pt" |
    grep -q '    encoder.pos_conv.0.weight_v  *F32  *\[192, 12, 31\]' || fail "--tensors of a .pt"
"$mome" inspect --json "$folder/avhubert.pt" >"$folder/out"
python3 - "$folder/out" <<'END' || fail "--json of weights"
import json, math, sys
m = json.load(open(sys.argv[1]))
assert m["format"] == "PyTorch" and len(m["tensors"]) == 123
assert [p["part"] for p in m["recognised"]] == ["video"]
assert "non-commercial" in m["recognised"][0]["licence"]
assert m["types"]["F32"]["parameters"] == m["parameters"]
assert sum(math.prod(t["shape"]) for t in m["tensors"]) == m["parameters"]
assert sum(t["bytes"] for t in m["tensors"]) == m["bytes"] == 4 * m["parameters"]
END

# GGUF: what it says of itself
python3 - "$folder/small.gguf" <<'END'
import struct, sys
def text(s): return struct.pack("<Q", len(s)) + s.encode()
keys = [text("general.architecture") + struct.pack("<I", 8) + text("mamba"),
        text("general.name") + struct.pack("<I", 8) + text("two\nlines \x1b[31m"),
        text("mamba.size") + struct.pack("<II", 4, 7)]
head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(keys)) + b"".join(keys)
head += text("x.weight") + struct.pack("<IQQIQ", 2, 4, 3, 0, 0)
open(sys.argv[1], "wb").write(head + bytes(-len(head) % 32) + bytes(48))
END
expect "$folder/small.gguf" ': GGUF, 1 tensors, 12 parameters' 'mamba.size  ' \
    'general.name                             two lines  [31m'
[ "$(wc -l <"$folder/out")" = 7 ] || fail "GGUF: not 7 lines: $(cat "$folder/out")"
