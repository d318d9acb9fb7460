#!/bin/sh
# What README.md and the manual pages show is run, as it stands there. In a folder of its own, where sample clips stand
# for the reader's; what needs downloads, other people's data or hours is skipped, and named.
# Usage: tests/cli/readme.sh BUILD_FOLDER
set -eu
. tests/cli/setup
build=$(realpath "$1")
source=$PWD
unset MOME_MODEL
skip='\.\./shared|^make |^tools/(fetch|make)|^git |^sudo |^apt |/published/|models/(base-en|mine|omni|small)|lrs3|my-clips|large_vox|'
skip="$skip"'Llama-|ggml-|mpirun|configs/mome|^mome live( --|$)|CONFIG|runs/|sentences\.txt|--count 1000|mome train configs'

# the commands between ``` of Markdown; where some lines begin with "$ ", only those are
from_readme() {
    awk '/^```/ { inside = !inside; if (!inside) { printf "%s", prompt ? shown : all; all = shown = ""; prompt = 0 } next }
         inside && /^\$ / { prompt = 1; shown = shown substr($0, 3) "\n"; next }
         inside { all = all $0 "\n" }' README.md
}
# between .nf and .fi, what begins with the name of a program; help explains its examples two blanks to the right
from_pages() {
    sed -n '/^\.SH SYNOPSIS/,/^\.SH EXIT/{/^\.nf/,/^\.fi/p}' "$folder"/man/*.1 |
        sed "s/\\\\-/-/g; s/\\\\(aq/'/g; s/\\\\e/\\\\/g; s/\\([^ ]\\)   *[^- ].*/\\1/; s/\\([^ ]\\)   *(.*/\\1/" |
        awk '/^(mome|mome-synth|cat) / || going { print; going = /\\$/ }'
}
tools/make-man.sh "$build" "$folder/man"
from_readme >"$folder/readme"
from_pages >"$folder/pages"
[ "$(grep -c . "$folder/readme")" -ge 20 ] && [ "$(grep -c . "$folder/pages")" -ge 20 ] || fail "few commands are found"

mkdir -p "$folder/work/clips" "$folder/work/build"
cd "$folder/work"
PATH=$build:$PATH
ln -s "$build" build/release
cp -r "$source/samples" "$source/tools" .
mkdir models
cp -r "$source/models/tiny" models/
cp samples/000000.mp4 talking.mp4
cp samples/000000.mp4 talk.mp4
ffmpeg -v error -i samples/000002.mp4 -i samples/000003.mp4 -filter_complex '[0:v][1:v]hstack[v]' -map '[v]' -map 0:a two.mp4
mkdir talks
cp samples/000001.mp4 samples/000002.mp4 talks
cp samples/000000.mp4 clip.mp4
cp samples/000001.mp4 clips/one.mp4
echo "lay white in n two please" >clips/one.txt
cp samples/babble.m4a babble.flac # FFmpeg looks at what is in it
{
    head -n 1 samples/manifest.tsv
    sed -n '2,3s|^|samples/|p' samples/manifest.tsv
} >test.tsv
cp test.tsv dev.tsv
cp -r models/tiny a
cp -r models/tiny b
mome evaluate --quiet --manifest test.tsv --clips 1 --task asr --json mome.json >/dev/null
for name in baseline mome-1 mome-2 mome-3 lora; do
    cp mome.json $name.json
done

# commands, each on one line, in order; the same once
sed -e ':a' -e '/\\$/{N;s/\\\n */ /;ba' -e '}' "$folder/readme" "$folder/pages" | sed 's/  *# .*//' | grep . |
    awk '!seen[$0]++' >"$folder/commands"
ran=0 skipped=0
while IFS= read -r command; do
    if echo "$command" | grep -qE -- "$skip"; then
        echo "readme: skipped: $command"
        skipped=$((skipped + 1))
        continue
    fi
    echo "readme: $command"
    sh -c "$command" </dev/null >"$folder/out" 2>"$folder/err" ||
        fail "exit code $?: $command: $(tail -n 3 "$folder/err")"
    ran=$((ran + 1))
done <"$folder/commands"
[ "$ran" -ge 15 ] || fail "only $ran commands were run"
