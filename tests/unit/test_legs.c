// SPDX-License-Identifier: GPL-2.0
/* What may be overwritten: against a made-up sysfs, mountinfo and swaps. */
#include <errno.h>
#include <linux/loop.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unit.h"

static char root[] = "/tmp/qmirror-unit-XXXXXX";
static char sys_dir[64], proc_dir[64];

/* dm lookups: nothing is there */
static int dm_get_errno = -ENXIO;

int __wrap_dm_get(const char *name, struct dmdev *d);
int __wrap_dm_get(const char *name __unused_arg, struct dmdev *d __unused_arg)
{
	return dm_get_errno;
}

static void sh(const char *fmt, ...) __printf(1, 2);
static void sh(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	if (system(cmd))
		fail_msg("%s", cmd);
}

/* dev NAME M:m [attr=value...]: a whole device */
static void dev(const char *name, const char *num)
{
	sh("d=%s/devices/%s; mkdir -p $d/slaves $d/holders $d/queue %s/dev/block;"
	   "echo %s > $d/dev; echo 204800 > $d/size; echo 0 > $d/ro;"
	   "echo 512 > $d/queue/logical_block_size; echo none > $d/queue/zoned;"
	   "ln -s ../../devices/%s %s/dev/block/%s", sys_dir, name, sys_dir,
	   num, name, sys_dir, num);
}

static void part(const char *disk, const char *name, const char *num)
{
	sh("d=%s/devices/%s/%s; mkdir -p $d/holders; echo 1 > $d/partition;"
	   "echo %s > $d/dev; echo 2048 > $d/size; echo 0 > $d/ro;"
	   "ln -s ../../devices/%s/%s %s/dev/block/%s", sys_dir, disk, name,
	   num, disk, name, sys_dir, num);
}

/* upper stands on lower */
static void stack(const char *upper, const char *lower)
{
	sh("cd %s/devices; ln -s $PWD/%s %s/slaves/; ln -s $PWD/%s %s/holders/",
	   sys_dir, lower, upper, upper, lower);
}

static int group_setup(void **state __unused_arg)
{
	if (!mkdtemp(root))
		return -1;
	snprintf(sys_dir, sizeof(sys_dir), "%s/sys", root);
	snprintf(proc_dir, sizeof(proc_dir), "%s/proc", root);
	sysfs_root = sys_dir;
	proc_root = proc_dir;
	sh("mkdir -p %s/self", proc_dir);
	dev("sda", "8:0");
	part("sda", "sda1", "8:1");
	part("sda", "sda2", "8:2");
	dev("sdb", "8:16");
	dev("sdc", "8:32");
	dev("sdd", "8:48");
	dev("sde", "8:64");
	part("sde", "sde1", "8:65");
	dev("dm-0", "253:0");	/* vg-lv on sda1 and sdb */
	stack("dm-0", "sda/sda1");
	stack("dm-0", "sdb");
	sh("mkdir %s/devices/dm-0/dm; echo vg-lv > %s/devices/dm-0/dm/name",
	   sys_dir, sys_dir);
	dev("dm-1", "253:1");	/* on dm-0 */
	stack("dm-1", "dm-0");
	dev("loop0", "7:0");	/* a file on what is mounted from dm-1 */
	sh("mkdir %s/devices/loop0/loop; echo %s/file > %s/devices/loop0/loop/backing_file",
	   sys_dir, root, sys_dir);
	dev("loop1", "7:1");	/* over loop0, as a device */
	dev("cciss!c0d0", "104:0");
	dev("nvme0n1", "259:0");
	sh("echo 4096 > %s/devices/nvme0n1/queue/logical_block_size", sys_dir);
	part("nvme0n1", "nvme0n1p1", "259:1");
	sh("printf '%%s\\n' "
	   "'22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw' "
	   "'23 22 253:1 / /data\\040dir rw - xfs /dev/mapper/x rw' "
	   "'24 22 8:65 / /mnt/e rw shared:3 master:4 - ext4 /dev/sde1 rw' "
	   "'junk' '25 22 0:30 / /proc rw - proc proc rw' > %s/self/mountinfo",
	   proc_dir);
	sh("printf 'Filename Type\\n/dev/nosuch partition 1 0 -2\\n' > %s/swaps",
	   proc_dir);
	return 0;
}

static int group_teardown(void **state __unused_arg)
{
	sh("rm -rf %s", root);
	return 0;
}

static void kernel_names(void **state __unused_arg)
{
	char buf[NAME_LEN];

	assert_int_equal(sysfs_kname(8, 1, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "sda1");
	assert_int_equal(sysfs_kname(104, 0, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "cciss/c0d0");
	assert_true(sysfs_kname(9, 9, buf, sizeof(buf)) < 0);
	blk_label(253, 0, buf, sizeof(buf));
	assert_string_equal(buf, "vg-lv");
	blk_label(8, 16, buf, sizeof(buf));
	assert_string_equal(buf, "sdb");
	blk_label(9, 9, buf, sizeof(buf));
	assert_string_equal(buf, "9:9");
}

static void partitions(void **state __unused_arg)
{
	unsigned int a, b;

	assert_true(sysfs_is_partition(8, 1));
	assert_false(sysfs_is_partition(8, 0));
	assert_int_equal(sysfs_parent(8, 1, &a, &b), 0);
	assert_int_equal(a, 8);
	assert_int_equal(b, 0);
	assert_int_equal(blk_block_size(259, 1), 4096);
	assert_int_equal(blk_block_size(8, 1), 512);
}

static void depths(void **state __unused_arg)
{
	/* itself, its partition's disk, dm on a partition, dm on dm */
	assert_true(blk_is_on(8, 0, 8, 0));
	assert_true(blk_is_on(8, 1, 8, 0));
	assert_true(blk_is_on(253, 0, 8, 1));
	assert_true(blk_is_on(253, 0, 8, 0));
	assert_true(blk_is_on(253, 1, 8, 0));
	assert_true(blk_is_on(253, 1, 8, 16));
	/* not the other way round, not a neighbour */
	assert_false(blk_is_on(8, 0, 8, 1));
	assert_false(blk_is_on(8, 0, 253, 0));
	assert_false(blk_is_on(253, 0, 8, 2));
	assert_false(blk_is_on(253, 0, 253, 1));
	assert_false(blk_is_on(8, 32, 8, 0));
}

static dev_t file_dev;
static bool file_is_blk;

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st)
{
	char file[80];

	memset(st, 0, sizeof(*st));
	snprintf(file, sizeof(file), "%s/file", root);
	if (strcmp(path, file) == 0) {
		st->st_mode = file_is_blk ? S_IFBLK : S_IFREG;
		st->st_dev = file_dev;
		st->st_rdev = file_dev;
		return 0;
	}
	if (strcmp(path, "/dev/mapper/btr") == 0) {
		st->st_mode = S_IFBLK;
		st->st_rdev = makedev(253, 0);
		return 0;
	}
	if (strcmp(path, "/dev/swapper") == 0) {
		st->st_mode = S_IFBLK;
		st->st_rdev = makedev(8, 32);
		return 0;
	}
	errno = ENOENT;
	return -1;
}

static void loops(void **state __unused_arg)
{
	file_dev = makedev(253, 1);
	assert_true(blk_is_on(7, 0, 253, 1));
	assert_true(blk_is_on(7, 0, 253, 0));
	assert_true(blk_is_on(7, 0, 8, 0));
	assert_false(blk_is_on(7, 0, 8, 32));
	file_dev = makedev(8, 32);
	assert_true(blk_is_on(7, 0, 8, 32));
	assert_false(blk_is_on(7, 0, 8, 0));
	/* the file is a block device */
	file_is_blk = true;
	file_dev = makedev(253, 0);
	assert_true(blk_is_on(7, 0, 8, 16));
	file_is_blk = false;
	/* a file system with a made-up number, as btrfs has */
	file_dev = makedev(0, 44);
	assert_false(blk_is_on(7, 0, 253, 0));
	sh("echo '26 22 0:44 /sub /b rw - btrfs /dev/mapper/btr rw' >> %s/self/mountinfo",
	   proc_dir);
	assert_true(blk_is_on(7, 0, 253, 0));
	assert_true(blk_is_on(7, 0, 8, 0));
}

/* a loop device over a block device says where that one's node lives, too */
static void loop_numbers(void **state __unused_arg)
{
	struct loop_info64 info = { .lo_device = 6 };
	unsigned int a, b;

	loop_devno(&info, &a, &b);
	assert_int_equal(a, 0);
	assert_int_equal(b, 6);
	info.lo_rdevice = (253 << 8) | 1;
	loop_devno(&info, &a, &b);
	assert_int_equal(a, 253);
	assert_int_equal(b, 1);
}

/* Only "there is none" is no such device. */
static void lookups(void **state __unused_arg)
{
	struct blk b;

	err_clear();
	assert_int_equal(blk_find("x", "NAME", &b), XIT_NODEV);
	err_clear();
	dm_get_errno = -ENOMEM;
	assert_int_equal(blk_find("x", "NAME", &b), XIT_FAIL);
	assert_int_equal(the_err.eno, ENOMEM);
	dm_get_errno = -ENXIO;
}

static void mounts(void **state __unused_arg)
{
	char where[64];

	assert_int_equal(mount_of(8, 2, where, sizeof(where)), 0);
	assert_string_equal(where, "/");
	assert_int_equal(mount_of(253, 1, where, sizeof(where)), 0);
	assert_string_equal(where, "/data dir");
	assert_int_equal(mount_of(8, 32, where, sizeof(where)), -ENOENT);
	/* by its source: btrfs does not show the device's number */
	assert_int_equal(mount_of(253, 0, where, sizeof(where)), 0);
	assert_string_equal(where, "/b");
}

static void swaps(void **state __unused_arg)
{
	assert_false(swap_on(8, 32));
	sh("echo '/dev/swapper partition 1 0 -2' >> %s/swaps", proc_dir);
	assert_true(swap_on(8, 32));
	assert_false(swap_on(8, 16));
}

static enum xit unused(unsigned int maj, unsigned int min, const char *label)
{
	struct blk b = { .major = maj, .minor = min };

	strcpy(b.label, label);
	strcpy(b.path, "/dev/null");
	err_clear();
	return blk_unused(&b, "TARGET");
}

static void uses(void **state __unused_arg)
{
	static const struct {
		unsigned int maj, min;
		const char *says;
	} rows[] = {
		{ 8, 2, "is mounted on /;" },
		{ 253, 1, "is mounted on /data dir" },
		{ 8, 32, "is used as swap" },
		{ 8, 16, "is held by vg-lv" },
		{ 8, 1, "is held by vg-lv" },
		{ 8, 0, "has a partition sda" },
		{ 8, 64, "has a partition sde1 that is mounted on /mnt/e" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(unused(rows[i].maj, rows[i].min, "x"),
				 XIT_BUSY);
		if (!strstr(the_err.desc, rows[i].says))
			fail_msg("%u:%u said '%s'", rows[i].maj, rows[i].min,
				 the_err.desc);
	}
	assert_int_equal(unused(8, 48, "sdd"), XIT_OK);
}

static enum xit target(struct blk *src, struct blk *tgt)
{
	strcpy(src->label, "SRC");
	strcpy(tgt->label, "TGT");
	strcpy(tgt->path, "/dev/null");
	err_clear();
	return leg_check_target(src, tgt, false);
}

static void targets(void **state __unused_arg)
{
	struct blk src = { .major = 253, .minor = 1, .sectors = 100,
			   .block_size = 512 };
	struct blk tgt = { .major = 8, .minor = 48, .sectors = 100,
			   .block_size = 512 };

	assert_int_equal(target(&src, &tgt), XIT_OK);
	tgt.block_size = 4096;
	assert_int_equal(target(&src, &tgt), XIT_FAIL);
	assert_non_null(strstr(the_err.desc, "logical blocks of 4096"));
	src.block_size = 4096;
	assert_int_equal(target(&src, &tgt), XIT_OK);
	tgt.block_size = 512;
	assert_int_equal(target(&src, &tgt), XIT_OK);
	tgt.sectors = 99;
	assert_int_equal(target(&src, &tgt), XIT_FAIL);
	assert_non_null(strstr(the_err.desc, "smaller"));
	tgt.sectors = 101;
	assert_int_equal(target(&src, &tgt), XIT_OK);
	tgt.read_only = true;
	assert_int_equal(target(&src, &tgt), XIT_FAIL);
	tgt.read_only = false;
	tgt.zoned = true;
	assert_int_equal(target(&src, &tgt), XIT_FAIL);
	tgt.zoned = false;
	tgt = (struct blk){ .major = 253, .minor = 1, .sectors = 100 };
	assert_int_equal(target(&src, &tgt), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "same device"));
	tgt.minor = 0;
	assert_int_equal(target(&src, &tgt), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "SOURCE SRC is stacked on TARGET"));
	src.minor = 0;
	tgt.minor = 1;
	assert_int_equal(target(&src, &tgt), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "TARGET TGT is stacked on SOURCE"));
}

static void dm_targets(void **state __unused_arg)
{
	struct blk src = { .major = 253, .minor = 1, .sectors = 100,
			   .block_size = 512 };
	struct blk tgt = { .major = 8, .minor = 48, .sectors = 100,
			   .block_size = 512, .is_dm = true };

	assert_int_equal(target(&src, &tgt), XIT_OK);
	tgt.dm.inactive = true;
	assert_int_equal(target(&src, &tgt), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "inactive table"));
	tgt.dm.inactive = false;
	strcpy(tgt.dm.uuid, UUID_SRC "1");
	assert_int_equal(target(&src, &tgt), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "part of another mirror"));
}

static void signatures(void **state __unused_arg)
{
	struct blk b = { .sectors = 8192 };

	snprintf(b.path, sizeof(b.path), "%s/disk", root);
	strcpy(b.label, "disk");
	sh("truncate -s 8M %s", b.path);
	err_clear();
	assert_int_equal(blk_no_signature(&b, "TARGET"), XIT_OK);
	sh("PATH=$PATH:/sbin mkfs.ext4 -q -F -L mine %s", b.path);
	assert_int_equal(blk_no_signature(&b, "TARGET"), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "ext4"));
	assert_non_null(strstr(the_err.desc, "mine"));
	assert_non_null(strstr(the_err.desc, "--force"));
	err_clear();
	sh("truncate -s 0 %s; truncate -s 8M %s; printf '\\125\\252' | dd of=%s bs=1 seek=510 conv=notrunc status=none;"
	   "printf '\\0\\0\\0\\0\\203\\0\\0\\0\\10\\0\\0\\0\\10\\0\\0\\0' | dd of=%s bs=1 seek=446 conv=notrunc status=none",
	   b.path, b.path, b.path, b.path);
	assert_int_equal(blk_no_signature(&b, "TARGET"), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "a partition table (dos)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_names), cmocka_unit_test(partitions),
		cmocka_unit_test(depths), cmocka_unit_test(loops),
		cmocka_unit_test(loop_numbers), cmocka_unit_test(lookups),
		cmocka_unit_test(dm_targets),
		cmocka_unit_test(mounts), cmocka_unit_test(swaps),
		cmocka_unit_test(uses), cmocka_unit_test(targets),
		cmocka_unit_test(signatures),
	};

	return cmocka_run_group_tests_name("legs", tests, group_setup,
					   group_teardown);
}
