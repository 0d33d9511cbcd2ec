# SPDX-License-Identifier: GPL-2.0-only
#
# Cuts a whole vmlinux.h (bpftool btf dump ... format c, 3 MB) down to the types that
# vmlinux.types asks for and all that these refer to by value, in the order of the dump. Types
# behind a pointer are only declared.
#
#	bpftool btf dump file /sys/kernel/btf/vmlinux format c | awk -f vmlinux.awk vmlinux.types -

function note_block(text, n, first, last, name, rest, m) {
	block[++blocks] = text
	first = text
	sub(/\n.*/, "", first)
	if (first ~ /^typedef /) {
		if (match(text, /\(\*[A-Za-z_0-9]+\)\(/))
			name = substr(text, RSTART + 2, RLENGTH - 4)
		else {
			name = text
			sub(/(\[[^\]]*\])*;$/, "", name)
			sub(/^(.|\n)*[^A-Za-z_0-9]/, "", name)
		}
		where["typedef " name] = blocks
	} else if (first ~ /^(struct|union|enum) [A-Za-z_0-9]+ \{/) {
		split(first, m, " ")
		where[m[1] " " m[2]] = blocks
	} else if (first ~ /^enum \{/) {
		rest = text
		while (match(rest, /\t[A-Za-z_0-9]+ =/)) {
			where["const " substr(rest, RSTART + 1, RLENGTH - 3)] = blocks
			rest = substr(rest, RSTART + RLENGTH)
		}
	}
}

function want(key) {
	if ((key in where) && !(where[key] in kept)) {
		kept[where[key]] = 1
		queue[++queued] = where[key]
	}
}

# The types that a block names: tags, and identifiers followed by another identifier or a star.
function want_references(text, word, pointer) {
	gsub(/\n/, " ", text)
	while (match(text, /[A-Za-z_][A-Za-z_0-9]*/)) {
		word = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		if (word == "struct" || word == "union" || word == "enum") {
			if (!match(text, /^ [A-Za-z_0-9]+/))
				continue
			key = word " " substr(text, 2, RLENGTH - 1)
			text = substr(text, RLENGTH + 1)
			pointer = text ~ /^ \*/
			if (!pointer || word == "enum")
				want(key)
			else
				declared[key] = 1
		} else if (text ~ /^ [A-Za-z_*(]/ || text ~ /^\)/)
			want("typedef " word)
	}
}

FNR == NR {
	if ($0 !~ /^(#|$)/)
		asked[++asks] = $0
	next
}

/^#/ || (!inside && /^$/) { next }

{
	if (inside)
		text = text "\n" $0
	else
		text = $0
	inside = inside ? !/^}/ : /\{$/
	if (!inside)
		note_block(text)
}

END {
	for (i = 1; i <= asks; i++) {
		if (!(asked[i] in where)) {
			print "vmlinux.awk: this kernel's BTF has no " asked[i] >"/dev/stderr"
			missing = 1
		}
		want(asked[i])
	}
	if (missing)
		exit 1
	for (done = 1; done <= queued; done++)
		want_references(block[queue[done]])

	print "/* SPDX-License-Identifier: GPL-2.0-only */"
	print "/* Made by `make vmlinux.h` from the kernel's BTF and bpf/vmlinux.types: do not edit. */"
	print "#ifndef __VMLINUX_H__"
	print "#define __VMLINUX_H__"
	print ""
	print "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX"
	print "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)"
	print "#endif"
	for (i = 1; i <= blocks; i++) {
		if (!(i in kept))
			continue
		# A declaration of what a later line only points to.
		for (key in declared) {
			if (index(block[i], key " *") && !((key in where) && (where[key] in kept)) && !(key in said)) {
				print "\n" key ";"
				said[key] = 1
			}
		}
		print "\n" block[i]
	}
	print ""
	print "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX"
	print "#pragma clang attribute pop"
	print "#endif"
	print ""
	print "#endif /* __VMLINUX_H__ */"
}
