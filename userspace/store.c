// SPDX-License-Identifier: GPL-2.0
/*
 * Stores: where the old contents of a snapshotted device go. Either a block
 * device, or a path at which a sparse file is made.
 *
 * Such a file needs no cleaning up, ever: it is unlinked as soon as it is open,
 * the loop device holds it, and the loop device is cleared by the kernel when
 * its last user goes (autoclear). So neither removing the snapshot nor killing
 * anything nor a reboot leaves something behind. Between making and unlinking
 * the file there is one moment; the journal has its name for that.
 */
#include <blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "qmirrorctl.h"

#define LOOP_CONTROL	"/dev/loop-control"
/* others may take the free loop device that we were told of */
#define LOOP_TRIES	64
/* aligned for the largest blocks there are */
#define PROBE_BYTES	4096

/* ---- finding ---- */

static enum xit bad_path(const struct store *s, const struct blk *dev, int eno,
			 const char *why)
{
	err_set(XIT_FAIL, ST_CREATE_STORE, eno, dev->label,
		"STORE %s for %s cannot be created: %s", s->path, dev->label,
		why);
	return err_store(EC_OPEN_FILE, dev->label, s->path);
}

/* The folder a file is to be made in, without links, and its device. */
static int folder_of(const char *word, char *path, size_t size, struct stat *st)
{
	char *copy = xstrdup(word), *copy2 = xstrdup(word);
	const char *base = basename(copy2);
	char dir[PATH_MAX];
	int r = 0;

	/* NOLINTBEGIN(bugprone-branch-clone): the first that fails, in this order */
	if (!realpath(dirname(copy), dir))
		r = -errno;
	else if (snprintf(path, size, "%s/%s", strcmp(dir, "/") ? dir : "",
			  base) >= (int)size)
		r = -ENAMETOOLONG;
	else if (stat(dir, st) || access(dir, W_OK | X_OK))
		r = -errno;
	else if (!S_ISDIR(st->st_mode))
		r = -ENOTDIR;
	/* NOLINTEND(bugprone-branch-clone) */
	free(copy);
	free(copy2);
	return r;
}

static enum xit find_file(const char *word, const struct blk *dev,
			  struct store *s)
{
	struct stat st, devfs;
	const char *p;
	int r;

	snprintf(s->path, sizeof(s->path), "%s", word);
	for (p = word; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			return bad_path(s, dev, EINVAL,
					"control characters in a path");
	if (!*word || word[strlen(word) - 1] == '/')
		return bad_path(s, dev, EISDIR, "that is no name of a file");
	if (lstat(word, &st) == 0)
		return bad_path(s, dev, EEXIST,
				"the path exists; give one that does not, or a block device");
	r = folder_of(word, s->path, sizeof(s->path), &st);
	if (r)
		return bad_path(s, dev, -r, strerror(-r));
	/* a mistyped disk must not become a file in memory */
	if (stat("/dev", &devfs) == 0 && devfs.st_dev == st.st_dev)
		return bad_path(s, dev, ENODEV, "there is no such device");
	s->file = true;
	s->sectors = dev->sectors;
	s->max_block = dev->block_size;
	s->blk.major = major(st.st_dev);
	s->blk.minor = minor(st.st_dev);
	/* a file system with a made-up number: ask the mount table */
	if (!s->blk.major)
		mount_source_dev(s->blk.major, s->blk.minor, &s->blk.major,
				 &s->blk.minor);
	return XIT_OK;
}

static bool is_device(const char *word)
{
	struct dmdev d;
	struct stat st;

	if (!strchr(word, '/'))
		return *word && dm_get(word, &d) == 0;
	if (stat(word, &st) == 0)
		return S_ISBLK(st.st_mode);
	/* /dev/mapper/x works without a node too */
	return strncmp(word, "/dev/mapper/", 12) == 0 && word[12] &&
	       dm_name_ok(word + 12) && dm_get(word + 12, &d) == 0;
}

/* A block device by path or dm name; anything else is a path to be made. */
enum xit store_find(const char *word, const struct blk *dev, struct store *s)
{
	enum xit x;

	memset(s, 0, sizeof(*s));
	s->loop_fd = -1;
	if (!is_device(word))
		return find_file(word, dev, s);
	x = blk_find(word, "STORE", &s->blk);
	snprintf(s->path, sizeof(s->path), "%s", word);
	if (x != XIT_OK) {
		the_err.stage = ST_OPEN_STORE;
		return err_store(EC_OPEN_FILE, dev->label, s->path);
	}
	return XIT_OK;
}

/* ---- checks ---- */

/* Is it, or does it stand on, or under, that device or the other store? */
static enum xit apart(const struct store *s, const struct blk *b,
		      const char *role, const char *dev)
{
	const struct blk *me = &s->blk;
	bool same = me->major == b->major && me->minor == b->minor;

	if (same && !s->file)
		err_set(XIT_BUSY, ST_CHECK, EBUSY, dev,
			"STORE %s is the same device as %s %s; nothing was changed",
			s->path, role, b->label);
	else if (blk_is_on(me->major, me->minor, b->major, b->minor))
		err_set(XIT_BUSY, ST_CHECK, EBUSY, dev,
			"STORE %s is stacked on %s %s; nothing was changed",
			s->path, role, b->label);
	else if (!s->file && blk_is_on(b->major, b->minor, me->major, me->minor))
		err_set(XIT_BUSY, ST_CHECK, EBUSY, dev,
			"%s %s is stacked on STORE %s, which would be overwritten; nothing was changed",
			role, b->label, s->path);
	else
		return XIT_OK;
	return err_store(EC_OF_STATUS, dev, s->path);
}

enum xit store_apart_from_device(const struct store *s, const char *dev,
				 const struct blk *member)
{
	return apart(s, member, "member", dev);
}

enum xit stores_apart(const struct store *s, const char *dev,
		      const struct store *other)
{
	bool twice = s->file && other->file && strcmp(s->path, other->path) == 0;

	if (twice) {
		err_set(XIT_BUSY, ST_CHECK, EBUSY, dev,
			"STORE %s is named twice; nothing was changed", s->path);
		return err_store(EC_OF_STATUS, dev, s->path);
	}
	/* files of one file system are apart by themselves */
	return other->file ? XIT_OK : apart(s, &other->blk, "STORE", dev);
}

static enum xit check_dm_store(const struct store *s)
{
	const struct blk *b = &s->blk;

	if (!b->is_dm)
		return XIT_OK;
	if (strncmp(b->dm.uuid, UUID_HIDDEN, strlen(UUID_HIDDEN)) == 0)
		return err_set(XIT_BUSY, ST_OPEN_STORE, EBUSY, b->label,
			       "STORE %s is a part of another mirror or snapshot; nothing was changed",
			       b->label);
	if (b->dm.inactive)
		return err_set(XIT_BUSY, ST_OPEN_STORE, EBUSY, b->label,
			       "STORE %s has an inactive table: somebody is about to change it (dmsetup clear %s drops it)",
			       b->label, b->label);
	return XIT_OK;
}

static enum xit check_open(const struct store *s)
{
	const struct blk *b = &s->blk;
	enum xit x = check_dm_store(s);

	if (x == XIT_OK)
		x = blk_unused(b, "STORE");
	if (x != XIT_OK)
		return x;
	if (b->read_only)
		return err_set(XIT_FAIL, ST_OPEN_STORE, EROFS, b->label,
			       "STORE %s is read-only", b->label);
	if (b->zoned)
		return err_set(XIT_FAIL, ST_OPEN_STORE, EOPNOTSUPP, b->label,
			       "STORE %s is a zoned device, which cannot be a store",
			       b->label);
	if (!b->sectors)
		return err_set(XIT_FAIL, ST_OPEN_STORE, ENXIO, b->label,
			       "STORE %s has no size", b->label);
	return XIT_OK;
}

static enum xit check_format(const struct store *s, const struct blk *dev)
{
	const struct blk *b = &s->blk;

	if (b->sectors < dev->sectors)
		return err_set(XIT_FAIL, ST_CHECK, ENOSPC, dev->label,
			       "STORE %s is smaller than %s (%llu of %llu bytes)",
			       b->label, dev->label,
			       (unsigned long long)b->sectors << SECTOR_SHIFT,
			       (unsigned long long)dev->sectors << SECTOR_SHIFT);
	if (b->block_size > dev->block_size)
		return err_set(XIT_FAIL, ST_CHECK, EINVAL, dev->label,
			       "STORE %s has logical blocks of %u bytes, %s of %u: copies would not fit",
			       b->label, b->block_size, dev->label,
			       dev->block_size);
	return opt.force ? XIT_OK : blk_no_signature(b, "STORE");
}

/* An existing device: nobody's, large enough, and empty as far as one can see. */
enum xit store_check(const struct store *s, const struct blk *dev)
{
	enum xit x;

	if (s->file)
		return XIT_OK;
	x = check_open(s);
	if (x != XIT_OK) {
		the_err.stage = ST_OPEN_STORE;
		return err_store(EC_OPEN_FILE, dev->label, s->path);
	}
	x = check_format(s, dev);
	if (x != XIT_OK) {
		the_err.stage = ST_CHECK;
		return err_store(EC_FORMAT, dev->label, s->path);
	}
	return XIT_OK;
}

/* Sparse files grow: say so when they cannot grow to the end. */
void store_warn(const struct store *s, const struct blk *dev)
{
	uint64_t need = dev->sectors << SECTOR_SHIFT, room;
	char *copy, a[32], b[32];
	struct statvfs v;

	if (!s->file)
		return;
	copy = xstrdup(s->path);
	if (statvfs(dirname(copy), &v) == 0) {
		room = (uint64_t)v.f_bavail * v.f_frsize;
		if (room < need)
			note("warning: the file system of %s has room for %s, and %s is %s: when it is full, %s",
			     s->path, human_size(room, a, sizeof(a)), dev->label,
			     human_size(need, b, sizeof(b)),
			     opt.on_cbw_error &&
			     strcmp(opt.on_cbw_error, "break-snapshot") == 0 ?
			     "the snapshot breaks" :
			     "writes to it fail (--on-cbw-error)");
	}
	free(copy);
}

/* ---- making ---- */

/* What stands for it in a table: M:m once it is there, words in a dry run. */
char *store_text(const struct store *s, bool real)
{
	if (s->file && !real)
		return xasprintf("<loop of %s>", s->path);
	if (s->file && s->loop_fd < 0)
		return NULL;
	return xasprintf("%u:%u", s->file ? s->loop_major : s->blk.major,
			 s->file ? s->loop_minor : s->blk.minor);
}

static enum xit make_failed(const struct store *s, const char *dev,
			    enum stage stage, int eno, const char *what)
{
	err_set(XIT_FAIL, stage, eno, dev,
		"STORE %s for %s: %s: %s; everything is as it was", s->path,
		dev, what, strerror(eno));
	return err_store(EC_OPEN_FILE, dev, s->path);
}

/*
 * Does the file system do direct I/O, and not only say so? The loop driver
 * believes what it is told, and every copy fails: an overlay over a tmpfs.
 */
static bool does_direct(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	void *buf = NULL;
	bool ok;

	if (flags < 0 || posix_memalign(&buf, PROBE_BYTES, PROBE_BYTES))
		return false;
	ok = fcntl(fd, F_SETFL, flags | O_DIRECT) == 0 &&
	     pread(fd, buf, PROBE_BYTES, 0) >= 0;
	free(buf);
	return fcntl(fd, F_SETFL, flags) == 0 && ok;
}

/*
 * Direct I/O needs a loop device whose blocks are no smaller than those of
 * the disk below the file system. Larger than DEV's they must not be. Returns
 * the size of the blocks, 0 for none that would do.
 */
static uint32_t direct_block(const struct store *s, int fd)
{
	unsigned int below = SECTOR_SIZE;

	if (s->blk.major)
		below = blk_block_size(s->blk.major, s->blk.minor);
	if (below > s->max_block)
		note("%s: no direct I/O: its disk has blocks of %u bytes, larger than those it stores",
		     s->path, below);
	else if (!does_direct(fd))
		note("%s: no direct I/O: its file system does none", s->path);
	else
		return below;
	return 0;
}

static int loop_free(int control, char *node, size_t size)
{
	int nr = ioctl(control, LOOP_CTL_GET_FREE);

	if (nr < 0)
		return -errno;
	snprintf(node, size, "/dev/loop%d", nr);
	return 0;
}

/*
 * One try with the device that is free now; -EBUSY: somebody was faster. It is
 * kept by a read-only file: closing one that could write makes udev look at the
 * store, and later there would be the superblock of DEV in it.
 */
static int loop_try(struct store *s, int control,
		    const struct loop_config *config)
{
	char node[32];
	struct stat st;
	int fd, r = loop_free(control, node, sizeof(node));

	if (r)
		return r;
	fd = open(node, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = ioctl(fd, LOOP_CONFIGURE, config) ? -errno : 0;
	if (!r && fstat(fd, &st))
		r = -errno;
	if (!r) {
		s->loop_major = major(st.st_rdev);
		s->loop_minor = minor(st.st_rdev);
		s->loop_fd = open(node, O_RDONLY | O_CLOEXEC);
		r = s->loop_fd < 0 ? -errno : 0;
	}
	close(fd);
	return r;
}

static int loop_attach(struct store *s, int fd)
{
	uint32_t block = direct_block(s, fd);
	struct loop_config config = {
		.fd = (uint32_t)fd,
		.block_size = block ? block : SECTOR_SIZE,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR |
				 (block ? LO_FLAGS_DIRECT_IO : 0),
	};
	int control = open(LOOP_CONTROL, O_RDWR | O_CLOEXEC);
	int i, r = -EBUSY;

	if (control < 0)
		return -errno;
	for (i = 0; i < LOOP_TRIES && r == -EBUSY; i++)
		r = loop_try(s, control, &config);
	close(control);
	return r;
}

/* The step: the file is made and unlinked, and a loop device stands for it. */
enum xit store_make(struct store *s, const char *dev)
{
	enum xit x = XIT_OK;
	int fd, r;

	fd = open(s->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		  0600);
	if (fd < 0)
		return make_failed(s, dev, ST_CREATE_STORE, errno,
				   "cannot be created");
	fault_point();
	if (unlink(s->path))
		x = make_failed(s, dev, ST_CREATE_STORE, errno,
				"cannot be unlinked");
	/* whatever the umask says */
	else if (fchmod(fd, 0600) ||
		 ftruncate(fd, (off_t)(s->sectors << SECTOR_SHIFT)))
		x = make_failed(s, dev, ST_CREATE_STORE, errno,
				"cannot be made as large as the device");
	if (x == XIT_OK) {
		r = loop_attach(s, fd);
		if (r)
			x = make_failed(s, dev, ST_OPEN_STORE, -r,
					"no loop device for it");
	}
	close(fd);
	return x;
}

/* The dm tables hold the loop device from now on, or nobody does. */
void store_close(struct store *s)
{
	if (s->loop_fd >= 0)
		close(s->loop_fd);
	s->loop_fd = -1;
}

/*
 * A run that died between making the file and unlinking it. Nothing was there
 * when it wrote the journal; a file without a single block has no data that
 * anybody could miss.
 */
void store_forget(const char *path)
{
	struct stat st;

	if (!path[0] || lstat(path, &st) || !S_ISREG(st.st_mode) ||
	    st.st_blocks || st.st_size || (st.st_mode & 0777) & ~0600)
		return;
	if (unlink(path))
		verbose("%s: %s", path, strerror(errno));
}

/*
 * The path of the file behind a loop device as it was given; *deleted: it has
 * been unlinked since. False for any other device.
 */
static bool backing_file(unsigned int maj, unsigned int min, char *buf,
			 size_t size, bool *deleted)
{
	static const char gone[] = " (deleted)";
	size_t n;

	if (sysfs_str(maj, min, "loop/backing_file", buf, size))
		return false;
	n = strlen(buf);
	*deleted = n > strlen(gone) && strcmp(buf + n - strlen(gone), gone) == 0;
	if (*deleted)
		buf[n - strlen(gone)] = '\0';
	return true;
}

/*
 * Does the store go with its last user, as those do that store_make() makes?
 * To be asked while it has one: later its number is nobody's, or another's.
 */
bool store_goes(const char *devno)
{
	char path[PATH_MAX], on[4];
	unsigned int maj, min;
	bool deleted;

	return sscanf(devno, "%u:%u", &maj, &min) == 2 &&
	       backing_file(maj, min, path, sizeof(path), &deleted) && deleted &&
	       sysfs_str(maj, min, "loop/autoclear", on, sizeof(on)) == 0 &&
	       strcmp(on, "1") == 0;
}

/*
 * What was copied to a disk stays on it, and the first cluster looks like the
 * file system it is of, with the same UUID: nobody may find that.
 */
void store_wipe(const char *devno)
{
	char node[NAME_LEN + 8];
	unsigned int maj, min;
	blkid_probe pr;
	int fd;

	if (sscanf(devno, "%u:%u", &maj, &min) != 2)
		return;
	blk_node(maj, min, node, sizeof(node));
	fd = open(node, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return;		/* gone, or taken already */
	pr = blkid_new_probe();
	if (pr && blkid_probe_set_device(pr, fd, 0, 0) == 0) {
		blkid_probe_enable_superblocks(pr, 1);
		blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_MAGIC |
						  BLKID_SUBLKS_BADCSUM);
		blkid_probe_enable_partitions(pr, 1);
		blkid_probe_set_partitions_flags(pr, BLKID_PARTS_MAGIC);
		while (blkid_do_probe(pr) == 0)
			if (blkid_do_wipe(pr, 0))
				break;
	}
	blkid_free_probe(pr);
	if (fsync(fd))
		verbose("%s: %s", node, strerror(errno));
	close(fd);
}

/* ---- showing ---- */

static void loop_room(unsigned int maj, unsigned int min, const char *path,
		      int64_t *room)
{
	char node[NAME_LEN + 8], *copy = xstrdup(path);
	const char *dir = dirname(copy);
	struct loop_info64 info;
	struct statvfs v;
	struct stat st;
	int fd;

	blk_node(maj, min, node, sizeof(node));
	fd = open(node, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	/* the same file system still? */
	if (fd >= 0 && ioctl(fd, LOOP_GET_STATUS64, &info) == 0 &&
	    stat(dir, &st) == 0 && st.st_dev == info.lo_device &&
	    statvfs(dir, &v) == 0)
		*room = (int64_t)v.f_bavail * (int64_t)v.f_frsize;
	if (fd >= 0)
		close(fd);
	free(copy);
}

/* A store's name as the user knows it, and the room it can still grow by. */
void store_show(const char *devno, char *buf, size_t size, int64_t *room)
{
	unsigned int maj, min;
	bool deleted;

	*room = -1;
	if (sscanf(devno, "%u:%u", &maj, &min) != 2 ||
	    !backing_file(maj, min, buf, size, &deleted))
		devno_path(devno, buf, size);
	else
		loop_room(maj, min, buf, room);
}
