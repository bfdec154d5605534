#!/bin/sh
# Install a wheel into an empty environment outside of the checkout and run the demo from there:
# sh tools/try_wheel.sh PYTHON WHEEL
set -eu
python=$1
wheel=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT INT TERM

sh "$(dirname "$0")/space.sh" "$place"
uv=$(command -v uv || true)
cd "$place"
unset PYTHONPATH
echo "installing $(basename "$wheel") into $place/venv"
"$python" -m venv venv
if [ -n "$uv" ]; then
    "$uv" pip install --quiet --python venv/bin/python "$wheel"
else
    venv/bin/python -m pip install --quiet --disable-pip-version-check "$wheel"
fi
venv/bin/python -c 'import filterscope; print("runs from", filterscope.__file__)'
venv/bin/filterscope doctor
venv/bin/filterscope demo --out demo
test -s demo/report.html
echo "the demo runs from the wheel"
