#!/usr/bin/env bash
# Fills .venv with exactly what requirements/dev.txt names, and puts the doorstep command into it.
# PYTHON names the interpreter to build on (default: python3).
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
modern() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' 2>/dev/null; }
if ! modern "$python"; then
    echo "Doorstep needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1 || true)." >&2
    echo "Install one (Debian 12: apt-get install python3) or name it: make setup PYTHON=/path/to/python3.11" >&2
    exit 1
fi

# A .venv whose interpreter is gone, or is too old, is made anew.
if ! modern .venv/bin/python; then
    rm -rf .venv
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv .venv
    elif "$python" -m pip --version >/dev/null 2>&1; then
        # Debian keeps ensurepip in python3-venv; pip on the machine can fill the environment from outside.
        "$python" -m venv --without-pip .venv
        "$python" -m pip --python .venv/bin/python install --quiet --disable-pip-version-check pip
    else
        echo "'$python' can make no virtual environment. Install one of: python3-venv, python3-pip (apt-get install …)" >&2
        exit 1
    fi
fi

# uv first, pinned by the same file, because it installs the rest in seconds.
bootstrap=$(mktemp)
trap 'rm -f "$bootstrap"' EXIT
awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements/dev.txt >"$bootstrap"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$bootstrap"
if ! .venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements/dev.txt; then
    # pip's own configuration (a mirror, a proxy) is unknown to uv.
    echo "uv could not install the packages; trying pip." >&2
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-index --no-build-isolation --editable .
echo "Python packages are in place: .venv"
