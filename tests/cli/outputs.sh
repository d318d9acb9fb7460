#!/bin/sh
# mome transcribe -f: every format is read back by FFmpeg or parsed; folders; files that are there; Ctrl-C
# leaves whole files only; progress; wrong use. Usage: tests/cli/outputs.sh BUILD_FOLDER
set -eu
. tests/cli/setup
make_model "$1"
MOME_MODEL=$model
export MOME_MODEL
quick="--task asr --max-tokens 8"
clip=samples/000000.mp4 sound=$folder/sound.wav
ffmpeg -v error -i $clip -t 1 -ac 1 "$sound"

# ---- one format to stdout ----
for format in srt vtt lrc; do
    "$mome" transcribe $quick -f $format "$sound" >"$folder/o.$format" 2>"$folder/err" || fail "$format"
    [ ! -s "$folder/err" ] || fail "$format: $(cat "$folder/err")"
    ffmpeg -v error -i "$folder/o.$format" -f srt - >"$folder/back" 2>"$folder/err" || fail "$format: not read"
    [ ! -s "$folder/err" ] && grep -q -- '-->' "$folder/back" || fail "$format: read with $(cat "$folder/err")"
done
"$mome" transcribe $quick "$sound" >"$folder/plain"
"$mome" transcribe $quick -f txt "$sound" | cmp - "$folder/plain" || fail "-f txt is not the default"
"$mome" transcribe $quick --format tsv "$sound" >"$folder/o.tsv"
"$mome" transcribe $quick -f json --beam 3 --n-best 2 "$sound" >"$folder/o.json"
python3 - "$folder" "$sound" <<'END' || fail "texts differ, or the json"
import csv, json, re, sys
folder, sound = sys.argv[1:]
rows = list(csv.reader(open(folder + "/o.tsv"), delimiter="\t", quoting=csv.QUOTE_NONE))
assert rows[0] == ["start", "end", "text"] and all(int(r[0]) < int(r[1]) for r in rows[1:])
plain = open(folder + "/plain").read().split()
assert " ".join(r[2] for r in rows[1:]).split() == plain
o = json.load(open(folder + "/o.json"))
assert o["file"] == sound
u, = o["utterances"]
assert set(u) == {"start", "end", "task", "fallback", "audio_rate", "video_rate", "face", "text", "words",
                  "n_best", "media_tokens", "encode_seconds", "decode_seconds", "expert_share"}
assert u["task"] == "asr" and u["audio_rate"] == 4 and u["video_rate"] is None and u["face"] is None
assert [w["word"] for w in u["words"]] == u["text"].split() and len(u["n_best"]) == 2
assert 0 <= u["words"][0]["start"] and u["words"][-1]["end"] <= 1.1
END

# ---- a folder, with folders, a link in a circle, and what is no media ----
media=$folder/media
mkdir -p "$media/b/c" "$media/.hidden"
cp "$sound" "$media/a.wav"
cp "$sound" "$media/b/a.WAV"
ffmpeg -v error -i "$sound" "$media/b/c/d.e.flac"
cp "$sound" "$media/.hidden/no.wav"
echo text >"$media/b/notes.md"
ln -s .. "$media/b/up"
out=$folder/results/new
"$mome" transcribe $quick "$media/" -f srt,json -o "$out" >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
[ ! -s "$folder/out" ] && [ ! -s "$folder/err" ] || fail "files, and something else: $(cat "$folder/err")"
list="./a.json ./a.srt ./b/a.json ./b/a.srt ./b/c/d.e.json ./b/c/d.e.srt"
[ "$(cd "$out" && find . -type f | LC_ALL=C sort | xargs)" = "$list" ] || fail "not: $list"
"$mome" transcribe $quick "$media" >"$folder/out"
cut -d ' ' -f 1 "$folder/out" | xargs -n 1 basename | xargs >"$folder/order"
[ "$(cat "$folder/order")" = "a.wav a.WAV d.e.flac" ] || fail "order: $(cat "$folder/order")"
"$mome" transcribe $quick --beside -f vtt "$media/b/c" && [ -s "$media/b/c/d.e.vtt" ] || fail "--beside"
(cd "$folder" && "$mome" transcribe $quick --beside - <"$sound" && cmp plain stdin.txt) || fail "stdin"

# ---- what is there stays, unless it is to be replaced ----
echo mine >"$out/a.srt"
rm "$out/b/a.json"
"$mome" transcribe $quick "$media" -f srt,json -o "$out" 2>"$folder/err" || fail "$(cat "$folder/err")"
[ "$(cat "$out/a.srt")" = mine ] && [ -s "$out/b/a.json" ] || fail "what was there"
[ "$(grep -c 'its transcripts are there already (--force replaces them)' "$folder/err")" = 2 ] ||
    fail "not said: $(cat "$folder/err")"
"$mome" transcribe $quick -q "$media/a.wav" -f srt -o "$out" --force 2>"$folder/err"
[ ! -s "$folder/err" ] && grep -q -- '-->' "$out/a.srt" || fail "--force"

# ---- a file that fails leaves nothing, and the others go on ----
echo "no media" >"$media/b/bad.wav"
rc=0
"$mome" transcribe $quick "$media" -f txt,lrc -o "$folder/others" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && [ "$(wc -l <"$folder/err")" = 1 ] && grep -q 'bad.wav: not a media' "$folder/err" ||
    fail "a bad file: code $rc, $(cat "$folder/err")"
[ "$(find "$folder/others" -type f | wc -l)" = 6 ] || fail "a bad file: $(find "$folder/others" -type f)"
rm "$media/b/bad.wav"

# ---- Ctrl-C: whole files only; the same command goes on ----
mkdir "$folder/many"
for i in 1 2 3 4 5 6 7 8; do
    ffmpeg -v error -i $clip -ac 1 -af "aloop=9:100000" "$folder/many/$i.wav"
done
stopped=$folder/stopped
"$mome" transcribe $quick "$folder/many" -f srt,json -o "$stopped" 2>"$folder/err" &
pid=$!
tries=0
until [ -e "$stopped/2.srt" ]; do
    tries=$((tries + 1))
    [ $tries -lt 1200 ] || fail "nothing comes"
    sleep 0.05
done
kill -INT $pid
rc=0
wait $pid || rc=$?
[ $rc = 1 ] && grep -q '^mome: stopped: [2-7] of 8 files are done$' "$folder/err" ||
    fail "Ctrl-C: code $rc, $(cat "$folder/err")"
done=$(sed -n 's/.*stopped: \([0-9]\) of.*/\1/p' "$folder/err")
[ "$(ls "$stopped"/*.srt | wc -l)" = "$done" ] && [ "$(ls "$stopped"/*.json | wc -l)" = "$done" ] &&
    [ "$(ls "$stopped" | wc -l)" = $((2 * done)) ] || fail "Ctrl-C left $(ls "$stopped")"
for one in "$stopped"/*.json; do
    python3 -m json.tool "$one" >"$folder/tool" || fail "$one is not whole"
done
"$mome" transcribe $quick -q "$folder/many" -f srt,json -o "$stopped" || fail "it does not go on"
[ "$(ls "$stopped" | wc -l)" = 16 ] || fail "it does not go on"

# ---- Ctrl-C within one file that is taken as a whole: it is not read to its end ----
ffmpeg -v error -i $clip -ac 1 -af "aloop=39:100000" "$folder/long.wav"
now() { date +%s%N; }
begin=$(now)
whole="--model models/tiny --task asr --beam 8 --json -q $folder/long.wav"
"$mome" transcribe $whole >"$folder/whole" || fail "a long file"
full=$((($(now) - begin) / 1000000))
for try in 1 2 3; do # the machine may be busy
    begin=$(now)
    "$mome" transcribe $whole >"$folder/cut" 2>"$folder/err" &
    pid=$!
    sleep "$(printf '%d.%03d' $((full / 4000)) $((full / 4 % 1000)))"
    kill -INT $pid
    rc=0
    wait $pid || rc=$?
    took=$((($(now) - begin) / 1000000))
    [ $took -ge $((full * 3 / 4)) ] || break
done
[ $rc = 1 ] && [ "$(cat "$folder/err")" = "mome: stopped: 0 of 1 files are done" ] &&
    [ "$(cat "$folder/cut")" = "[]" ] && [ $took -lt $((full * 3 / 4)) ] ||
    fail "Ctrl-C within a file: code $rc, $took of $full ms, $(cat "$folder/err")"

# ---- progress ----
"$mome" transcribe $quick --progress "$media/a.wav" "$media/b/a.WAV" "$media/b/c" 2>"$folder/err" >"$folder/out"
[ "$(grep -cE '^[a-zA-Z.]+ \[#{24}\] 0:01/0:01  ETA 0:00  RTF [0-9.]+  \(file [123] of 3\)$' "$folder/err")" = 3 ] ||
    fail "--progress: $(cat "$folder/err")"
"$mome" transcribe $quick --progress -q "$media/a.wav" 2>&1 >"$folder/out" | grep . && fail "-q is not quiet"

# ---- wrong use ----
mkdir "$folder/empty"
cp "$sound" "$media/a.ogg"
refused 1 'empty: holds no media file' transcribe "$folder/empty"
refused 2 "a.ogg and $media/a.wav would both write $folder/none/a.srt" transcribe "$media" -f srt -o "$folder/none"
refused 2 "would both write $media/a.txt" transcribe "$media/a.wav" "$media/b/../a.ogg" --beside
[ ! -e "$folder/none" ] || fail "a folder was made for nothing"
refused 2 '-f takes some of txt,srt,vtt,tsv,lrc,json, not: srt,doc' transcribe -f srt,doc "$sound"
refused 2 '-f takes some of' transcribe -f '' "$sound"
refused 2 'standard output takes one format' transcribe -f srt,vtt "$sound"
refused 2 "standard output takes one file's srt" transcribe -f srt "$sound" $clip
refused 2 'make a table' transcribe --rate all -f srt "$sound"
refused 2 '-o and --beside exclude each other' transcribe -o x --beside "$sound"
refused 2 '-f json' transcribe --json -f srt "$sound"
refused 1 "$sound: is there already and not a folder" transcribe -o "$sound" $clip
if [ "$(id -u)" != 0 ]; then
    mkdir "$folder/closed" && chmod a-w "$folder/closed"
    refused 1 'cannot write' transcribe -o "$folder/closed" $clip
fi
rc=0
(ulimit -f 0 && exec "$mome" transcribe $quick "$sound" -f json -o "$folder/full") 2>"$folder/err" || rc=$?
[ $rc = 1 ] && [ "$(ls "$folder/full" | wc -l)" = 0 ] || fail "full disk: code $rc, $(cat "$folder/err")"
