#!/bin/sh
# mome prepare: killed at any moment and run again, it comes to the same folder as without; shards;
# what it makes is read by transcribe and evaluate; full disk; wrong use.
# Usage: tests/cli/prepare.sh BUILD_FOLDER
set -eu
. tests/cli/setup

mkdir "$folder/in"
for i in 0 1 2 3 4 5; do
    cp samples/00000$i.mp4 "$folder/in/"
    sed -n "$((i + 2))p" samples/manifest.tsv | cut -f 2 >"$folder/in/00000$i.txt"
done
printf 'no film' >"$folder/in/junk.mp4"
echo text >"$folder/in/junk.txt"

"$mome" prepare --quiet "$folder/in" -o "$folder/whole" >"$folder/out" 2>"$folder/err" || {
    grep -q MOME_LANDMARKS "$folder/err" && exit 77
    fail "$(cat "$folder/err")"
}
grep -q '^kept  *6  6 files' "$folder/out" || fail "the table: $(cat "$folder/out")"
grep -q '^unreadable  *1$' "$folder/out" || fail "the table: $(cat "$folder/out")"
[ "$(wc -l <"$folder/whole/manifest.tsv")" = 7 ] || fail "the manifest"
grep -q '^junk.mp4.unreadable.not a media file' "$folder/whole/dropped.tsv" || fail "dropped.tsv"

# killed again and again, each time a little later: no half file, and in the end the same
kills=0 rc=1
while [ $rc != 0 ]; do
    kills=$((kills + 1))
    [ $kills -lt 60 ] || fail "does not get anywhere"
    rc=0
    timeout -s KILL "$((kills / 4)).$((kills % 4 * 25 + 1))" \
        "$mome" prepare --quiet "$folder/in" -o "$folder/killed" >/dev/null 2>&1 || rc=$?
    for clip in "$folder"/killed/clips/*; do
        [ ! -e "$clip" ] || cmp -s "$clip" "$folder/whole/clips/${clip##*/}" ||
            fail "killed: $clip is not whole"
    done
done
[ $kills -gt 1 ] || fail "was not killed once"
rm -r "$folder/killed/work" "$folder/whole/work"
diff -r "$folder/killed" "$folder/whole" || fail "killed and run again: not the same"

# two shards at once
"$mome" prepare --quiet "$folder/in" -o "$folder/shards" --shard 1/2 --jobs 1 >/dev/null 2>&1 &
"$mome" prepare --quiet "$folder/in" -o "$folder/shards" --shard 2/2 --jobs 1 >/dev/null 2>&1 ||
    fail "shard 2/2"
wait $! || fail "shard 1/2"
ls "$folder/shards/work" | grep -v '^[12]-of-2.tsv$' && fail "leftovers"
rm -r "$folder/shards/work"
diff -r "$folder/shards" "$folder/whole" || fail "two shards: not the same"

# read as any clip, with the same result as the source
make_model "$1"
for task in asr vsr; do
    "$mome" transcribe --quiet --model "$model" --task $task --max-tokens 4 "$folder/in/000000.mp4" \
        >"$folder/a" 2>/dev/null
    "$mome" transcribe --quiet --model "$model" --task $task --max-tokens 4 \
        "$folder/whole/clips/000000.mkv" >"$folder/b" 2>/dev/null
    [ "$(sed 's/^[^ ]* *//' "$folder/a")" = "$(sed 's/^[^ ]* *//' "$folder/b")" ] ||
        fail "$task: the prepared clip reads otherwise"
done
"$mome" evaluate --quiet --model "$model" --max-tokens 2 --clips 2 --task avsr \
    --manifest "$folder/whole/manifest.tsv" >"$folder/out" || fail "evaluate"

# full disk
rc=0
(ulimit -f 8 && exec "$mome" prepare --quiet "$folder/in" -o "$folder/full") \
    >/dev/null 2>"$folder/err" || rc=$?
[ $rc = 1 ] && grep -q 'cannot write' "$folder/err" || fail "full disk: $rc $(cat "$folder/err")"
[ -z "$(find "$folder/full" -name '*.mkv*')" ] || fail "full disk: something was left behind"
[ ! -e "$folder/full/manifest.tsv" ] || fail "full disk: a manifest of nothing"

mkdir "$folder/empty"
refused 1 'no clips in it' prepare "$folder/empty" -o "$folder/x"
refused 1 'nowhere: cannot open' prepare nowhere -o "$folder/x"
refused 2 'another folder than the source' prepare "$folder/in" -o "$folder/in"
refused 2 'takes one folder and -o OUT' prepare "$folder/in"
refused 2 '--shard takes I/N' prepare "$folder/in" -o x --shard 3/2
refused 2 '--format takes' prepare "$folder/in" -o x --format zip
refused 2 '--max-seconds takes' prepare "$folder/in" -o x --max-seconds 0.1
refused 2 '--streams takes' prepare "$folder/in" -o x --streams smell
refused 2 'no split "test"' prepare "$folder/in" -o "$folder/x" --split test
