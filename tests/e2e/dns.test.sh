#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A DNS server behind the gateway, over UDP: each node answers with its own number.
. "$(dirname "$0")/lab.sh"

# Bound to the VECs, so that the answer comes from the address that was asked.
serve() {
	node "$1" dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --no-daemon --user=root \
		--pid-file= --bind-interfaces --listen-address="$VEC4,$VEC6" \
		--host-record="who.test,192.0.2.$1,2001:db8::$1" </dev/null >"$LAB_DIR/dnsmasq$1" 2>&1 &
	disown
	wait_until 5 node "$1" dig +short +time=1 +tries=1 "@$VEC4" who.test
}

ask() {
	client dig +short +time=2 +tries=1 "@$1" who.test A
}

a_question_is_answered() {
	ask "$1" | grep -Ex '192\.0\.2\.[12]'
}

# Every dig asks from a port of its own: 2 : 1 exactly.
questions_are_shared_by_weight() {
	local got
	got=$(for ((i = 0; i < 30; i++)); do ask "$1"; done | sort | uniq -c | awk '{ printf "%s%s=%d", s, $2, $1; s = " " }')
	same shares "$got" "192.0.2.1=20 192.0.2.2=10"
}

one_flow_keeps_its_node() {
	local port=$((20000 + RANDOM % 10000)) got
	got=$(for ((i = 0; i < 10; i++)); do client dig +short +time=2 +tries=1 -b "0.0.0.0#$port" "@$VEC4" who.test A; done |
		sort | uniq -c | wc -l)
	same "nodes that answered one flow" "$got" 1
}

lab_up one-network 2
serve 1
serve 2
lab_gateway 1 1 || fail "the gateway could not be set up"
lab_service "$VEC4:53/udp" 2 1
lab_service "[$VEC6]:53/udp" 2 1
t a_question_is_answered "$VEC4"
t a_question_is_answered "$VEC6"
t questions_are_shared_by_weight "$VEC4"
t questions_are_shared_by_weight "$VEC6"
t one_flow_keeps_its_node
lab_down
lab_end
