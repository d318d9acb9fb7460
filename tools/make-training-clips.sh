#!/bin/sh
# The made-up part of the training set of configs/tiny.json: 3000 sound clips and 600 talking faces of
# GRID's grammar, into runs/synth. About 10 minutes on two cores.
# usage: tools/make-training-clips.sh [BUILD_FOLDER]
set -eu
cd "$(dirname "$0")/.."
synth=${1:-build/release}/mome-synth
"$synth" --grammar grid --count 3000 --seed 11 --sound-only -o runs/synth/sound
"$synth" --grammar grid --count 600 --seed 21 -o runs/synth/faces
