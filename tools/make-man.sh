#!/bin/sh
# Makes the manual pages out of what --help prints, so that the two cannot differ. What --help has no room for stands
# in docs/man: NAME.man behind a page's examples, common.man at the end of each.
# usage: tools/make-man.sh BUILD_FOLDER OUT_FOLDER
set -eu
build=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/.."
version=$("$build/mome" --version)
date=$(sed -n "s/^## \[${version#mome }\] - //p" CHANGELOG.md)
rm -f "$out"/*.1

# page NAME SUMMARY SEE_ALSO PROGRAM [COMMAND]
page() {
    name=$1 summary=$2 others=$3
    shift 3
    {
        printf '.TH %s 1 "%s" "%s" "User Commands"\n.SH NAME\n%s \\- %s\n' \
            "$(echo "$name" | tr a-z A-Z)" "$date" "$version" "$name" "$summary"
        "$build/$1" ${2:+"$2"} --help | awk -f tools/help.awk | awk -f tools/man.awk
        [ ! -e "docs/man/$name.man" ] || cat "docs/man/$name.man"
        cat docs/man/common.man
        echo .SH SEE ALSO
        echo "$others" | sed '$!s/$/,/; s/^/.BR /; s/,$/ (1),/; /,$/!s/$/ (1)/'
    } >"$out/$name.1"
}

"$build/mome" --help | awk -f tools/help.awk |
    awk -F'\t' '$1 == "verbatim" { name = $2; sub(/ .*/, "", name); sub(/^[^ ]* */, "", $2); print name "\t" $2 }' \
        >"$out/commands"
see_also() { # all pages but NAME
    {
        echo mome
        cut -f 1 "$out/commands" | sed 's/^/mome-/'
        echo mome-synth
    } | grep -vx "$1"
}
page mome "speech recognition from a talking face: sound, lips or both" "$(see_also mome)" mome
while IFS='	' read -r command summary; do
    page "mome-$command" "$summary" "$(see_also "mome-$command")" mome "$command"
done <"$out/commands"
page mome-synth "talking clips made out of text" "$(see_also mome-synth)" mome-synth
rm "$out/commands"
