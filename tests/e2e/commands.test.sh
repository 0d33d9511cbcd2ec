#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The commands: every form, every key that scripts read, every error with its status and hint.
. "$(dirname "$0")/lab.sh"

service=$VEC4:80/tcp

# tables: all that commands can change, as JSON, without what traffic changes.
tables() {
	gw -j vec show
	gw -j port show
	gw -j defaults show
	gw -j node show | jq 'map(del(.active, .fin, .connections, .completed, .packets, .bytes))'
}

# refuse STATUS PATTERN COMMAND...: fails with this status, says why on stderr and what to do, says
# nothing on stdout, changes nothing; with -j the same as an object.
refuse() {
	local status=$1 pattern=$2 before after got=0
	shift 2
	before=$(tables 2>&1 || true)
	"$@" >"$LAB_DIR/stdout" 2>"$LAB_DIR/stderr" || got=$?
	after=$(tables 2>&1 || true)
	cat "$LAB_DIR/stderr"
	same "status of \"$*\"" "$got" "$status"
	[ ! -s "$LAB_DIR/stdout" ] || fail "stdout of \"$*\": $(cat "$LAB_DIR/stdout")"
	head -n 1 "$LAB_DIR/stderr" | grep -E '^xdp-vec: error: [^:]+.*: .+'
	sed -n 2p "$LAB_DIR/stderr" | grep -E '^xdp-vec: hint: .+'
	same "lines on stderr of \"$*\"" "$(wc -l <"$LAB_DIR/stderr")" 2
	grep -iE -- "$pattern" "$LAB_DIR/stderr" || fail "\"$*\" does not say $pattern"
	same "the tables after \"$*\"" "$after" "$before"
	if [ "$1" = gw ]; then
		shift
		got=0
		gw -j "$@" >"$LAB_DIR/stdout" 2>"$LAB_DIR/stderr" || got=$?
		same "status of \"-j $*\"" "$got" "$status"
		jq -es 'length == 1 and (.[0] | (keys == ["error", "hint"]) and (.error | length > 0) and (.hint | length > 0))' \
			"$LAB_DIR/stderr" || fail "-j $*: $(cat "$LAB_DIR/stderr")"
	fi
}

# keys COMMAND... -- KEY...: an array of flat objects, each with at least these keys.
keys() {
	local command=()
	while [ "$1" != -- ]; do
		command+=("$1")
		shift
	done
	shift
	"${command[@]}" >"$LAB_DIR/json"
	jq -e --arg keys "$*" '(type == "array") and (length > 0) and
		all(.[]; (($keys | split(" ")) - keys == []) and all(.[]; type != "object" and type != "array"))' \
		"$LAB_DIR/json" || fail "keys of ${command[*]}: $(cat "$LAB_DIR/json"), wanted $*"
}

# value KEY COMMAND...: of the first object.
value() {
	local key=$1
	shift
	gw -j "$@" | jq -c ".[0].$key"
}

# ---- Without an instance

help_is_for_everyone() {
	local object
	"$XDPVEC" --help | grep attach
	"$XDPVEC" -h >/dev/null
	"$XDPVEC" help >/dev/null
	"$XDPVEC" --version | grep -E '[0-9]+\.[0-9]+\.[0-9]+'
	"$XDPVEC" -V >/dev/null
	for object in attach detach status stats vec defaults port node conn; do
		"$XDPVEC" "$object" help | grep "$object" || fail "$object help"
	done
}

help_needs_no_root() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$XDPVEC" --help | grep attach
}

wrong_words_are_status_1() {
	refuse 1 'frobnicate' gw frobnicate
	refuse 1 'vex.*|vec' gw vex show
	refuse 1 'add' gw vec ad 10.0.0.100
	refuse 1 '' gw vec add
	refuse 1 '10\.0\.0\.300' gw vec add 10.0.0.300
	refuse 1 'fd00::g' gw vec add fd00::g
	refuse 1 'fd00:::1' gw vec add fd00:::1
	refuse 1 'colour' gw vec add 10.0.0.100 colour blue
	refuse 1 'name' gw vec add 10.0.0.100 name a name b
	refuse 1 'name' gw vec add 10.0.0.100 name
	refuse 1 '5' gw vec add 10.0.0.100 stale-timeout 5
	refuse 1 '5y' gw vec add 10.0.0.100 stale-timeout 5y
	refuse 1 '-5s' gw vec add 10.0.0.100 stale-timeout -5s
	refuse 1 '10\.0\.0\.100:0/tcp' gw port add 10.0.0.100:0/tcp
	refuse 1 '65536' gw port add 10.0.0.100:65536/tcp
	refuse 1 'sctp' gw port add 10.0.0.100:80/sctp
	refuse 1 '' gw port add 10.0.0.100:80
	refuse 1 '' gw port add fd00::100:80/tcp
	refuse 1 '101' gw port add "$service" weight-bound 101
	refuse 1 'weight' gw node add 10.0.0.11 at "$service" weight -1
	refuse 1 '3x' gw node add 10.0.0.11 at "$service" weight 3x
	refuse 1 '1e1' gw node add 10.0.0.11 at "$service" weight 1e1
	refuse 1 'at' gw node add 10.0.0.11 weight 3
	refuse 1 'mac' gw node add 10.0.0.11 at "$service" mac 01:00:5e:00:00:01
	refuse 1 '02:00' gw node add 10.0.0.11 at "$service" mac 02:00:00:00:00
	refuse 1 'maybe' gw node set 10.0.0.11 at "$service" quiesce maybe
	refuse 1 'sideways' gw attach front mode sideways
	refuse 1 '' gw attach
	refuse 1 'front' gw attach front front
	refuse 1 'connections' gw attach front connections 0
	refuse 1 'averyveryverylongname' gw attach averyveryverylongname
	refuse 1 '' gw conn show limit 0
	refuse 1 '--frobnicate' "$XDPVEC" --frobnicate
	refuse 1 '' "$XDPVEC" -i ../escape status
	refuse 1 '' "$XDPVEC"
}

# A word of the user's must not bring its own lines or terminal sequences into an error.
errors_stay_one_line() {
	! gw vec add $'10.0.0.1\nxdp-vec: done\e[31m' 2>"$LAB_DIR/stderr" || fail "accepted"
	same lines "$(wc -l <"$LAB_DIR/stderr")" 2
	! grep -q $'\e' "$LAB_DIR/stderr" || fail "a terminal sequence got through"
}

without_an_instance_everything_says_attach_first() {
	refuse 2 'attach' gw vec add "$VEC4"
	refuse 2 'attach' gw vec show
	refuse 2 'attach' gw node show
	refuse 2 'attach' gw conn count
	refuse 2 'attach' gw stats
	refuse 2 'attach' gw detach
}

what_the_system_lacks_is_said() {
	local as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all --inh-caps=-all"
	refuse 2 'nope0' gw attach nope0
	# shellcheck disable=SC2086 # several words
	refuse 2 'root|CAP_' in_ns gateway $as_nobody "$XDPVEC" -i "$LAB" attach front
	refuse 2 '' in_ns gateway strace -f -o /dev/null -e trace=bpf -e inject=bpf:error=ENOSYS "$XDPVEC" -i "$LAB" attach front
	[ ! -e "/sys/fs/bpf/xdp-vec/$LAB" ] || fail "pins of a refused attach"
}

a_foreign_program_is_left_alone() {
	lab_pass gateway front
	refuse 2 'front' gw attach front
	in_ns gateway ip link show front | grep 'prog/xdp'
	in_ns gateway ip link set dev front xdpdrv off
	[ ! -e "/sys/fs/bpf/xdp-vec/$LAB" ] || fail "pins of a refused attach"
}

# ---- With one

attach_takes_every_form() {
	local mode
	for mode in auto native generic; do
		gw attach front mode "$mode" connections 5000
		same capacity "$(value capacity conn count)" 5000
		in_ns gateway ip link show front | grep xdp
		gw detach
		! in_ns gateway ip link show front | grep xdp || fail "still attached"
		[ ! -e "/sys/fs/bpf/xdp-vec/$LAB" ] || fail "pins after detach"
	done
	gw attach front
	same capacity "$(value capacity conn count)" 1000000
	same "mode of the pins" "$(stat -c %a "/sys/fs/bpf/xdp-vec/$LAB")" 700
}

attaching_again_keeps_the_tables() {
	local before
	gw vec add "$VEC4" name kept
	before=$(tables)
	gw attach front
	gw attach front connections 1000000
	same tables "$(tables)" "$before"
	refuse 2 'connections' gw attach front connections 2000
	gw vec del "$VEC4"
}

vecs_take_every_form() {
	gw vec add "$VEC4" name web dev front stale-timeout 1h fin-timeout 30s
	gw vec add "$VEC6"
	keys gw -j vec show -- vec name
	same vecs "$(gw -j vec show | jq -c "map({vec, name})")" "[{\"vec\":\"$VEC4\",\"name\":\"web\"},{\"vec\":\"$VEC6\",\"name\":null}]"
	same "vec alone" "$(gw -j vec)" "$(gw -j vec show)"
	in_ns gateway ip -o addr show dev front | grep "$VEC4/32"
	gw vec show | grep web
	gw vec set "$VEC4" name www
	same name "$(value name vec show)" '"www"'
	refuse 2 "$VEC4" gw vec add "$VEC4"
	refuse 2 '10.0.0.99' gw vec set 10.0.0.99 name x
	refuse 2 '10.0.0.99' gw vec del 10.0.0.99
	refuse 2 'nope0' gw vec add 10.0.0.99 dev nope0
	gw vec del "$VEC4"
	! in_ns gateway ip -o addr show dev front | grep "$VEC4/32" || fail "$VEC4 is still claimed"
	# One that the host has already stays.
	in_ns gateway ip addr add "$VEC4/32" dev front
	gw vec add "$VEC4" dev front
	gw vec del "$VEC4"
	in_ns gateway ip -o addr show dev front | grep "$VEC4/32" || fail "the host's own $VEC4 is gone"
	in_ns gateway ip addr del "$VEC4/32" dev front
	gw vec del "$VEC6"
	same "vecs when there are none" "$(gw -j vec show | jq -c .)" '[]'
	gw vec add "$VEC4" name web
	gw vec add "$VEC6" name web6
}

defaults_take_every_form() {
	gw -j defaults show | jq -e 'length == 1'
	gw vec del "$VEC4"
	gw vec add "$VEC4"
	gw defaults set stale-timeout 2h fin-timeout 1m half-open 10s udp-timeout 200ms
	gw defaults show
	gw port add "$VEC4:1/tcp"
	gw port add "$VEC4:1/udp"
	same "timeouts from the defaults" "$(gw -j port show | jq -c 'map([.proto, .stale_timeout_ms, .fin_timeout_ms])')" \
		'[["tcp",7200000,60000],["udp",200,60000]]'
	gw defaults set stale-timeout 8000s fin-timeout 90s half-open 60s udp-timeout 120s
	same "timeouts from the defaults" "$(gw -j port show | jq -c 'map([.proto, .stale_timeout_ms, .fin_timeout_ms])')" \
		'[["tcp",8000000,90000],["udp",120000,90000]]'
	gw port del "$VEC4:1/tcp"
	gw port del "$VEC4:1/udp"
	refuse 1 '' gw defaults set
}

ports_take_every_form() {
	gw port add "$service"
	gw port add "[$VEC6]:53/udp" stale-timeout 10s fin-timeout 5s weight-bound 50
	keys gw -j port show -- vec port proto nodes stale_timeout_ms fin_timeout_ms weight_bound max_weight
	gw -j port show | jq -e --arg v4 "$VEC4" --arg v6 "$VEC6" 'map(del(.last_node, .eligible_weight)) == [
		{vec: $v4, port: 80, proto: "tcp", nodes: 0, stale_timeout_ms: 8000000, fin_timeout_ms: 90000, weight_bound: 20, max_weight: 0},
		{vec: $v6, port: 53, proto: "udp", nodes: 0, stale_timeout_ms: 10000, fin_timeout_ms: 5000, weight_bound: 50, max_weight: 0}]' ||
		fail "$(gw -j port show)"
	gw port set "$service" fin-timeout 45s weight-bound 30
	same fin_timeout_ms "$(value fin_timeout_ms port show)" 45000
	same weight_bound "$(value weight_bound port show)" 30
	refuse 2 "$VEC4:80/tcp" gw port add "$service"
	refuse 2 '10.0.0.99' gw port add 10.0.0.99:80/tcp
	refuse 2 "$VEC4:81/tcp" gw port set "$VEC4:81/tcp" fin-timeout 1s
	refuse 2 "$VEC4:81/tcp" gw port del "$VEC4:81/tcp"
	gw port set "$service" fin-timeout 90s weight-bound 20
}

# The VEC's timeouts stand between the port's and the defaults.
a_vec_s_timeouts_are_its_ports() {
	gw vec set "$VEC4" stale-timeout 3h
	same stale_timeout_ms "$(value stale_timeout_ms port show)" 10800000
	gw port set "$service" stale-timeout 4h
	same stale_timeout_ms "$(value stale_timeout_ms port show)" 14400000
	gw port del "$service"
	gw vec del "$VEC4"
	gw vec add "$VEC4" name web
	gw port add "$service"
}

nodes_take_every_form() {
	gw node add 10.0.0.12 at "$service" weight 3
	gw node add 10.0.0.11 at "$service"
	gw node add 10.0.0.20 at "$service" weight 1 mac 02:00:00:00:00:20 dev front
	gw node add fd00::11 at "[$VEC6]:53/udp"
	keys gw -j node show -- vec port proto node mac dev weight weight_now fixed_weight quiesced up active fin \
		connections completed packets bytes
	same "nodes, by address" "$(gw -j node show at "$service" | jq -c 'map(.node)')" '["10.0.0.11","10.0.0.12","10.0.0.20"]'
	same "their weights" "$(gw -j node show at "$service" | jq -c 'map(.weight)')" '[10,3,1]'
	same "weights in force" "$(gw -j node show at "$service" | jq -c 'map(.weight_now)')" '[10,3,1]'
	same "resolved" "$(gw -j node show at "$service" | jq -r '.[0].mac')" \
		"$(node 1 ip -j link show front | jq -r '.[0].address')"
	same "given" "$(gw -j node show at "$service" | jq -r '.[2] | .mac + " " + .dev')" "02:00:00:00:00:20 front"
	same "up" "$(gw -j node show at "$service" | jq -c 'map(.up)')" '[true,true,true]'
	same "max_weight" "$(value max_weight port show)" 10
	same "nodes" "$(value nodes port show)" 3
	gw node show | grep 10.0.0.11
	gw node set 10.0.0.11 at "$service" weight 7
	same weight "$(value weight node show at "$service")" 7
	gw node set 10.0.0.11 at "$service" fixed-weight 4
	same fixed_weight "$(value fixed_weight node show at "$service")" 4
	same weight_now "$(value weight_now node show at "$service")" 4
	gw node set 10.0.0.11 at "$service" fixed-weight off
	same fixed_weight "$(value fixed_weight node show at "$service")" null
	gw node set 10.0.0.11 at "$service" quiesce on
	same quiesced "$(value quiesced node show at "$service")" true
	same weight_now "$(value weight_now node show at "$service")" 0
	gw node set 10.0.0.11 quiesce off
	same quiesced "$(value quiesced node show at "$service")" false
	gw node set 10.0.0.11 at "$service" weight 0
	same weight "$(value weight node show at "$service")" 0
	gw node set 10.0.0.11 weight 10
	refuse 2 '10.0.0.11' gw node add 10.0.0.11 at "$service"
	refuse 2 '10.0.0.99' gw node set 10.0.0.99 at "$service" weight 1
	refuse 2 '10.0.0.99' gw node set 10.0.0.99 weight 1
	refuse 2 '10.0.0.99' gw node del 10.0.0.99 at "$service"
	refuse 2 '10.0.0.99' gw node del 10.0.0.99
	refuse 2 "$VEC4:81/tcp" gw node add 10.0.0.11 at "$VEC4:81/tcp"
	refuse 2 '21|20' gw node add 10.0.0.13 at "$service" weight 21
	refuse 2 '21|20' gw node set 10.0.0.12 at "$service" weight 21
	refuse 1 'fd00::11' gw node add fd00::11 at "$service"
	refuse 1 '10.0.0.11' gw node add 10.0.0.11 at "[$VEC6]:53/udp"
	refuse 2 'nope0' gw node add 10.0.0.13 at "$service" dev nope0
	refuse 2 "$VEC4:81/tcp" gw node show at "$VEC4:81/tcp"
	gw node del 10.0.0.20 at "$service"
	gw node add 10.0.0.20 at "$service" mac 02:00:00:00:00:20 dev front
	gw node del 10.0.0.20
	same "nodes left" "$(value nodes port show)" 2
}

nodes_behind_a_router_are_refused() {
	in_ns gateway ip route add 10.77.0.0/24 via 10.0.0.12
	refuse 2 '10.77.0.1.*|router' gw node add 10.77.0.1 at "$service"
	in_ns gateway ip route del 10.77.0.0/24
	refuse 2 '10.78.0.1' gw node add 10.78.0.1 at "$service"
}

# A node that nobody has seen yet is taken in, said so, and gets nothing until it answers.
an_unresolved_node_takes_no_traffic() {
	local got
	gw node add 10.0.0.40 at "$service" 2>"$LAB_DIR/stderr"
	cat "$LAB_DIR/stderr"
	grep -q 10.0.0.40 "$LAB_DIR/stderr"
	gw -j node show at "$service" | jq -e 'any(.[]; .node == "10.0.0.40" and .up == false and .mac == null)'
	got=$(client curl -fsS -m 10 --http1.0 "http://$VEC4/?[1-20]" | sort -u | xargs)
	same "who answers" "$got" "node1 node2"
	gw node del 10.0.0.40
}

connections_are() {
	[ "$(value connections conn count)" = "$1" ]
}

connections_are_shown_and_flushed() {
	local connected
	gw conn flush
	same connections "$(value connections conn count)" 0
	client curl -sN -m 20 --limit-rate 10k "http://$VEC4/big" >/dev/null &
	wait_until 5 connections_are 1
	keys gw -j conn show -- vec port proto client client_port node state idle_ms
	gw -j conn show | jq -e --arg v "$VEC4" '.[0] | .vec == $v and .port == 80 and .proto == "tcp" and
		.client == "10.0.0.2" and .client_port > 0 and (.node | startswith("10.0.0.1")) and .state == "active" and
		.idle_ms < 20000' || fail "$(gw -j conn show)"
	keys gw -j conn count -- connections capacity
	same connections "$(value connections conn count)" 1
	same capacity "$(value capacity conn count)" 1000000
	connected=$(gw -j conn show | jq -r '.[0].node')
	same "at its service" "$(gw -j conn show at "$service" node "$connected" limit 5 | jq length)" 1
	same "at another service" "$(gw -j conn show at "[$VEC6]:53/udp" | jq length)" 0
	gw conn show | grep 10.0.0.2
	gw -j node show at "$service" | jq -e --arg n "$connected" 'any(.[]; .node == $n and .active == 1)'
	gw conn flush at "[$VEC6]:53/udp"
	same connections "$(value connections conn count)" 1
	gw conn flush at "$service" node "$connected"
	wait_until 3 connections_are 0
	kill %1
}

status_fits_on_a_screen() {
	gw status | tee "$LAB_DIR/status"
	[ "$(wc -l <"$LAB_DIR/status")" -le 40 ]
	grep -q "$LAB" "$LAB_DIR/status"
	grep -q front "$LAB_DIR/status"
	grep -Eq 'native|generic' "$LAB_DIR/status"
	gw -j status | jq -e 'type == "array"'
}

stats_satisfy_promtool() {
	local family
	client curl -fsS -m 10 --http1.0 "http://$VEC4/?[1-20]" >/dev/null
	gw stats >"$LAB_DIR/stats"
	promtool check metrics <"$LAB_DIR/stats" >"$LAB_DIR/promtool" 2>&1 || fail "promtool: $(cat "$LAB_DIR/promtool")"
	[ ! -s "$LAB_DIR/promtool" ] || fail "promtool: $(cat "$LAB_DIR/promtool")"
	for family in xdpvec_build_info xdpvec_interface_packets_total xdpvec_drops_total xdpvec_node_packets_total \
		xdpvec_node_bytes_total xdpvec_node_connections_total xdpvec_node_connections_completed_total \
		xdpvec_node_connections xdpvec_node_weight xdpvec_node_up xdpvec_connections xdpvec_connections_capacity \
		xdpvec_untracked_packets_total; do
		grep -q "^# HELP $family " "$LAB_DIR/stats" || fail "no HELP of $family"
		grep -q "^# TYPE $family " "$LAB_DIR/stats" || fail "no TYPE of $family"
		grep -Eq "^$family(\\{| )" "$LAB_DIR/stats" || fail "no sample of $family"
	done
	grep -Eq '^xdpvec_interface_packets_total\{interface="front",verdict="tx"\} [1-9]' "$LAB_DIR/stats"
	grep -Eq "^xdpvec_node_connections_total\\{vec=\"$VEC4\",port=\"80\",proto=\"tcp\",node=\"10.0.0.11\"\\} [1-9]" "$LAB_DIR/stats"
	grep -Eq '^xdpvec_drops_total\{reason="not_syn"\} [0-9]' "$LAB_DIR/stats"
	grep -Eq '^xdpvec_node_connections\{.*state="active"\} [0-9]' "$LAB_DIR/stats"
	grep -Eq '^xdpvec_connections_capacity 1000000$' "$LAB_DIR/stats"
}

# What a service's name is quoted from cannot break the format.
every_form_of_json_parses() {
	local object
	for object in vec port node defaults "conn show" "conn count" status; do
		# shellcheck disable=SC2086 # two words
		gw -j $object | jq -e 'type == "array"' >/dev/null || fail "-j $object"
		# shellcheck disable=SC2086
		gw -j -p $object | jq -e 'type == "array"' >/dev/null || fail "-j -p $object"
		# shellcheck disable=SC2086
		gw --json --pretty $object | jq . >/dev/null || fail "--json --pretty $object"
	done
}

the_instance_comes_from_the_environment_too() {
	same vecs "$(in_ns gateway env XDP_VEC_INSTANCE="$LAB" "$XDPVEC" -j vec show)" "$(gw -j vec show)"
	same vecs "$(in_ns gateway "$XDPVEC" -j --instance "$LAB" vec show)" "$(gw -j vec show)"
}

# A program of another version: the pins say so, nothing is touched, and packets go on.
pins_of_another_version_are_refused() {
	local pin value
	pin=$(find "/sys/fs/bpf/xdp-vec/$LAB" -name '*layout*')
	value=$(bpftool -j map lookup pinned "$pin" key 0 0 0 0 | jq -r '.value | map(ltrimstr("0x")) | .[0] = "63" | map("0x" + .) | join(" ")')
	# shellcheck disable=SC2086 # bytes
	bpftool map update pinned "$pin" key 0 0 0 0 value $value
	refuse 2 'version|layout' gw attach front
	refuse 2 'version|layout' gw vec add 10.0.0.99
	refuse 2 'version|layout' gw node show
	client curl -fsS -m 5 "http://$VEC4/"
	# shellcheck disable=SC2086
	bpftool map update pinned "$pin" key 0 0 0 0 value 0x01 ${value#* }
	gw node show
}

detaching_an_interface_it_has_not_is_refused() {
	refuse 2 'nope0' gw detach nope0
	refuse 2 'lo' gw detach lo
}

detach_gives_everything_back() {
	gw detach front
	! in_ns gateway ip link show front | grep xdp || fail "still attached"
	gw detach
	[ ! -e "/sys/fs/bpf/xdp-vec/$LAB" ] || fail "pins after detach"
	! in_ns gateway ip -o addr show | grep "$VEC4/" || fail "$VEC4 is still claimed"
}

t help_is_for_everyone
t help_needs_no_root
lab_up one-network 2
t wrong_words_are_status_1
t errors_stay_one_line
t without_an_instance_everything_says_attach_first
t what_the_system_lacks_is_said
t a_foreign_program_is_left_alone
t attach_takes_every_form
t attaching_again_keeps_the_tables
t vecs_take_every_form
t defaults_take_every_form
t ports_take_every_form
t a_vec_s_timeouts_are_its_ports
t nodes_take_every_form
t nodes_behind_a_router_are_refused
gw vec set "$VEC4" dev front
t an_unresolved_node_takes_no_traffic
t connections_are_shown_and_flushed
t status_fits_on_a_screen
t stats_satisfy_promtool
t every_form_of_json_parses
t the_instance_comes_from_the_environment_too
t pins_of_another_version_are_refused
t detaching_an_interface_it_has_not_is_refused
t detach_gives_everything_back
lab_down
lab_end
