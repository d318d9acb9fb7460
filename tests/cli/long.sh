#!/bin/sh
# A long video, clips of samples/ and of GRID (dev, where it is there) joined -> srt: memory is flat after its
# first minute, killed in the middle it leaves nothing, words are where the clips are and no worse than
# those of the clips alone; real-time factors are printed. Usage: [MOME_LONG_MINUTES=60] tests/cli/long.sh
# BUILD_FOLDER
set -eu
. tests/cli/setup
command -v ffmpeg >/dev/null || { echo "$name: skipped, no ffmpeg"; exit 77; }
grid=../shared/data/grid
tail -n +2 samples/manifest.tsv | sed "s|^|$PWD/samples/|" | cut -f 1-3 >"$folder/clips.tsv"
if [ -e $grid/dev.tsv ]; then
    tail -n +2 $grid/dev.tsv | sed "s|^|$(realpath $grid)/|" | cut -f 1-3 >>"$folder/clips.tsv"
else
    echo "$name: without GRID, $grid is not there"
fi

# one round of the clips, encoded alike; then as many rounds as the minutes take
cut -f 1 "$folder/clips.tsv" | sed "s|.*|file '&'|" >"$folder/list"
ffmpeg -v error -f concat -safe 0 -i "$folder/list" -vf scale=360:288,setsar=1,fps=25 -preset ultrafast -crf 26 \
    -ac 1 -ar 16000 -af aresample=async=1 "$folder/round.mp4" || fail "ffmpeg"
seconds=$(ffprobe -v error -show_entries format=duration -of csv=p=0 "$folder/round.mp4")
rounds=$(echo "$seconds" | awk -v minutes="${MOME_LONG_MINUTES:-3}" '{ print int(60 * minutes / $1 + 0.99) }')
for round in $(seq "$rounds"); do echo "file round.mp4"; done >"$folder/list"
ffmpeg -v error -f concat -i "$folder/list" -c copy "$folder/long.mp4" || fail "ffmpeg"

"$mome" transcribe -q --model models/tiny -f json -o "$folder/alone" $(cut -f 1 "$folder/clips.tsv") || fail "alone"
python3 tests/cli/long.py "$mome" "$folder" "$rounds" || fail "see above"
