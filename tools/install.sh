#!/bin/sh
# Make a virtual environment and install into it: sh tools/install.sh PYTHON VENV WHAT
set -eu
python=$1 venv=$2 what=$3

command -v "$python" >/dev/null 2>&1 || {
    python=python3
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
        echo "filterscope needs Python 3.11 or newer (set PYTHON=...)" >&2
        exit 1
    }
}
if [ ! -x "$venv/bin/python" ]; then
    sh "$(dirname "$0")/space.sh" "$PWD"
    echo "making $venv with $($python --version)"
    "$python" -m venv "$venv"
fi
echo "installing $what (the first time takes minutes: PyTorch is large)"
if command -v uv >/dev/null 2>&1; then
    uv pip install --quiet --compile-bytecode --python "$venv/bin/python" -e "$what"
else
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$what"
fi
