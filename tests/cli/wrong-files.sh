#!/bin/sh
# Every kind of wrong file in every place where a file is taken: exit code 1, one line that names the
# file, what it is and what was expected, and nothing made. Usage: tests/cli/wrong-files.sh BUILD_FOLDER
set -eu
. tests/cli/setup
python3 tests/cli/make_parts.py models/tiny "$folder"
cd "$folder"
project=$OLDPWD out=model
tiny=$project/models/tiny
cases=0

# wrong PLACE FILE TEXT: PLACE is audio, video, llm or adapters of assemble; model of transcribe; or the
# command convert or inspect
wrong() {
    case $1 in
    audio) set -- "$1" "$2" "$3" assemble --audio "$2" --llm llama -o $out ;;
    video) set -- "$1" "$2" "$3" assemble --video "$2" --llm llama -o $out ;;
    llm) set -- "$1" "$2" "$3" assemble --audio whisper --llm "$2" -o $out ;;
    adapters) set -- "$1" "$2" "$3" assemble --audio whisper --llm llama --adapters "$2" -o $out ;;
    model) set -- "$1" "$2" "$3" transcribe --model "$2" "$project/samples/000000.mp4" ;;
    convert) set -- "$1" "$2" "$3" convert "$2" -o $out --quiet ;;
    inspect) set -- "$1" "$2" "$3" inspect "$2" ;;
    esac
    name=$2 text=$3
    shift 3
    refused 1 "$text" "$@"
    grep -qF -e "${name##*/}" "$folder/err" || fail "does not name $name: $(cat "$folder/err")"
    [ ! -e $out ] || fail "something was made: mome $*"
    cases=$((cases + 1))
}

# change FROM TO OLD NEW: a copy of a file in which the bytes OLD, once, are NEW, as many
change() {
    python3 - "$@" <<'END'
import sys
source, to, old, new = sys.argv[1], sys.argv[2], sys.argv[3].encode(), sys.argv[4].encode()
data = open(source, "rb").read()
assert data.count(old) == 1 and len(old) == len(new), data.count(old)
open(to, "wb").write(data.replace(old, new))
END
}

# ---- not weights at all ----
: >empty.safetensors
echo '<!DOCTYPE html><html>Not found</html>' >page.safetensors
printf 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n' >pointer.bin
printf '\0\0\0\0\0\0\0\0\1\2\3\4' >zeros.gguf
printf '\037\213\010\0\0\0\0\0' >archive.gz
mkdir nothing
for place in audio video llm adapters convert inspect; do
    wrong $place "$tiny/tokenizer.json" 'this is a tokenizer (tokenizer.json), not a model'
    wrong $place "$project/samples/000000.mp4" 'this is a video or sound (MP4)'
    wrong $place "$project/docs/synth-faces.png" 'this is a picture (PNG)'
    wrong $place whisper/config.json "this is a model's configuration (config.json), not its weights"
    wrong $place "$project/README.md" 'this is a text; expected are weights: safetensors, GGUF, PyTorch'
    wrong $place "$project/tests/cli/wrong-files.sh" 'this is a script'
    wrong $place "$mome" 'this is a program'
    wrong $place empty.safetensors 'this is an empty file'
    wrong $place page.safetensors 'this is an HTML page'
    wrong $place pointer.bin 'this is a Git LFS pointer, not the file itself'
    wrong $place zeros.gguf 'of an unknown kind (it begins 00 00 00 00)'
    wrong $place archive.gz 'this is a gzip archive: unpack it first'
    wrong $place nothing 'no weights in this folder; expected is one of model.safetensors, '
    wrong $place missing.pt 'o such file'
done

# ---- weights of something else ----
wrong llm whisper 'this is a Whisper model (Hugging Face), a Llama-type LLM was expected'
wrong llm whisper/model.safetensors 'this is a Whisper model (Hugging Face), a Llama-type LLM was expected'
wrong llm avhubert.pt 'this is an AV-HuBERT model (fairseq), a Llama-type LLM was expected'
wrong audio llama 'this is a Llama-type LLM (Hugging Face), a Whisper model was expected'
wrong audio avhubert.pt 'this is an AV-HuBERT model (fairseq), a Whisper model was expected'
wrong video llama 'this is a Llama-type LLM (Hugging Face), an AV-HuBERT model was expected'
wrong video whisper 'this is a Whisper model (Hugging Face), an AV-HuBERT model was expected'
for part in whisper llama avhubert.pt; do
    wrong adapters $part 'projectors (of Llama-AVSR, Omni-AVSR or a model of ours) was expected'
done
"$mome" convert -q "$project/tests/golden/models_projector.safetensors" -o other.safetensors
for place in audio video llm adapters; do
    wrong $place other.safetensors 'expected; its tensors are others, such as '
done

# ---- half of it, or damaged ----
head -c 400000 whisper/model.safetensors >cut.safetensors
head -c 400000 avhubert.pt >cut.pt
head -c 100 llama/model-00001-of-00002.safetensors >header.safetensors
for place in audio video llm adapters convert inspect; do
    wrong $place cut.safetensors 'lies outside the file'
    wrong $place cut.pt 'truncated zip archive'
    wrong $place header.safetensors 'header.safetensors: '
done
cp -r llama shard
rm shard/model-00002-of-00002.safetensors
wrong llm shard model-00002-of-00002.safetensors

# ---- the right kind, but not as it says ----
cp -r llama shape
change llama/model-00001-of-00002.safetensors shape/model-00001-of-00002.safetensors \
    '"model.layers.0.mlp.down_proj.weight": {"dtype": "F32", "shape": [256, 512]' \
    '"model.layers.0.mlp.down_proj.weight": {"dtype": "F32", "shape": [512, 256]'
wrong llm shape 'tensor model.layers.0.mlp.down_proj.weight is 512x256, the configuration says 256x512'
cp -r llama lacking
change llama/model-00001-of-00002.safetensors lacking/model-00001-of-00002.safetensors \
    '"model.layers.0.mlp.down_proj.weight"' '"model.layers.0.mlp.lost_proj.weight"'
sed -i 's/layers.0.mlp.down_proj/layers.0.mlp.lost_proj/' lacking/model.safetensors.index.json
wrong llm lacking 'model.layers.0.mlp.down_proj.weight'
cp -r llama wordless
rm wordless/tokenizer.json
wrong llm wordless 'tokenizer.json'
cp -r llama scaled
sed -i 's/"hidden_act"/"rope_scaling": {"rope_type": "yarn", "factor": 4}, "hidden_act"/' scaled/config.json
wrong llm scaled 'yarn'
cp -r llama gelu
sed -i 's/"silu"/"gelu"/' gelu/config.json
wrong llm gelu 'gelu'
cp -r whisper norm
change whisper/model.safetensors norm/model.safetensors \
    '"model.encoder.layers.3.fc2.bias"' '"model.encoder.layers.3.fc9.bias"'
wrong audio norm 'model.encoder.layers.3.fc2.bias'

# ---- in place of a model folder ----
for path in whisper llama avhubert.pt nothing "$tiny/model.safetensors" "$project/samples"; do
    wrong model "$path" 'this is not a model folder (config.json, tokenizer.json, model.safetensors)'
done
wrong model missing 'no such model folder'
echo "$cases cases"
