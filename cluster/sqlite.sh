#!/usr/bin/env bash
# Two of Rollcall's servers on one SQLite file of this machine, with haproxy before them: so one serves while the other is started anew. They need Debian's
# package haproxy.
#
#	sqlite.sh start          start all, and wait until a request is served
#	sqlite.sh stop           end all, and delete the file
#	sqlite.sh server N [PROGRAM], stop-server N, kill-server N
#	sqlite.sh url N          print a server's --database
#	sqlite.sh status
#
# servers.sh has the variables; PORT is 14900.
set -euo pipefail

name=sqlite
port=${CLUSTER_PORT:-14900}
CLUSTER_SERVERS=${CLUSTER_SERVERS:-2}
# shellcheck source=servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

url() { echo "sqlite:$folder/$database.db"; }

settle() { :; }

start() { serve; }

stop() {
	stop_servers
	rm -rf "$folder"
}

status() {
	local n
	for ((n = 1; n <= servers; n++)); do echo "server $n: $(curl --silent --max-time 2 "http://127.0.0.1:$((port + 80 + n))/readyz" || echo down)"; done
}

run "$@"
