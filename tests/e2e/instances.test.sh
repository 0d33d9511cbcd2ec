#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# More than one of a thing: gateways on one machine, interfaces on one gateway, and the gateway as one of
# its own nodes.
. "$(dirname "$0")/lab.sh"

# ---- Two gateways

gw2() {
	in_ns gateway2 "$XDPVEC" -i "${LAB}b" "$@"
}

second_gateway() {
	lab_namespace gateway2
	lab_cable gateway2 front front 10.0.0.3/24 fd00::3/64
	lab_pass front gateway2
	lab_hold 2 10.0.0.101
}

two_instances_serve_side_by_side() {
	gw attach front
	gw2 attach front connections 2000
	gw vec add "$VEC4" dev front
	gw2 vec add 10.0.0.101 dev front
	gw port add "$VEC4:80/tcp"
	gw2 port add 10.0.0.101:80/tcp
	gw node add 10.0.0.11 at "$VEC4:80/tcp"
	gw2 node add 10.0.0.12 at 10.0.0.101:80/tcp
	same "the first's answer" "$(client curl -fsS -m 5 "http://$VEC4/")" node1
	same "the second's answer" "$(client curl -fsS -m 5 http://10.0.0.101/)" node2
}

they_do_not_see_each_other() {
	same "VECs of the first" "$(gw -j vec show | jq -c 'map(.vec)')" '["10.0.0.100"]'
	same "VECs of the second" "$(gw2 -j vec show | jq -c 'map(.vec)')" '["10.0.0.101"]'
	same "nodes of the second" "$(gw2 -j node show | jq -c 'map(.node)')" '["10.0.0.12"]'
	same "capacity of the first" "$(gw -j conn count | jq '.[0].capacity')" 1000000
	same "capacity of the second" "$(gw2 -j conn count | jq '.[0].capacity')" 2000
}

taking_one_away_leaves_the_other() {
	gw detach
	same "the second's answer" "$(client curl -fsS -m 5 http://10.0.0.101/)" node2
	! client curl -fs -m 1 "http://$VEC4/" || fail "the first still answers"
	gw2 detach
	[ ! -e "/sys/fs/bpf/xdp-vec/${LAB}b" ] || fail "pins of the second"
}

# ---- Several interfaces

# A second network of clients, on a leg of the gateway of its own. A router takes the nodes' answers there.
second_network() {
	local k
	lab_switch side
	lab_cable gateway side side 10.5.0.1/24 fd05::1/64
	lab_pass side gateway
	lab_namespace router
	in_ns router sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	lab_cable router front front 10.0.0.254/24 fd00::fe/64
	lab_cable router side side 10.5.0.254/24 fd05::fe/64
	lab_namespace client2
	lab_cable client2 front side 10.5.0.2/24 fd05::2/64
	lab_default client2 10.5.0.1 fd05::1
	for ((k = 1; k <= LAB_NODES; k++)); do
		node "$k" ip route add 10.5.0.0/24 via 10.0.0.254
		node "$k" ip route add fd05::/64 via fd00::fe
	done
}

client2() {
	in_ns client2 taskset -c "$LAB_CPU" "$@"
}

clients_of_both_networks_are_served() {
	gw attach side
	same "interfaces attached" "$(in_ns gateway ip -o link show | grep -c xdp)" 2
	client curl -fsS -m 5 "http://$VEC4/"
	client curl -gfsS -m 5 "http://[$VEC6]/"
	client2 curl -fsS -m 5 "http://$VEC4/"
	client2 curl -gfsS -m 5 "http://[$VEC6]/"
	gw stats | grep -E '^xdpvec_interface_packets_total\{interface="side",verdict="redirect"\} [1-9]'
	gw stats | grep -E '^xdpvec_interface_packets_total\{interface="front",verdict="tx"\} [1-9]'
}

both_share_one_choice() {
	local got
	got=$(
		for ((i = 0; i < 20; i++)); do
			client curl -fsS -m 5 "http://$VEC4/"
			client2 curl -fsS -m 5 "http://$VEC4/"
		done | sort | uniq -c | awk '{ printf "%s%s=%d", s, $2, $1; s = " " }'
	)
	same shares "$got" "node1=20 node2=20"
}

one_interface_can_be_detached_alone() {
	gw detach side
	client curl -fsS -m 5 "http://$VEC4/"
	same "interfaces attached" "$(in_ns gateway ip -o link show | grep -c xdp)" 1
	! client2 curl -fs -m 1 "http://$VEC4/" || fail "still served at the interface detached"
}

# ---- The gateway as a node

the_gateway_serves_its_own_share() {
	local got
	gw node add "$1" at "$2" weight 3
	gw -j node show at "$2" | jq -e --arg n "$1" 'any(.[]; .node == $n and .up)'
	got=$(client curl -fsS -m 20 --http1.0 "$3?[1-50]" | sort | uniq -c | awk '{ printf "%s%s=%d", s, $2, $1; s = " " }')
	same shares "$got" "gateway=30 node1=10 node2=10"
	same "its connections" "$(gw -j node show at "$2" | jq --arg n "$1" '.[] | select(.node == $n) | .connections')" 30
}

# ---- Nothing stays

detach_leaves_nothing() {
	local ids id
	ids=$(find "/sys/fs/bpf/xdp-vec/$LAB" -type f | while read -r pin; do bpftool -j map show pinned "$pin" 2>/dev/null; done |
		jq '.id // empty')
	[ -n "$ids" ]
	gw detach
	[ ! -e "/sys/fs/bpf/xdp-vec/$LAB" ] || fail "pins are left"
	! in_ns gateway ip -o link show | grep xdp || fail "still attached"
	! in_ns gateway ip -o addr show | grep -E "$VEC4/|$VEC6/" || fail "the VECs are still claimed"
	for id in $ids; do
		wait_until 10 gone "$id"
	done
}

gone() {
	! bpftool map show id "$1"
}

lab_up one-network 2
second_gateway
t two_instances_serve_side_by_side
t they_do_not_see_each_other
t taking_one_away_leaves_the_other

lab_gateway 1 1 || fail "the gateway could not be set up"
second_network
t clients_of_both_networks_are_served
t both_share_one_choice
t one_interface_can_be_detached_alone

lab_nginx gateway
wait_until 10 in_ns gateway curl -fs http://10.0.0.1/
t the_gateway_serves_its_own_share 10.0.0.1 "$VEC4:80/tcp" "http://$VEC4/"
t the_gateway_serves_its_own_share fd00::1 "[$VEC6]:80/tcp" "http://[$VEC6]/"
t detach_leaves_nothing
lab_down
t lab_leftovers
lab_end
