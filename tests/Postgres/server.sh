#!/usr/bin/env bash
# A PostgreSQL server for tests and for infra/cluster/local.sh, in a folder of its own, on a Unix socket in that folder.
#   server.sh install            makes sure that the programs are there (Debian's package, needs root)
#   server.sh find               prints the folder of the programs; fails when there is none
#   server.sh create DIR [PORT]  a new server, started; with PORT on that port of 127.0.0.1 too, without a password
#   server.sh start DIR [PORT]   starts it again
#   server.sh database DIR PORT NAME   makes a database
#   server.sh stop DIR           stops it as a service manager does; returns when it is gone
#   server.sh kill DIR           SIGKILL to the server and every process of it
#   server.sh guard DIR          when its input ends (the test run is over, however), stops the server and removes the folder
# POSTGRES_BIN names the folder of the programs when the newest of Debian's packages is not the one.
set -euo pipefail
bin=${POSTGRES_BIN:-$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1 || true)}
dir=${2:-}
self=$(readlink -f "$0")
port=${3:-}

# PostgreSQL refuses to run as root.
as_server() { if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }

case ${1:-} in
install)
  if [ ! -x "$bin/initdb" ]; then
    { apt-get install -y postgresql-15 || { apt-get update && apt-get install -y postgresql-15; }; } >&2
  fi
  ;;
find)
  [ -x "$bin/initdb" ] && echo "$bin"
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
  exec bash "$self" start "$dir" "$port"
  ;;
start)
  cd /
  # Left by a killed server; its process may still be listed, waiting for a parent that doesn't ask.
  as_server rm -f "$dir/data/postmaster.pid" "$dir/.s.PGSQL.${port:-5432}.lock"
  # Its children may take a moment to be gone, and the server is right not to start beside them.
  for _ in 1 2 3 4 5; do
    if as_server "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" ${port:+-o "-p $port -h 127.0.0.1"} start >/dev/null; then exit 0; fi
  done
  tail -n 20 "$dir/log" >&2
  exit 1
  ;;
database)
  cd /
  as_server "$bin/createdb" -h "$dir" -p "$port" -U postgres "$4"
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
  echo "usage: $0 install|find|create|start|database|stop|kill|guard [DIR [PORT [NAME]]]" >&2
  exit 2
  ;;
esac
