#!/usr/bin/env bash
# The whole check: builds everything, type-checks the grain code against the official Orleans abstractions, runs every test project.
# ActorRuntime=orleans in the environment: the same tests on Microsoft Orleans, and those of clusters, with the packages that restore finds
# (RestoreAdditionalProjectSources=DIR names one more place); the type-check belongs to the default, embedded.
# Its last line is "N passed, N failed" (", N skipped" when there are any); it exits non-zero on any failure.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 ActorRuntime=${ActorRuntime:-embedded}
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

# A shell that runs this in the background has SIGINT ignored, which everything that is started here would inherit.
start=(env)
env --default-signal=INT true 2>/dev/null && start+=(--default-signal=INT)

passed=0 failed=0 skipped=0
summary() {
  local line="$passed passed, $failed failed"
  [ "$skipped" -gt 0 ] && line="$line, $skipped skipped"
  echo "$line"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
fail() { echo "$1" >&2; failed=$((failed + 1)); summary; exit 1; }

case $ActorRuntime in embedded | orleans) ;; *) fail "ActorRuntime is '$ActorRuntime'; set it to embedded (the default) or orleans" ;; esac
bash tests/Postgres/server.sh install || fail "PostgreSQL, which tests start servers of, is not there and could not be installed"
dotnet build Orleans.Streams.sln -c Release --nologo -v q || fail "the build failed"
if [ "$ActorRuntime" = embedded ]; then
  dotnet build Grains -c Release --nologo -v q -p:ActorRuntime=abstractions || fail "grain code does not compile against the official Orleans.Core.Abstractions"
fi

for project in tests/*.Tests; do
  name=$(basename "$project")
  # Some are empty in one of the builds.
  [ "$(dotnet msbuild "$project" -getProperty:IsTestProject)" = true ] || continue
  "${start[@]}" dotnet test "$project" -c Release --no-build --nologo --logger "trx;LogFileName=$results/$name.trx" \
    --blame-hang-timeout 4m --blame-hang-dump-type none "$@"
  code=$?
  counters=$(grep -o '<Counters [^>]*' "$results/$name.trx" 2>/dev/null | head -n 1)
  count() { local n; n=$(grep -o " $1=\"[0-9]*\"" <<<"$counters" | grep -o '[0-9]*'); echo "${n:-0}"; }
  p=$(count passed) f=$(count failed) total=$(count total) executed=$(count executed)
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + total - executed))
  # A test host that died, hung or never ran has no honest counters.
  if { [ "$code" -ne 0 ] || [ "$total" -eq 0 ]; } && [ "$f" -eq 0 ]; then failed=$((failed + 1)); echo "$name: the test run ended with code $code" >&2; fi
done
summary
