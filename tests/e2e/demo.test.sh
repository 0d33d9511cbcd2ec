#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The demo does what it says and leaves nothing behind, also when it is stopped half way.
. "$(dirname "$0")/lab.sh"

demo_start() {
	bash "$LAB_HERE/demo.sh" >"$out" 2>&1 &
	# The names of its lab follow from its process id.
	demo=$!
}

nothing_is_left() {
	LAB=xv$demo lab_leftovers
}

the_demo_shows_exact_shares() {
	demo_start
	wait "$demo" || fail "$(cat "$out")"
	cat "$out"
	same "tables of shares" "$(grep -c '^ *node *weight *requests *share' "$out")" 4
	same "halves" "$(grep -Ec '^ *[0-9a-f.:]+ +3 +60 +50 %' "$out")" 4
	nothing_is_left
}

# is_up: its gateway is attached.
is_up() {
	[ -e "/sys/fs/bpf/xdp-vec/xv$demo" ]
}

a_stopped_demo_cleans_up() {
	demo_start
	wait_until 20 is_up
	kill "-$1" "$demo"
	! wait "$demo" || fail "it was not stopped"
	nothing_is_left
}

[ "$(id -u)" -eq 0 ] || skip "needs root"
out=$LAB_TMP.out
t the_demo_shows_exact_shares
t a_stopped_demo_cleans_up TERM
lab_end
