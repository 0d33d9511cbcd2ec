#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The daemon: what it frees and follows while it runs, and that traffic does not need it.
. "$(dirname "$0")/lab.sh"

service=$VEC4:80/tcp

# Each test is a subshell, so the daemon's id and status are kept in files.
daemon_start() {
	rm -f "$LAB_DIR/run.status" "$LAB_DIR/run.pid"
	{
		status=0
		LAB_PID=$LAB_DIR/run.pid bash -c 'echo $$ >"$LAB_PID"; exec "$@"' - \
			nsenter --net="/run/netns/$LAB-gateway" "$XDPVEC" -i "$LAB" run </dev/null 2>"$LAB_DIR/run.err" ||
			status=$?
		echo "$status" >"$LAB_DIR/run.status"
	} &
	disown
	wait_until 10 daemon_waits
}

daemon_pid() {
	cat "$LAB_DIR/run.pid"
}

# Its timer is the last thing that it opens but one: from then on it only waits.
daemon_waits() {
	find "/proc/$(daemon_pid)/fd" -lname '*timerfd*' | grep .
}

daemon_ended() {
	[ -s "$LAB_DIR/run.status" ]
}

get() {
	client curl -fsS -m 10 --http1.0 "http://$VEC4/?[1-$1]"
}

count_is() {
	[ "$(gw -j conn count | jq '.[0].connections')" = "$1" ]
}

of_node() {
	gw -j node show at "$service" | jq -r --arg node "$1" ".[] | select(.node == \$node) | .$2"
}

of_node_is() {
	[ "$(of_node "$1" "$2")" = "$3" ]
}

without_the_daemon_expired_entries_only_look_gone() {
	gw defaults set fin-timeout 1s
	get 6
	wait_until 20 count_is 0
	same completed "$(of_node 10.0.0.11 completed)" 0
}

closed_connections_are_freed_and_counted() {
	daemon_start
	wait_until 20 of_node_is 10.0.0.11 completed 3
	wait_until 20 of_node_is 10.0.0.12 completed 2
	wait_until 20 of_node_is 10.0.0.13 completed 1
	same connections "$(of_node 10.0.0.11 connections)" 3
	gw defaults set fin-timeout 90s
}

# arping is not everywhere: the node's own kernel announces the new MAC when it asks for the gateway's.
a_node_s_new_mac_is_followed() {
	local mac=02:00:00:00:0a:01
	node 1 ip link set front address "$mac"
	node 1 ip neigh flush dev front
	node 1 curl -s -m 1 "http://10.0.0.1/" || true
	wait_until 60 of_node_is 10.0.0.11 mac "$mac"
	get 12 | grep node1
}

a_node_that_comes_up_later_is_used() {
	gw node add 10.0.0.14 at "$service" weight 3 2>/dev/null
	same up "$(of_node 10.0.0.14 up)" false
	node 2 ip addr add 10.0.0.14/24 dev front
	wait_until 60 of_node_is 10.0.0.14 up true
	gw node del 10.0.0.14
	node 2 ip addr del 10.0.0.14/24 dev front
}

killed_it_leaves_the_traffic_alone() {
	kill -9 "$(daemon_pid)"
	wait_until 10 daemon_ended
	get 30 >/dev/null
	daemon_start
}

stopped_it_says_nothing_and_leaves_the_traffic_alone() {
	kill -TERM "$(daemon_pid)"
	wait_until 10 daemon_ended
	same "status after SIGTERM" "$(cat "$LAB_DIR/run.status")" 0
	same "stderr" "$(cat "$LAB_DIR/run.err")" ""
	get 30 >/dev/null
}

it_ends_when_the_instance_is_removed() {
	daemon_start
	gw detach
	wait_until 10 daemon_ended
	same "status" "$(cat "$LAB_DIR/run.status")" 2
	grep 'has been removed' "$LAB_DIR/run.err"
}

lab_up one-network 3
lab_gateway 3 2 1 || fail "the gateway could not be set up"
t without_the_daemon_expired_entries_only_look_gone
t closed_connections_are_freed_and_counted
t a_node_s_new_mac_is_followed
t a_node_that_comes_up_later_is_used
t killed_it_leaves_the_traffic_alone
t stopped_it_says_nothing_and_leaves_the_traffic_alone
t it_ends_when_the_instance_is_removed
lab_down
lab_end
