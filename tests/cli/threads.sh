#!/bin/sh
# Two streams on one model from two threads, under ThreadSanitizer: it reports nothing of ours (threads.supp). For a build
# of the preset tsan (`make tsan`). Usage: tests/cli/threads.sh BUILD_FOLDER
set -eu
. tests/cli/setup
build=$(realpath "$1")
nm "$build/libmome.a" 2>/dev/null | grep -q __tsan_read || {
    echo "threads: skipped: not built with ThreadSanitizer (make tsan)" >&2
    exit 77
}
fixed= # ThreadSanitizer of gcc 12 finds no room among addresses drawn at random
setarch -R true 2>/dev/null && fixed="setarch -R"

${CC:-cc} -g -O1 -fsanitize=thread -pthread -Iinclude examples/two_threads.c -o "$folder/two_threads" \
    -L"$build" -l:libmome.a $(sed -n 's/^Libs.private: //p' "$build/mome.pc")
# OpenMP's own synchronisation is not instrumented: one thread a stream.
TSAN_OPTIONS=suppressions=$PWD/tests/cli/threads.supp OMP_NUM_THREADS=1 $fixed \
    "$folder/two_threads" models/tiny samples/000000.mp4 samples/000001.mp4 \
    >"$folder/out" 2>"$folder/err" || fail "$(head -n 40 "$folder/err")"
[ ! -s "$folder/err" ] || fail "$(head -n 40 "$folder/err")"
[ "$(wc -l <"$folder/out")" = 2 ] || fail "not two utterances: $(cat "$folder/out")"
