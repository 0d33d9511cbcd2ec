#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Real HTTP requests through the gateway, in both wirings, over IPv4 and IPv6.
. "$(dirname "$0")/lab.sh"

# get N URL: N requests, each on a connection of its own; the names of the nodes that answered.
get() {
	client curl -fsS -m 30 --http1.0 "$2?[1-$1]"
}

nobody_answers_without_a_gateway() {
	! client curl -fs -m 1 "http://$VEC4/" || fail "a node answered for $VEC4 itself"
	! client curl -gfs -m 1 "http://[$VEC6]/" || fail "a node answered for $VEC6 itself"
}

a_request_is_answered() {
	get 1 "$1" | grep -Ex 'node[123]'
}

# 3 : 2 : 1 exactly, since one CPU receives everything.
requests_are_shared_by_weight() {
	local got
	got=$(get 120 "$1" | sort | uniq -c | awk '{ printf "%s%s=%d", s, $2, $1; s = " " }')
	same shares "$got" "node1=60 node2=40 node3=20"
}

# Figure 9 with weights 3, 2, 1 walks 1 · 1 2 · 1 2 3 and starts again.
requests_go_in_the_order_of_the_walk() {
	local got cycle="1 1 2 1 2 3"
	got=$(get 12 "$1" | tr -d 'node' | xargs)
	[[ "$cycle $cycle $cycle" == *"$got"* ]] || fail "the order was $got"
}

one_connection_stays_at_its_node() {
	local got
	got=$(client curl -fsS -m 30 "$1?[1-50]" | sort -u | wc -l)
	same "nodes that answered on one connection" "$got" 1
}

every_node_counts_its_connections() {
	local before after
	before=$(gw -j node show at "$1" | jq -c 'sort_by(.node) | map(.connections)')
	get 60 "$2" >/dev/null
	after=$(gw -j node show at "$1" | jq -c 'sort_by(.node) | map(.connections)')
	same "new connections" "$(jq -cn --argjson b "$before" --argjson a "$after" \
		'[range(3)] | map($a[.] - $b[.])')" "[30,20,10]"
}

a_large_download_arrives_whole() {
	same bytes "$(client curl -gfsS -m 120 -r 0-199999999 "${1}big" | wc -c)" 200000000
}

a_large_upload_arrives_whole() {
	# Full-size packets from the client: these are what the gateway carries.
	head -c 20000000 /dev/urandom >"$LAB_DIR/upload"
	node 1 timeout 60 socat -u "TCP6-LISTEN:8080,ipv6only=0,reuseaddr" "CREATE:$LAB_DIR/arrived" &
	sleep 0.3
	client timeout 60 socat -u "FILE:$LAB_DIR/upload" "TCP:$1:8080"
	wait
	cmp "$LAB_DIR/upload" "$LAB_DIR/arrived"
	rm -f "$LAB_DIR/upload" "$LAB_DIR/arrived"
}

parallel_requests_are_all_answered() {
	in_ns client wrk -c 100 -d 2s -t 2 --header 'Connection: close' "$1" >"$LAB_DIR/wrk"
	cat "$LAB_DIR/wrk"
	grep -E '^ *[0-9]+ requests in' "$LAB_DIR/wrk"
	! grep -E 'Socket errors|Non-2xx' "$LAB_DIR/wrk"
}

the_gateway_s_own_services_go_on() {
	# To the gateway's own address and port: not ours, so the host's stack answers.
	in_ns gateway timeout 20 socat TCP4-LISTEN:80,reuseaddr,fork SYSTEM:'echo own' &
	sleep 0.3
	same answer "$(client timeout 5 socat -u TCP4:10.0.0.1:80 -)" own
	kill %1
}

cluster() {
	lab_up "$1" 3
	t nobody_answers_without_a_gateway
	lab_gateway 3 2 1 || fail "the gateway could not be set up"
	lab_service "$VEC4:8080/tcp" 1
	lab_service "[$VEC6]:8080/tcp" 1
	for url in "http://$VEC4/" "http://[$VEC6]/"; do
		t a_request_is_answered "$url"
		t requests_are_shared_by_weight "$url"
		t requests_go_in_the_order_of_the_walk "$url"
		t one_connection_stays_at_its_node "$url"
		t a_large_download_arrives_whole "$url"
	done
	t every_node_counts_its_connections "$VEC4:80/tcp" "http://$VEC4/"
	t every_node_counts_its_connections "[$VEC6]:80/tcp" "http://[$VEC6]/"
	t a_large_upload_arrives_whole "$VEC4"
	t a_large_upload_arrives_whole "[$VEC6]"
	t parallel_requests_are_all_answered "http://$VEC4/"
	t the_gateway_s_own_services_go_on
	lab_down
	t lab_leftovers
}

cluster one-network
cluster interconnect

LAB_ROUTER=1 lab_up interconnect 2
lab_gateway 1 1 || fail "the gateway could not be set up"
t a_request_is_answered "http://$VEC4/"
t a_request_is_answered "http://[$VEC6]/"
lab_down
lab_end
