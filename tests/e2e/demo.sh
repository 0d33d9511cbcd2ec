#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `make demo`: raises a cluster in network namespaces, sends real HTTP requests through the gateway, and
# shows who got how many. In both wirings, over IPv4 and IPv6. Nothing of it stays.
. "$(dirname "$0")/lab.sh"

weights=(3 2 1)
requests=120
wrong=0

if [ "$(id -u)" -ne 0 ]; then
	echo "the demo needs root: sudo make demo" >&2
	exit 1
fi

# show SERVICE URL
show() {
	local k got sum=0 weight_sum=0 answers
	answers=$(client curl -fsS -m 60 --http1.0 "$2?[1-$requests]") || wrong=1
	for k in "${weights[@]}"; do
		weight_sum=$((weight_sum + k))
	done
	printf '\n  %d requests to %s, each on a connection of its own\n' "$requests" "$2"
	printf '    %-12s %8s %10s %8s\n' node weight requests share
	for ((k = 1; k <= ${#weights[@]}; k++)); do
		got=$(grep -cx "node$k" <<<"$answers")
		sum=$((sum + got))
		printf '    %-12s %8d %10d %6d %%\n' "$(node_for "$1" "$k")" "${weights[k - 1]}" "$got" $((got * 100 / requests))
		[ $((got * weight_sum)) -eq $((weights[k - 1] * requests)) ] || wrong=1
	done
	[ "$sum" -eq "$requests" ] || echo "    $((requests - sum)) requests got no answer"
}

# cluster WIRING TEXT
cluster() {
	printf '\n%s\n' "$2"
	lab_up "$1" "${#weights[@]}"
	lab_gateway "${weights[@]}" || exit 1
	show "$VEC4:80/tcp" "http://$VEC4/"
	show "[$VEC6]:80/tcp" "http://[$VEC6]/"
	lab_down
}

cluster one-network "One network: client, gateway and nodes on one switch; packets leave the gateway where they came in."
cluster interconnect "Interconnect: the gateway hands packets to the nodes over a network of their own; they answer directly."
echo
if [ "$wrong" -ne 0 ]; then
	echo "The shares are not those of the weights."
	exit 1
fi
echo "Every node got exactly its share. The namespaces are gone."
