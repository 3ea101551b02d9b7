#!/usr/bin/env bash
# Checks the types of js/ and runs its unit tests. Without Node.js there is nothing to check with: it says so and passes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! { command -v node && command -v npm; } >/dev/null; then
    echo "js is not checked: there is no Node.js here (20 or newer, with npm)"
    exit 0
fi
npm run --silent test
[[ -x node_modules/.bin/tsc ]] || npm ci --ignore-scripts --no-audit --no-fund
npm run --silent check
echo "js: types checked"
