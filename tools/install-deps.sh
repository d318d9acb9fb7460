#!/bin/sh
# Installs the Debian 12 packages that building, testing and the demo need; asks apt only when one is missing.
set -eu
packages="gcc g++ clang clang-format cmake make pkg-config git curl python3
    libdnnl-dev ocl-icd-opencl-dev libomp-14-dev libavformat-dev libavcodec-dev libavfilter-dev libavutil-dev libswresample-dev
    libswscale-dev libass-dev libdlib-dev libdlib-data libjpeg-dev libblas-dev liblapack-dev libjansson-dev libpcre2-dev libutf8proc-dev
    libcmocka-dev flite1-dev libcairo2-dev libavdevice-dev ffmpeg libopenmpi-dev openmpi-bin dpkg-dev file"
missing=""
for p in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
