// SPDX-License-Identifier: GPL-2.0
/*
 * May this device be overwritten, and may that one be mirrored? Every answer
 * of no says what was found. Nothing here changes anything.
 */
#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "qmirrorctl.h"

/* A node of devtmpfs, there with and without udev. */
void blk_node(unsigned int maj, unsigned int min, char *buf, size_t size)
{
	char kname[NAME_LEN];

	if (sysfs_kname(maj, min, kname, sizeof(kname)))
		snprintf(buf, size, "/dev/block/%u:%u", maj, min);
	else
		snprintf(buf, size, "/dev/%s", kname);
}

/* The name people know a device by: the dm name, else the kernel's. */
void blk_label(unsigned int maj, unsigned int min, char *buf, size_t size)
{
	if (sysfs_str(maj, min, "dm/name", buf, size) == 0 && buf[0])
		return;
	if (sysfs_kname(maj, min, buf, size))
		snprintf(buf, size, "%u:%u", maj, min);
}

/* ---- what a device stands on ---- */

struct walk {
	unsigned int base_maj, base_min;
	int depth;
};

/*
 * What a loop device stands on: lo_rdevice is the block device it was given;
 * for a file that is 0, and lo_device is its file system's. (For a block device
 * lo_device is only where its node lives.)
 */
void loop_devno(const struct loop_info64 *info, unsigned int *maj,
		unsigned int *min)
{
	uint64_t d = info->lo_rdevice ? info->lo_rdevice : info->lo_device;

	*maj = (unsigned int)((d & 0xfff00) >> 8);
	*min = (unsigned int)((d & 0xff) | ((d >> 12) & 0xfff00));
}

static int loop_backing(unsigned int maj, unsigned int min, unsigned int *fmaj,
			unsigned int *fmin)
{
	char node[NAME_LEN + 8], file[512];
	struct loop_info64 info;
	struct stat st;
	int fd, r;

	if (sysfs_str(maj, min, "loop/backing_file", file, sizeof(file)))
		return -ENOENT;
	/* the ioctl knows the device also when the file was unlinked */
	blk_node(maj, min, node, sizeof(node));
	fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0) {
		r = ioctl(fd, LOOP_GET_STATUS64, &info);
		close(fd);
		if (r == 0) {
			loop_devno(&info, fmaj, fmin);
			return 0;
		}
	}
	if (stat(file, &st))
		return -errno;
	*fmaj = S_ISBLK(st.st_mode) ? major(st.st_rdev) : major(st.st_dev);
	*fmin = S_ISBLK(st.st_mode) ? minor(st.st_rdev) : minor(st.st_dev);
	return 0;
}

static int walk_down(unsigned int maj, unsigned int min, void *arg)
{
	struct walk *w = arg;
	unsigned int a = 0, b = 0;
	int found = 0;

	if (maj == w->base_maj && min == w->base_min)
		return 1;
	/* stacks are shallow; this bounds a sysfs that lies */
	if (w->depth >= 32)
		return 0;
	w->depth++;
	if (sysfs_is_partition(maj, min) &&
	    sysfs_parent(maj, min, &a, &b) == 0)
		found = walk_down(a, b, w);
	if (!found && loop_backing(maj, min, &a, &b) == 0) {
		/* a file system with a made-up number: ask the mount table */
		if (a == 0)
			mount_source_dev(a, b, &a, &b);
		found = walk_down(a, b, w);
	}
	if (!found)
		found = sysfs_each(maj, min, "slaves", walk_down, w);
	w->depth--;
	return found;
}

/*
 * Is the device base, or on it at any depth: dm, md, partition, loop, file,
 * its file system's device?
 */
bool blk_is_on(unsigned int maj, unsigned int min, unsigned int base_maj,
	       unsigned int base_min)
{
	struct walk w = { base_maj, base_min, 0 };

	return walk_down(maj, min, &w);
}

/* ---- finding ---- */

unsigned int blk_block_size(unsigned int maj, unsigned int min)
{
	uint64_t v;

	/* a partition has its disk's queue */
	if (sysfs_is_partition(maj, min))
		sysfs_parent(maj, min, &maj, &min);
	if (sysfs_u64(maj, min, "queue/logical_block_size", &v))
		return SECTOR_SIZE;
	return (unsigned int)v;
}

static void blk_queue(struct blk *b)
{
	unsigned int maj = b->major, min = b->minor;
	char zoned[32];
	uint64_t v;

	if (sysfs_u64(maj, min, "size", &v) == 0)
		b->sectors = v;
	if (sysfs_u64(maj, min, "ro", &v) == 0)
		b->read_only = v;
	b->block_size = blk_block_size(maj, min);
	if (sysfs_is_partition(maj, min))
		sysfs_parent(maj, min, &maj, &min);
	if (sysfs_u64(maj, min, "queue/dax", &v) == 0)
		b->dax = v;
	b->zoned = sysfs_str(maj, min, "queue/zoned", zoned,
			     sizeof(zoned)) == 0 && strcmp(zoned, "none") != 0;
}

static int find_devno(const char *word, struct blk *b)
{
	struct stat st;
	int r;

	if (!strchr(word, '/')) {
		r = dm_get(word, &b->dm);
		if (r)
			return r;
		b->is_dm = true;
		b->major = b->dm.major;
		b->minor = b->dm.minor;
		return 0;
	}
	if (stat(word, &st) == 0) {
		if (!S_ISBLK(st.st_mode))
			return -ENOTBLK;
		b->major = major(st.st_rdev);
		b->minor = minor(st.st_rdev);
		b->is_dm = dm_get_by_devno(b->major, b->minor, &b->dm) == 0;
		return 0;
	}
	/* /dev/mapper/x works without a node too */
	if (strncmp(word, "/dev/mapper/", 12) == 0 &&
	    !strchr(word + 12, '/') && word[12] && dm_name_ok(word + 12))
		return find_devno(word + 12, b);
	return -errno;
}

/* DEV, SOURCE or TARGET: a dm name or a path. */
enum xit blk_find(const char *word, const char *role, struct blk *b)
{
	int r;

	memset(b, 0, sizeof(*b));
	r = *word && strlen(word) < sizeof(b->path) ? find_devno(word, b) :
						      -ENOENT;
	if (r == -ENOTBLK)
		return err_set(XIT_NODEV, ST_LOOKUP, r, word,
			       "%s %s is no block device", role, word);
	if (r == -EACCES || r == -EPERM)
		return err_set(XIT_FAIL, ST_LOOKUP, r, word,
			       "%s %s: not permitted, run as root", role, word);
	if (r && r != -ENXIO && r != -ENOENT && r != -ENODEV && r != -ENOTDIR)
		return err_set(XIT_FAIL, ST_LOOKUP, r, word,
			       "%s %s cannot be looked up: %s", role, word,
			       *dm_said() ? dm_said() : strerror(-r));
	if (r)
		return err_set(XIT_NODEV, ST_LOOKUP, r == -ENXIO ? ENODEV : r,
			       word, "%s %s not found: give a device-mapper name or the path of a block device",
			       role, word);
	if (b->is_dm && b->dm.live == false && b->dm.inactive == false)
		verbose("%s has no table", word);
	if (strchr(word, '/') && access(word, F_OK) == 0)
		snprintf(b->path, sizeof(b->path), "%s", word);
	else
		blk_node(b->major, b->minor, b->path, sizeof(b->path));
	if (b->is_dm)
		snprintf(b->label, sizeof(b->label), "%s", b->dm.name);
	else
		blk_label(b->major, b->minor, b->label, sizeof(b->label));
	blk_queue(b);
	return XIT_OK;
}

/* ---- unused? ---- */

struct use {
	char what[256];
};

static int first_holder(unsigned int maj, unsigned int min, void *arg)
{
	struct use *u = arg;
	char label[NAME_LEN];

	blk_label(maj, min, label, sizeof(label));
	snprintf(u->what, sizeof(u->what), "is held by %s", label);
	return 1;
}

static int use_of(unsigned int maj, unsigned int min, void *arg)
{
	struct use *u = arg;
	char where[200];

	if (mount_of(maj, min, where, sizeof(where)) == 0) {
		snprintf(u->what, sizeof(u->what), "is mounted on %s", where);
		return 1;
	}
	if (swap_on(maj, min)) {
		snprintf(u->what, sizeof(u->what), "is used as swap");
		return 1;
	}
	return sysfs_each(maj, min, "holders", first_holder, u);
}

static int use_of_part(unsigned int maj, unsigned int min, void *arg)
{
	struct use *u = arg, in;
	char label[NAME_LEN];

	if (!use_of(maj, min, &in))
		return 0;
	blk_label(maj, min, label, sizeof(label));
	snprintf(u->what, sizeof(u->what), "has a partition %s that %.150s",
		 label, in.what);
	return 1;
}

/* A link that moved since: the checks would be of another disk. */
static enum xit same_device(int fd, const struct blk *b, const char *role)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISBLK(st.st_mode) &&
	    (major(st.st_rdev) != b->major || minor(st.st_rdev) != b->minor))
		return err_set(XIT_BUSY, ST_CHECK, ESTALE, b->label,
			       "%s %s: %s is another device now; nothing was changed",
			       role, b->label, b->path);
	return XIT_OK;
}

/* No mount, no swap, no holder, on it or on its partitions. */
enum xit blk_unused(const struct blk *b, const char *role)
{
	struct use u = { "" };
	enum xit x;
	int fd;

	if (use_of(b->major, b->minor, &u) ||
	    sysfs_each_part(b->major, b->minor, use_of_part, &u))
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, b->label,
			       "%s %s %s; nothing was changed", role, b->label,
			       u.what);
	if (b->is_dm && b->dm.suspended)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, b->label,
			       "%s %s is suspended; resume it first (dmsetup resume %s)",
			       role, b->label, b->label);
	/* other namespaces, and claims sysfs does not show */
	fd = open(b->path, O_RDONLY | O_EXCL | O_CLOEXEC);
	if (fd < 0 && errno == EBUSY)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, b->label,
			       "%s %s is claimed by another user (a mount in another namespace, swap, md or the like); nothing was changed",
			       role, b->label);
	if (fd < 0 && (errno == ENXIO || errno == ENODEV || errno == ENOMEDIUM))
		return err_set(XIT_NODEV, ST_LOOKUP, errno, b->label,
			       "%s %s has no medium or is gone", role, b->label);
	if (fd < 0)
		return err_set(XIT_FAIL, ST_CHECK, errno, b->label,
			       "%s %s cannot be opened, so nobody can tell whether it is in use: %s",
			       role, b->label, strerror(errno));
	x = same_device(fd, b, role);
	close(fd);
	return x;
}

/* ---- signatures ---- */

static void signature_name(blkid_probe pr, char *buf, size_t size)
{
	const char *type = NULL, *label = NULL, *pt = NULL;

	blkid_probe_lookup_value(pr, "TYPE", &type, NULL);
	blkid_probe_lookup_value(pr, "LABEL", &label, NULL);
	blkid_probe_lookup_value(pr, "PTTYPE", &pt, NULL);
	if (type)
		snprintf(buf, size, "a signature (%s%s%s)", type,
			 label ? ", label " : "", label ? label : "");
	else if (pt)
		snprintf(buf, size, "a partition table (%s)", pt);
	else
		snprintf(buf, size, "a signature");
}

enum xit blk_no_signature(const struct blk *b, const char *role)
{
	blkid_probe pr = blkid_new_probe_from_filename(b->path);
	char what[128] = "several signatures";
	int r;

	if (!pr)
		return err_set(XIT_FAIL, ST_CHECK, errno, b->label,
			       "%s %s cannot be read to look for signatures: %s",
			       role, b->label, strerror(errno));
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE |
					  BLKID_SUBLKS_LABEL |
					  BLKID_SUBLKS_BADCSUM);
	blkid_probe_enable_partitions(pr, 1);
	r = blkid_do_safeprobe(pr);
	if (r == 0)
		signature_name(pr, what, sizeof(what));
	blkid_free_probe(pr);
	if (r == 1)
		return XIT_OK;
	/* -2: more than one. Anything else is a failure, -1 or an errno. */
	if (r != 0 && r != -2)
		return err_set(XIT_FAIL, ST_CHECK, r < -2 ? -r : EIO, b->label,
			       "%s %s cannot be read to look for signatures: %s",
			       role, b->label, strerror(r < -2 ? -r : EIO));
	return err_set(XIT_BUSY, ST_CHECK, EBUSY, b->label,
		       "%s %s carries %s; --force overwrites it",
		       role, b->label, what);
}

/* ---- the whole check of a TARGET ---- */

static enum xit check_fit(const struct blk *src, const struct blk *tgt)
{
	if (tgt->read_only)
		return err_set(XIT_FAIL, ST_CHECK, EROFS, tgt->label,
			       "TARGET %s is read-only", tgt->label);
	if (tgt->zoned || src->zoned)
		return err_set(XIT_FAIL, ST_CHECK, EOPNOTSUPP,
			       tgt->zoned ? tgt->label : src->label,
			       "%s is a zoned device, which cannot be mirrored",
			       tgt->zoned ? tgt->label : src->label);
	if (!tgt->sectors)
		return err_set(XIT_NODEV, ST_LOOKUP, ENXIO, tgt->label,
			       "TARGET %s has no size", tgt->label);
	if (tgt->sectors < src->sectors)
		return err_set(XIT_FAIL, ST_CHECK, ENOSPC, tgt->label,
			       "TARGET %s is smaller than SOURCE %s (%llu of %llu bytes)",
			       tgt->label, src->label,
			       (unsigned long long)tgt->sectors << SECTOR_SHIFT,
			       (unsigned long long)src->sectors << SECTOR_SHIFT);
	if (tgt->block_size > src->block_size)
		return err_set(XIT_FAIL, ST_CHECK, EINVAL, tgt->label,
			       "TARGET %s has logical blocks of %u bytes, SOURCE %s of %u: writes would not fit",
			       tgt->label, tgt->block_size, src->label,
			       src->block_size);
	return XIT_OK;
}

/*
 * A leftover NAME-qsrc has no opener and no signature of its own, but its
 * sectors are those of NAME.
 */
static enum xit check_dm_target(const struct blk *tgt)
{
	if (!tgt->is_dm)
		return XIT_OK;
	if (strncmp(tgt->dm.uuid, UUID_HIDDEN, strlen(UUID_HIDDEN)) == 0)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, tgt->label,
			       "TARGET %s is a part of another mirror or snapshot; nothing was changed",
			       tgt->label);
	if (tgt->dm.inactive)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, tgt->label,
			       "TARGET %s has an inactive table: somebody is about to change it (dmsetup clear %s drops it)",
			       tgt->label, tgt->label);
	return XIT_OK;
}

enum xit leg_check_target(const struct blk *src, const struct blk *tgt,
			  bool signature)
{
	enum xit x;

	if (tgt->major == src->major && tgt->minor == src->minor)
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, tgt->label,
			       "TARGET and SOURCE are the same device %s",
			       src->label);
	if (blk_is_on(tgt->major, tgt->minor, src->major, src->minor))
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, tgt->label,
			       "TARGET %s is stacked on SOURCE %s",
			       tgt->label, src->label);
	if (blk_is_on(src->major, src->minor, tgt->major, tgt->minor))
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, tgt->label,
			       "SOURCE %s is stacked on TARGET %s, which would be overwritten",
			       src->label, tgt->label);
	x = check_dm_target(tgt);
	if (x == XIT_OK)
		x = blk_unused(tgt, "TARGET");
	if (x == XIT_OK)
		x = check_fit(src, tgt);
	if (x == XIT_OK && signature)
		x = blk_no_signature(tgt, "TARGET");
	return x;
}

/*
 * dm uuids start with their manager's name and a dash. Ours and nobody's are
 * fine to change for good; returns the manager's name otherwise.
 */
const char *other_manager(const char *uuid)
{
	static char who[32];
	const char *dash = strchr(uuid, '-');
	size_t n = dash ? (size_t)(dash - uuid) : 0;

	if (!n || n >= sizeof(who) || strncmp(uuid, "QMIRROR", 7) == 0)
		return NULL;
	memcpy(who, uuid, n);
	who[n] = '\0';
	return who;
}

/*
 * NAME has a new table that its manager does not know of. It will not ask before
 * it loads its own again, so the user has to know.
 */
void note_manager(const char *name, const char *uuid, const char *what)
{
	const char *who = other_manager(uuid);

	if (!who)
		return;
	note("%s belongs to %s, which does not know of the %s: what makes %s load or remove the table%s ends it without a word; see lvm.rst",
	     name, who, what, who, strcmp(who, "LVM") == 0 ?
	     " (lvchange --refresh, lvextend, lvrename, lvcreate -s, vgchange -an, ...)" :
	     "");
}
