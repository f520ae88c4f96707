#!/usr/bin/env bash
# A PostgreSQL server for tests, in a folder of its own, on a Unix socket in that folder.
#   server.sh install        makes sure that the programs are there (Debian's package, needs root)
#   server.sh create DIR     a new cluster, started
#   server.sh start DIR      starts it again
#   server.sh stop DIR       an orderly stop, which ends every session
#   server.sh kill DIR       SIGKILL to the server and every process of it
#   server.sh guard DIR      when its input ends (the test run is over, however), stops the server and removes the folder
set -euo pipefail
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1 || true)
dir=${2:-}

# PostgreSQL refuses to run as root.
as_server() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }

case ${1:-} in
install)
  if [ ! -x "$bin/initdb" ]; then
    { apt-get install -y postgresql-15 || { apt-get update && apt-get install -y postgresql-15; }; } >&2
  fi
  ;;
create)
  if [ "$(id -u)" = 0 ]; then chown postgres "$dir"; fi
  cd /
  as_server "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >/dev/null
  as_server sed -i '1i local all locked_out scram-sha-256' "$dir/data/pg_hba.conf"
  as_server tee -a "$dir/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = ''
unix_socket_directories = '$dir'
max_connections = 200
shared_buffers = 128MB
max_wal_size = 4GB
CONF
  exec "$0" start "$dir"
  ;;
start)
  cd /
  # Left by a killed server; its process may still be listed, waiting for a parent that doesn't ask.
  as_server rm -f "$dir/data/postmaster.pid" "$dir/.s.PGSQL.5432.lock"
  # Its children may take a moment to be gone, and the server is right not to start beside them.
  for _ in 1 2 3 4 5; do
    if as_server "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" start >/dev/null; then exit 0; fi
  done
  tail -n 20 "$dir/log" >&2
  exit 1
  ;;
stop)
  cd /
  as_server "$bin/pg_ctl" -D "$dir/data" -w -t 60 -m fast stop >/dev/null
  ;;
kill)
  server=$(head -n 1 "$dir/data/postmaster.pid")
  children=$(cat "/proc/$server/task/$server/children")
  # shellcheck disable=SC2086
  kill -9 "$server" $children 2>/dev/null || true
  ;;
guard)
  cat >/dev/null
  if [ -f "$dir/data/postmaster.pid" ]; then
    kill -QUIT "$(head -n 1 "$dir/data/postmaster.pid")" 2>/dev/null || true
  fi
  for _ in $(seq 50); do rm -rf "$dir" 2>/dev/null && break; read -rt 0.1 <> <(:) || true; done
  ;;
*)
  echo "usage: $0 install|create|start|stop|kill|guard [DIR]" >&2
  exit 2
  ;;
esac
