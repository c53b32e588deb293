#!/bin/sh
# Makes or updates the virtual environment for `make`: sh deploy/venv.sh runtime|dev
# Environment: VENV (default .venv), PYTHON (default: the first of several names that will do).
# Nothing is done when what is installed already matches the lock file, so a second call takes no time.
set -eu

kind=${1:?runtime or dev}
venv=${VENV:-.venv}
case $kind in
    runtime) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "deploy/venv.sh: runtime or dev, not $kind" >&2; exit 2 ;;
esac
stamp_of() { # what an up-to-date environment was made from, and for which checkout
    cat "$1" pyproject.toml | cksum
    pwd -P
}
stamp=$(stamp_of "$lock")

installed() {
    [ -x "$venv/bin/python" ] && "$venv/bin/python" -c '' 2>/dev/null && [ -x "$venv/bin/scimgw" ] &&
        [ "$(cat "$venv/.installed-$1" 2>/dev/null)" = "$2" ]
}

if installed "$kind" "$stamp"; then exit 0; fi

# 0: will do. 1: cannot be run. 2: older than 3.11. 3: cannot make virtual environments.
verdict() {
    "$1" -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else 42)' >/dev/null 2>&1 || {
        if [ $? -eq 42 ]; then return 2; else return 1; fi
    }
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 || return 3
}

find_python() {
    worst=1
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14}; do
        found=0
        verdict "$name" || found=$?
        if [ "$found" -eq 0 ]; then
            echo "$name"
            return 0
        fi
        if [ "$found" -gt "$worst" ]; then
            worst=$found
            which=$name
        fi
    done
    version=$("${which:-false}" -c 'import platform; print(platform.python_version())' 2>/dev/null || echo unknown)
    case $worst in
        1) echo "make: no Python 3.11 or newer found${PYTHON:+ as $PYTHON}; install one, or name it: make PYTHON=/path/to/python3" >&2 ;;
        2) echo "make: $which is Python $version, which is too old; install 3.11 or newer, or name it: make PYTHON=/path/to/python3" >&2 ;;
        3) echo "make: $which (Python $version) lacks venv or ensurepip; install them (Debian, Ubuntu: apt-get install python3-venv), or name another: make PYTHON=/path/to/python3" >&2 ;;
    esac
    return 1
}

if ! { [ -x "$venv/bin/python" ] && "$venv/bin/python" -c 'import pip' 2>/dev/null; }; then
    python=$(find_python) || exit 1
    echo "setting up $venv with $("$python" --version)" >&2
    "$python" -m venv --clear "$venv"
fi
rm -f "$venv/.installed-$kind"
pip="$venv/bin/python -m pip --disable-pip-version-check --quiet"
# Every file is checked against its hash in the lock; our own code is then put in as it lies here.
$pip install --require-hashes --only-binary :all: -r "$lock"
$pip install --no-deps --no-build-isolation --no-index --config-settings editable_mode=compat -e .
echo "$stamp" > "$venv/.installed-$kind"
if [ "$kind" = dev ]; then  # what is for developers includes all that runs
    stamp_of requirements.lock > "$venv/.installed-runtime"
fi
