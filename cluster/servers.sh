# Sourced by the set-ups beside it, once they have set name and port: what all of them have, Rollcall's servers and haproxy before them. A set-up has
# a function url, which prints the --database of server N, and one settle, which waits until each node has what the first has. Variables that all take:
#
#	CLUSTER_PORT      the first port of the set-up; the server N has PORT+80+N, haproxy PORT+80
#	CLUSTER_FOLDER    for data, logs and process ids; by default rollcall-cluster in that of the temporary files
#	CLUSTER_SERVERS   how many servers there are
#	CLUSTER_PROGRAM   the rollcall that they run; by default what is built of this checkout
#	CLUSTER_FLAGS     more of its flags
#	CLUSTER_DATABASE  the name of the database
#	CLUSTER_HOSTS     "one": the server N has the node N, or the primary, in its URL; "own": it has all nodes, that one
#	                  first; "all": each has all nodes, in the same order; "balanced": each has haproxy, at
#	                  PORT+90, which spreads connections over the nodes
#
# Nothing is started or ended but what is in the folder.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${CLUSTER_FOLDER:-${TMPDIR:-/tmp}/rollcall-cluster}/$name-$port
servers=${CLUSTER_SERVERS:-3}
hosts=${CLUSTER_HOSTS:-one}
database=${CLUSTER_DATABASE:-rollcall}

fail() {
	echo "$*" >&2
	exit 1
}

needs() { command -v "$1" >/dev/null || fail "There is no $1: install Debian's package ${2:-$1}."; }

# wait_for SECONDS WHAT COMMAND... tries a command until it succeeds.
wait_for() {
	local until=$((SECONDS + $1))
	while ! "${@:3}"; do
		[ $SECONDS -lt $until ] || fail "$2: not after $1 s"
		sleep 0.05
	done
}

# alive PIDFILE prints the id that is in the file, if its process is one of this folder's still.
alive() {
	local id
	id=$(head -n 1 "$1" 2>/dev/null) && grep -qF "$folder" "/proc/$id/cmdline" 2>/dev/null && echo "$id"
}

gone() { ! alive "$1" >/dev/null; }

# end PIDFILE [SIGNAL] ends a process, if it is there, and waits until it is gone.
end() {
	local id
	id=$(alive "$1") || return 0
	kill "-${2:-TERM}" "$id" 2>/dev/null || true
	wait_for 60 "the end of the process $id" gone "$1"
}

# launch NAME COMMAND... starts a process that outlives this script.
launch() {
	local file=$folder/$1
	shift
	gone "$file.pid" || fail "$file runs already."
	setsid "$@" >>"$file.log" 2>&1 </dev/null &
	echo $! >"$file.pid"
	while gone "$file.pid" && kill -0 $! 2>/dev/null; do sleep 0.01; done # until it is the program
}

program() {
	if [ ! "${CLUSTER_PROGRAM:-}" ]; then
		CLUSTER_PROGRAM=$folder/rollcall
		[ -e "$CLUSTER_PROGRAM" ] || go build -C "$here/.." -o "$CLUSTER_PROGRAM" .
	fi
}

answers() { curl --silent --fail --max-time 2 --output /dev/null "http://127.0.0.1:$1"; }

# mysql_url N is url for nodes that speak MySQL's protocol.
mysql_url() {
	local n all=()
	case $hosts in
	one) all=("127.0.0.1:$((port + ($1 - 1) % nodes + 1))") ;;
	all) for ((n = 1; n <= nodes; n++)); do all+=("127.0.0.1:$((port + n))"); done ;;
	own) for ((n = 0; n < nodes; n++)); do all+=("127.0.0.1:$((port + ($1 - 1 + n) % nodes + 1))"); done ;;
	balanced) all=("127.0.0.1:$((port + 90))") ;;
	*) fail "CLUSTER_HOSTS is one, own, all or balanced." ;;
	esac
	echo "mysql://root@$(IFS=,; echo "${all[*]}")/$database"
}

# up_or_gone reports whether there is nothing to wait for any more.
up_or_gone() { gone "$folder/server$1.pid" || answers "$((port + 80 + $1))/healthz"; }

# server N [PROGRAM] starts a server, and waits until it answers, ready or not.
server() {
	local n=$1
	[ ! "${2:-}" ] || CLUSTER_PROGRAM=$2
	program
	ln -sfn "$CLUSTER_PROGRAM" "$folder/server$n" # so that its command line names the folder
	# shellcheck disable=SC2086 # flags are words
	launch "server$n" "$folder/server$n" serve --insecure-admin --listen="127.0.0.1:$((port + 80 + n))" --database="$(url "$n")" ${CLUSTER_FLAGS:-}
	wait_for 60 "an answer of server $n" up_or_gone "$n"
	if gone "$folder/server$n.pid"; then
		tail -n 5 "$folder/server$n.log" >&2
		exit 1
	fi
}

stop_server() { end "$folder/server$1.pid"; }
kill_server() { end "$folder/server$1.pid" KILL; }

# balancer starts haproxy. A request is sent to another server only if it has not reached the first. What a server sends of a stream every
# 15 s keeps it open; "timeout tunnel" is for WebSockets.
balancer() {
	needs haproxy
	{
		cat <<-X
			global
			  maxconn 4000
			defaults
			  mode http
			  timeout connect 2s
			  timeout client 60s
			  timeout server 60s
			  timeout tunnel 1h
			  timeout check 2s
			  retries 3
			  option redispatch 1
			frontend api
			  bind 127.0.0.1:$((port + 80))
			  default_backend servers
			backend servers
			  balance roundrobin
			  option httpchk GET /readyz
			  default-server check inter 250ms fall 1 rise 1
		X
		for ((n = 1; n <= servers; n++)); do echo "  server s$n 127.0.0.1:$((port + 80 + n))"; done
		if [ "${nodes:-0}" != 0 ]; then
			printf '%s\n' 'listen nodes' '  mode tcp' "  bind 127.0.0.1:$((port + 90))" '  balance roundrobin' '  timeout client 1h' '  timeout server 1h' \
				'  default-server check inter 250ms on-marked-down shutdown-sessions'
			for ((n = 1; n <= nodes; n++)); do echo "  server n$n 127.0.0.1:$((port + n))"; done
		fi
	} >"$folder/haproxy.cfg"
	haproxy -D -f "$folder/haproxy.cfg" -p "$folder/haproxy.pid" >>"$folder/haproxy.log" 2>&1
	wait_for 30 'a ready server behind haproxy' answers "$((port + 80))/readyz"
}

# serve migrates, and starts the servers and haproxy.
serve() {
	local n
	if [ "$servers" = 0 ]; then return; fi
	program
	"$CLUSTER_PROGRAM" migrate --database="$(url 1)" >>"$folder/migrate.log" 2>&1 || fail "$(cat "$folder/migrate.log")"
	settle
	for ((n = 1; n <= servers; n++)); do server $n; done
	balancer
	echo "Rollcall is at http://127.0.0.1:$((port + 80)) until: $0 stop"
}

# stop_servers ends haproxy and the servers.
stop_servers() {
	local pid
	end "$folder/haproxy.pid"
	for pid in "$folder"/server*.pid; do end "$pid"; done
}

usage() {
	sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
}

# run COMMAND... is what a set-up's script is called with.
run() {
	case "${1:-}" in
	start)
		if [ -e "$folder" ]; then
			echo "It is started already, or what is left of it is in the way: $0 stop" >&2
			exit 3
		fi
		mkdir -p "$folder" && chmod 755 "$(dirname "$folder")" "$folder"
		;;
	stop | server | stop-server | kill-server | settle | node | stop-node | kill-node | cut | heal | promote | primary | sql | url | status) [ -d "$folder" ] || fail "It is not started: there is no $folder." ;;
	*) usage ;;
	esac
	command=${1//-/_}
	declare -F "$command" >/dev/null || usage
	"$command" "${@:2}"
}
