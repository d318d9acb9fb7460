#!/bin/sh
# mome transcribe --show: the picture's size, rate, times and the sound are kept, and only where words
# and boxes stand is it another one; rotation; whole files only; wrong use.
# Usage: tests/cli/show.sh BUILD_FOLDER
set -eu
. tests/cli/setup
command -v ffmpeg >/dev/null || { echo "$name: skipped, no ffmpeg"; exit 77; }
MOME_MODEL=models/tiny
export MOME_MODEL
mkdir "$folder/seen"
clip=samples/000002.mp4 words="place green at z five again"

# show NAME OPTIONS...: $to, of that name, from $source
show() {
    to=$folder/seen/$1.mp4
    shift
    "$mome" transcribe -q "$source" --show "$to" "$@" >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
    [ ! -s "$folder/err" ] || fail "said: $(cat "$folder/err")"
}

# probe FILE ENTRIES: of the pictures (v) or the sound (a)
probe() {
    ffprobe -v error -count_packets -select_streams "$2" -show_entries "stream=$3" -of csv=p=0 "$1"
}

sound_of() {
    ffmpeg -v error -i "$1" -map 0:a -c copy -f md5 -
}

times_of() {
    ffprobe -v error -select_streams v -show_entries packet=pts_time -of csv=p=0 "$1" | sort -n
}

# differs A B LEFT TOP RIGHT BOTTOM: mean difference of the gray pictures there, over the middle second, in
# hundredths of a shade
differs() {
    for one in "$1" "$2"; do
        ffmpeg -v error -ss 1 -t 1 -i "$one" -vf "crop=$5-$3:$6-$4:$3:$4:exact=1" -pix_fmt gray -f rawvideo "$folder/$(
            [ "$one" = "$1" ] && echo a || echo b).gray" -y
    done
    python3 -c '
import sys
a, b = (open(sys.argv[1] + n, "rb").read() for n in ("/a.gray", "/b.gray"))
assert len(a) == len(b) > 0
print(100 * sum(abs(x - y) for x, y in zip(a, b)) // len(a))' "$folder"
}

# ---- a clip: what is kept ----
source=$clip
show one
[ "$(cat "$folder/out")" = "$words" ] || fail "words: $(cat "$folder/out")"
what=width,height,avg_frame_rate,nb_read_packets,duration
[ "$(probe "$to" v $what)" = "$(probe $clip v $what)" ] || fail "pictures: $(probe "$to" v $what)"
[ "$(probe "$to" v codec_name,pix_fmt)" = h264,yuv420p ] || fail "codec: $(probe "$to" v codec_name,pix_fmt)"
[ "$(sound_of "$to")" = "$(sound_of $clip)" ] || fail "the sound is another one"

# ---- and what is not (360x288): caption, state, time, mouth; nothing elsewhere ----
[ "$(differs $clip "$to" 120 264 240 284)" -gt 2000 ] || fail "no caption"
[ "$(differs $clip "$to" 4 4 100 18)" -gt 1000 ] || fail "no state"
[ "$(differs $clip "$to" 315 4 355 18)" -gt 1000 ] || fail "no time"
[ "$(differs $clip "$to" 75 140 195 252)" -gt 300 ] || fail "no mouth"
[ "$(differs $clip "$to" 230 30 355 250)" -lt 200 ] || fail "something at the right"
[ "$(differs $clip "$to" 2 30 55 250)" -lt 200 ] || fail "something at the left"
show deaf --task asr
[ "$(differs $clip "$to" 75 140 195 252)" -lt 200 ] || fail "a mouth is marked that is not read"

# ---- other rates, other times, sound that mp4 has no name for ----
source=$folder/rate.mov
ffmpeg -v error -i $clip -vf fps=30000/1001 -c:a pcm_s16le -ar 44100 -ac 2 "$source"
show rate
[ "$(probe "$to" v avg_frame_rate,nb_read_packets)" = 30000/1001,90 ] || fail "rate: $(probe "$to" v avg_frame_rate)"
[ "$(probe "$to" a codec_name,sample_rate,channels)" = aac,44100,2 ] || fail "sound: $(probe "$to" a codec_name)"
seconds=$(ffprobe -v error -select_streams a -show_entries stream=duration -of csv=p=0 "$to")
python3 -c "assert abs($seconds - 3) < 0.1" || fail "sound of $seconds s"
source=$folder/varying.mp4
ffmpeg -v error -i $clip -vf "select='not(eq(mod(n,5),2))+gt(n,50)'" -fps_mode vfr -c:a copy "$source"
show varying
[ "$(times_of "$to")" = "$(times_of "$source")" ] || fail "times"
source=$folder/mute.mp4
ffmpeg -v error -i $clip -an -c copy "$source"
show mute
[ -z "$(probe "$to" a codec_name)" ] || fail "sound out of nothing"

# ---- rotation is applied; odd sizes, small ones ----
source=$folder/turned.mp4
ffmpeg -v error -i $clip -vf transpose=1 -c:a copy "$folder/lying.mp4"
ffmpeg -v error -i "$folder/lying.mp4" -metadata:s:v rotate=90 -c copy "$source"
show turned
[ "$(probe "$folder/lying.mp4" v width,height) $(probe "$to" v width,height)" = "288,360 360,288" ] ||
    fail "size: $(probe "$to" v width,height)"
[ "$(differs $clip "$to" 230 30 355 250)" -lt 400 ] || fail "not upright"
[ "$(differs $clip "$to" 120 264 240 284)" -gt 2000 ] || fail "no caption in what was turned"
for size in 181:145 96:96; do
    source=$folder/small.mkv
    ffmpeg -v error -y -i $clip -vf "scale=$size,setsar=1" -c:v ffv1 "$source"
    show small --force
    [ "$(probe "$to" v width,height)" = "$(echo "$size" | sed 's/181:145/180,144/; s/:/,/')" ] || fail "size $size"
done

# ---- with transcripts, which stay ----
source=$clip
show both -f srt -o "$folder"
grep -q "$words" "$folder/000002.srt" || fail "no subtitles"
show both -f srt,txt -o "$folder" --force
echo mine >"$folder/000002.srt"
rm "$to"
"$mome" transcribe -q "$source" --show "$to" -f srt -o "$folder"
[ -s "$to" ] && [ "$(cat "$folder/000002.srt")" = mine ] || fail "a video beside subtitles that are there"

# ---- killed: whole files only ----
ffmpeg -v error -stream_loop 9 -i $clip -c copy "$folder/long.mp4"
for signal in INT KILL; do
    "$mome" transcribe -q --rate 16,5 "$folder/long.mp4" --show "$folder/killed.mp4" >"$folder/out" 2>"$folder/err" &
    pid=$!
    tries=0
    # it is being written, without a name
    until find /proc/$pid/fd -lname "$folder/#*" -exec stat -L -c %s {} + 2>"$folder/shell" | grep -q '[1-9]'; do
        tries=$((tries + 1))
        [ $tries -lt 2400 ] && kill -0 $pid || fail "nothing comes: $(cat "$folder/err")"
        sleep 0.05
    done
    kill -$signal $pid
    rc=0
    wait $pid 2>"$folder/shell" || rc=$?
    [ $signal = KILL ] || [ $rc = 1 ] || fail "$signal: code $rc"
    ! ls "$folder"/killed* 2>"$folder/shell" || fail "left behind after $signal"
done
rc=0
(ulimit -f 8 && exec "$mome" transcribe -q $clip --show "$folder/full.mp4") >"$folder/out" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && ! ls "$folder"/full* 2>"$folder/shell" && grep -q "cannot write" "$folder/err" ||
    fail "full disk: code $rc, $(cat "$folder/err")"

# ---- progress of both passes ----
"$mome" transcribe --progress $clip --show "$folder/p.mp4" 2>"$folder/err" >"$folder/out"
[ "$(grep -cE '^(000002|p).mp4 \[#{24}\] 0:03/0:03  ETA 0:00  RTF [0-9.]+' "$folder/err")" = 2 ] || fail "--progress: $(cat "$folder/err")"

# ---- no font: said, not left out ----
rc=0
echo "<fontconfig></fontconfig>" >"$folder/fonts"
FONTCONFIG_FILE=$folder/fonts "$mome" transcribe -q $clip --show "$folder/blank.mp4" >"$folder/out" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && [ ! -e "$folder/blank.mp4" ] && grep -q "no font is installed" "$folder/err" || fail "no font: $(cat "$folder/err")"

# ---- wrong use ----
cp $clip "$folder/own.mp4"
ln -s own.mp4 "$folder/link.mp4"
ffmpeg -v error -i $clip -vn "$folder/sound.wav"
refused 2 "one.mp4: is there already (--force replaces it)" transcribe $clip --show "$folder/seen/one.mp4"
refused 2 "link.mp4: is what --show reads" transcribe --force "$folder/own.mp4" --show "$folder/link.mp4"
refused 2 "expected a name in .mp4" transcribe $clip --show "$folder/x.avi"
refused 2 "standard input: --show reads a file twice" transcribe - --show "$folder/x.mp4"
mkfifo "$folder/pipe.mp4"
refused 2 "pipe.mp4: --show reads a file twice" transcribe "$folder/pipe.mp4" --show "$folder/x.mp4"
refused 1 "sound.wav: no pictures in it, which --show draws into" transcribe "$folder/sound.wav" --show "$folder/x.mp4"
refused 1 "none/x.mp4: cannot write" transcribe $clip --show "$folder/none/x.mp4"
refused 2 "--show takes one file" transcribe $clip samples/000001.mp4 --show "$folder/x.mp4"
refused 2 "--show does not go with" transcribe --rate all $clip --show "$folder/x.mp4"
refused 2 "--show does not go with" transcribe $clip --show "$folder/x.mp4" --debug-mouth "$folder/y.mp4"
[ ! -e "$folder/x.mp4" ] && cmp -s $clip "$folder/own.mp4" || fail "wrong use wrote something"
