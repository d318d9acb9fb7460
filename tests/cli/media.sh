#!/bin/sh
# mome transcribe on messy media, made here from samples/ by FFmpeg: what is no speech, pauses, faces that
# leave, frame rates, rotation, streams that begin late, surround. Usage: tests/cli/media.sh BUILD_FOLDER
set -eu
. tests/cli/setup
command -v ffmpeg >/dev/null || { echo "$name: skipped, no ffmpeg"; exit 77; }
one=samples/000002.mp4 two=samples/000003.mp4
made=$folder/made
mkdir "$made"

# make NAME ARGUMENTS...: $made/NAME by ffmpeg
make() {
    output=$made/$1
    shift
    ffmpeg -v error -nostdin "$@" "$output" || fail "ffmpeg: $output"
}
code="-pix_fmt yuv420p -preset ultrafast"

# ---- no speech: 8 s each ----
make silence.wav -f lavfi -i anullsrc=r=16000 -t 8
for colour in white pink brown; do
    make $colour.wav -f lavfi -i "anoisesrc=c=$colour:a=0.3:r=16000:seed=1" -t 8
done
# four chords of three notes with harmonics, 2 s each; eight notes a second up and down; drums
tone='(sin(2*PI*F*t)+sin(4*PI*F*t)/2+sin(6*PI*F*t)/3)'
chord=$(for ratio in 1 1.26 1.5; do
    echo "$tone" | sed "s/F/(220*$ratio*pow(2,mod(5*floor(t\/2),12)\/12))/g"
done | paste -sd +)
arpeggio=$(echo "$tone" | sed 's/F/(262*pow(2,abs(mod(floor(8*t),16)-8)\/4))/g')
make chords.wav -f lavfi -i "aevalsrc='0.08*($chord)*exp(-mod(t,2))':s=16000" -t 8
make arpeggio.wav -f lavfi -i "aevalsrc='0.2*($arpeggio)*exp(-4*mod(t,0.125))':s=16000" -t 8
make drums.wav -f lavfi -i "aevalsrc='0.6*sin(2*PI*60*t)*exp(-12*mod(t,0.5))+
    0.4*(2*random(0)-1)*exp(-25*mod(t+0.25,0.5))+0.2*(2*random(1)-1)*exp(-60*mod(t,0.125))':s=16000" -t 8

# ---- two utterances ----
join='[0:v]tpad=stop_mode=clone:stop_duration=2[a];[a][1:v]concat,setsar=1'
sounds='[0:a]atrim=0:3,apad=whole_dur=5[c];[c][1:a]concat=v=0:a=1[s]'
pair() { # NAME PICTURES
    make "$1" -i $one -i $two -filter_complex "$2;$sounds" -map '[v]' -map '[s]' $code
}
pair pause.mp4 "${join}[v]"
pair black.mp4 "$join,drawbox=c=black:t=fill:enable='gte(t,5)'[v]"
pair away.mp4 "$join,crop=w=iw:h=ih,drawbox=x=iw/5:w=iw:c=gray:t=fill:enable='gte(t,5)'[v]"
# two people who take turns, the other one's face at rest
pair turns.mp4 "[0:v]tpad=stop_mode=clone:stop_duration=5[l];
    [1:v]tpad=start_mode=clone:start_duration=5[r];[l][r]hstack[v]"

# ---- one utterance ----
make still.mp4 -i $one -filter_complex '[0:v]trim=end_frame=1,loop=74:1,setpts=N/25/TB[v]' -map '[v]' -map 0:a $code
make mute.mp4 -i $one -an -c copy
make sound.m4a -i $one -vn -c copy
make ntsc-film.mp4 -i $one -r 24000/1001 $code
make ntsc.mkv -i $one -r 30000/1001 $code
make variable.mkv -i $one -vf "select='gt(mod(n,7),0)*gt(mod(n,11),0)'" -vsync vfr $code
make turned.mp4 -i $one -vf transpose=clock $code
# FFmpeg 6 took another option for the flag
ffmpeg -v error -nostdin -display_rotation 90 -i "$made/turned.mp4" -c copy "$made/phone.mov" 2>"$folder/err" ||
    make phone.mov -i "$made/turned.mp4" -c copy -metadata:s:v rotate=90
rm "$made/turned.mp4"
make surround.mkv -i $one -c:v copy -ar 48000 -af 'pan=5.1|FC=c0|FL=0.1*c0|FR=0.1*c0' -c:a ac3
# the file's clock says that the sound begins 2 s after the pictures, and the other way round
make late-sound.mkv -i $one -itsoffset 2 -i $one -filter_complex '[0:v]tpad=start_mode=clone:start_duration=2[v]' \
    -map '[v]' -map 1:a -c:a copy $code
make late-pictures.mkv -itsoffset 2 -i $one -i $one -filter_complex '[1:a]adelay=2000[s]' -map 0:v -map '[s]' -c:v copy

"$mome" transcribe --model models/tiny -f json -o "$folder/out" "$made" 2>"$folder/err" ||
    fail "$(cat "$folder/err")"
for file in silence.wav drums.wav; do
    grep -q "$file: nobody speaks in it" "$folder/err" || fail "$file: $(cat "$folder/err")"
done
grep -q 'still.mp4: .*no speaking face to be seen: using the sound alone (asr)' "$folder/err" ||
    fail "still.mp4: $(cat "$folder/err")"

cat >"$folder/check.py" <<'END'
import csv, difflib, json, os, sys
folder = sys.argv[1]
samples = {}
for row in csv.DictReader(open("samples/manifest.tsv"), delimiter="\t", quoting=csv.QUOTE_NONE):
    words = [w.split(":") for w in row["words_ms"].split()]
    samples[row["path"]] = [(w, int(a) / 1000, int(b) / 1000) for w, a, b in words]
one, two = samples["000002.mp4"], samples["000003.mp4"]
av, sound, lips = ("avsr", None), ("asr", "no_face"), ("vsr", None)
# the utterances: words, when the sample begins, task and fallback, the face if it matters
expected = dict.fromkeys("silence white pink brown chords arpeggio drums".split(), [])
expected |= {
    "pause": [(one, 0, av), (two, 5, av)],
    "black": [(one, 0, av), (two, 5, sound)],
    "away": [(one, 0, av), (two, 5, sound)],
    "turns": [(one, 0, av, 1), (two, 5, av, 2)],
    "still": [(one, 0, sound)],
    "mute": [(one, 0, lips)],
    "sound": [(one, 0, ("asr", None))],
    "late-sound": [(one, 2, av)],
    "late-pictures": [(one, 2, av)],
}
expected |= dict.fromkeys("ntsc-film ntsc variable phone surround".split(), [(one, 0, av)])

def faults(u, words, start, how, face=None):
    if (u["task"], u["fallback"]) != how or face not in (None, u["face"]):
        yield f"{u['task']}, {u['fallback']}, face {u['face']}, not {how}, face {face}"
    got = [w["word"] for w in u["words"]]
    same = difflib.SequenceMatcher(None, [w[0] for w in words], got, False).get_matching_blocks()
    right = [(words[b.a + i], u["words"][b.b + i]) for b in same for i in range(b.size)]
    if max(len(words), len(got)) - len(right) > 2:
        yield "too many wrong words"
    for (word, begin, end), w in right:
        off = max(abs(w["start"] - start - begin), abs(w["end"] - start - end))
        if off > (0.3 if how != lips else 0.6):
            yield f"{word} is {off:.2f} s off"

wrong = 0
for name, utterances in expected.items():
    got = json.load(open(f"{folder}/{name}.json"))["utterances"]
    found = [f"{len(got)} utterances, not {len(utterances)}"] if len(got) != len(utterances) else []
    for u, want in zip(got, utterances):
        found += faults(u, *want)
    wrong += len(found) > 0
    for text in found:
        print(f"{name}: {text}:", [(u["start"], u["end"], u["text"]) for u in got])
sys.exit(wrong > 0 or len(expected) != len(os.listdir(folder)))
END
python3 "$folder/check.py" "$folder/out" >"$folder/found" || fail "$(cat "$folder/found")"
