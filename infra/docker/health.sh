#!/usr/bin/env bash
# Asks a silo on this machine for its health: health.sh [PATH [PORT [SECONDS]]], by default /health/live, 8080 and 10.
# Ends with 0 when the answer is 200; else says on its error output what came instead, and ends with 1.
# In bash alone, because the image of the .NET runtime has neither curl nor wget, and to start .NET for it would cost more than what is asked.
set -uo pipefail
path=${1:-/health/live} port=${2:-8080} seconds=${3:-10}

if ! { exec 3<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null; then
  echo "nothing listens on port $port" >&2
  exit 1
fi
printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$path" >&3
if ! IFS= read -r -t "$seconds" status <&3; then
  echo "port $port takes connections, and has not answered GET $path for $seconds s" >&2
  exit 1
fi
[[ $status == 'HTTP/1.'?' 200 '* ]] && exit 0

# The body is one line of JSON that names what is wrong.
while IFS= read -r -t "$seconds" line <&3 && [[ $line != $'\r' ]]; do :; done
IFS= read -r -t "$seconds" body <&3
echo "${status%$'\r'} ${body:-}" >&2
exit 1
