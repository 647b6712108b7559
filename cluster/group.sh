#!/usr/bin/env bash
# Three real MySQL on 127.0.0.1 in Group Replication, one of which takes writes at a time, and Rollcall before them: three servers, haproxy. MySQL comes from Debian
# unstable (database/databasetest/mysql.sh); the others are Debian's packages mariadb-client and haproxy.
#
#	group.sh start          start all, and wait until a request is served
#	group.sh stop           end all, and delete its data
#	group.sh node N         start a node again, and wait until it is in the group
#	group.sh stop-node N    end it in good order
#	group.sh kill-node N    end it as a crash does
#	group.sh cut N          stop its process, as if it were cut off
#	group.sh heal N         take that back
#	group.sh server N [PROGRAM], stop-server N, kill-server N
#	group.sh sql N STATEMENT
#	group.sh settle         wait until each node has what the first has
#	group.sh url N          print a server's --database
#	group.sh primary        print which node takes writes
#	group.sh status
#
# The node N is at PORT+N (14700), and takes PORT+20+N too. CLUSTER_GROUP has more of the nodes' flags. servers.sh has the other variables; CLUSTER_HOSTS is "all" here by default.
set -euo pipefail

name=group
port=${CLUSTER_PORT:-14700}
# shellcheck source=servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

hosts=${CLUSTER_HOSTS:-all} # one node of three takes writes, and after a fault another one
mysql=$here/../database/databasetest/mysql.sh
nodes=3

sql() { mariadb --no-defaults -h127.0.0.1 -P"$((port + $1))" -uroot --connect-timeout=3 -NBe "$2"; }

# within N STATEMENT is for what no other node is to be sent. Root has the socket before it has an address.
within() { mariadb --no-defaults --socket="$folder/node$1/socket" -uroot -NBe "SET sql_log_bin = 0; $2"; }

url() { mysql_url "$1"; }

seeds() { for ((n = 1; n <= nodes; n++)); do printf '127.0.0.1:%d,' $((port + n + 20)); done; }

member() { sql "$1" 'SELECT CONCAT(member_state, " ", member_role) FROM performance_schema.replication_group_members WHERE member_id = @@server_uuid' 2>/dev/null; }

answered_or_gone() { gone "$folder/node$1.pid" || within "$1" 'SELECT 1' >/dev/null 2>&1; }

online() { member "$1" | grep -q ONLINE; }

# node N [FIRST]
node() {
	local n=$1 data=$folder/node$1 at=$((port + $1)) new=
	if [ ! -e "$data" ]; then
		new=yes
		"$mysql" init "$data" >"$folder/node$n.log" 2>&1
	fi
	launch "node$n" "$mysql" run "$data" --bind-address=127.0.0.1 --port="$at" --socket="$data/socket" --pid-file="$data/pid" --max-connections=1000 \
		--server-id="$at" --gtid-mode=ON --enforce-gtid-consistency=ON --log-bin=binlog --report-host=127.0.0.1 --report-port="$at" \
		--plugin-load-add=group_replication.so --loose-group-replication-group-name=6b1d0a3e-3f0c-4f61-9a55-5e0f0c7f1d01 \
		--loose-group-replication-start-on-boot=OFF --loose-group-replication-local-address="127.0.0.1:$((at + 20))" \
		--loose-group-replication-group-seeds="$(seeds)" --loose-group-replication-recovery-get-public-key=ON ${CLUSTER_GROUP:-}
	wait_for 120 "an answer of node $n" answered_or_gone "$n"
	if gone "$folder/node$n.pid"; then
		tail -n 5 "$folder/node$n.log" >&2
		exit 1
	fi
	if [ "$new" ]; then
		within "$n" "CREATE USER root@'127.0.0.1' IDENTIFIED BY ''; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;
			CREATE USER replica@'%' IDENTIFIED BY 'replica'; GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO replica@'%';
			RESET BINARY LOGS AND GTIDS;
			CHANGE REPLICATION SOURCE TO SOURCE_USER = 'replica', SOURCE_PASSWORD = 'replica' FOR CHANNEL 'group_replication_recovery'"
	fi
	[ ! "${2:-}" ] || within "$n" 'SET GLOBAL group_replication_bootstrap_group = ON'
	within "$n" 'START GROUP_REPLICATION; SET GLOBAL group_replication_bootstrap_group = OFF'
	wait_for 120 "node $n in the group" online "$n"
}

stop_node() { end "$folder/node$1.pid"; }
kill_node() { end "$folder/node$1.pid" KILL; }
cut() { kill -STOP "$(alive "$folder/node$1.pid")"; }
heal() { kill -CONT "$(alive "$folder/node$1.pid")"; }

settle() {
	local n
	for ((n = 1; n <= nodes; n++)); do sql $n "SET SESSION group_replication_consistency = 'BEFORE'; SELECT 1" >/dev/null; done
}

start() {
	local n
	node 1 first
	for ((n = 2; n <= nodes; n++)); do node $n; done
	sql 1 'CREATE DATABASE rollcall'
	echo "The nodes are mysql://root@127.0.0.1:$((port + 1))/ to $((port + nodes)), the first of which takes writes, until: $0 stop"
	serve
}

stop() {
	local n
	stop_servers
	for ((n = nodes; n > 0; n--)); do stop_node $n; done
	rm -rf "$folder"
}

primary() {
	local n
	for ((n = 1; n <= nodes; n++)); do
		if member $n | grep -q 'ONLINE PRIMARY'; then echo $n; fi
	done
}

status() {
	local n
	for ((n = 1; n <= nodes; n++)); do echo "node $n: $(member $n || echo down)"; done
}

run "$@"
