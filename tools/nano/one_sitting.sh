#!/usr/bin/env bash
# Trains both models on from the installed ones, installs them in a folder of their own and scores them there, on all
# GPUs of one machine in one go:
#     BASE=7 STUDENT=6 SCORES=6 bash tools/nano/one_sitting.sh RUNS SEED
# BASE, STUDENT, SCORES: minutes; the base's count from the start, with 2.6 of compiling and drawing. RUNS receives old
# (what it began from), base and distill (weights every 100 seconds), nano, *.log, phases.txt and, in scores, reports that
# `tools.nano.evaluate --join` puts together: base and base_long of the base model, distill, and distill_4 with 4 steps.
# An interrupt, or a training that fails, ends all of it; a score that fails leaves the others, and is the exit status. A
# model in RUNS that is finished is not trained again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
runs=$(realpath -m "$1") seed=$2
gpus=${GPUS:-$(nvidia-smi -L | wc -l)} workers=${WORKERS:-$(getconf _NPROCESSORS_ONLN)}
clips=${CLIPS_FOLDER:-/dev/shm/nano-clips}
common=(--vae "$runs/old/vae" --corpus "$clips" --reserve 0.12 --look 64 --save-seconds 100)
mkdir -p "$runs/scores"
rm -f "$runs/scores/failed"
python=${PYTHON:-python3}

stop() { # what each job has started first: it would outlive the job
    for job in $(jobs -p); do
        pkill -P "$job" || true
        kill "$job" 2>/dev/null || true
    done
    echo quit | nvidia-cuda-mps-control >/dev/null 2>&1 || true
    rm -rf "$clips"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 1' TERM
say() { echo "$SECONDS s: $*" | tee -a "$runs/phases.txt"; }
fail() { # LOG, also from a job of its own
    say "$1 has failed: see $runs/$1.log"
    kill "$$"
    exit 1
}
train() { # PORT MODULE LOG ARGUMENT...
    "$python" -m torch.distributed.run --nproc-per-node "$gpus" --master-port "$1" -m "$2" "${@:4}" >"$runs/$3.log" 2>&1 ||
        fail "$3"
    say "$3 has ended"
}
score() { # REPORT VARIANT WORKERS ROWS ARGUMENT...: as long as there is time
    local left=$((scored_by - SECONDS))
    [ "$left" -gt 20 ] || return 0
    "$python" -m tools.nano.evaluate --model "$runs/nano" --variant "$2" --workers "$3" --rows "$4" --samples table \
        --device cuda --dtype float32 --minutes "$((left / 60)).$((left % 60 * 10 / 60))" --out "$runs/scores/$1" \
        "${@:5}" >"$runs/scores_$1.log" 2>&1 || {
        say "scores_$1 has failed: see $runs/scores_$1.log" && touch "$runs/scores/failed"
        return 0
    }
    say "scores of $1 are there"
}

"$python" -m tools.nano.unpack "$runs/old"
if [ ! -e "$runs/distill/finished" ]; then
    train 29511 tools.nano.corpus corpus --vae "$runs/old/vae" --clips "${CLIPS:-9000}" --seed "$seed" --out "$clips" &
    if [ ! -e "$runs/base/finished" ]; then
        train 29512 tools.nano.train_dit base "${common[@]}" --init "$runs/old/base" --minutes "${BASE:-7}" --batch 64 \
            --lr 1.2e-3 --warmup 200 --decay-from 0.25 --seed "$seed" --out "$runs/base" &
    fi
    train 29513 tools.nano.distill student "${common[@]}" --init "$runs/base" --wait --student "$runs/old/distill" \
        --student-of "$runs/old/base" --minutes "${STUDENT:-6}" --batch 48 --lr 8e-4 --seed "$((seed + 1))" \
        --out "$runs/distill" &
    wait $! # and not in the foreground, where a trap would wait for it
fi
"$python" -m tools.nano.install --vae "$runs/old/vae" --dit "$runs/base" --distill "$runs/distill" --to "$runs/nano"
export OMP_NUM_THREADS=1 CUDA_MPS_PIPE_DIRECTORY="$runs/mps" CUDA_MPS_LOG_DIRECTORY="$runs/mps"
mkdir -p "$runs/mps"
nvidia-cuda-mps-control -d || true # many small processes share a GPU; without, scores are only slower
scored_by=$((SECONDS + ${SCORES:-11} * 60))
short=single,image,continuation,pair,swap,memory,shots,pace,camera,weather,wall
many=$((workers * 9 / 16)) fewer=$((workers * 7 / 16))
{
    score base base "$fewer" "$short"
    score distill_4 distill "$fewer" single,memory --settings '{"steps": 4}'
} &
{
    score distill distill "$many" "$short,story,long"
    score base_long base "$many" story,long
} &
wait
say "all of it is done"
[ ! -e "$runs/scores/failed" ]
