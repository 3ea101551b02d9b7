#!/usr/bin/env bash
# Renders three chained prompts with the model in the box, to output/demo.mp4 and output/demo.png.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environment.sh
make_environment requirements.txt
exec "$PYTHON" -m scripts.demo
