#!/usr/bin/env bash
# A Galera cluster of MariaDB's on 127.0.0.1, each node of which takes writes, and Rollcall before it: three nodes, three servers, haproxy. They need
# Debian's packages mariadb-server, galera-4, rsync and haproxy.
#
#	galera.sh start          start all, and wait until a request is served
#	galera.sh stop           end all, and delete its data
#	galera.sh node N         start a node again, and wait until it has what the others have
#	galera.sh stop-node N    end it in good order
#	galera.sh kill-node N    end it as a crash does
#	galera.sh cut N          cut it off from the others, while it lives
#	galera.sh heal N         take that back, and wait until it has what the others have
#	galera.sh server N [PROGRAM], stop-server N, kill-server N
#	galera.sh sql N STATEMENT
#	galera.sh settle         wait until each node has what the first has
#	galera.sh url N          print a server's --database
#	galera.sh status
#
# The node N is at PORT+N (14600), and takes PORT+20+N, +40 and +60 too. CLUSTER_NODES is how many there are (3), CLUSTER_GALERA has more of Galera's options, such as
# "evs.suspect_timeout=PT1S;evs.inactive_timeout=PT3S". servers.sh has the other variables; with CLUSTER_SERVERS=0 there are nodes alone.
set -euo pipefail

name=galera
port=${CLUSTER_PORT:-14600}
# shellcheck source=servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

provider=/usr/lib/galera/libgalera_smm.so
nodes=${CLUSTER_NODES:-3}

# As root the server that a joining node copies from would run as nobody, who may not read the data.
as() { [ "$(id -u)" = 0 ] && echo mysql || id -un; }

sql() { mariadb --no-defaults -h127.0.0.1 -P"$((port + $1))" -uroot --connect-timeout=3 -NBe "$2"; }

url() { mysql_url "$1"; }

state() { sql "$1" "SELECT CONCAT(VARIABLE_NAME, ' ', VARIABLE_VALUE) FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME IN ('WSREP_LOCAL_STATE_COMMENT', 'WSREP_CLUSTER_SIZE', 'WSREP_CLUSTER_STATUS')" 2>/dev/null; }

synced() { state "$1" | grep -q 'STATE_COMMENT Synced'; }

synced_or_gone() { gone "$folder/node$1.pid" || synced "$1"; }

# joined N waits until the node has what the others have, and fails if it ends before.
joined() {
	wait_for 120 "node $1 with what the others have" synced_or_gone "$1"
	gone "$folder/node$1.pid" || return 0
	tail -n 5 "$folder/node$1.log" >&2
	exit 1
}

# flags prints the flags of a node, each on a line.
flags() {
	local at=$((port + $1)) peers=() i
	for ((i = 1; i <= nodes; i++)); do peers+=("127.0.0.1:$((port + i + 20))"); done
	printf '%s\n' --no-defaults --user="$(as)" --datadir="$folder/node$1/data" --socket="$folder/node$1/socket" --tmpdir="$folder/node$1/tmp" \
		--bind-address=127.0.0.1 --port="$at" --skip-name-resolve --max-connections=1000 --innodb-buffer-pool-size=64M \
		--binlog-format=ROW --innodb-autoinc-lock-mode=2 --wsrep-on=ON --wsrep-provider=$provider --wsrep-cluster-name="rollcall-$port" --wsrep-cluster-address="gcomm://$(IFS=,; echo "${peers[*]}")" \
		--wsrep-node-address="127.0.0.1:$((at + 20))" --wsrep-sst-method=rsync --wsrep-sst-receive-address="127.0.0.1:$((at + 60))" \
		--wsrep-provider-options="base_host=127.0.0.1;base_port=$((at + 20));gmcast.listen_addr=tcp://127.0.0.1:$((at + 20));ist.recv_addr=127.0.0.1:$((at + 40));gcache.size=64M;${CLUSTER_GALERA:-}"
}

# node N [FLAG...]: one that crashed is asked first how far it had got, so that it is sent only what it lacks.
node() {
	local n=$1 data=$folder/node$1/data position=() flags
	shift
	gone "$folder/node$n.pid" || fail "Node $n runs already."
	mapfile -t flags < <(flags "$n")
	if [ ! -e "$data" ]; then
		mkdir -p "$folder/node$n/tmp"
		[ "$(id -u)" != 0 ] || chown mysql: "$folder/node$n" "$folder/node$n/tmp"
		mariadb-install-db --no-defaults --user="$(as)" --datadir="$data" --auth-root-authentication-method=normal --skip-test-db >"$folder/node$n.log" 2>&1
	elif grep -qs 'seqno: *-1' "$data/grastate.dat"; then
		mariadbd "${flags[@]}" --wsrep-recover >"$folder/recover$n.log" 2>&1
		mapfile -t position < <(sed -n 's/.*Recovered position: *\([^, ]*\).*/--wsrep-start-position=\1/p' "$folder/recover$n.log" | tail -n 1)
	fi
	launch "node$n" mariadbd "${flags[@]}" "${position[@]}" "$@"
	joined "$n"
}

stop_node() { end "$folder/node$1.pid"; }
kill_node() { end "$folder/node$1.pid" KILL; }
cut() { sql "$1" "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'"; }
heal() { sql "$1" "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'" && joined "$1"; }

settle() {
	local n
	for ((n = 1; n <= nodes; n++)); do sql $n 'SET SESSION wsrep_sync_wait = 1; SELECT 1' >/dev/null; done
}

start() {
	local n urls=()
	[ -e $provider ] || fail "There is no $provider: install Debian's packages mariadb-server, galera-4 and rsync."
	needs rsync
	node 1 --wsrep-new-cluster
	for ((n = 2; n <= nodes; n++)); do node $n; done
	for ((n = 1; n <= nodes; n++)); do urls+=("mysql://root@127.0.0.1:$((port + n))/"); done
	sql 1 'CREATE DATABASE IF NOT EXISTS rollcall'
	echo "The nodes are ${urls[*]} until: $0 stop"
	serve
}

stop() {
	local n
	stop_servers
	for ((n = nodes; n > 0; n--)); do kill_node $n; done # one that is without the others would take long
	rm -rf "$folder"
}

status() {
	local n
	for ((n = 1; n <= nodes; n++)); do echo "node $n: $(state $n | paste -sd ' ' || echo down)"; done
}

run "$@"
