#!/bin/sh
# Fetches published models, named with their size, licence and SHA-256 (where their publisher says it).
# usage: tools/fetch-models.sh --list
#        tools/fetch-models.sh [-o FOLDER] [--dry-run] [--accept-avhubert-licence] NAME...
#   -o FOLDER   where each NAME becomes a folder; default models/published
#   HF_TOKEN    in the environment: for models that Hugging Face gives only to those it knows (Llama)
# Downloads go on where they stopped (FILE.part); a file appears under its name once it is whole and its
# checksum is right. MOME_MODEL_LIST: another list (tests).
set -eu

# name | licence | MB | sha256 or unknown | URL. A name's lines belong together. MB is rounded.
# OpenAI's URLs contain the SHA-256; Hugging Face's and fairseq's files: none known to us, and Hugging Face's
# branch `main` can move. "page": to be fetched by hand from there.
hf=https://huggingface.co
openai=https://openaipublic.azureedge.net/main/whisper/models
avhubert=https://dl.fbaipublicfiles.com/avhubert/model
drive=https://drive.google.com/file/d
openai_list() {
    while read -r name mb sha; do
        echo "whisper-$name|MIT|$mb|$sha|$openai/$sha/$name.pt"
    done <<END
tiny 76 65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9
tiny.en 76 d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03
base 145 ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e
base.en 145 25a8566e1d0c1e2231d1c762132cd20e0f96a85d16145c3a00adf5d1ac670ead
small 484 9ecf779972d90ba49c06d968637d720dd632c55bbf19d441fb42bf17a411e794
small.en 484 f953ad0fd29cacd07d5a9eda5624af0f6bcf2258be67c92b79389873d91e0872
medium 1530 345ae4da62f9b3d59415adc60127b97c714f32e89e936602e85993674d08dcb1
medium.en 1530 d7440d1dc186f76616474e0ff0b3b6b879abc9d1a4926b7adfa41db2d497ab4f
large-v3 3090 e5b1a55b89c1367dacf97e3e19bfd829a01529dbfdeefa8caeb59b3f1b81dadb
END
}
hf_list() { # NAME LICENCE REPOSITORY MB WEIGHTS...
    for file in config.json tokenizer.json; do
        echo "$1|$2|0|unknown|$hf/$3/resolve/main/$file"
    done
    name=$1 licence=$2 repository=$3 mb=$4
    shift 4
    for file in "$@"; do
        echo "$name|$licence|$mb|unknown|$hf/$repository/resolve/main/$file"
        mb=0
    done
}
list() {
    [ -z "${MOME_MODEL_LIST:-}" ] || { cat "$MOME_MODEL_LIST"; return; }
    openai_list
    for size in tiny:151 base:290 small:967 medium:3060 large-v3:3090; do
        hf_list "whisper-${size%:*}-hf" Apache-2.0 "openai/whisper-${size%:*}" "${size#*:}" model.safetensors
    done
    # sizes of AV-HuBERT's files: not known to us
    echo "avhubert-base-lrs3|AV-HuBERT|?|unknown|$avhubert/lrs3/clean-pretrain/base_lrs3_iter5.pt"
    echo "avhubert-large-lrs3|AV-HuBERT|?|unknown|$avhubert/lrs3/clean-pretrain/large_lrs3_iter5.pt"
    echo "avhubert-base|AV-HuBERT|?|unknown|$avhubert/lrs3_vox/clean-pretrain/base_vox_iter5.pt"
    echo "avhubert-large|AV-HuBERT|?|unknown|$avhubert/lrs3_vox/clean-pretrain/large_vox_iter5.pt"
    echo "avhubert-large-noise|AV-HuBERT|?|unknown|$avhubert/lrs3_vox/noise-pretrain/large_vox_iter5.pt"
    hf_list smollm2-135m Apache-2.0 HuggingFaceTB/SmolLM2-135M 269 model.safetensors
    hf_list smollm2-360m Apache-2.0 HuggingFaceTB/SmolLM2-360M 724 model.safetensors
    hf_list smollm2-1.7b Apache-2.0 HuggingFaceTB/SmolLM2-1.7B 3423 model.safetensors
    hf_list tinyllama Apache-2.0 TinyLlama/TinyLlama_v1.1 4400 pytorch_model.bin
    hf_list qwen2.5-0.5b Apache-2.0 Qwen/Qwen2.5-0.5B 988 model.safetensors
    hf_list qwen2.5-1.5b Apache-2.0 Qwen/Qwen2.5-1.5B 3087 model.safetensors
    hf_list llama-3.2-1b Llama-3.2 meta-llama/Llama-3.2-1B 2472 model.safetensors
    hf_list llama-3.2-3b Llama-3.2 meta-llama/Llama-3.2-3B 6426 model-00001-of-00002.safetensors \
        model-00002-of-00002.safetensors model.safetensors.index.json
    # Trained adapters; no licence is stated, and no link that a program may count on.
    echo "llama-avsr-asr|none stated|?|unknown|page:$drive/1LwMKmG4x63M0J8jINRg9DwmEzvADeBWv"
    echo "llama-avsr-vsr|none stated|?|unknown|page:$drive/1GhKo47kBez8Uj_SJF91k43SWtf1CG3w8"
    echo "llama-avsr-avsr|none stated|?|unknown|page:$drive/1h8dTWZdzaEJChv-bWX305NGJe2g8BaaA"
    echo "omni-avsr|none stated|?|unknown|page:https://www.doc.ic.ac.uk/~ucappell/"
}

fail() {
    echo "fetch-models: $*" >&2
    failed=1
}

whole() { # FILE SHA256
    [ "$2" = unknown ] || echo "$2  $1" | sha256sum --status -c
}

download() { # URL FILE.part: a reason on stdout where it fails
    set -- "$1" "$2" --fail --location --silent --show-error --retry 3 --continue-at - --output "$2"
    case $1 in
    https://huggingface.co/*)
        # through standard input: a token on the command line is for everybody to see
        [ -z "${HF_TOKEN:-}" ] || set -- "$@" --config -
        ;;
    esac
    url=$1
    shift 2
    rc=0
    printf 'header = "Authorization: Bearer %s"\n' "${HF_TOKEN:-}" | curl "$@" "$url" 2>"$errors" || rc=$?
    case $rc in
    0) return 0 ;;
    22)
        case $(tail -n 1 "$errors") in
        *' 401'* | *' 403'*) echo "not allowed: accept the licence on the model's page, and set HF_TOKEN" ;;
        *' 416'*) echo "nothing to go on with: remove the .part file" ;;
        *) echo "the server has no such file ($(tail -n 1 "$errors"))" ;;
        esac
        ;;
    23) echo "cannot write: disk full? $(df -h "$folder" | awk 'NR == 2 { print $4 }') are free in $folder" ;;
    33 | 36) echo "the server cannot go on with a download: remove the .part file" ;;
    *) echo "$(tail -n 1 "$errors")" ;;
    esac
    return 1
}

fetch() { # NAME LICENCE MB SHA256 URL
    url=$5
    target=$folder/$1/${url##*/}
    size="$3 MB, "
    case $3 in 0) size="" ;; "?") size="size unknown, " ;; esac
    case $url in page:*)
        fail "$1: not fetched: no direct link is published; by hand from ${url#page:}"
        return
        ;;
    esac
    if [ -e "$target" ]; then
        whole "$target" "$4" && echo "$target: is there" || fail "$target: wrong checksum; remove it"
        return
    fi
    if [ "$2" = AV-HuBERT ] && [ -z "$accepted" ]; then
        fail "$1: not fetched: AV-HuBERT's licence allows research only, no commercial use; read it at \
https://github.com/facebookresearch/av_hubert/blob/main/LICENSE, then give --accept-avhubert-licence"
        return
    fi
    if [ "$2" = Llama-3.2 ] && [ -z "${HF_TOKEN:-}" ] && [ -z "$dry" ]; then
        fail "$1: not fetched: Meta gives it to those who accepted its licence at \
${url%%/resolve/*}; then set HF_TOKEN"
        return
    fi
    echo "$target: ${size}licence $2, sha256 $4, from $url"
    [ -z "$dry" ] || return 0
    mkdir -p "$folder/$1"
    if ! reason=$(download "$url" "$target.part"); then
        fail "$target: not fetched: $reason"
    elif whole "$target.part" "$4"; then
        mv "$target.part" "$target"
    else
        rm -f "$target.part"
        fail "$target: not fetched: wrong checksum (expected $4)"
    fi
}

folder=models/published accepted="" dry="" failed=0 names=""
while [ $# -gt 0 ]; do
    case $1 in
    --list)
        list | awk -F '|' '{ mb[$1] += $3; if ($3 == "?") mb[$1] = "?"; licence[$1] = $2
            if (!($1 in seen)) order[++n] = $1; seen[$1] = 1; if ($4 != "unknown") sha[$1] = "sha256 known" }
            END { for (i = 1; i <= n; i++) { m = order[i]
                printf "%-22s %6s MB  %-12s %s\n", m, mb[m], licence[m], sha[m] } }'
        exit 0
        ;;
    -o) [ $# -gt 1 ] || { echo "fetch-models: -o wants a folder" >&2; exit 2; }
        folder=$2 && shift ;;
    --dry-run) dry=1 ;;
    --accept-avhubert-licence) accepted=1 ;;
    -*) echo "fetch-models: unknown option $1" >&2; exit 2 ;;
    *) names="$names $1" ;;
    esac
    shift
done
[ -n "$names" ] || { echo "usage: fetch-models.sh --list | [-o FOLDER] [--dry-run] NAME..." >&2; exit 2; }
command -v curl >/dev/null || { echo "fetch-models: curl is missing: apt install curl" >&2; exit 1; }
work=$(mktemp -d)
errors=$work/errors
trap 'rm -rf "$work"' EXIT
list >"$work/list"
for name in $names; do
    awk -F '|' '$1 == n { print; found = 1 } END { exit !found }' n="$name" "$work/list" >"$work/lines" || { fail "no model $name (--list)"; continue; }
    while IFS='|' read -r model licence mb sha url; do
        fetch "$model" "$licence" "$mb" "$sha" "$url"
    done <"$work/lines"
done
exit $failed
