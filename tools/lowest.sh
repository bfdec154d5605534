#!/bin/sh
# Install filterscope with the lowest versions that it allows: sh tools/lowest.sh PYTHON VENV
set -eu
python=$1 venv=$2
if [ ! -x "$venv/bin/python" ]; then
    sh "$(dirname "$0")/space.sh" "$PWD"
    "$python" -m venv "$venv"
fi
# pip has no such resolution, so uv comes into this environment where it is not there already
uv=$(command -v uv || echo "$venv/bin/uv")
[ -x "$uv" ] || "$venv/bin/python" -m pip install --quiet --disable-pip-version-check uv
# Wheels alone, so that a newer Python gets the first version made for it; ours is built afterwards
"$uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --resolution lowest-direct \
    --only-binary :all: --extra dev --requirements pyproject.toml
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps --editable .
"$uv" pip list --quiet --python "$venv/bin/python" | grep -E "^(torch|torchvision|numpy|scipy|numba|lightning|scikit-learn|timm|onnx|jsonargparse) "
