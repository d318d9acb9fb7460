#!/bin/sh
# Makes the completions of bash, zsh and fish out of what --help prints.
# usage: tools/make-completions.sh BUILD_FOLDER OUT_FOLDER
set -eu
mome=$(realpath "$1")/mome
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")"
commands() {
    "$mome" --help | awk -f help.awk | sed -n 's/^verbatim	\([a-z]*\) *\(.*\)/\1	\2/p' |
        while IFS='	' read -r command summary; do
            printf 'command\t%s\t%s\n' "$command" "$summary"
            "$mome" "$command" --help | awk -f help.awk | grep '^option'
        done
}
commands >"$out/options"
awk -v shell=bash -f completion.awk "$out/options" >"$out/mome"
awk -v shell=zsh -f completion.awk "$out/options" >"$out/_mome"
awk -v shell=fish -f completion.awk "$out/options" >"$out/mome.fish"
rm "$out/options"
