#!/bin/sh
# The demo: the made-up sample clips through the embedded model, at every rate, clean and in babble.
# usage: tools/demo.sh BUILD_FOLDER
set -eu
mome=$1/mome
cd "$(dirname "$0")/.."
echo "The model:"
"$mome" inspect models/tiny
echo
echo "One clip, sound and lips, at the model's richest rate (mome transcribe samples/*.mp4):"
"$mome" transcribe --quiet samples/*.mp4
echo
echo "Every rate, clean and in babble; sound alone, lips alone, both (greedy; WER over all samples):"
"$mome" evaluate --manifest samples/manifest.tsv --task asr,vsr,avsr --rates all \
    --noise samples/babble.m4a --snr clean,0 --example
