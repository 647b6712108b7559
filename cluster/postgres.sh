#!/usr/bin/env bash
# A PostgreSQL primary on 127.0.0.1 whose commits wait for its standby, a PgBouncer in transaction mode before each, and Rollcall: three servers,
# haproxy. They need Debian's packages postgresql, pgbouncer and haproxy.
#
#	postgres.sh start          start all, and wait until a request is served
#	postgres.sh stop           end all, and delete its data
#	postgres.sh promote        make the standby the primary, whatever has become of the old one. Commits wait for no standby then.
#	postgres.sh node N         start a node again; one that was promoted past is made the other's standby, for which commits wait again
#	postgres.sh stop-node N    end it in good order
#	postgres.sh kill-node N    end it as a crash does
#	postgres.sh cut N          stop its processes, as if it were cut off
#	postgres.sh heal N         take that back
#	postgres.sh server N [PROGRAM], stop-server N, kill-server N
#	postgres.sh sql N STATEMENT
#	postgres.sh settle         wait until the standby has what the primary has
#	postgres.sh url N          print a server's --database
#	postgres.sh primary        print which node is the primary
#	postgres.sh status
#
# The node N is at PORT+N (14800), its PgBouncer at PORT+20+N; that at PORT+20 leads to the primary. servers.sh has the variables.
set -euo pipefail

name=postgres
port=${CLUSTER_PORT:-14800}
# shellcheck source=servers.sh
. "$(dirname "${BASH_SOURCE[0]}")/servers.sh"

bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)

# as runs what refuses to be root's.
as() {
	if [ "$(id -u)" = 0 ]; then setpriv --reuid=postgres --regid=postgres --init-groups "$@"; else "$@"; fi
}

sql() { psql --no-psqlrc --host=127.0.0.1 --port="$((port + $1))" --username=postgres --dbname=rollcall --tuples-only --no-align --quiet --command="$2"; }

url() {
	local at=127.0.0.1:$((port + 20))
	[ "$hosts" = one ] || at=127.0.0.1:$((port + 21)),127.0.0.1:$((port + 22))
	echo "postgres://postgres@$at/$database?sslmode=disable&pooler=transaction"
}

primary() { cat "$folder/primary"; }

running() { "$bin/pg_isready" --quiet --host=127.0.0.1 --port="$((port + $1))"; }

running_or_gone() { running "$1" || gone "$folder/node$1.pid"; }

# begin N starts a node that has its data.
begin() {
	rm -f "$folder/node$1/postmaster.pid"
	launch "node$1" setpriv "${credentials[@]}" "$bin/postgres" -D "$folder/node$1" -h 127.0.0.1 -p "$((port + $1))" -k "$folder" -c max_connections=200 -c shared_buffers=64MB \
		-c wal_keep_size=256MB -c cluster_name="node$1"
	wait_for 60 "an answer of node $1" running_or_gone "$1"
	if gone "$folder/node$1.pid"; then
		tail -n 5 "$folder/node$1.log" >&2
		exit 1
	fi
}
credentials=()
[ "$(id -u)" != 0 ] || credentials=(--reuid=postgres --regid=postgres --init-groups)

follows() { [ "$(sql "$(primary)" "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")" = 1 ]; }

# synchronous WHICH has commits at the primary wait for this standby; "" is none.
synchronous() {
	sql "$(primary)" "ALTER SYSTEM SET synchronous_standby_names = '$1'" && sql "$(primary)" 'SELECT pg_reload_conf()' >/dev/null
}

node() {
	local n=$1
	gone "$folder/node$n.pid" || fail "Node $n runs already."
	if [ "$n" = "$(primary)" ]; then
		begin "$n"
		return
	fi
	if [ ! -e "$folder/node$n/standby.signal" ]; then # it is new, or was the primary
		rm -rf "$folder/node$n"
		as "$bin/pg_basebackup" --host=127.0.0.1 --port="$((port + $(primary)))" --username=postgres --pgdata="$folder/node$n" --wal-method=stream --write-recovery-conf --checkpoint=fast
	fi
	begin "$n"
	wait_for 60 "the standby $n" follows
	synchronous "node$n"
}

stop_node() { end "$folder/node$1.pid" INT; }

# The processes of a postmaster that is killed notice it within a second or so; a crash ends all at once.
kill_node() { each_process "$1" KILL && wait_for 60 "the end of node $1" gone "$folder/node$1.pid"; }
cut() { each_process "$1" STOP; }
heal() { each_process "$1" CONT; }
each_process() {
	local id
	id=$(alive "$folder/node$1.pid") || return 0
	# shellcheck disable=SC2046 # ids are words
	kill "-$2" "$id" $(cat "/proc/$id/task/$id/children") 2>/dev/null || true
}

# pooler PORT NODE starts a PgBouncer before a node, or has it lead there.
pooler() {
	cat >"$folder/pgbouncer$1.ini" <<-X
		[databases]
		* = host=127.0.0.1 port=$((port + $2))
		[pgbouncer]
		listen_addr = 127.0.0.1
		listen_port = $1
		unix_socket_dir =
		auth_type = trust
		auth_file = $folder/users
		admin_users = postgres
		pool_mode = transaction
		default_pool_size = 20
		max_client_conn = 1000
		server_login_retry = 1
	X
	chmod 644 "$folder/pgbouncer$1.ini"
	if alive "$folder/pgbouncer$1.pid" >/dev/null; then
		psql --no-psqlrc --quiet --host=127.0.0.1 --port="$1" --username=postgres --dbname=pgbouncer --command=RELOAD >/dev/null
	else
		launch "pgbouncer$1" setpriv "${credentials[@]}" pgbouncer "$folder/pgbouncer$1.ini"
	fi
}

promote() {
	local to=$((3 - $(primary)))
	rm -f "$folder/node$(primary)/standby.signal"
	as "$bin/pg_ctl" promote --silent --pgdata="$folder/node$to"
	echo $to >"$folder/primary"
	synchronous ''
	[ "$servers" = 0 ] || pooler $((port + 20)) $to
}

# settle waits until the standby has what the primary has.
settle() { wait_for 30 'a standby that has all' equal; }
equal() { [ "$(sql "$(primary)" "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()")" = 1 ]; }

start() {
	local n
	[ "$bin" ] || fail "There is no PostgreSQL: install Debian's package postgresql."
	needs pgbouncer
	echo '"postgres" ""' >"$folder/users"
	chmod 644 "$folder/users"
	[ "$(id -u)" != 0 ] || chown postgres: "$folder"
	echo 1 >"$folder/primary"
	as "$bin/initdb" --pgdata="$folder/node1" --username=postgres --auth=trust --encoding=UTF8 --locale=C >"$folder/initdb.log"
	begin 1
	psql --no-psqlrc --quiet --host=127.0.0.1 --port=$((port + 1)) --username=postgres --dbname=postgres --command='CREATE DATABASE rollcall'
	node 2
	echo "The primary is postgres://postgres@127.0.0.1:$((port + 1))/rollcall?sslmode=disable, the standby at port $((port + 2)), until: $0 stop"
	if [ "$servers" != 0 ]; then for n in 0 1 2; do pooler $((port + 20 + n)) $((n > 0 ? n : 1)); done; fi
	serve
}

stop() {
	local pid
	stop_servers
	for pid in "$folder"/pgbouncer*.pid; do end "$pid"; done
	for n in 1 2; do heal $n; done
	for n in $((3 - $(primary))) $(primary); do stop_node "$n"; done
	rm -rf "$folder"
}

status() {
	local n
	for n in 1 2; do echo "node $n: $(sql $n "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE 'primary, commits wait for: ' || current_setting('synchronous_standby_names') END" 2>/dev/null || echo down)"; done
}

run "$@"
