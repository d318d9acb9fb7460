#!/bin/sh
# mome live on a file at its own pace: the words that mome transcribe finds, said while the file plays and not after
# it; partial text before final; what ends it; what is refused. From a sound server's microphone where PulseAudio is
# installed. How late text is belongs to bench/live.py. Usage: tests/cli/live.sh BUILD_FOLDER
set -eu
. tests/cli/setup
options="--model models/tiny --task asr --rate 4"

ffmpeg -v error -i samples/000000.mp4 -i samples/000001.mp4 -filter_complex \
    '[0:v][0:a][1:v][1:a]concat=n=2:v=1:a=1[v][a]' -map '[v]' -map '[a]' "$folder/two.mp4" || fail ffmpeg
seconds=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$folder/two.mp4")
"$mome" transcribe -q $options "$folder/two.mp4" >"$folder/file.txt" || fail transcribe
begin=$(date +%s.%N)
"$mome" live -q $options "$folder/two.mp4" --json >"$folder/events" || fail live
end=$(date +%s.%N)
python3 - "$folder" "$seconds" "$begin" "$end" <<'END' || fail "see above"
import json, sys
folder, seconds, took = sys.argv[1], float(sys.argv[2]), float(sys.argv[4]) - float(sys.argv[3])
events = [json.loads(line) for line in open(folder + "/events")]
kinds = [e["event"] for e in events]
said = [e["text"] for e in events if e["event"] == "final"]
expected = open(folder + "/file.txt").read().splitlines()
assert said == expected, f"{said} instead of {expected}"
assert took >= seconds - 0.2, f"{seconds} s of media in {took} s"
assert kinds[-1] == "end" and kinds.count("end") == 1, kinds
assert "partial" in kinds[: kinds.index("final")], "no text before the first utterance was over"
assert all(a["at"] <= b["at"] for a, b in zip(events, events[1:])), "times go back"
end = events[-1]
assert end["words"] == sum(len(t.split()) for t in said), end
assert 0 < end["shown"]["median"] <= end["settled"]["median"] <= end["settled"]["p95"] < took, end
first = events[kinds.index("partial")]
assert first["at"] < seconds, "the first text comes after the file"
assert 0 <= first["settled"] <= len(first["words"]), first
END

# plain text, by its own pipe, as rate and task choose themselves; and stopped in the middle
"$mome" live -q --model models/tiny - <samples/000000.mp4 >"$folder/pipe.txt" || fail "from standard input"
[ -s "$folder/pipe.txt" ] || fail "nothing from standard input"
timeout 60 "$mome" live -q $options "$folder/two.mp4" --seconds 1 >"$folder/out" || fail "--seconds"
"$mome" live $options "$folder/two.mp4" --json >"$folder/events" 2>"$folder/err" &
sleep 2
kill -INT $!
wait $! || fail "Ctrl-C: $(cat "$folder/err")"
tail -n 1 "$folder/events" | grep -q '"event": "end"' || fail "no figures after Ctrl-C"

refused 1 'no camera and no microphone' live --camera none --microphone none
refused 1 'cannot open' live "$folder/nosuch.mp4"
refused 1 'the camera cannot be opened' live --camera "$folder/nosuch"
refused 2 'neither a camera nor a microphone' live --camera none --microphone pulse:default --task vsr
refused 2 'a microphone is named' live --camera none --microphone hw:0
refused 2 'a FILE, or a camera' live x --camera none
refused 2 'takes one file' live x y
refused 2 'one rate at a time' live --rate all x
refused 2 '--seconds takes' live --seconds 0 x
ffmpeg -v error -i samples/000000.mp4 -vn "$folder/sound.wav"
refused 1 'no pictures in it' live --task vsr "$folder/sound.wav"

# a microphone: a sound server whose loudspeaker is one
if ! command -v pulseaudio >/dev/null || ! command -v paplay >/dev/null; then
    echo "$name: skipped the microphone: no PulseAudio"
    exit 0
fi
export XDG_RUNTIME_DIR="$folder" HOME="$folder"
pulseaudio -n --daemonize=no --exit-idle-time=-1 -L module-native-protocol-unix -L "module-null-sink sink_name=out" \
    >"$folder/pulse.log" 2>&1 &
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
tries=0
until pactl info >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 50 ] || fail "PulseAudio does not start: $(tail -n 3 "$folder/pulse.log")"
    sleep 0.2
done
"$mome" live $options --camera none --seconds 20 >"$folder/heard.txt" 2>"$folder/err" &
live=$!
sleep 4
ffmpeg -v error -i "$folder/two.mp4" -vn -ar 44100 "$folder/two.wav"
paplay "$folder/two.wav"
wait $live || fail "from a microphone: $(cat "$folder/err")"
cmp -s "$folder/heard.txt" "$folder/file.txt" || echo "$name: heard '$(cat "$folder/heard.txt")'"
[ -s "$folder/heard.txt" ] || fail "nothing heard from the microphone"
