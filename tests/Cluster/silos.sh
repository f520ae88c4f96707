#!/usr/bin/env bash
# Watches over the silos of a test run: reads their process ids, one a line. When its input ends (the test run is over, however), kills those that still
# run and removes the folder that holds their data.
#   silos.sh DIR
set -uo pipefail
dir=$1
pids=()
while read -r pid; do pids+=("$pid"); done
for pid in ${pids[@]+"${pids[@]}"}; do
  # The number may be somebody else's by now: a silo of this run names its data folder, which is in DIR.
  if tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF -- "$dir/"; then kill -9 "$pid" 2>/dev/null; fi
done
for _ in $(seq 50); do rm -rf "$dir" 2>/dev/null && break; read -rt 0.1 <> <(:) || true; done
