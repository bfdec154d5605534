#!/bin/sh
# Make a virtual environment and install into it: sh tools/install.sh PYTHON VENV WHAT NEEDED_GB
set -eu
python=$1 venv=$2 what=$3 needed=$4

command -v "$python" >/dev/null 2>&1 || {
    python=python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
        echo "filterscope needs Python 3.11 or newer (set PYTHON=...)" >&2
        exit 1
    }
}
if [ ! -x "$venv/bin/python" ]; then
    free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
    if [ "$free" -lt "$needed" ]; then
        echo "$free GB of disk are free here; PyTorch and the rest need $needed GB" >&2
        exit 1
    fi
    echo "making $venv with $($python --version)"
    "$python" -m venv "$venv"
fi
echo "installing $what (the first time takes minutes: PyTorch is large)"
if command -v uv >/dev/null 2>&1; then
    uv pip install --quiet --compile-bytecode --python "$venv/bin/python" -e "$what"
else
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$what"
fi
