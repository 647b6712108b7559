#!/usr/bin/env bash
# A Galera cluster of MariaDB's on 127.0.0.1: nodes 1 to N at PORT+1 to PORT+N, each of which takes writes. They need Debian's packages
# mariadb-server, galera-4 and rsync.
#
#	galera.sh start PORT [N [FLAG...]]   start N nodes (2) that outlive this script, and wait until they have each other's data
#	galera.sh stop PORT                  end them and delete their data
#
# The folder is ROLLCALL_TEST_GALERA_FOLDER or else galera in that of the temporary files. Besides its own port P a node takes P+20, P+40 and P+60.
set -euo pipefail

provider=/usr/lib/galera/libgalera_smm.so
folder() { echo "${ROLLCALL_TEST_GALERA_FOLDER:-${TMPDIR:-/tmp}/rollcall-galera}/$1"; }

# As root the server that a joining node copies from would run as nobody, who may not read the data.
as() { [ "$(id -u)" = 0 ] && echo mysql || id -un; }

# node becomes the server at a port.
node() {
	local port=$1 folder=$2
	shift 2
	exec mariadbd --no-defaults --user="$(as)" --datadir="$folder/data" --socket="$folder/socket" --pid-file="$folder/pid" --tmpdir="$folder/tmp" \
		--bind-address=127.0.0.1 --port="$port" --skip-name-resolve --max-connections=1000 --innodb-buffer-pool-size=64M \
		--binlog-format=ROW --innodb-autoinc-lock-mode=2 --wsrep-on=ON --wsrep-provider=$provider \
		--wsrep-node-address="127.0.0.1:$((port + 20))" --wsrep-sst-method=rsync --wsrep-sst-receive-address="127.0.0.1:$((port + 60))" \
		--wsrep-provider-options="base_host=127.0.0.1;base_port=$((port + 20));gmcast.listen_addr=tcp://127.0.0.1:$((port + 20));ist.recv_addr=127.0.0.1:$((port + 40));gcache.size=32M" "$@"
}

synced() {
	mariadb --no-defaults -h127.0.0.1 -P"$1" -uroot -NBe "SHOW STATUS LIKE 'wsrep_local_state_comment'" 2>/dev/null | grep -q Synced
}

start() {
	local port=$1 nodes=${2:-2} folder n
	shift $(($# < 2 ? 1 : 2))
	[ -e $provider ] || { echo "There is no $provider: install mariadb-server, galera-4 and rsync." >&2; exit 1; }
	local members=() urls=()
	for ((n = 1; n <= nodes; n++)); do
		folder=$(folder "$port")/$n
		if [ ! -e "$folder/data" ]; then
			mkdir -p "$folder/tmp"
			[ "$(id -u)" != 0 ] || { chmod 755 "$(folder "$port")" && chown mysql: "$folder" "$folder/tmp"; }
			mariadb-install-db --no-defaults --user="$(as)" --datadir="$folder/data" --auth-root-authentication-method=normal --skip-test-db >"$folder/log" 2>&1
		fi
		# Without others it makes a cluster; with others it joins them.
		setsid bash "$0" node "$((port + n))" "$folder" --wsrep-cluster-address="gcomm://$(IFS=,; echo "${members[*]}")" "$@" >"$folder/log" 2>&1 </dev/null &
		for _ in {1..240}; do
			if synced "$((port + n))"; then break; fi
			kill -0 $! 2>/dev/null || break
			sleep 0.25
		done
		synced "$((port + n))" || { tail -n 5 "$folder/log" >&2; exit 1; }
		members+=("127.0.0.1:$((port + n + 20))")
		urls+=("mysql://root@127.0.0.1:$((port + n))/")
	done
	echo "The nodes are ${urls[*]} until: $0 stop $port"
}

stop() {
	local all pid
	all=$(folder "$1")
	for pid in $(cat "$all"/*/pid 2>/dev/null | tac); do
		kill "$pid"
		for _ in {1..240}; do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.25
		done
	done
	rm -rf "$all"
}

case "${1:-}" in
start | stop | node) "$@" ;;
*) sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2 ;;
esac
