#!/bin/sh
# mome-synth end to end: files are there, the manifest says what it should, same seed = same clips
# whatever the number of processes, wrong commands are refused.
# Usage: tests/cli/synth.sh BUILD_FOLDER
set -eu
synth=$1/mome-synth
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

fail() {
    echo "synth: $*" >&2
    exit 1
}

# refused LINE-PART CODE ARGUMENTS...: exits with CODE and says LINE-PART on one line
refused() {
    part=$1 code=$2
    shift 2
    rc=0
    "$synth" "$@" >out.txt 2>err.txt || rc=$?
    [ "$rc" = "$code" ] || fail "exit code $rc, not $code: $*"
    grep -qF -e "$part" err.txt || fail "no '$part' in: $(cat err.txt)"
    [ "$(wc -l <err.txt)" = 1 ] || fail "more than one line: $(cat err.txt)"
}

"$synth" --grammar grid --count 2 --seed 3 --jobs 1 -o a 2>/dev/null
"$synth" --grammar grid --count 2 --seed 3 --jobs 2 -o b 2>/dev/null
"$synth" --grammar grid --count 2 --seed 4 --jobs 2 -o c 2>/dev/null
diff -r a b || fail "two runs with the same seed differ"
for clip in 000000.mp4 000001.mp4; do
    [ -s "a/$clip" ] || fail "a/$clip is missing"
    cmp -s "a/$clip" "c/$clip" && fail "another seed made the same clip"
done

# Columns; six words of the grammar; words and phones in order within the clip, none of them empty.
awk -F '\t' '
function spans(list, name,    n, i, part, f, last) {
    n = split(list, part, " ")
    for (i = 1; i <= n; i++) {
        if (split(part[i], f, ":") != 3 || f[2] < last || f[3] <= f[2] || f[3] > 3000)
            bad(name " " part[i])
        last = f[3]
    }
    return n
}
function bad(why) { print "manifest line " NR ": " why; wrong = 1; exit 1 }
NR == 1 { if ($0 != "path\ttext\twords_ms\tphones_ms") bad("header: " $0); next }
NF != 4 { bad(NF " columns") }
$2 !~ /^(bin|lay|place|set) (blue|green|red|white) (at|by|in|with) [a-vx-z] [a-z]+ (again|now|please|soon)$/ {
    bad("not of the grammar: " $2)
}
spans($3, "word") != 6 { bad("not six words") }
spans($4, "phone") < 10 { bad("too few phones") }
END { if (!wrong && NR != 3) { print NR - 1 " clips, not 2"; exit 1 } exit wrong }
' a/manifest.tsv || fail "the manifest is wrong"

# Letters are named: "a" and "z" as a British or an American says them, never the article.
for voice in slt rms awb kal16 kal; do
    "$synth" --text "bin red with a four soon" --voice $voice --sound-only -o one.wav >one.tsv
    grep -q '[[:space:]]ey:' one.tsv || fail "$voice does not name the letter a"
    [ "$(wc -c <one.wav)" -gt 96000 ] || fail "one.wav is shorter than 3 s"
done
"$synth" --text "place red with z four soon" --sound-only -o one.wav | grep -Eq 'z:[0-9]+:[0-9]+ (eh|iy):' ||
    fail "z is neither zed nor zee"

# Any text, a line each; sound alone; babble.
printf 'The quick brown fox, it jumps.\n\nShe sells sea shells by the shore\n' >texts.txt
"$synth" --texts texts.txt --sound-only -o d 2>/dev/null
[ "$(wc -l <d/manifest.tsv)" = 3 ] || fail "--texts: not two clips"
cut -f 2 d/manifest.tsv | grep -qx 'the quick brown fox it jumps' || fail "--texts: wrong words"
"$synth" --babble 2 -o babble.wav
[ "$(wc -c <babble.wav)" -gt 63000 ] || fail "babble is too short"

"$synth" --help | grep -q -- '--grammar grid' || fail "--help does not teach"
refused 'nothing to say' 2 -o x
refused 'no such option' 2 --colour -o x
refused 'slt, rms' 2 --voice nobody --text hello -o x.wav
refused 'missing.txt' 1 --texts missing.txt -o x
refused 'nothing to say' 1 --text '...' -o x.mp4
refused 'no/folder/x.wav' 1 --text hello --sound-only -o no/folder/x.wav
[ ! -e x ] && [ ! -e x.mp4 ] || fail "a refused command left something"
echo "synth: good"
