#!/bin/sh
# tools/fetch-models.sh against a list of our own: whole and resumed downloads, wrong checksums, missing
# files, full disks, licences; nothing but whole files under their names.
# Usage: tests/cli/fetch_models.sh BUILD_FOLDER
set -eu
. tests/cli/setup
command -v curl >/dev/null || exit 77
mkdir "$folder/served"
seq 100000 | head -c 300000 >"$folder/served/good.bin"
sha=$(sha256sum "$folder/served/good.bin" | cut -d ' ' -f 1)
python3 - "$folder" <<'END' 2>/dev/null &
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1] + "/served")
handler.func.log_message = lambda *ignored: None
server = http.server.HTTPServer(("127.0.0.1", 0), handler)
open(sys.argv[1] + "/port.new", "w").write(str(server.server_port))
__import__("os").rename(sys.argv[1] + "/port.new", sys.argv[1] + "/port")
server.serve_forever()
END
server=$!
trap 'kill $server; rm -rf "$folder"' EXIT
for i in 1 2 3 4 5 6 7 8 9 10; do
    [ -e "$folder/port" ] || sleep 0.5
done
http=http://127.0.0.1:$(cat "$folder/port")
file=file://$folder/served
cat >"$folder/list" <<END
good|MIT|1|$sha|$http/good.bin
plain|MIT|?|unknown|$http/good.bin
resumed|MIT|1|$sha|$file/good.bin
wrong|MIT|1|$(echo other | sha256sum | cut -d ' ' -f 1)|$http/good.bin
gone|MIT|1|unknown|$http/gone.bin
full|MIT|1|$sha|$file/good.bin
norange|MIT|1|$sha|$http/good.bin
lips|AV-HuBERT|1|$sha|$http/good.bin
gated|Llama-3.2|1|$sha|$http/x/resolve/main/good.bin
manual|none stated|?|unknown|page:$http/page
END
MOME_MODEL_LIST=$folder/list
export MOME_MODEL_LIST
unset HF_TOKEN || :
out=$folder/models

# fetches NAME [OPTION] / refuses TEXT NAME [OPTION]
fetches() {
    tools/fetch-models.sh -o "$out" "$@" >"$folder/log" 2>&1 || fail "$* failed: $(cat "$folder/log")"
    cmp -s "$folder/served/good.bin" "$out/$1/good.bin" || fail "$*: not the file"
    [ "$(ls "$out/$1")" = good.bin ] || fail "$*: more than the file: $(ls "$out/$1")"
}
refuses() {
    text=$1
    shift
    rc=0
    tools/fetch-models.sh -o "$out" "$@" >"$folder/log" 2>&1 || rc=$?
    [ "$rc" = 1 ] || fail "$*: exit code $rc, not 1"
    grep -qF -e "$text" "$folder/log" || fail "$*: no '$text' in: $(cat "$folder/log")"
    ! [ -f "$out/$1/good.bin" ] || fail "$*: left a file under its name"
}

tools/fetch-models.sh --list >"$folder/log"
[ "$(wc -l <"$folder/log")" = 10 ] || fail "--list: $(cat "$folder/log")"
grep -q 'good  *1 MB  MIT  *sha256 known' "$folder/log" || fail "--list: $(cat "$folder/log")"
tools/fetch-models.sh -o "$out" --dry-run good gated >"$folder/log" 2>&1 || fail "--dry-run failed"
grep -qF "$http/good.bin" "$folder/log" || fail "--dry-run does not say where from"
! [ -e "$out" ] || fail "--dry-run made files"

fetches good
fetches plain
fetches good # is there already
grep -q 'is there' "$folder/log" || fail "fetched twice"
mkdir "$out/resumed"
head -c 100000 "$folder/served/good.bin" >"$out/resumed/good.bin.part"
fetches resumed
mkdir "$out/broken" # goes on from other bytes: seen by the checksum, and not kept
sed 's/^resumed/broken/' "$folder/list" >"$folder/list2" && mv "$folder/list2" "$folder/list"
head -c 100000 /dev/zero >"$out/broken/good.bin.part"
refuses 'wrong checksum' broken
fetches broken

refuses "expected $(echo other | sha256sum | cut -d ' ' -f 1)" wrong
[ -z "$(ls "$out/wrong")" ] || fail "wrong checksum: something was kept"
refuses 'the server has no such file' gone
mkdir "$out/full" "$out/norange"
ln -s /dev/full "$out/full/good.bin.part"
refuses 'disk full?' full
head -c 100000 "$folder/served/good.bin" >"$out/norange/good.bin.part"
refuses 'cannot go on' norange
refuses 'allows research only' lips
fetches lips --accept-avhubert-licence
refuses "accepted its licence at $http/x;" gated
refuses "by hand from $http/page" manual
refuses 'no model nothing' nothing
rc=0
tools/fetch-models.sh -o "$out" gone manual good >"$folder/log" 2>&1 || rc=$?
[ "$rc" = 1 ] && [ "$(grep -c 'not fetched' "$folder/log")" = 2 ] || fail "several: $(cat "$folder/log")"
echo damaged >>"$out/good/good.bin"
rc=0
tools/fetch-models.sh -o "$out" good >"$folder/log" 2>&1 || rc=$?
[ "$rc" = 1 ] && grep -q 'wrong checksum; remove it' "$folder/log" || fail "a damaged file passed"
