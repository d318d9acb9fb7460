#!/bin/sh
# The installed library: examples/ are built against it by pkg-config and by CMake, shared and static, and say what
# `mome transcribe` says; only mome.h's functions can be seen in it, and its binary interface is the one of mome.abi
# (MOME_ABI=update writes it anew, for changes that are meant). Usage: tests/cli/library.sh BUILD_FOLDER
set -eu
. tests/cli/setup
build=$(realpath "$1")
cc=${CC:-cc}
flags="-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -pthread"
model=$PWD/models/tiny
one=$PWD/samples/000000.mp4 two=$PWD/samples/000001.mp4

DESTDIR=$folder/root cmake --install "$build" --prefix /opt/mome >"$folder/log" 2>&1 || fail "$(cat "$folder/log")"
mv "$folder/root/opt/mome" "$folder/moved"
lib=$folder/moved/lib
PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
export PKG_CONFIG_PATH LD_LIBRARY_PATH
pkg-config --exists mome || fail "pkg-config does not find mome"
[ "$(pkg-config --modversion mome)" = "$("$mome" --version | sed 's/mome //')" ] || fail "mome.pc's version"

# ---- what can be seen ----
exported() { "$@" | awk 'NF == 3 { print $3 }' | sort; }
exported nm -D --defined-only "$lib/libmome.so" >"$folder/symbols"
exported nm -g --defined-only "$lib/libmome.a" | cmp - "$folder/symbols" || fail "libmome.a shows other symbols"
! grep -v '^mome_' "$folder/symbols" || fail "symbols that are not mome.h's"
sed -n 's/^MOME_API.*[ *]\(mome_[a-z_]*\)(.*/\1/p' include/mome.h | sort | cmp - "$folder/symbols" ||
    fail "mome.h declares other functions than the library has"
$cc $flags $(pkg-config --cflags mome) tests/cli/abi.c -o "$folder/abi"
{
    "$folder/abi"
    cat "$folder/symbols"
} >"$folder/mome.abi"
[ "${MOME_ABI-}" != update ] || cp "$folder/mome.abi" tests/cli/mome.abi
diff tests/cli/mome.abi "$folder/mome.abi" || fail "the binary interface changed: see the head of this script"
echo '#include <mome.h>' | ${CXX:-c++} -std=c++11 -pedantic-errors -Wall -Werror $(pkg-config --cflags mome) -x c++ -fsyntax-only - ||
    fail "mome.h is not C++"

# ---- the examples ----
shared() { $cc $flags $(pkg-config --cflags mome) examples/"$1".c $(pkg-config --libs mome) -o "$folder/shared/$1"; }
static() {
    $cc $flags $(pkg-config --cflags mome) examples/"$1".c -o "$folder/static/$1" \
        $(pkg-config --static --libs mome | sed 's/-lmome/-l:libmome.a/')
}
mkdir "$folder/shared" "$folder/static"
for source in examples/*.c; do
    example=$(basename "$source" .c)
    [ "$(wc -l <"$source")" -le 80 ] || fail "$source is longer than 80 lines"
    shared "$example" && static "$example" || fail "$example by pkg-config"
done
for static in OFF ON; do
    cmake -S examples -B "$folder/cmake-$static" -DCMAKE_PREFIX_PATH="$folder/moved" -DMOME_STATIC=$static \
        >"$folder/log" 2>&1 && cmake --build "$folder/cmake-$static" >>"$folder/log" 2>&1 || fail "$(cat "$folder/log")"
done

# ---- and what they say ----
said() { "$mome" transcribe --model "$model" "$@"; }
same() { [ "$1" = "$2" ] || fail "$3 says '$1', mome '$2'"; }
text=$(said "$one") other=$(said "$two")
[ -n "$text" ] && [ -n "$other" ] || fail "mome says nothing"
for way in shared static cmake-OFF cmake-ON; do
    same "$("$folder/$way/transcribe" "$model" "$one" | sed 's/^.\{17\}//')" "$text" "$way/transcribe"
done
for way in static cmake-ON; do
    ! LD_LIBRARY_PATH="" ldd "$folder/$way/transcribe" | grep -q libmome || fail "$way is linked with libmome.so"
done
same "$("$folder/shared/words" "$model" "$one" | cut -f4 | sed 's/ ?$//' | xargs)" "$text" words
same "$("$folder/shared/two_threads" "$model" "$one" "$two")" "$one: $text
$two: $other" two_threads

heard=$(said --task asr "$one") heard_too=$(said --task asr "$two")
raw() { ffmpeg -v error -i "$1" -ar 16000 -ac 1 -f s16le -; }
command -v ffmpeg >/dev/null || {
    echo "library: skipped: live_pcm and batch (no ffmpeg)" >&2
    exit 0
}
raw "$one" >"$folder/one.raw"
raw "$two" >"$folder/two.raw"
"$folder/shared/live_pcm" "$model" <"$folder/one.raw" >"$folder/live"
same "$(grep -v '~' "$folder/live" | sed 's/^.\{17\}//')" "$heard" live_pcm
grep -q '~' "$folder/live" || fail "live_pcm says nothing before the end"
same "$(cd "$folder" && shared/batch "$model" one.raw two.raw)" "one.raw: $heard
two.raw: $heard_too" batch
rc=0
"$folder/shared/transcribe" "$folder" "$one" 2>"$folder/err" || rc=$?
[ $rc = 1 ] && [ "$(wc -l <"$folder/err")" = 1 ] || fail "a folder without a model: $(cat "$folder/err")"
