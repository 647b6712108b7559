#!/usr/bin/env bash
# A real MySQL, which Debian 12 does not have: its packages are taken from Debian unstable and unpacked into a folder,
# so nothing is installed on the machine.
#
#	mysql.sh unpack                   unpack it, unless that is done already
#	mysql.sh init DATA                make a data folder, whose root has no password
#	mysql.sh run DATA [FLAG...]       become the server
#	mysql.sh start PORT [FLAG...]     start one on 127.0.0.1 that outlives this script, and wait until it answers
#	mysql.sh stop PORT                end that one and delete its data
#
# The folder is ROLLCALL_TEST_MYSQL_FOLDER or else ~/.cache/rollcall/mysql. The data of a server that is started are in memory, where Linux
# has 8 GiB for such files: tests commit all the time, and wait for no disk there.
set -euo pipefail

folder=${ROLLCALL_TEST_MYSQL_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/rollcall/mysql}
root=$folder/root

# unpack asks apt with lists and a cache of its own, as if no package were installed.
unpack() {
	[ ! -e "$folder/complete" ] || return 0
	echo "Unpacking MySQL from Debian unstable into $folder" >&2
	local mirror options package
	mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$root"/usr/{bin,sbin,lib,lib64}
	: >"$folder/apt/status"
	mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1 || true)
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} sid main" >"$folder/apt/sources"
	options=(-q -o "Dir::Etc::sourcelist=$folder/apt/sources" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::Lists=$folder/apt/lists"
		-o "Dir::State::status=$folder/apt/status" -o "Dir::Cache=$folder/apt/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User= -o Acquire::Retries=3)
	apt-get "${options[@]}" update >&2
	apt-get "${options[@]}" --yes --no-install-recommends --download-only install mysql-server-core >&2
	for directory in bin sbin lib lib64; do ln -sfn "usr/$directory" "$root/$directory"; done
	for package in "$folder"/apt/cache/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$package" | tar --extract --keep-directory-symlink --directory "$root"
	done
	rm -r "$folder/apt"
	touch "$folder/complete"
}

# mysqld runs with the C library that it was built for, by that library's own loader. It has a folder for temporary tables to itself: at
# its start it deletes all that are there, be they those of another server's statements.
mysqld() {
	local data=$1
	shift
	mkdir -p "$data.tmp"
	exec "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" "$root/usr/sbin/mysqld" \
		--no-defaults --user="$(id -un)" --basedir="$root/usr" --lc-messages-dir="$root/usr/share/mysql" --secure-file-priv=NULL --datadir="$data" --tmpdir="$data.tmp" "$@"
}

init() {
	(mysqld "$1" --initialize-insecure --innodb-redo-log-capacity=8M) >&2
}

# run is for a server that takes little room.
run() {
	local data=$1
	shift
	mysqld "$data" --mysqlx=OFF --skip-name-resolve --innodb-buffer-pool-size=64M --innodb-redo-log-capacity=64M "$@"
}

# data_of tells where the data of a server are, or are to be.
data_of() {
	local memory=/dev/shm/rollcall-mysql-$(id -u)
	if [ ! -e "$folder/data-$1" ] && [ "$(df --output=avail /dev/shm 2>/dev/null | tail -n 1 || true)" -ge $((8 << 20)) ] 2>/dev/null; then
		mkdir -p "$memory"
		echo "$memory/data-$1"
	else
		echo "$folder/data-$1"
	fi
}

start() {
	local port=$1 data
	data=$(data_of "$1")
	shift
	if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
		echo "Something answers at 127.0.0.1:$port already." >&2
		return
	fi
	unpack
	if [ ! -e "$data.complete" ]; then
		rm -rf "$data"
		init "$data" 2>"$folder/$port.log" || { cat "$folder/$port.log" >&2; exit 1; }
		touch "$data.complete"
	fi
	# Root is let in by "localhost" alone, as which 127.0.0.1 counts only if names are resolved.
	echo "CREATE USER IF NOT EXISTS root@'127.0.0.1' IDENTIFIED BY ''; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;" >"$folder/root.sql"
	setsid bash "$0" run "$data" --bind-address=127.0.0.1 --port="$port" --socket="$data/socket" --pid-file="$data/pid" \
		--init-file="$folder/root.sql" --max-connections=1000 "$@" >"$folder/$port.log" 2>&1 </dev/null &
	for _ in {1..240}; do
		if grep -q "ready for connections.*port: $port" "$folder/$port.log"; then
			echo "MySQL is at mysql://root@127.0.0.1:$port/ until: $0 stop $port"
			return
		fi
		if ! kill -0 $! 2>/dev/null; then break; fi
		sleep 0.25
	done
	tail -n 5 "$folder/$port.log" >&2
	exit 1
}

stop() {
	local data
	data=$(data_of "$1")
	kill "$(cat "$data/pid")"
	for _ in {1..240}; do
		[ -e "$data/pid" ] || break
		sleep 0.25
	done
	rm -rf "$data" "$data.tmp" "$data.complete" "$folder/$1.log"
}

case "${1:-}" in
unpack | init | run | start | stop) "$@" ;;
*) sed -n '2,/^set/{/^#/p}' "$0" >&2; exit 2 ;;
esac
