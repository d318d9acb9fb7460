#!/bin/sh
# mome doctor: says what it should of this machine, measures, and fails only where something is broken.
# Usage: tests/cli/doctor.sh BUILD_FOLDER
set -eu
. tests/cli/setup
unset MOME_MODEL MOME_LANDMARKS

"$mome" doctor --json >"$folder/out.json" || fail "exit code $?: $(cat "$folder/out.json")"
python3 - "$folder/out.json" <<'END' || fail "--json: $(cat "$folder/out.json")"
import json, os, sys
told = json.load(open(sys.argv[1]))
checks = {c["name"]: c for c in told["checks"]}
for name in "build processor kernels threads load memory libraries camera microphone products faces model clip".split():
    assert checks[name]["state"] in ("ok", "slow", "missing"), name
    assert checks[name]["found"], name
    assert checks[name]["state"] == "ok" or checks[name]["advice"] or name in ("camera", "microphone"), name
assert told["machine"]["threads"] == len(os.sched_getaffinity(0))
flags = open("/proc/cpuinfo").read().split()
assert told["machine"]["avx2"] == ("avx2" in flags) and told["machine"]["bf16"] == ("avx512_bf16" in flags)
measured = told["measured"]
assert all(value > 0 for value in measured.values()), measured
assert {"f32_gflops", "face_search_seconds", "real_time_factor"} <= set(measured)
END

"$mome" doctor --quick >"$folder/out" || fail "--quick: $(cat "$folder/out")"
grep -q '^ok  *model .*/models/tiny$' "$folder/out" || fail "the model: $(cat "$folder/out")"
! grep -q 'GFLOP' "$folder/out" || fail "--quick measures"

OMP_NUM_THREADS=1000 "$mome" doctor --quick >"$folder/out"
grep -q '^slow  *threads  *1000' "$folder/out" || fail "1000 threads: $(cat "$folder/out")"

# broken <variable>=<value> <check> <text>
broken() {
    rc=0
    env "$1" "$mome" doctor --quick >"$folder/out" || rc=$?
    [ $rc = 1 ] || fail "exit code $rc with $1"
    grep -q "^broken  *$2 .*$3" "$folder/out" || fail "$1: $(cat "$folder/out")"
}
broken MOME_LANDMARKS=/no/file faces 'No such file'
broken MOME_MODEL=/no/folder model '/no/folder'
broken MOME_MODEL=samples model 'is none'
cp -r models/tiny "$folder/cut"
head -c 1000 models/tiny/model.safetensors >"$folder/cut/model.safetensors"
broken MOME_MODEL="$folder/cut" model 'model.safetensors'
rc=0
MOME_LANDMARKS=README.md "$mome" doctor >"$folder/out" || rc=$?
[ $rc = 1 ] && grep -q '^broken  *faces .*not a dlib' "$folder/out" || fail "wrong landmarks: $(cat "$folder/out")"

[ "$("$mome" --version)" = "mome $(sed -n 's/^#define MOME_VERSION_[A-Z]* //p' include/mome.h | paste -sd .)" ] || fail "--version"
refused 2 'takes no file' doctor x
