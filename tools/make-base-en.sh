#!/bin/sh
# models/base-en from nothing: published parts, real and made-up speech, training, adapters of 29 MB.
#
#   tools/make-base-en.sh BUILD
#
# Needs ../shared/data (LibriSpeech, LJSpeech, babble) and the packages that tools/make-english-speech.py
# names. What is done already is kept, so it goes on where it was stopped. models/base-en/README.md says how long
# it took and what came of it.
set -eu
cd "$(dirname "$0")/.."
[ $# = 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
mome=$1/mome work=runs/base-en libri=../shared/data/librispeech

tools/fetch-base-parts.sh
[ -f $work/parts/config.json ] ||
    "$mome" assemble --audio models/published/whisper-base --llm models/published/smollm2.gguf --audio-window trim \
        --mome none --audio-rates 4,8,12,16,20 -o $work/parts
tools/make-english-speech.py --output runs/english --hours 4.86 --seed 1 --text $libri/train.tsv \
    --avoid $libri/test.tsv --avoid $libri/dev.tsv --voices pico-us,pico-gb,flite-slt,flite-rms,flite-awb,flite-kal16
"$mome" train --resume configs/base-en.json
"$mome" train --resume configs/base-en-more.json

mkdir -p models/base-en
"$mome" convert $work/train/best/model.safetensors --mean $work/more/best/model.safetensors --type q8_0 \
    -o models/base-en/model.safetensors
sed 's#"[./]*models/published/#"../published/#' $work/more/best/config.json >models/base-en/config.json
