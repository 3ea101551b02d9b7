#!/usr/bin/env bash
# Runs all tests that this machine can run. Arguments go to pytest: bash scripts/test.sh tests/unit -k storyboard
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_environment requirements.txt tests/requirements.txt
exec "$PYTHON" -m pytest "$@"
