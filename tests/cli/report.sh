#!/bin/sh
# mome report: made-up results and those of a model; a page and figures that are well-formed XML,
# alike in every run; in headless Chromium, where there is one, nothing is missing, cut or covered.
# Usage: tests/cli/report.sh BUILD_FOLDER
set -eu
. tests/cli/setup
build=$1
python3 tests/cli/make_results.py "$folder" 8

# well_formed COUNT: $folder/page.html and that many .svg files, which need nothing else
well_formed() {
    python3 - "$folder/page.html" "$folder/figures" "$1" <<'END' || fail "page or figures"
import pathlib, re, sys, xml.etree.ElementTree as tree
page, folder, count = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3])
text = open(page, encoding="utf-8").read()
root = tree.fromstring(text)
tags = [e.tag.rsplit("}")[-1] for e in root.iter()]
assert tags.count("figure") == count and tags.count("svg") == count, tags.count("figure")
assert "script" not in tags and "link" not in tags and "img" not in tags
assert not re.search(r"https?://(?!www\.w3\.org/)|url\(|@import", text)
assert "nan" not in re.sub(r"<text.*?</text>|<td.*?</td>|<span.*?</span>", "", text)
files = sorted(folder.glob("*.svg"))
assert len(files) == count, files
for file in files:
    svg = tree.parse(file).getroot()
    assert svg.tag == "{http://www.w3.org/2000/svg}svg" and float(svg.get("width")) >= 200
    assert len(list(svg)) > 10, file
END
}

# in_chromium COUNT: opens the page, then a copy with report_check.js in it
in_chromium() {
    [ -n "$chromium" ] || return 0
    "$chromium" --headless --no-sandbox --disable-gpu --user-data-dir="$folder/profile" \
        --enable-logging=stderr --dump-dom "file://$folder/page.html" \
        >"$folder/dom" 2>"$folder/err" || fail "chromium: $(tail -3 "$folder/err")"
    ! grep CONSOLE "$folder/err" || fail "errors in Chromium's console"
    [ "$(grep -c '<figure ' "$folder/dom")" = "$1" ] || fail "Chromium saw other than $1 figures"
    python3 - "$folder" <<'END'
import sys
page = open(sys.argv[1] + "/page.html", encoding="utf-8").read()
check = open("tests/cli/report_check.js", encoding="utf-8").read()
with open(sys.argv[1] + "/checked.html", "w", encoding="utf-8") as out:
    out.write(page.replace("</body>", f"<script>{check}</script></body>"))
END
    "$chromium" --headless --no-sandbox --disable-gpu --user-data-dir="$folder/profile" \
        --window-size=1150,900 --virtual-time-budget=10000 --dump-dom "file://$folder/checked.html" \
        2>/dev/null | grep -o '<title>[^<]*' | head -n 1 >"$folder/found"
    [ "$(cat "$folder/found")" = "<title>$1 figures; all well" ] || fail "$(cat "$folder/found")"
}

chromium=$(command -v chromium || command -v chromium-browser || true)
[ -n "$chromium" ] || echo "report: no chromium here: how pages are drawn is not tested" >&2

models="mome-layer-0 mome-layer-1 mome-layer-2 mome-mhsa mtsk-0 mtsk-1 mtsk-2
          avsr-0 avsr-1 avsr-2 avsr-3"
set --
for file in $models; do
    set -- "$@" "$folder/$file.json"
done
"$mome" report "$@" -o "$folder/page.html" --svg "$folder/figures" --title "<made up>" ||
    fail "several models"
well_formed 6
in_chromium 6
grep -q '<td class="name" rowspan="4">Llama-AVSR (one model a rate)</td>' "$folder/page.html" ||
    fail "files of one name are not one model"
cp "$folder/page.html" "$folder/first.html"
"$mome" report "$@" -o "$folder/page.html" --title "<made up>"
cmp "$folder/first.html" "$folder/page.html" || fail "two runs differ"

rm -r "$folder/figures"
"$mome" report "$folder/three-tasks.json" "$folder/mtsk-0.json" -o "$folder/page.html" \
    --svg "$folder/figures" || fail "three tasks"
well_formed 6
in_chromium 6

# of a model: what evaluate writes is what report reads
make_model "$build"
MOME_MODEL=$model
export MOME_MODEL
printf 'path\ttext\n%s\tlay white\n%s\tbin red with\n' "$PWD/samples/000000.mp4" \
    "$PWD/samples/000001.mp4" >"$folder/test.tsv"
"$mome" evaluate --max-tokens 3 --quiet --manifest "$folder/test.tsv" --task avsr --rates all \
    --noise samples/babble.m4a --snr clean,0 --json "$folder/real.json" >/dev/null 2>"$folder/err" ||
    fail "$(cat "$folder/err")"
rm -r "$folder/figures"
"$mome" report "$folder/real.json" -o "$folder/page.html" --svg "$folder/figures" ||
    fail "results of mome evaluate"
figures=$(python3 -c 'import json, sys
root = json.load(open(sys.argv[1]))
print(3 + 2 * bool(root.get("experts")) + bool(root.get("similarity")))' "$folder/real.json")
well_formed "$figures"
in_chromium "$figures"

echo '{"format": "mome-evaluation-1", "results": [{"task": "dance"}]}' >"$folder/bad.json"
refused 1 "$folder/bad.json: " report "$folder/bad.json" -o "$folder/none.html"
refused 1 'missing.json' report missing.json -o "$folder/none.html"
refused 1 "$folder/none/x.html" report "$folder/mtsk-0.json" -o "$folder/none/x.html"
refused 2 'which results' report -o "$folder/none.html"
refused 2 '-o FILE.html' report "$folder/mtsk-0.json"
refused 2 'from 0 to 64' report "$folder/mtsk-0.json" -o "$folder/none.html" --worst many
! ls "$folder" | grep -q none || fail "something was left behind"
