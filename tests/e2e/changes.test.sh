#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The cluster changes while packets flow: nodes come, go and get other weights, services come and go.
# Connections of nodes that nobody touched run through.
. "$(dirname "$0")/lab.sh"

connections=${CHANGES_CONNECTIONS:-2000}
web=$VEC4:80/tcp
echo4=$VEC4:7000/tcp
echo6=[$VEC6]:7000/tcp

serve_echo() {
	node "$1" "$OUTPUT/tests/echo" serve 7000 "node$1" </dev/null >/dev/null 2>&1 &
	disown
}

# load_start ADDRESS SECONDS: the echo load in the background; returns when all connections are up.
load_start() {
	in_ns client "$OUTPUT/tests/echo" load "$1" 7000 "$connections" "$2" >"$LAB_DIR/load" &
	load_pid=$!
	wait_until 30 grep -q ready "$LAB_DIR/load"
}

# load_end [NODE]: nothing amiss with any connection, but for those broken at NODE.
load_end() {
	local report
	wait "$load_pid"
	report=$(tail -n 1 "$LAB_DIR/load")
	echo "$report"
	jq -e --arg changed "${1:-}" --argjson all "$connections" '
		.connections == $all and .connect_failed == 0 and .mismatches == 0 and
		([.nodes[].connections] | add) == $all and (.nodes | length) == 3 and
		([.nodes | to_entries[] | select(.key != $changed) | .value.broken] | add) == 0
	' <<<"$report"
}

# The download stays at node 1 or 2; node 3 comes and goes, all are reweighted, ports come and go.
nodes_change_under_a_download_and_many_connections() {
	local big_pid begin round=0
	gw node del "$(node4 3)" at "$web"
	client curl -fsS -m 120 --limit-rate 100M -o /dev/null -w '%{size_download}' "http://$VEC4/big" >"$LAB_DIR/size" &
	big_pid=$!
	load_start "$VEC4" 12
	begin=$SECONDS
	while [ $((SECONDS - begin)) -lt 10 ]; do
		round=$((round + 1))
		gw node set "$(node4 1)" at "$echo4" weight $((round % 20))
		gw node set "$(node4 2)" at "$web" weight $((1 + round % 7))
		gw node del "$(node4 3)" at "$echo4"
		gw node add "$(node4 3)" at "$web"
		gw node add "$(node4 3)" at "$echo4" weight $((1 + round % 3))
		gw port add "$VEC4:$((9000 + round))/tcp"
		gw node add "$(node4 2)" at "$VEC4:$((9000 + round))/tcp"
		gw node del "$(node4 3)" at "$web"
		[ "$round" -eq 1 ] || gw port del "$VEC4:$((9000 + round - 1))/tcp"
	done
	gw port del "$VEC4:$((9000 + round))/tcp"
	gw node add "$(node4 3)" at "$web"
	echo "$round rounds of changes"
	[ "$round" -gt 3 ]
	load_end node3
	wait "$big_pid"
	same "bytes of the download" "$(cat "$LAB_DIR/size")" 1073741824
}

# weights_alone_break_nothing SERVICE ADDRESS
weights_alone_break_nothing() {
	local begin k round=0
	for k in 1 2 3; do
		gw node set "$(node_for "$1" "$k")" at "$1" weight 1
	done
	load_start "$2" 6
	begin=$SECONDS
	while [ $((SECONDS - begin)) -lt 4 ]; do
		round=$((round + 1))
		gw node set "$(node_for "$1" $((1 + round % 3)))" at "$1" weight $((1 + round % 20))
	done
	gw node set "$(node_for "$1" 2)" at "$1" weight 0
	gw node set "$(node_for "$1" 3)" at "$1" quiesce on
	load_end
	gw node set "$(node_for "$1" 3)" at "$1" quiesce off
}

a_quiesced_node_gets_no_new_connections() {
	local got
	gw node set "$(node4 1)" at "$web" quiesce on
	got=$(client curl -fsS -m 30 --http1.0 "http://$VEC4/?[1-40]" | sort -u | xargs)
	gw node set "$(node4 1)" at "$web" quiesce off
	[[ $got != *node1* ]] || fail "$got"
}

a_removed_node_loses_its_connections() {
	client curl -fsS -m 30 --http1.0 "http://$VEC4/?[1-40]" >/dev/null
	[ "$(gw -j conn show at "$web" node "$(node4 3)" | jq length)" -gt 0 ]
	gw node del "$(node4 3)" at "$web"
	same "its connections" "$(gw -j conn show at "$web" | jq --arg n "$(node4 3)" '[.[] | select(.node == $n)] | length')" 0
	gw node add "$(node4 3)" at "$web" weight 1
}

# The VEC's address stays with the host, which refuses the port: a reset at once, not a silence.
a_removed_service_is_the_host_s_at_once() {
	local status=0
	gw port del "$web"
	client curl -fs -m 5 "http://$VEC4/" || status=$?
	same "curl's status (7: refused)" "$status" 7
	lab_service "$web" 1 1 1
	client curl -fsS -m 5 "http://$VEC4/"
}

a_node_moves_between_vecs() {
	local k
	gw vec add 10.0.0.101 dev front
	gw port add 10.0.0.101:80/tcp
	for k in 1 2 3; do
		lab_hold "$k" 10.0.0.101
	done
	gw node add "$(node4 2)" at 10.0.0.101:80/tcp
	same "the new VEC's node" "$(client curl -fsS -m 5 http://10.0.0.101/)" node2
	gw node add "$(node4 1)" at 10.0.0.101:80/tcp
	gw node del "$(node4 2)" at 10.0.0.101:80/tcp
	same "the new VEC's node" "$(client curl -fsS -m 5 http://10.0.0.101/)" node1
	gw vec del 10.0.0.101
	! client curl -fs -m 1 http://10.0.0.101/ || fail "a removed VEC still answers"
}

cluster() {
	local k
	lab_up "$1" 3
	for k in 1 2 3; do
		serve_echo "$k"
	done
	lab_gateway 1 1 1 || fail "the gateway could not be set up"
	lab_service "$echo4" 1 1 1
	lab_service "$echo6" 1 1 1
	t nodes_change_under_a_download_and_many_connections
	t weights_alone_break_nothing "$echo4" "$VEC4"
	t weights_alone_break_nothing "$echo6" "$VEC6"
	t a_quiesced_node_gets_no_new_connections
	t a_removed_node_loses_its_connections
	t a_removed_service_is_the_host_s_at_once
	t a_node_moves_between_vecs
	lab_down
	t lab_leftovers
}

cluster one-network
cluster interconnect
lab_end
