#!/bin/sh
# Includes go down or stay in their folder (docs/tour.md has the picture). Prints each offence; exit 1.
set -eu
bad=0
allow() { # folder, folders it may include
    folder=$1
    shift
    [ -d "$folder" ] || return 0
    pattern=$(echo "$*" | tr ' ' '|')
    if grep -rnE '^#include "[a-z_]+/' "$folder" --include='*.c' --include='*.h' --include='*.cc' |
        grep -vE "#include \"($pattern)/"; then
        echo "^ $folder may include only: $*"
        bad=1
    fi
}
only() { # pattern of an include, the one place that may have it
    if grep -rnE "^#include <$1" src cli synth 2>/dev/null | grep -vE "^($2)"; then
        echo "^ only $2 may include <$1...>"
        bad=1
    fi
}
allow src/base base
allow src/tensor base tensor
allow src/nn base tensor nn
allow src/weights base tensor weights
allow src/text base text
allow src/media base media
allow src/features base tensor weights media features
allow src/models base tensor nn weights text media features models
allow src/decode base tensor nn weights text media features models decode
allow src/eval base tensor nn weights text media features models decode eval
allow src/train base tensor nn weights text media features models decode eval train
allow src/api base tensor nn weights text media features models decode api
only 'lib(av|sw)' 'src/media/'
only 'ass/' 'src/media/canvas.c'
only 'dlib' 'src/features/face.cc'
only '(oneapi|dnnl)' 'src/tensor/cpu/onednn.c'
exit $bad
