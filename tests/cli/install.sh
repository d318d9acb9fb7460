#!/bin/sh
# What is installed works by itself, wherever it is moved to: the program finds its model, pages and completions are
# there; and the Debian package depends on what it links with. Usage: tests/cli/install.sh BUILD_FOLDER
set -eu
. tests/cli/setup
build=$(realpath "$1")
unset MOME_MODEL
sample=$PWD/samples/000000.mp4

DESTDIR=$folder/root cmake --install "$build" --prefix /usr/local >"$folder/log" 2>&1 || fail "$(cat "$folder/log")"
[ "$(ls "$folder/root")" = usr ] && [ "$(ls "$folder/root/usr")" = local ] || fail "DESTDIR is not kept to"
mv "$folder/root/usr/local" "$folder/moved"
share=$folder/moved/share
mkdir "$folder/elsewhere"
mkdir -p "$folder/elsewhere/models/tiny" # not the program's: must not be used
cd "$folder/elsewhere"
"$folder/moved/bin/mome" transcribe "$sample" >"$folder/out" 2>"$folder/err" || fail "$(cat "$folder/err")"
[ -s "$folder/out" ] && [ ! -s "$folder/err" ] || fail "transcribe: $(cat "$folder/out" "$folder/err")"
"$folder/moved/bin/mome" doctor --quick | grep -q "model .*$share/mome/models/tiny\$" || fail "doctor: another model"
"$folder/moved/bin/mome-synth" --text "bin blue" --sound-only -o said.wav >/dev/null || fail mome-synth

for page in mome mome-synth $("$mome" --help | sed -n 's/^  \([a-z]*\) .*/mome-\1/p'); do
    [ -s "$share/man/man1/$page.1" ] || fail "no page $page"
done
for file in bash-completion/completions/mome fish/vendor_completions.d/mome.fish zsh/site-functions/_mome doc/mome/LICENSE; do
    [ -s "$share/$file" ] || fail "no $file"
done
[ "$(ls "$folder/moved/include")" = mome.h ] || fail "headers: $(ls "$folder/moved/include")"
[ "$(ls "$folder/moved/lib" | xargs)" = "cmake libmome.a libmome.so libmome.so.0 libmome.so.$("$mome" --version | sed 's/mome //') pkgconfig" ] ||
    fail "libraries: $(ls "$folder/moved/lib")"

rm "$share/mome/models/tiny/model.safetensors"
rc=0
"$folder/moved/bin/mome" transcribe "$sample" >"$folder/out" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && grep -q "model.safetensors" "$folder/err" || fail "without its weights: $(cat "$folder/err")"
rm -r "$share/mome"
rc=0
"$folder/moved/bin/mome" transcribe "$sample" >"$folder/out" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && grep -q -- '--model DIR' "$folder/err" || fail "without its model: $(cat "$folder/err")"

for program in dpkg-shlibdeps file; do
    command -v $program >/dev/null || {
        echo "install: skipped: the Debian package (no $program)" >&2
        exit 0
    }
done
cd "$folder"
cpack -G DEB --config "$build/CPackConfig.cmake" -B "$folder/deb" >"$folder/log" 2>&1 || fail "$(cat "$folder/log")"
package=$(echo "$folder"/deb/*.deb)
depends=$(dpkg-deb -f "$package" Depends)
for name in libdlib-data libdlib19 libavformat libdnnl2 libjansson4 libopenmpi3 libflite1 libcairo2; do
    case $depends in *$name*) ;; *) fail "the package does not depend on $name: $depends" ;; esac
done
[ "$(dpkg-deb -f "$package" Version)" = "$("$mome" --version | sed 's/mome //')" ] || fail "the package's version"
dpkg-deb -x "$package" "$folder/package"
"$folder/package/usr/bin/mome" doctor --quick | grep -q "model .*/usr/share/mome/models/tiny\$" || fail "the package's model"
[ -s "$folder/package/usr/share/zsh/vendor-completions/_mome" ] || fail "the package's completion of zsh"
[ -s "$folder/package/usr/lib/libmome.so.0" ] && [ -s "$folder/package/usr/include/mome.h" ] || fail "the package's library"
