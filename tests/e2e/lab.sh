# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A cluster in network namespaces: a client, a gateway, nodes with a web server, and switches
# between them. Sourced by the tests here and by the demo:
#
#	. "$(dirname "$0")/lab.sh"
#	lab_up one-network 3        # or: interconnect
#	lab_gateway 3 2 1           # attach, VECs, ports, nodes with these weights
#	t a_request_is_answered     # one function, one test
#	lab_end                     # the status of the file
#
# one-network     client, gateway and nodes on one switch; the gateway sends out where it came in.
#
#	client ──┐
#	gateway ─┤ front 10.0.0.0/24, fd00::/64
#	nodes ───┘
#
# interconnect    the gateway reaches the nodes over a network of their own; they answer through front.
#
#	client ──┐                               ┌── gateway
#	gateway ─┤ front 10.0.0.0/24, fd00::/64  │ back 10.0.1.0/24, fd00:1::/64
#	nodes ───┘                               └── nodes
#
# With LAB_ROUTER=1 the client (10.9.0.2, fd00:9::2) is behind a router, in both wirings.
#
# Nothing of the host is touched, and all of it goes with the shell that made it. Several labs can be
# up at the same time: the names of the namespaces hold the process id, and so do those of the instances
# of xdp-vec, which all begin with $LAB.
set -u

LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OUTPUT=${OUTPUT:-build}
case $OUTPUT in
/*) ;;
*) OUTPUT=$(cd "$LAB_HERE/../.." && pwd)/$OUTPUT ;;
esac
XDPVEC=${XDPVEC:-$OUTPUT/xdp-vec}
export PATH=$PATH:/usr/sbin:/sbin
unset http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy

LAB=xv$$
# shellcheck disable=SC2034 # used by the tests
VEC4=10.0.0.100 VEC6=fd00::100
LAB_TMP=${TMPDIR:-/tmp}/$LAB-test
LAB_WIRING='' LAB_NODES=0 LAB_DIR=''
LAB_PASSED=0 LAB_FAILED=0 LAB_SKIPPED=0
# Weighted choice goes by CPU; what must be shared exactly is sent from this one.
LAB_CPU=$(sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status)

# ---- Tests ------------------------------------------------------------------------------------------

# t FUNCTION [ARG...]: runs it as a test in a subshell with `set -e` and pipefail (so: no `| grep -q`, whose
# early end would kill the writer). Its output is shown if it fails.
t() {
	local label="${LAB_WIRING:+$LAB_WIRING: }$*" log status begin=${EPOCHREALTIME/./}
	log=$(mktemp "$LAB_TMP.XXXXXX")
	LAB_SKIP_MARK=$log.skip
	(
		set -eE -o pipefail
		trap 'echo "in line $LINENO: $BASH_COMMAND" >&2' ERR
		"$@"
	) >"$log" 2>&1 </dev/null
	status=$?
	local ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
	# Not by the status alone: jq has a 4 of its own.
	[ "$status" -ne 4 ] || [ -e "$log.skip" ] || status=1
	case $status in
	0)
		LAB_PASSED=$((LAB_PASSED + 1))
		echo "ok $label ($ms ms)"
		;;
	4)
		LAB_SKIPPED=$((LAB_SKIPPED + 1))
		echo "ok $label # SKIP $(tail -n 1 "$log")"
		;;
	*)
		LAB_FAILED=$((LAB_FAILED + 1))
		echo "not ok $label (status $status)"
		sed 's/^/    /' "$log"
		;;
	esac
	rm -f "$log" "$log.skip"
}

# Ends the file: status 0 all well, 4 all skipped, 1 something failed.
lab_end() {
	[ "$LAB_FAILED" -eq 0 ] || exit 1
	[ "$LAB_PASSED" -ne 0 ] || [ "$LAB_SKIPPED" -eq 0 ] || exit 4
	exit 0
}

fail() {
	echo "$*" >&2
	exit 1
}

# In a test: skips it. Outside: the whole file.
skip() {
	echo "$*" >&2
	: >"${LAB_SKIP_MARK:-/dev/null}"
	exit 4
}

# wait_until SECONDS COMMAND...: until it succeeds; fails when the time is over.
wait_until() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$SECONDS" -ge "$end" ]; then
			echo "not within the time: $*" >&2
			return 1
		fi
		sleep 0.05
	done
}

# same WHAT GOT WANTED
same() {
	[ "$2" = "$3" ] || fail "$1: got \"$2\", wanted \"$3\""
}

# ---- Where things run -------------------------------------------------------------------------------

# in_ns NAME COMMAND...: in namespace NAME of this lab. Not `ip netns exec`, which mounts a /sys of its
# own, where the pinned maps are missing.
in_ns() {
	local name=$1
	shift
	nsenter --net="/run/netns/$LAB-$name" -- "$@"
}

# gw WORD...: xdp-vec in the gateway's namespace. Here and in lab_down alone stands how it is called.
gw() {
	in_ns gateway "$XDPVEC" -i "$LAB" "$@"
}

# On one CPU, so that the gateway's program runs on one CPU too (a veth has no CPU of its own).
client() {
	in_ns client taskset -c "$LAB_CPU" "$@"
}

# node K COMMAND...
node() {
	local k=$1
	shift
	in_ns "node$k" "$@"
}

# The address of node K that the gateway sends to.
node4() {
	[ "$LAB_WIRING" = interconnect ] && echo "10.0.1.$((10 + $1))" || echo "10.0.0.$((10 + $1))"
}

node6() {
	[ "$LAB_WIRING" = interconnect ] && echo "fd00:1::$((10 + $1))" || echo "fd00::$((10 + $1))"
}

# node_for SERVICE K: its address of the family of the service.
node_for() {
	case $1 in
	\[*) node6 "$2" ;;
	*) node4 "$2" ;;
	esac
}

# ---- Building it ------------------------------------------------------------------------------------

lab_namespace() {
	local name=$1
	ip netns add "$LAB-$name"
	# Before there is any interface: those to come take these over. IPv6 without waiting for duplicates,
	# replies from where they come.
	in_ns "$name" sysctl -q -w \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0 \
		net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 \
		net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_ra=0
	in_ns "$name" ip link set lo up
}

lab_switch() {
	local name=$1 knob
	lab_namespace "$name"
	in_ns "$name" ip link add sw type bridge stp_state 0 forward_delay 0 mcast_snooping 0
	in_ns "$name" ip link set sw up
	for knob in iptables ip6tables arptables; do
		if in_ns "$name" test -e "/proc/sys/net/bridge/bridge-nf-call-$knob"; then
			in_ns "$name" sysctl -q -w "net.bridge.bridge-nf-call-$knob=0"
		fi
	done
}

# lab_cable NAME IFACE SWITCH ADDRESS...: a veth from namespace NAME to a port of the switch.
lab_cable() {
	local name=$1 iface=$2 switch=$3 addr
	shift 3
	in_ns "$name" ip link add "$iface" type veth peer name "$name" netns "$LAB-$switch"
	in_ns "$switch" ip link set "$name" master sw up
	# XDP loses checksums that are yet to be completed: none are left to be.
	in_ns "$name" ethtool -K "$iface" tx off rx off >/dev/null
	in_ns "$switch" ethtool -K "$name" tx off rx off >/dev/null
	in_ns "$name" ip link set "$iface" up
	for addr in "$@"; do
		case $addr in
		*:*) in_ns "$name" ip addr add "$addr" dev "$iface" nodad ;;
		*) in_ns "$name" ip addr add "$addr" dev "$iface" ;;
		esac
	done
}

# lab_pass NAME IFACE: a program that passes, so that the peer can send by XDP.
lab_pass() {
	local pin=/sys/fs/bpf/$LAB-pass
	"${BPFTOOL:-bpftool}" prog load "$OUTPUT/bpf/pass.bpf.o" "$pin"
	in_ns "$1" "${BPFTOOL:-bpftool}" net attach xdpdrv pinned "$pin" dev "$2"
	rm "$pin"
}

# A node that serves the VECs: their addresses on lo, not announced to anyone.
lab_node() {
	local k=$1 name=node$1
	lab_namespace "$name"
	in_ns "$name" sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
	lab_cable "$name" front front "10.0.0.$((10 + k))/24" "fd00::$((10 + k))/64"
	if [ "$LAB_WIRING" = interconnect ]; then
		lab_cable "$name" back back "10.0.1.$((10 + k))/24" "fd00:1::$((10 + k))/64"
	fi
	lab_hold "$k" "$VEC4" "$VEC6"
	lab_nginx "$name"
}

# lab_hold K ADDR...: node K serves these addresses.
lab_hold() {
	local k=$1 addr
	shift
	for addr in "$@"; do
		case $addr in
		*:*) node "$k" ip addr add "$addr/128" dev lo nodad ;;
		*) node "$k" ip addr add "$addr/32" dev lo ;;
		esac
	done
}

# A web server that answers with the name of its namespace; /big is 1 GB.
lab_nginx() {
	local name=$1 dir=$LAB_DIR/$1
	mkdir -p "$dir"
	cat >"$dir/nginx.conf" <<-END
		daemon off;
		user root;
		worker_processes 1;
		pid $dir/nginx.pid;
		error_log $dir/error.log;
		events { worker_connections 8192; }
		http {
			access_log off;
			client_body_temp_path $dir/tmp;
			proxy_temp_path $dir/tmp;
			fastcgi_temp_path $dir/tmp;
			uwsgi_temp_path $dir/tmp;
			scgi_temp_path $dir/tmp;
			server {
				listen 80;
				listen [::]:80 ipv6only=on;
				add_header X-Node $name always;
				location / { return 200 "$name\\n"; }
				location /big { alias $LAB_DIR/big; }
			}
		}
	END
	in_ns "$name" nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log" </dev/null >"$dir/out" 2>&1 &
	disown
}

lab_build() {
	local k
	lab_switch front
	lab_namespace gateway
	lab_cable gateway front front 10.0.0.1/24 fd00::1/64
	lab_pass front gateway
	if [ "$LAB_WIRING" = interconnect ]; then
		lab_switch back
		lab_cable gateway back back 10.0.1.1/24 fd00:1::1/64
		lab_pass back gateway
	fi
	for ((k = 1; k <= LAB_NODES; k++)); do
		lab_node "$k"
	done
	lab_namespace client
	if [ -z "${LAB_ROUTER:-}" ]; then
		lab_cable client front front 10.0.0.2/24 fd00::2/64
		return
	fi
	lab_namespace router
	in_ns router sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	lab_cable router front front 10.0.0.254/24 fd00::fe/64
	in_ns client ip link add front type veth peer name client netns "$LAB-router"
	in_ns client ethtool -K front tx off rx off >/dev/null
	in_ns client ip addr add 10.9.0.2/24 dev front
	in_ns client ip addr add fd00:9::2/64 dev front nodad
	in_ns client ip link set front up
	in_ns router ip addr add 10.9.0.1/24 dev client
	in_ns router ip addr add fd00:9::1/64 dev client nodad
	in_ns router ip link set client up
	lab_default client 10.9.0.1 fd00:9::1
	lab_default gateway 10.0.0.254 fd00::fe
	for ((k = 1; k <= LAB_NODES; k++)); do
		lab_default "node$k" 10.0.0.254 fd00::fe
	done
}

lab_default() {
	in_ns "$1" ip route add default via "$2"
	in_ns "$1" ip route add default via "$3"
}

# lab_up one-network|interconnect NODES
lab_up() {
	local k status
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	LAB_WIRING=$1 LAB_NODES=$2
	LAB_DIR=$(mktemp -d "${TMPDIR:-/tmp}/$LAB.XXXXXX")
	truncate -s 1G "$LAB_DIR/big"
	(
		set -e
		lab_build
	)
	status=$?
	[ "$status" -eq 0 ] || fail "the lab could not be raised"
	for ((k = 1; k <= LAB_NODES; k++)); do
		wait_until 10 node "$k" curl -fs "http://$VEC4/" || fail "no web server: $(cat "$LAB_DIR/node$k/error.log")"
	done
}

# lab_gateway WEIGHT...: HTTP over IPv4 and IPv6, on as many nodes as there are weights.
lab_gateway() {
	gw attach front &&
		gw vec add "$VEC4" name web4 dev front &&
		gw vec add "$VEC6" name web6 dev front &&
		lab_service "$VEC4:80/tcp" "$@" &&
		lab_service "[$VEC6]:80/tcp" "$@"
}

# lab_service SERVICE WEIGHT...: a port of a VEC with nodes 1, 2, ...
lab_service() {
	local service=$1 k=0 weight
	shift
	gw port add "$service" || return
	for weight in "$@"; do
		k=$((k + 1))
		lab_join "$k" "$service" "$weight" || return
	done
}

# lab_join K SERVICE WEIGHT: node K serves it too.
lab_join() {
	gw node add "$(node_for "$2" "$1")" at "$2" weight "$3"
}

# ---- Taking it down ---------------------------------------------------------------------------------

lab_namespaces() {
	ip netns list | sed -n "s/^\($LAB-[^ ]*\).*/\1/p"
}

# The processes in the lab's namespaces: all of them are its own.
lab_processes() {
	local ns
	for ns in $(lab_namespaces); do
		ip netns pids "$ns"
	done
}

lab_is_quiet() {
	[ -z "$(lab_processes)" ]
}

lab_kill() {
	local pids
	pids=$(lab_processes)
	# shellcheck disable=SC2086 # a list
	[ -z "$pids" ] || kill "-$1" $pids 2>/dev/null
}

# Everything away, in whatever state it is.
lab_down() {
	local pins ns
	for pins in /sys/fs/bpf/xdp-vec/"$LAB"*; do
		[ -e "$pins" ] || continue
		if [ -e "/run/netns/$LAB-gateway" ]; then
			in_ns gateway "$XDPVEC" -i "${pins##*/}" detach
		else
			"$XDPVEC" -i "${pins##*/}" detach
		fi
		rm -rf "$pins"
	done
	lab_kill TERM
	wait_until 5 lab_is_quiet || lab_kill KILL
	for ns in $(lab_namespaces); do
		ip netns del "$ns"
	done
	[ -z "$LAB_DIR" ] || rm -rf "$LAB_DIR"
	LAB_DIR='' LAB_WIRING=''
}

lab_exit() {
	trap '' INT TERM
	lab_down
	rm -f "$LAB_TMP".*
}
trap lab_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What is left of this lab, a line each; fails when there is something.
lab_leftovers() {
	local left
	left=$(
		lab_namespaces
		ls -d /sys/fs/bpf/xdp-vec/"$LAB"* /sys/fs/bpf/"$LAB"* "${TMPDIR:-/tmp}/$LAB".* 2>/dev/null || true
		pgrep -af "/$LAB\.|-i $LAB" || true
	)
	[ -z "$left" ] || {
		echo "left behind: $left"
		return 1
	}
}
