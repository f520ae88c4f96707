#!/usr/bin/env bash
# A cluster on this machine: PostgreSQL and silos of the orleans build, each a process of its own on loopback. Linux, with the .NET SDK and PostgreSQL.
usage() {
  cat <<'TEXT'
usage: local.sh COMMAND
  up N       builds the silo, starts PostgreSQL and silos 1 to N, returns when all are ready
  add [I]    starts one more silo, or silo I again
  stop I     SIGTERM, returns when the silo has handed over and is gone
  kill I     SIGKILL
  pause I    SIGSTOP: the silo stands still and does not know it
  resume I   SIGCONT
  status     what runs, where, and how it is
  logs I     what silo I has printed since its first start
  down       stops everything; data stay for the next up
Exit codes: 0 done; 1 it was tried and failed; 2 not a command; 3 the cluster is not in a state for it (nothing is up, no such silo, ...).
Variables:
  CLUSTER_DIR           where all is kept (default: orleans-streams-cluster-UID in $TMPDIR or /tmp; remove it to begin anew)
  CLUSTER_HTTP_PORT, CLUSTER_SILO_PORT, CLUSTER_GATEWAY_PORT
                        silo I has these + I (default 8080, 11110, 30000)
  CLUSTER_POSTGRES_PORT default: the first free one from 54320
  CLUSTER_SILO          the folder of a published Silo.dll, instead of building it
  CLUSTER_PATIENCE      seconds to wait for a silo to be ready, or to be gone (default 90)
  STREAMS_...           settings of the silos; STREAMS_SAMPLE is false unless set
TEXT
}
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=${CLUSTER_DIR:-${TMPDIR:-/tmp}/orleans-streams-cluster-$(id -u)}
patience=${CLUSTER_PATIENCE:-90}
silos_max=16

die() { echo "local.sh: $2" >&2; exit "$1"; }
postgres() { bash "$root/tests/Postgres/server.sh" "$@"; }
ready() { bash "$root/infra/docker/health.sh" /health/ready "$((http_port + $1))" "$2"; }

# A process is known by its id and its start: ids come again.
facts() { local stat; stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1; read -ra stat <<<"${stat##*) }"; echo "${stat[0]} ${stat[19]}"; }
state_of() { # running, paused or gone
  local pid start state now
  { read -r pid start <"$dir/silo-$1/pid"; } 2>/dev/null || true
  read -r state now < <(facts "${pid:-0}") || true
  if [ -z "${state:-}" ] || [ "$now" != "$start" ]; then state=X; fi
  case $state in T) echo paused ;; Z | X) echo gone ;; *) echo running ;; esac
}
pid_of() { cut -d ' ' -f 1 "$dir/silo-$1/pid"; }
postgres_runs() {
  local pid
  pid=$(head -n 1 "$dir/postgres/data/postmaster.pid" 2>/dev/null) && [ "$(readlink "/proc/$pid/cwd")" = "$(readlink -f "$dir/postgres/data")" ]
}
known() { find "$dir" -maxdepth 1 -name 'silo-*' -printf '%f\n' 2>/dev/null | sed 's/silo-//' | sort -n; }
alive() { local i; for i in $(known); do [ "$(state_of "$i")" = gone ] || echo "$i"; done; }
is_up() { postgres_runs || [ -n "$(alive)" ]; }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
now() { echo "${EPOCHREALTIME/[.,]/}"; }
since() { local us=$(($(now) - $1)); printf '%d.%d s' $((us / 1000000)) $((us / 100000 % 10)); }

# Returns when what follows has come true, false when it has not within so many seconds.
within() {
  local end=$(($(now) + $1 * 1000000))
  shift
  until "$@"; do
    [ "$(now)" -lt "$end" ] || return 1
    sleep 0.1
  done
}
is_gone() { [ "$(state_of "$1")" = gone ]; }
is_ready_or_gone() { is_gone "$1" || ready "$1" 2 2>/dev/null; }

# One at a time of those that start things; what they start must not keep the lock.
lock() {
  exec 9>"$dir/lock"
  flock -n 9 || die 3 "another up, add or down is at work in $dir"
}
load() {
  is_up || die 3 "nothing is up in $dir; start with: local.sh up 3"
  # shellcheck source=/dev/null
  . "$dir/settings"
}
silo() { # I must be a silo of this cluster
  [[ ${1:-} =~ ^[1-9][0-9]?$ ]] || { usage >&2; exit 2; }
  load
  [ -d "$dir/silo-$1" ] || die 3 "there is no silo $1; there are: $(known | xargs)"
}
must_be() { # I STATE WHAT-TO-DO
  local state
  state=$(state_of "$1")
  [ "$state" = "$2" ] || die 3 "silo $1 is $state; $3"
}

find_silo() {
  if [ -n "${CLUSTER_SILO:-}" ]; then
    [ -f "$CLUSTER_SILO/Silo.dll" ] || die 1 "CLUSTER_SILO is $CLUSTER_SILO, where there is no Silo.dll"
    silo_dir=$(readlink -f "$CLUSTER_SILO")
    return
  fi
  silo_dir=$dir/silo
  echo "building the silo"
  # No build servers that stay: down leaves nothing running.
  ActorRuntime=orleans dotnet publish "$root/Silo" -c Release -o "$silo_dir" --nologo -v q --disable-build-servers 9>&- ||
    die 1 "the silo could not be built"
}

start_postgres() {
  if [ -d "$dir/postgres/data" ]; then
    postgres start "$dir/postgres" "$postgres_port" 9>&-
  else
    mkdir -p "$dir/postgres"
    postgres create "$dir/postgres" "$postgres_port" 9>&- && postgres database "$dir/postgres" "$postgres_port" streams
  fi || die 1 "PostgreSQL did not start on port $postgres_port; its log is $dir/postgres/log"
}

start_silo() {
  local home=$dir/silo-$1
  mkdir -p "$home"
  STREAMS_SAMPLE=${STREAMS_SAMPLE:-false} setsid dotnet "$silo_dir/Silo.dll" \
    --urls "http://127.0.0.1:$((http_port + $1))" --silo-port $((silo_port + $1)) --gateway-port $((gateway_port + $1)) --advertised-address 127.0.0.1 \
    --postgres "Host=127.0.0.1;Port=$postgres_port;Database=streams;Username=postgres" --cluster-id local --service-id local --data "$home/data" \
    </dev/null >>"$home/log" 2>&1 9>&- &
  echo "$! $(facts $! | cut -d ' ' -f 2)" >"$home/pid"
}

wait_ready() {
  within "$patience" is_ready_or_gone "$1" || die 1 "silo $1 was not ready within $patience s: $(ready "$1" 10 2>&1)"
  if is_gone "$1"; then
    tail -n 5 "$dir/silo-$1/log" >&2
    die 1 "silo $1 ended before it was ready; the above is the end of its log"
  fi
  echo "silo $1 is ready: http://127.0.0.1:$((http_port + $1))"
}

stop_all() {
  local i
  for i in $(alive); do kill -TERM "$(pid_of "$i")" && kill -CONT "$(pid_of "$i")"; done 2>/dev/null || true
  for i in $(known); do
    within "$patience" is_gone "$i" || { echo "silo $i did not stop within $patience s and is killed" >&2; kill -KILL "$(pid_of "$i")"; within 10 is_gone "$i"; }
  done
  if postgres_runs; then postgres stop "$dir/postgres"; fi
}

do_up() {
  { [[ ${1:-} =~ ^[1-9][0-9]?$ ]] && [ "$1" -le "$silos_max" ]; } || die 2 "up takes the number of silos, 1 to $silos_max"
  is_up && die 3 "a cluster is up already in $dir; local.sh status shows it, local.sh down stops it"
  command -v dotnet >/dev/null || die 1 "the .NET SDK is not installed"
  postgres find >/dev/null || die 1 "PostgreSQL is not installed: apt-get install postgresql-15"
  mkdir -p "$dir"
  # PostgreSQL's own user has to get into its folder in there.
  chmod a+x "$dir"
  lock
  find_silo
  postgres_port=${CLUSTER_POSTGRES_PORT:-54320}
  while [ -z "${CLUSTER_POSTGRES_PORT:-}" ] && listens "$postgres_port"; do postgres_port=$((postgres_port + 1)); done
  http_port=${CLUSTER_HTTP_PORT:-8080} silo_port=${CLUSTER_SILO_PORT:-11110} gateway_port=${CLUSTER_GATEWAY_PORT:-30000}
  printf '%s=%q\n' silo_dir "$silo_dir" postgres_port "$postgres_port" http_port "$http_port" silo_port "$silo_port" gateway_port "$gateway_port" >"$dir/settings"
  # Whose logs and numbers were of the last cluster.
  find "$dir" -maxdepth 1 -name 'silo-*' -exec rm -rf {} +

  # A start that fails leaves nothing behind.
  trap 'stop_all; exit 1' EXIT INT TERM
  start_postgres
  local i
  for i in $(seq "$1"); do start_silo "$i"; done
  for i in $(seq "$1"); do wait_ready "$i"; done
  trap - EXIT INT TERM
  echo "PostgreSQL: Host=127.0.0.1;Port=$postgres_port;Database=streams;Username=postgres"
}

do_add() {
  local i=${1:-}
  if [ -z "$i" ]; then
    load
    i=$(($(known | tail -n 1) + 1))
    [ "$i" -le "$silos_max" ] || die 3 "there are $silos_max silos, which is the most"
  else
    silo "$i"
    must_be "$i" gone "only one that is gone is started again"
  fi
  lock
  start_silo "$i"
  wait_ready "$i"
}

do_stop() {
  silo "${1:-}"
  must_be "$1" running "only a running one can be stopped; a paused one is resumed or killed"
  local start
  start=$(now)
  kill -TERM "$(pid_of "$1")"
  within "$patience" is_gone "$1" || die 1 "silo $1 did not stop within $patience s; local.sh kill $1 ends it"
  echo "silo $1 stopped in $(since "$start")"
}

do_kill() {
  silo "${1:-}"
  is_gone "$1" && die 3 "silo $1 is gone already"
  kill -KILL "$(pid_of "$1")"
  within 10 is_gone "$1" || die 1 "silo $1 does not end"
  echo "silo $1 is killed"
}

do_pause() {
  silo "${1:-}"
  must_be "$1" running "only a running one can be paused"
  kill -STOP "$(pid_of "$1")"
  echo "silo $1 is paused"
}

do_resume() {
  silo "${1:-}"
  must_be "$1" paused "only a paused one can be resumed"
  kill -CONT "$(pid_of "$1")"
  echo "silo $1 goes on"
}

do_status() {
  load
  local i state
  printf 'postgres  %-9s 127.0.0.1:%s\n' "$(postgres_runs && echo running || echo gone)" "$postgres_port"
  for i in $(known); do
    state=$(state_of "$i")
    if [ "$state" = running ]; then if ready "$i" 2 2>/dev/null; then state=ready; else state='not ready'; fi; fi
    printf 'silo %-4s %-9s http://127.0.0.1:%s silo port %s gateway %s pid %s\n' \
      "$i" "$state" $((http_port + i)) $((silo_port + i)) $((gateway_port + i)) "$(pid_of "$i")"
  done
}

do_logs() {
  [ -f "$dir/silo-${1:-}/log" ] || die 3 "there is no log of a silo '${1:-}'; there are: $(known | xargs)"
  cat "$dir/silo-$1/log"
}

do_down() {
  is_up || { echo "nothing is up in $dir"; return; }
  lock
  stop_all
  echo "all is stopped; the data are in $dir"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
up | add | stop | kill | pause | resume | logs) [ $# -le 1 ] || { usage >&2; exit 2; } ;;
status | down) [ $# -eq 0 ] || { usage >&2; exit 2; } ;;
help | --help | -h) usage; exit 0 ;;
*) usage >&2; exit 2 ;;
esac
"do_$command" "$@"
