/* SPDX-License-Identifier: GPL-2.0-only */
/* Passes everything. A veth takes in frames that its peer sends by XDP only if it has a program itself. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *ctx __attribute__((unused)))
{
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
