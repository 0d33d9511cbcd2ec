/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attaching an instance to interfaces, and undoing it. Everything lives in bpffs: a directory per
 * instance, a pin per map, program and link.
 *
 * A new instance is built in a directory NAME~new and shown by one rename; a removed one is renamed to
 * NAME~old before it is taken apart. What a killed process leaves under such names is cleared by the next.
 */
#include "instance.h"
#include "instance_pins.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "net.h"
#include "gateway.skel.h"

#define LINK_PREFIX "link_"

static void pins_path(char path[PIN_PATH_MAX], const char *name, const char *suffix, const char *pin)
{
	snprintf(path, PIN_PATH_MAX, "%s/%s%s%s%s", PINS_ROOT, name, suffix, pin ? "/" : "", pin ? pin : "");
}

static void link_pin_name(char pin[32], uint32_t ifindex)
{
	snprintf(pin, 32, LINK_PREFIX "%u", ifindex);
}

/* ---- bpffs ------------------------------------------------------------------------------------------- */

static int bpffs_ready(struct error *err)
{
	struct statfs fs;

	if (statfs(BPFFS, &fs))
		return error_refuse(err, BPFFS, "mount sysfs on /sys; the kernel must be built with BPF",
				    "%s", strerror(errno));
	if (fs.f_type != BPF_FS_MAGIC &&
	    mount("bpf", BPFFS, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700"))
		return error_refuse(err, BPFFS, "run as root, or mount -t bpf bpf " BPFFS,
				    "no BPF file system is mounted there, and it cannot be: %s",
				    strerror(errno));
	if (mkdir(PINS_ROOT, 0700) && errno != EEXIST)
		return error_refuse(err, PINS_ROOT, "run as root", "cannot make this directory: %s",
				    strerror(errno));
	return 0;
}

/* Takes a directory of pins apart, links first, so that no program runs on tables that are half gone. */
static void pins_remove(const char *name, const char *suffix)
{
	char path[PIN_PATH_MAX];
	struct dirent *entry;
	DIR *dir;

	for (int links = 1; links >= 0; links--) {
		pins_path(path, name, suffix, NULL);
		dir = opendir(path);
		if (!dir)
			return;
		while ((entry = readdir(dir))) {
			bool is_link = !strncmp(entry->d_name, LINK_PREFIX, strlen(LINK_PREFIX));

			if (entry->d_name[0] == '.' || is_link != links)
				continue;
			pins_path(path, name, suffix, entry->d_name);
			unlink(path);
		}
		closedir(dir);
	}
	pins_path(path, name, suffix, NULL);
	rmdir(path);
}

static int pin_fd(const char *name, const char *suffix, const char *pin, int fd)
{
	char path[PIN_PATH_MAX];

	pins_path(path, name, suffix, pin);
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

/* Puts a new program where another was, in one step. */
static int pin_replace(const char *name, const char *pin, int fd)
{
	char fresh[PIN_PATH_MAX], path[PIN_PATH_MAX], temporary[64];
	int ret;

	snprintf(temporary, sizeof(temporary), "%s~new", pin);
	pins_path(fresh, name, "", temporary);
	pins_path(path, name, "", pin);
	unlink(fresh);
	ret = pin_fd(name, "", temporary, fd);
	if (!ret && rename(fresh, path))
		ret = -errno;
	return ret;
}

static int pins_create(const char *name, const struct instance *inst, struct error *err)
{
	char fresh[PIN_PATH_MAX], path[PIN_PATH_MAX];
	int ret = 0;

	pins_remove(name, "~new");
	pins_path(fresh, name, "~new", NULL);
	pins_path(path, name, "", NULL);
	if (mkdir(fresh, 0700))
		return error_refuse(err, fresh, NULL, "cannot make this directory: %s", strerror(errno));
	for (int pin = 0; !ret && pin < PIN_COUNT; pin++) {
		int fd = pin == PIN_gateway ? inst->gateway_fd
			 : pin == PIN_clock ? inst->clock_fd
					    : bpf_map__fd(skel_map(inst->skel, pin));

		ret = pin_fd(name, "~new", pin_names[pin], fd);
	}
	if (!ret && rename(fresh, path))
		ret = -errno;
	if (!ret)
		return 0;
	pins_remove(name, "~new");
	return error_refuse(err, path, NULL, "cannot pin the tables: %s", strerror(-ret));
}

/* ---- Interfaces -----------------------------------------------------------------------------------------
 */

/* The interface's row, else one for it, else NULL. */
static struct iface *iface_slot_find(struct instance *inst, uint32_t ifindex, int *slot)
{
	struct iface *vacant = NULL;

	for (uint32_t probe = 0; probe < IFACE_PROBES; probe++) {
		uint32_t at = (ifindex + probe) % IFACE_SLOTS;
		struct iface *iface = &inst->ifaces[at];
		bool empty = !iface->ifindex || iface->ifindex == IFACE_GONE;

		if (iface->ifindex == ifindex || (empty && !vacant))
			*slot = at;
		if (iface->ifindex == ifindex)
			return iface;
		if (empty && !vacant)
			vacant = iface;
		if (!iface->ifindex)
			break;
	}
	return vacant;
}

int instance_iface_slot(struct instance *inst, uint32_t ifindex, struct error *err)
{
	struct bpf_devmap_val egress = { .ifindex = ifindex };
	struct link_info link = { 0 };
	struct iface *iface;
	int slot = 0, ret;
	uint32_t key;

	ret = net_link_by_index(ifindex, &link);
	if (ret)
		return error_refuse(err, "interface", NULL, "number %u: %s", ifindex, strerror(-ret));
	iface = iface_slot_find(inst, ifindex, &slot);
	if (!iface)
		return error_refuse(err, link.name, "detach interfaces that are not needed",
				    "the interface table has no room for it");
	key = slot;
	if (bpf_map_update_elem(inst->egress_fd, &key, &egress, BPF_ANY))
		return error_refuse(err, link.name, NULL, "cannot be sent to by redirect: %s",
				    strerror(errno));
	memcpy(&iface->mac_start, link.mac, 4);
	memcpy(&iface->mac_end, link.mac + 4, 2);
	__atomic_store_n(&iface->ifindex, ifindex, __ATOMIC_RELEASE);
	return slot;
}

void instance_refresh_ifaces(struct instance *inst)
{
	for (uint32_t slot = 0; slot < IFACE_SLOTS; slot++) {
		struct iface *iface = &inst->ifaces[slot];
		struct link_info link;
		struct error ignored;

		if (!iface->ifindex || iface->ifindex == IFACE_GONE)
			continue;
		if (net_link_by_index(iface->ifindex, &link) == -ENODEV) {
			iface->attached = 0;
			__atomic_store_n(&iface->ifindex, IFACE_GONE, __ATOMIC_RELEASE);
			bpf_map_delete_elem(inst->egress_fd, &slot);
			continue;
		}
		instance_iface_slot(inst, iface->ifindex, &ignored);
	}
}

/* The kernel's own word for a link's interface; 0 if it has gone. */
static uint32_t link_ifindex(int link_fd)
{
	struct bpf_link_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(link_fd, &info, &size) ? 0 : info.xdp.ifindex;
}

static bool attached_native(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return !bpf_xdp_query(ifindex, 0, &query) && query.attach_mode != XDP_ATTACHED_SKB;
}

int instance_attachments(const struct instance *inst, struct attachment *rows, int max)
{
	char path[PIN_PATH_MAX];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	pins_path(path, inst->name, "", NULL);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (count < max && (entry = readdir(dir))) {
		struct attachment *row = &rows[count];
		struct link_info link;
		int fd;

		if (strncmp(entry->d_name, LINK_PREFIX, strlen(LINK_PREFIX)))
			continue;
		fd = pin_open(inst->name, entry->d_name);
		if (fd < 0)
			continue;
		memset(row, 0, sizeof(*row));
		row->ifindex = link_ifindex(fd);
		close(fd);
		snprintf(row->ifname, sizeof(row->ifname), "%.15s", entry->d_name + strlen(LINK_PREFIX));
		if (row->ifindex && !net_link_by_index(row->ifindex, &link)) {
			memcpy(row->ifname, link.name, sizeof(row->ifname));
			row->native = attached_native(row->ifindex);
		}
		count++;
	}
	closedir(dir);
	return count;
}

static int link_try(int prog_fd, uint32_t ifindex, uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = flags);
	int fd = bpf_link_create(prog_fd, ifindex, BPF_XDP, &opts);

	return fd < 0 ? -errno : fd;
}

static int refuse_attach(struct error *err, const struct link_info *link, int ret)
{
	if (ret == -EBUSY || ret == -EEXIST)
		return error_refuse(err, link->name,
				    "`ip link show` names it, `ip link set DEV xdp off` removes it",
				    "another XDP program is attached there");
	if (ret == -EPERM)
		return error_refuse(err, link->name, "run as root", "the kernel does not permit it");
	return error_refuse(err, link->name, "`attach … mode generic` works with every driver, slowly",
			    "cannot attach: %s", strerror(-ret));
}

static int attach_one(struct instance *inst, const struct link_info *link, enum attach_mode mode,
		      void (*warn)(const char *line), struct error *err)
{
	char pin[32], line[256];
	int fd, ret, slot;

	if (!link->ethernet)
		return error_refuse(err, link->name, NULL, "carries no Ethernet frames");
	slot = instance_iface_slot(inst, link->ifindex, err);
	if (slot < 0)
		return slot;
	inst->ifaces[slot].attached = 1;
	fd = link_try(inst->gateway_fd, link->ifindex,
		      mode == MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	if (fd < 0 && mode == MODE_AUTO && fd != -EBUSY && fd != -EEXIST && fd != -EPERM) {
		snprintf(line, sizeof(line),
			 "%s: native mode is not possible (%s): attached in generic mode, which is slow",
			 link->name, strerror(-fd));
		fd = link_try(inst->gateway_fd, link->ifindex, XDP_FLAGS_SKB_MODE);
		if (fd >= 0)
			warn(line);
	}
	if (fd < 0) {
		inst->ifaces[slot].attached = 0;
		return refuse_attach(err, link, fd);
	}
	link_pin_name(pin, link->ifindex);
	ret = pin_fd(inst->name, "", pin, fd);
	close(fd);
	if (ret)
		return error_refuse(err, link->name, NULL, "cannot pin the link: %s", strerror(-ret));
	return 0;
}

/* An interface attached in another mode than the one asked for stays as it is: changing it would leave a gap.
 */
static int check_mode(const struct link_info *link, const struct spec *spec, struct error *err)
{
	bool native = attached_native(link->ifindex);

	if (!(spec->given & 1u << FIELD_MODE) || spec->mode == MODE_AUTO ||
	    native == (spec->mode == MODE_NATIVE))
		return 0;
	return error_refuse(err, link->name, "`xdp-vec detach IFACE` first", "it is attached in %s mode",
			    native ? "native" : "generic");
}

static bool is_attached(const struct instance *inst, uint32_t ifindex)
{
	char pin[32];
	int fd;
	bool attached;

	link_pin_name(pin, ifindex);
	fd = pin_open(inst->name, pin);
	if (fd < 0)
		return false;
	attached = link_ifindex(fd) == ifindex;
	close(fd);
	return attached;
}

/* 0 or -errno. */
static int link_remove(struct instance *inst, uint32_t ifindex)
{
	char pin[32], path[PIN_PATH_MAX];
	int slot = 0;

	link_pin_name(pin, ifindex);
	pins_path(path, inst->name, "", pin);
	if (unlink(path))
		return -errno;
	if (iface_slot_find(inst, ifindex, &slot))
		inst->ifaces[slot].attached = 0;
	return 0;
}

/* The program of every link that is there turns into the new one, at once and without a gap. */
static int swap_links(const struct instance *inst, int prog_fd, struct error *err)
{
	struct attachment rows[IFACE_SLOTS] = { 0 };
	int count = instance_attachments(inst, rows, IFACE_SLOTS);

	for (int i = 0; i < count; i++) {
		char pin[32], path[PIN_PATH_MAX];
		int fd, ret = 0;

		if (!rows[i].ifindex) { /* its interface has gone */
			snprintf(pin, sizeof(pin), LINK_PREFIX "%s", rows[i].ifname);
			pins_path(path, inst->name, "", pin);
			unlink(path);
			continue;
		}
		link_pin_name(pin, rows[i].ifindex);
		fd = pin_open(inst->name, pin);
		if (fd < 0 || bpf_link_update(fd, prog_fd, NULL))
			ret = -errno;
		if (fd >= 0)
			close(fd);
		if (ret)
			return error_refuse(err, rows[i].ifname, NULL, "cannot swap the program: %s",
					    strerror(-ret));
	}
	return 0;
}

/* ---- attach -----------------------------------------------------------------------------------------------
 */

static int links_check(const struct spec *spec, struct link_info *links, struct error *err)
{
	for (unsigned int i = 0; i < spec->iface_count; i++) {
		int ret = net_link_by_name(spec->ifaces[i], &links[i]);

		if (ret)
			return error_refuse(err, spec->ifaces[i], "`ip link` lists what there is", "%s",
					    ret == -ENODEV ? "there is no such interface" : strerror(-ret));
	}
	return 0;
}

/* Load the program anew over the tables of a live instance. */
static int renew(struct instance *inst, const char *name, const struct spec *spec, struct error *err)
{
	int fds[PIN_COUNT];
	int ret;

	ret = instance_open(inst, name, true, err);
	if (ret)
		return ret;
	if (spec->given & 1u << FIELD_CONNECTIONS && spec->connections != inst->params->connections) {
		ret = error_refuse(err, "connections",
				   "`xdp-vec detach` first, then attach with the new size",
				   "this instance has a table for %u, which cannot change while it lives",
				   inst->params->connections);
		goto out;
	}
	for (int pin = 0; pin < PIN_COUNT; pin++)
		fds[pin] = pin_open(name, pin_names[pin]);
	ret = skel_load(inst->params, fds, &inst->skel, err);
	for (int pin = 0; pin < PIN_COUNT; pin++)
		close(fds[pin]);
	if (ret)
		goto out;
	ret = swap_links(inst, bpf_program__fd(inst->skel->progs.gateway), err);
	if (ret)
		goto out;
	close(inst->gateway_fd);
	inst->gateway_fd = dup(bpf_program__fd(inst->skel->progs.gateway));
	ret = pin_replace(name, pin_names[PIN_gateway], inst->gateway_fd);
	if (!ret)
		ret = pin_replace(name, pin_names[PIN_clock], bpf_program__fd(inst->skel->progs.tell_tick));
	if (ret)
		ret = error_refuse(err, name, NULL, "cannot pin the program: %s", strerror(-ret));
out:
	if (ret)
		instance_close(inst);
	return ret;
}

/* All that are not attached yet, or none of them. */
static int attach_all(struct instance *inst, const struct spec *spec, const struct link_info *links,
		      void (*warn)(const char *line), struct error *err)
{
	bool fresh[SPEC_IFACES_MAX] = { false };
	int ret = 0;

	instance_refresh_ifaces(inst);
	for (unsigned int i = 0; !ret && i < spec->iface_count; i++) {
		fresh[i] = !is_attached(inst, links[i].ifindex);
		if (!fresh[i])
			ret = check_mode(&links[i], spec, err);
	}
	for (unsigned int i = 0; !ret && i < spec->iface_count; i++) {
		if (!fresh[i])
			continue;
		ret = attach_one(inst, &links[i], spec->mode, warn, err);
		if (!ret)
			continue;
		while (i-- > 0)
			if (fresh[i])
				link_remove(inst, links[i].ifindex);
		break;
	}
	return ret;
}

int instance_attach(const char *name, const struct spec *spec, void (*warn)(const char *line),
		    struct error *err)
{
	struct link_info links[SPEC_IFACES_MAX];
	char path[PIN_PATH_MAX];
	struct instance inst;
	bool made = false;
	int root, ret;

	ret = links_check(spec, links, err);
	if (!ret)
		ret = bpffs_ready(err);
	if (ret)
		return ret;
	root = instance_lock(PINS_ROOT);
	if (root < 0)
		return error_refuse(err, PINS_ROOT, "run as root", "cannot lock it: %s", strerror(-root));
	pins_remove(name, "~old");
	pins_path(path, name, "", NULL);
	if (!access(path, F_OK)) {
		ret = renew(&inst, name, spec, err);
	} else {
		ret = instance_make(
			&inst,
			spec->given & 1u << FIELD_CONNECTIONS ? spec->connections : CONNECTIONS_DEFAULT, err);
		snprintf(inst.name, sizeof(inst.name), "%s", name);
		if (!ret) {
			ret = pins_create(name, &inst, err);
			made = !ret;
			if (ret)
				instance_close(&inst);
		}
	}
	if (ret)
		goto out;
	ret = attach_all(&inst, spec, links, warn, err);
	instance_close(&inst);
	if (ret && made)
		pins_remove(name, ""); /* an instance that never worked leaves nothing */
out:
	close(root);
	return ret;
}

/* ---- detach -----------------------------------------------------------------------------------------------
 */

static int check_attached(const struct instance *inst, const char *ifname, uint32_t *ifindex,
			  struct error *err)
{
	struct link_info link = { 0 };

	if (net_link_by_name(ifname, &link) || !is_attached(inst, link.ifindex))
		return error_refuse(err, ifname, "`xdp-vec status` lists the interfaces",
				    "this instance is not attached there");
	*ifindex = link.ifindex;
	return 0;
}

int instance_detach(const char *name, const struct spec *spec, struct error *err)
{
	char path[PIN_PATH_MAX], old[PIN_PATH_MAX];
	uint32_t ifindexes[SPEC_IFACES_MAX] = { 0 };
	struct instance inst;
	int root, ret = 0;

	root = instance_lock(PINS_ROOT);
	pins_path(path, name, "", NULL);
	pins_path(old, name, "~old", NULL);
	if (root < 0 || access(path, F_OK)) {
		if (root >= 0) {
			pins_remove(name, "~old");
			close(root);
		}
		return error_refuse(err, name, "`xdp-vec attach IFACE` makes it", "%s",
				    root == -EACCES || root == -EPERM
					    ? "the kernel does not permit it: run as root"
					    : "there is no such instance");
	}
	if (spec->iface_count) {
		ret = instance_open(&inst, name, true, err);
		for (unsigned int i = 0; !ret && i < spec->iface_count; i++)
			ret = check_attached(&inst, spec->ifaces[i], &ifindexes[i], err);
		for (unsigned int i = 0; !ret && i < spec->iface_count; i++) {
			ret = link_remove(&inst, ifindexes[i]);
			if (ret)
				error_refuse(err, spec->ifaces[i], NULL, "cannot remove the link: %s",
					     strerror(-ret));
		}
		instance_close(&inst);
	} else {
		pins_remove(name, "~old");
		if (rename(path, old))
			ret = error_refuse(err, path, NULL, "cannot remove it: %s", strerror(errno));
		else
			pins_remove(name, "~old");
	}
	close(root);
	return ret;
}
