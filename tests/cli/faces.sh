#!/bin/sh
# Several faces in a clip, one who speaks: two samples side by side with the sound of one, a face that
# leaves, a cut, a still picture. Usage: tests/cli/faces.sh BUILD_FOLDER
set -eu
. tests/cli/setup
command -v ffmpeg >/dev/null || { echo "$name: skipped, no ffmpeg"; exit 77; }
left=samples/000002.mp4 left_words="place green at z five again"
right=samples/000003.mp4 right_words="set blue by j eight now"

# make NAME FILTER SOUND: pictures by a filter of both samples, sound of the first (0) or second (1)
make() {
    ffmpeg -v error -i $left -i $right -filter_complex "$2" -map '[v]' -map "$3" -pix_fmt yuv420p \
        "$folder/$1.mp4" || fail "ffmpeg: $1"
}

# hears NAME TEXT TASK FACE OPTIONS...: what the file's one utterance is, by which task, from which face
hears() {
    file=$folder/$1.mp4 text=$2 task=$3 face=$4
    shift 4
    "$mome" transcribe --model models/tiny -f json "$@" "$file" >"$folder/out" 2>"$folder/err" ||
        fail "$(cat "$folder/err")"
    python3 - "$folder/out" "$text" "$task" "$face" <<'END' || fail "$file $*: $(cat "$folder/out")"
import json, re, sys
(u,) = json.load(open(sys.argv[1]))["utterances"]
assert re.fullmatch(sys.argv[2], u["text"]), u["text"]
assert (u["task"], str(u["face"])) == (sys.argv[3], sys.argv[4]), (u["task"], u["face"])
END
}

# says NAME REMARK OPTIONS...: a line on stderr when it is read as one clip; its JSON is in out
says() {
    file=$folder/$1.mp4 remark=$2
    shift 2
    "$mome" transcribe --model models/tiny --json "$@" "$file" >"$folder/out" 2>"$folder/err" ||
        fail "$(cat "$folder/err")"
    grep -qF -e "$remark" "$folder/err" || fail "$file: no '$remark' in: $(cat "$folder/err")"
}

make one '[0:v][1:v]hstack[v]' 0:a
make two '[0:v][1:v]hstack[v]' 1:a
hears one "$left_words" avsr 1
hears two "$right_words" avsr 2
# lips alone: the letter may be misread
hears one "set blue by . eight now" vsr 2 --task vsr --face 2
hears two "place green at . five again" vsr 1 --task vsr --face 1
says one "2 faces: reading the lips of face 1, who speaks (--face N reads another's)"
grep -q '"face": 1' "$folder/out" && grep -q '"faces": 2' "$folder/out" || fail "$(cat "$folder/out")"
says two "2 faces: reading the lips of face 1" --face 1
refused 1 "one.mp4: has no face 3; its faces are numbered 1 to 2" transcribe --model models/tiny --json \
    --face 3 "$folder/one.mp4"
refused 2 "--face takes 1, 2, .., not: 0" transcribe --face 0 "$folder/one.mp4"

# both speak in turn: each utterance says who, and so do subtitles
make turns '[0:v][1:v]hstack,split[a][b];[a][b]concat[v];[0:a][1:a]concat=v=0:a=1[a]' '[a]'
for format in json vtt srt; do
    "$mome" transcribe --model models/tiny -f $format "$folder/turns.mp4" >"$folder/turns.$format" || fail "$format"
done
python3 - "$folder/turns.json" "$left_words" "$right_words" <<'END' || fail "in turn: $(cat "$folder/turns.json")"
import json, sys
said = [(u["face"], u["text"]) for u in json.load(open(sys.argv[1]))["utterances"]]
assert said == [(1, sys.argv[2]), (2, sys.argv[3])], said
END
[ "$(grep 'Face' "$folder/turns.vtt")" = "<v Face 1>$left_words
<v Face 2>$right_words" ] || fail "$(cat "$folder/turns.vtt")"
[ "$(tr '\302' ' ' <"$folder/turns.srt" | tr '\240' ' ' | grep 'Face')" = "Face  2: $right_words" ] ||
    fail "$(cat "$folder/turns.srt")"

# the other one leaves after a second
make leaves "[0:v][1:v]hstack,drawbox=x=iw/2:w=iw/2:h=ih:color=0x909090:t=fill:enable='gte(t,1)'[v]" 0:a
hears leaves "$left_words" avsr 1

# one after the other, a cut between them: one face in each shot
make cut '[0:v][1:v]concat[v];[0:a][1:a]concat=v=0:a=1[a]' '[a]'
"$mome" transcribe --model models/tiny --json "$folder/cut.mp4" >"$folder/out" || fail "a cut"
grep -q '"faces": 1' "$folder/out" && grep -q '"lips_move": true' "$folder/out" || fail "$(cat "$folder/out")"

# a picture that does not move
make still '[0:v]trim=end_frame=1,loop=74:1,setpts=N/25/TB[v]' 0:a
hears still "$left_words" asr None
says still "the lips do not move: using the sound alone (asr)"
grep -q '"lips_move": false' "$folder/out" || fail "a still picture moves its lips"
