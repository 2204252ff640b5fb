// SPDX-License-Identifier: GPL-2.0
/*
 * --dry-run: the very steps of a run, as golden text, and not one change. The
 * dm layer is a made-up machine; any changing call fails the test.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

struct fake {
	const char *name, *uuid;
	unsigned int minor;
	const char *type, *params, *status;
	int opens;
};

#define ST_ERR(state, err, ending) state " no 8/8 0/8 ok " err " 0 0 0 8 speed 0 " \
	"copy_mode background on_source_error report on_target_error report " ending " 0"
#define ST(state, ending) ST_ERR(state, "-", ending)

#define SARGS "cluster_size 128 on_cbw_error break-guest-write cbw_timeout 0"

static const struct fake fakes[] = {
	{ "data", "", 0, "linear", "8:0 0", NULL, 1 },
	{ "top", "", 1, "linear", "253:0 0", NULL, 0 },
	{ "big", "", 2, "linear", "8:64 0", NULL, 1 },
	{ "luks", "CRYPT-x", 3, "crypt", "aes", NULL, 1 },
	{ "m", "", 4, "qmirror", "253:5 0 8:16 0", ST("ready", "-"), 1 },
	{ "m-qsrc", UUID_SRC "1", 5, "linear", "8:32 0", NULL, 1 },
	{ "run", "", 6, "qmirror", "8:48 0 8:16 0", ST("running", "-"), 1 },
	{ "vg-data", "LVM-abc", 7, "qmirror", "8:48 0 8:16 0", ST("ready", "-"), 1 },
	{ "part", "", 8, "qmirror", "8:48 0 8:16 0 2 sync none", ST("ready", "-"), 1 },
	{ "stop", "", 9, "qmirror", "8:48 0 8:16 0", ST("standby", "-"), 1 },
	{ "s", "", 10, "cbw", "253:11 0 8:64 0 6 " SARGS, "armed 1/16 0 - 0 6 " SARGS, 1 },
	{ "s-qsrc", UUID_SRC "2", 11, "linear", "8:80 0", NULL, 2 },
	{ "s-snap", UUID_SNAP "2", 12, "cbw-snapshot", "253:11 0 8:64 0", "live -", 0 },
	{ "o", "", 13, "cbw", "253:14 0 8:96 0 6 " SARGS, "idle 0/16 0 - 0 6 " SARGS, 1 },
	{ "o-qsrc", UUID_SRC "3", 14, "linear", "8:112 0", NULL, 2 },
	{ "o-snap", UUID_SNAP "3", 15, "cbw-snapshot", "253:14 0 8:96 0", "ended -", 1 },
	{ "spare", "", 16, "linear", "8:144 0", NULL, 0 },
	{ "spare2", "", 17, "linear", "8:160 0", NULL, 0 },
	{ "lost-snap", UUID_SNAP "4", 18, "cbw-snapshot", "253:99 0 8:99 0", "ended -", 0 },
	{ "log", "", 19, "linear", "8:176 0", NULL, 1 },
	{ "log-snap", "", 20, "linear", "8:192 0", NULL, 0 },
	{ "root", "", 21, "linear", "8:208 0", NULL, 1 },
	{ "hurt", "", 22, "qmirror", "8:48 0 8:16 0", ST_ERR("paused", "target:write:EIO:64", "-"), 1 },
};

static const struct fake *fake_of(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(fakes); i++)
		if (strcmp(fakes[i].name, name) == 0)
			return &fakes[i];
	return NULL;
}

static int show(const struct fake *f, struct dmdev *d)
{
	if (!f)
		return -ENXIO;
	memset(d, 0, sizeof(*d));
	strcpy(d->name, f->name);
	strcpy(d->uuid, f->uuid);
	d->major = 253;
	d->minor = f->minor;
	d->exists = d->live = true;
	d->open_count = f->opens;
	return 0;
}

int __wrap_dm_get(const char *name, struct dmdev *d);
int __wrap_dm_get(const char *name, struct dmdev *d)
{
	return show(fake_of(name), d);
}

int __wrap_dm_get_by_devno(unsigned int maj, unsigned int min, struct dmdev *d);
int __wrap_dm_get_by_devno(unsigned int maj, unsigned int min, struct dmdev *d)
{
	return show(maj == 253 && min < ARRAY_SIZE(fakes) ? &fakes[min] : NULL,
		    d);
}

int __wrap_dm_table(const char *name, bool inactive, struct dmtable *t);
int __wrap_dm_table(const char *name, bool inactive __unused_arg,
		    struct dmtable *t)
{
	const struct fake *f = fake_of(name);

	memset(t, 0, sizeof(*t));
	if (!f)
		return -ENXIO;
	dmtable_add(t, 0, 2048, f->type, f->params);
	return 0;
}

int __wrap_dm_status(const char *name, struct dmtable *t);
int __wrap_dm_status(const char *name, struct dmtable *t)
{
	const struct fake *f = fake_of(name);

	memset(t, 0, sizeof(*t));
	if (!f)
		return -ENXIO;
	dmtable_add(t, 0, 2048, f->type, f->status ? f->status : "");
	return 0;
}

int __wrap_dm_list(struct dmdev **list, size_t *n);
int __wrap_dm_list(struct dmdev **list, size_t *n)
{
	size_t i;

	*n = ARRAY_SIZE(fakes);
	*list = xcalloc(*n, sizeof(**list));
	for (i = 0; i < *n; i++)
		show(&fakes[i], *list + i);
	return 0;
}

enum xit __wrap_blk_no_signature(const struct blk *b, const char *role);
enum xit __wrap_blk_no_signature(const struct blk *b __unused_arg,
				 const char *role __unused_arg)
{
	return XIT_OK;
}

/* top is on data; nothing else is on anything */
bool __wrap_blk_is_on(unsigned int maj, unsigned int min, unsigned int bmaj,
		      unsigned int bmin);
bool __wrap_blk_is_on(unsigned int maj, unsigned int min, unsigned int bmaj,
		      unsigned int bmin)
{
	return (maj == bmaj && min == bmin) ||
	       (maj == 253 && min == 1 && bmaj == 253 && bmin == 0);
}

#define FORBIDDEN(name, ...)						\
	int __wrap_##name(__VA_ARGS__);					\
	int __wrap_##name(__VA_ARGS__)					\
	{								\
		fail_msg("%s was called in a dry run", #name);		\
		return -EPERM;						\
	}

/* for the Makefile, which collects what to wrap:
 * __wrap_dm_load
 * __wrap_dm_resume
 * __wrap_dm_clear
 * __wrap_dm_remove
 * __wrap_dm_message
 * __wrap_dm_create
 */
FORBIDDEN(dm_create, const char *n __unused_arg, const char *u __unused_arg)
FORBIDDEN(dm_load, const char *n __unused_arg,
	  const struct dmtable *t __unused_arg, bool ro __unused_arg)
FORBIDDEN(dm_resume, const char *n __unused_arg, bool h __unused_arg)
FORBIDDEN(dm_clear, const char *n __unused_arg)
FORBIDDEN(dm_remove, const char *n __unused_arg, bool d __unused_arg)
FORBIDDEN(dm_message, const char *n __unused_arg, const char *m __unused_arg,
	  char *s __unused_arg, size_t z __unused_arg)

/* block devices: the dm ones above, and sdb as the target */
enum xit __wrap_blk_find(const char *word, const char *role, struct blk *b);
enum xit __wrap_blk_find(const char *word, const char *role, struct blk *b)
{
	memset(b, 0, sizeof(*b));
	b->sectors = 2048;
	b->block_size = 512;
	snprintf(b->label, sizeof(b->label), "%s", word);
	snprintf(b->path, sizeof(b->path), "/dev/%s", word);
	if (fake_of(word)) {
		show(fake_of(word), &b->dm);
		b->is_dm = true;
		b->major = 253;
		b->minor = b->dm.minor;
		if (strcmp(word, "big") == 0)
			b->block_size = 4096;
		return XIT_OK;
	}
	b->major = 8;
	if (strcmp(word, "sdb") == 0)
		b->minor = 16;
	else if (strcmp(word, "sdc") == 0)
		b->minor = 32;
	else
		return err_set(XIT_NODEV, ST_LOOKUP, ENODEV, word, "%s %s",
			       role, word);
	return XIT_OK;
}

enum xit __wrap_leg_check_target(const struct blk *src, const struct blk *tgt,
				 bool signature);
enum xit __wrap_leg_check_target(const struct blk *src __unused_arg,
				 const struct blk *tgt __unused_arg,
				 bool signature __unused_arg)
{
	return XIT_OK;
}

enum xit __wrap_blk_unused(const struct blk *b, const char *role);
enum xit __wrap_blk_unused(const struct blk *b __unused_arg,
			   const char *role __unused_arg)
{
	return XIT_OK;
}

int __wrap_sysfs_each(unsigned int maj, unsigned int min, const char *dir,
		      sysfs_each_fn fn, void *arg);
int __wrap_sysfs_each(unsigned int maj, unsigned int min,
		      const char *dir __unused_arg, sysfs_each_fn fn, void *arg)
{
	return maj == 253 && min == 2 ? fn(8, 64, arg) : 0;
}

unsigned int __wrap_blk_block_size(unsigned int maj, unsigned int min);
unsigned int __wrap_blk_block_size(unsigned int maj, unsigned int min)
{
	return maj == 8 && min == 64 ? 4096 : 512;
}

int __wrap_sysfs_str(unsigned int maj, unsigned int min, const char *attr,
		     char *buf, size_t size);
int __wrap_sysfs_str(unsigned int maj __unused_arg,
		     unsigned int min __unused_arg,
		     const char *attr __unused_arg, char *buf __unused_arg,
		     size_t size __unused_arg)
{
	return -ENOENT;
}

static char out[8192];

static enum xit tool(const char *line)
{
	static char copy[512], *argv[32];
	int argc = 0, first = 0, saved = dup(1), tmp;
	const struct verb *v;
	char *w, *save = NULL, name[] = "/tmp/qmirror-unit-XXXXXX";
	ssize_t n;
	enum xit x;

	opt = (struct options){ .timeout_ms = -1, .granularity = -1,
				.buf_size = -1, .speed = -1,
				.cbw_timeout = -1, .cluster_size = -1 };
	err_clear();
	strcpy(copy, line);
	argv[argc++] = (char *)"qmirrorctl";
	for (w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	argv[argc] = NULL;
	tmp = mkstemp(name);
	unlink(name);
	fflush(stdout);
	dup2(tmp, 1);
	x = parse_command(argc, argv, &v, &first);
	if (x == XIT_OK)
		x = v->run(argc - first, argv + first);
	json_plans(x);
	fflush(stdout);
	dup2(saved, 1);
	close(saved);
	n = pread(tmp, out, sizeof(out) - 1, 0);
	out[n > 0 ? n : 0] = '\0';
	close(tmp);
	return x;
}

static void golden(const char *line, const char *want)
{
	assert_int_equal(tool(line), XIT_OK);
	assert_string_equal(out, want);
}

static void start(void **state __unused_arg)
{
	golden("mirror start data sdb --dry-run",
"create data-qsrc (uuid QMIRROR-src-<random>)\n"
"load data-qsrc: 0 2048 error\n"
"resume data-qsrc\n"
"load data-qsrc: 0 2048 linear 8:0 0\n"
"load data: 0 2048 qmirror /dev/mapper/data-qsrc 0 8:16 0\n"
"suspend data-qsrc (noflush)\n"
"suspend data\n"
"resume data-qsrc\n"
"resume data\n");
}

static void start_args(void **state __unused_arg)
{
	golden("--dry-run mirror start sdc sdb --name n --copy-mode write-blocking "
	       "--granularity 4K --buf-size 1M --speed 10M --on-source-error ignore "
	       "--on-target-error enospc --target-is-zero --zero-detect --no-bounce "
	       "--sync top",
"create n (uuid QMIRRORDEV-<random>)\n"
"load n: 0 2048 qmirror 8:32 0 8:16 0 15 copy_mode write-blocking granularity 8 "
"buf_size 2048 speed 20480 on_source_error ignore on_target_error enospc "
"target_is_zero zero_detect no_bounce\n"
"resume n\n");
	golden("--dry-run mirror start sdc sdb --name n --sync none",
"create n (uuid QMIRRORDEV-<random>)\n"
"load n: 0 2048 qmirror 8:32 0 8:16 0 2 sync none\n"
"resume n\n");
}

/* 4096-byte blocks: the placeholder must have them too */
static void start_4k(void **state __unused_arg)
{
	golden("mirror start big sdb --dry-run",
"create big-qsrc (uuid QMIRROR-src-<random>)\n"
"load big-qsrc: 0 8 flakey 8:64 0 0 1; 8 2040 error\n"
"resume big-qsrc\n"
"load big-qsrc: 0 2048 linear 8:64 0\n"
"load big: 0 2048 qmirror /dev/mapper/big-qsrc 0 8:16 0\n"
"suspend big-qsrc (noflush)\n"
"suspend big\n"
"resume big-qsrc\n"
"resume big\n");
}

static void start_json(void **state __unused_arg)
{
	assert_int_equal(tool("mirror start sdc sdb --name n --dry-run --json"),
			 XIT_OK);
	assert_non_null(strstr(out, "\"dry-run\""));
	assert_non_null(strstr(out, "\"table\": \"0 2048 qmirror 8:32 0 8:16 0\""));
}

/* What the text has in brackets, of each step that has some: "dev key value, ..." */
static void json_tells(const char *line, const char *want)
{
	static const char *const keys[] = { "read-only", "noflush", "freeze", "size" };
	struct json_object *doc, *ops, *op, *dev, *v;
	char got[1024] = "";
	size_t i, k;

	assert_int_equal(tool(line), XIT_OK);
	doc = json_tokener_parse(out);
	assert_true(json_object_object_get_ex(doc, "dry-run", &ops));
	for (i = 0; i < json_object_array_length(ops); i++) {
		op = json_object_array_get_idx(ops, i);
		assert_true(json_object_object_get_ex(op, "device", &dev));
		for (k = 0; k < ARRAY_SIZE(keys); k++)
			if (json_object_object_get_ex(op, keys[k], &v))
				snprintf(got + strlen(got), sizeof(got) - strlen(got),
					 "%s %s %s\n", json_object_get_string(dev),
					 keys[k], json_object_get_string(v));
	}
	json_object_put(doc);
	assert_string_equal(got, want);
}

static void json_brackets(void **state __unused_arg)
{
	json_tells("mirror start data sdb --dry-run --json",
"data-qsrc read-only false\n"
"data-qsrc read-only false\n"
"data read-only false\n"
"data-qsrc noflush true\n"
"data-qsrc freeze false\n"
"data noflush false\n"
"data freeze false\n");
	json_tells("snapshot create data=/tmp/qmirror-unit-no-store --dry-run --json",
"/tmp/qmirror-unit-no-store size 1048576\n"
"data-qsrc read-only false\n"
"data-qsrc read-only false\n"
"data read-only false\n"
"data-qsrc noflush true\n"
"data-qsrc freeze false\n"
"data noflush false\n"
"data freeze false\n"
"data-snap read-only true\n"
"data noflush false\n"
"data freeze true\n");
	json_tells("snapshot remove s --dry-run --json",
"s read-only false\n"
"s noflush false\n"
"s freeze false\n");
}

/* Devices that end each for itself make one document all the same. */
static void one_document(void **state __unused_arg)
{
	static const char *const lines[] = {
		"mirror cancel m run --force --dry-run --json",
		"mirror complete m part --force --dry-run --json",
	};
	static const char *const last[] = { "\"run\"", "\"part\"" };
	const char *first;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(tool(lines[i]), XIT_OK);
		first = strstr(out, "\"version\"");
		assert_non_null(first);
		assert_null(strstr(first + 1, "\"version\""));
		assert_non_null(strstr(out, "\"m-qsrc\""));
		assert_non_null(strstr(out, last[i]));
	}
	/* nor does a failure leave half a one before the error's */
	assert_int_equal(tool("mirror cancel m stop --dry-run --json"),
			 XIT_STATE);
	assert_string_equal(out, "");
}

static void refused(void **state __unused_arg)
{
	static const struct {
		const char *line;
		enum xit x;
		const char *says;
	} rows[] = {
		{ "mirror start m sdb --dry-run", XIT_BUSY, "already carries a mirror" },
		{ "mirror start m-qsrc sdb --dry-run", XIT_BUSY, "part of another" },
		{ "mirror start luks sdb --dry-run", XIT_BUSY, "has a crypt table" },
		{ "mirror start sdc sdb --dry-run", XIT_USAGE, "give --name" },
		{ "mirror start sdc sdb --name data --dry-run", XIT_BUSY, "is taken" },
		{ "mirror start nosuch sdb --dry-run", XIT_NODEV, "SOURCE" },
		{ "mirror start data nosuch --dry-run", XIT_NODEV, "TARGET" },
		{ "mirror start data sdb --replaces big --dry-run", XIT_BUSY, "not one linear line" },
		{ "mirror start nosuch sdb --granularity 5K --dry-run", XIT_USAGE, "power of two" },
		{ "mirror set nosuch speed=foo --dry-run", XIT_USAGE, "no RATE" },
		{ "mirror complete run --dry-run", XIT_STATE, "not ready yet" },
		{ "mirror complete stop --dry-run", XIT_STATE, "stop is standby; type next: qmirrorctl mirror resume stop" },
		{ "mirror complete hurt --wait --dry-run", XIT_STATE,
		  "hurt is paused (target:write:EIO:64); type next: qmirrorctl mirror resume hurt" },
		{ "mirror cancel hurt --dry-run", XIT_STATE, "hurt is paused (target:write:EIO:64); resume it first" },
		{ "mirror complete part --dry-run", XIT_BUSY, "sync none" },
		{ "mirror complete data --dry-run", XIT_STATE, "no mirror" },
		{ "mirror complete nosuch --dry-run", XIT_NODEV, "" },
		{ "mirror complete m m --group --dry-run", XIT_BUSY, "named twice" },
		{ "mirror cancel stop --dry-run", XIT_STATE, "--force" },
		{ "remove data --dry-run", XIT_BUSY, "no device of qmirrorctl" },
		{ "remove m --dry-run", XIT_BUSY, "carries a mirror" },
		{ "remove m-qsrc --dry-run", XIT_BUSY, "in use" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		enum xit x = tool(rows[i].line);

		if (x != rows[i].x || !strstr(the_err.desc, rows[i].says))
			fail_msg("%s: %d '%s'", rows[i].line, x, the_err.desc);
		assert_string_equal(out, "");
	}
}

/* the contract's words, to the letter */
static void lvm(void **state __unused_arg)
{
	assert_int_equal(tool("mirror complete vg-data --dry-run"), XIT_BUSY);
	assert_string_equal(the_err.desc,
"vg-data belongs to LVM, whose metadata still names the old disk; the next LVM "
"command or reboot would bring the old data back. Use --replaces, or cancel and "
"exchange the volumes (lvm.rst), or --force");
	assert_int_equal(tool("mirror complete vg-data --force --dry-run"), XIT_OK);
	assert_int_equal(tool("mirror cancel vg-data --dry-run"), XIT_OK);
}

static void complete(void **state __unused_arg)
{
	golden("mirror complete m --dry-run",
"message m: complete\n"
"wait m: until pending\n"
"load m: 0 2048 linear 8:16 0\n"
"suspend m\n"
"check m: status says final, else clear and resume\n"
"resume m\n"
"remove m-qsrc\n");
	golden("mirror complete run --wait --dry-run",
"wait run: until ready\n"
"message run: complete\n"
"wait run: until pending\n"
"load run: 0 2048 linear 8:16 0\n"
"suspend run\n"
"check run: status says final, else clear and resume\n"
"resume run\n");
}

static void group_of_two(void **state __unused_arg)
{
	golden("mirror complete m run --group --wait --dry-run",
"message m: complete\n"
"wait m: until pending\n"
"wait run: until ready\n"
"message run: complete\n"
"wait run: until pending\n"
"load m: 0 2048 linear 8:16 0\n"
"load run: 0 2048 linear 8:16 0\n"
"suspend m\n"
"suspend run\n"
"check m: status says final, else clear and resume\n"
"check run: status says final, else clear and resume\n"
"resume m\n"
"resume run\n"
"remove m-qsrc\n");
}

static void cancel(void **state __unused_arg)
{
	golden("mirror cancel m --dry-run",
"message m: cancel\n"
"wait m: until pending\n"
"load m: 0 2048 linear 8:32 0\n"
"suspend m\n"
"check m: status says final, else clear and resume\n"
"resume m\n"
"remove m-qsrc\n");
	golden("mirror cancel stop --force --dry-run",
"message stop: cancel force\n"
"load stop: 0 2048 linear 8:48 0\n"
"suspend stop\n"
"resume stop\n");
}

#define SLID(name, old, store, args)						\
	"create " name "-qsrc (uuid QMIRROR-src-<random>)\n"			\
	"load " name "-qsrc: 0 2048 error\n"					\
	"resume " name "-qsrc\n"						\
	"load " name "-qsrc: 0 2048 linear " old "\n"				\
	"load " name ": 0 2048 cbw /dev/mapper/" name "-qsrc 0 " store " 0 " args " idle\n" \
	"suspend " name "-qsrc (noflush)\n"					\
	"suspend " name "\n"							\
	"resume " name "-qsrc\n"						\
	"resume " name "\n"
#define VIEW(name, store)							\
	"create " name "-snap (uuid QMIRROR-snap-<random>)\n"			\
	"load " name "-snap (read-only): 0 2048 cbw-snapshot /dev/mapper/"	\
		name "-qsrc 0 " store " 0\n"					\
	"resume " name "-snap\n"

static void snapshot(void **state __unused_arg)
{
	golden("snapshot create data=spare --dry-run",
SLID("data", "8:0 0", "253:16", "1")
VIEW("data", "253:16")
"suspend data (freeze)\n"
"message data: arm\n"
"resume data\n");
}

static void snapshot_args(void **state __unused_arg)
{
	static const char bitmap[] = "/tmp/qmirror-unit-protect";
	FILE *f = fopen(bitmap, "w");

	fputs("0 65536\n524288 4096\n", f);
	fclose(f);
	golden("snapshot create data=spare --cluster-size 4K --on-cbw-error break-snapshot "
	       "--cbw-timeout 2s --no-freeze --format raw --sync-first --dry-run "
	       "--protect data=/tmp/qmirror-unit-protect",
SLID("data", "8:0 0", "253:16", "7 cluster_size 8 on_cbw_error break-snapshot cbw_timeout 2000")
"message data: protect none\n"
"message data: protect 0 128 1024 8\n"
VIEW("data", "253:16")
"sync data\n"
"suspend data\n"
"message data: arm\n"
"resume data\n");
	unlink(bitmap);
}

/* a file, and one member on another: the upper one is suspended first */
static void snapshot_group(void **state __unused_arg)
{
	golden("snapshot create data=spare top=/tmp/qmirror-unit-no-store root=spare2 --dry-run",
SLID("data", "8:0 0", "253:16", "1")
VIEW("data", "253:16")
"create /tmp/qmirror-unit-no-store (sparse, 1048576 bytes, unlinked, as a loop device)\n"
SLID("top", "253:0 0", "<loop of /tmp/qmirror-unit-no-store>", "1")
VIEW("top", "<loop of /tmp/qmirror-unit-no-store>")
SLID("root", "8:208 0", "253:17", "1")
VIEW("root", "253:17")
"suspend top (freeze)\n"
"suspend data (freeze)\n"
"suspend root (freeze)\n"
"message data: arm\n"
"message top: arm\n"
"message root: arm\n"
"resume data\n"
"resume root\n"
"resume top\n");
	assert_int_not_equal(access("/tmp/qmirror-unit-no-store", F_OK), 0);
}

static void snapshot_remove(void **state __unused_arg)
{
	golden("snapshot remove s --dry-run",
"remove s-snap\n"
"message s: disarm\n"
"load s: 0 2048 linear 8:80 0\n"
"suspend s\n"
"resume s\n"
"remove s-qsrc\n");
	golden("snapshot release s 0 64K 128K 65536 64K 64K --dry-run",
"message s: release 0 384\n");
}

static void snapshot_refused(void **state __unused_arg)
{
	static const struct {
		const char *line;
		enum xit x;
		const char *class, *stage, *says;
	} rows[] = {
		{ "create nosuch=spare", XIT_NODEV, "DeviceNotFound", "lookup", "DEV nosuch" },
		{ "create data=spare nosuch=spare2", XIT_NODEV, "DeviceNotFound", "lookup", "DEV nosuch" },
		{ "create s=spare", XIT_BUSY, "DeviceInUse", "check", "already carries a snapshot" },
		{ "create m=spare", XIT_BUSY, "DeviceInUse", "check", "already carries a mirror" },
		{ "create s-snap=spare", XIT_BUSY, "DeviceInUse", "check", "a part of another" },
		{ "create luks=spare", XIT_BUSY, "DeviceInUse", "check", "has a crypt table" },
		{ "create sdc=spare", XIT_BUSY, "DeviceInUse", "check", "plain block device" },
		{ "create log=spare", XIT_BUSY, "DeviceInUse", "check", "log-snap is there already" },
		{ "create data=spare data=spare2", XIT_BUSY, "DeviceInUse", "check", "named twice" },
		{ "create data=spare root=spare", XIT_BUSY, "DeviceInUse", "check", "same device as STORE" },
		{ "create data=/tmp/x top=/tmp/x", XIT_BUSY, "DeviceInUse", "check", "named twice" },
		{ "create data=data", XIT_BUSY, "DeviceInUse", "check", "same device as member data" },
		{ "create data=top", XIT_BUSY, "DeviceInUse", "check", "stacked on member data" },
		{ "create top=data", XIT_BUSY, "DeviceInUse", "check", "top is stacked on STORE" },
		{ "create root=top data=spare", XIT_BUSY, "DeviceInUse", "check", "stacked on member data" },
		{ "create data=s-qsrc", XIT_FAIL, "OpenFileFailed", "open-store", "part of another" },
		{ "create data=/tmp", XIT_FAIL, "OpenFileFailed", "create-store", "the path exists" },
		{ "create data=/nosuch/x", XIT_FAIL, "OpenFileFailed", "create-store", "No such file" },
		{ "create data=/dev/nosuch", XIT_FAIL, "OpenFileFailed", "create-store", "no such device" },
		{ "create data=/tmp/x/", XIT_FAIL, "OpenFileFailed", "create-store", "no name of a file" },
		{ "create data=/nosuch/x nosuch=spare", XIT_FAIL, "OpenFileFailed", "create-store", "/nosuch/x" },
		{ "create data=spare --format qcow2", XIT_FAIL, "InvalidBlockFormat", "check", "qcow2" },
		{ "create data=big", XIT_FAIL, "InvalidBlockFormat", "check", "logical blocks of 4096" },
		{ "create data=spare --protect root=/tmp/x", XIT_USAGE, "GenericError", "check", "none of the devices" },
		{ "create data=spare --protect data=/nosuch", XIT_FAIL, "GenericError", "check", "cannot be opened" },
		{ "release data 0 4K", XIT_STATE, "GenericError", "lookup", "carries no snapshot" },
		{ "release o 0 4K", XIT_STATE, "GenericError", "check", "is idle" },
		{ "release s 0 4K 8K", XIT_USAGE, "GenericError", NULL, "needs a LENGTH" },
		{ "release s 0 100", XIT_USAGE, "GenericError", "check", "multiple of 512" },
		{ "release s 0 0", XIT_USAGE, "GenericError", "check", "zero" },
		{ "release s 1M 512", XIT_USAGE, "GenericError", "check", "past the end" },
		/* the words first, whatever there is of that name */
		{ "release nosuch 0 foo", XIT_USAGE, "GenericError", "check", "0 foo: OFFSET and LENGTH are bytes" },
		{ "release o 0 4K 1M 100", XIT_USAGE, "GenericError", "check", "multiple of 512" },
		{ "release nosuch 0 4K", XIT_NODEV, "DeviceNotFound", "lookup", "nosuch" },
		{ "create nosuch=spare --cluster-size 5000", XIT_USAGE, "GenericError", NULL, "power of two" },
		{ "release s -1 512", XIT_USAGE, "GenericError", NULL, "" },
		{ "remove data", XIT_STATE, "GenericError", "lookup", "carries no snapshot" },
		{ "remove o", XIT_BUSY, "DeviceInUse", "check", "o-snap is in use" },
		{ "remove s s", XIT_BUSY, "DeviceInUse", "check", "named twice" },
		{ "remove s nosuch", XIT_NODEV, "DeviceNotFound", "lookup", "nosuch" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		char line[256];
		const char *st;
		enum xit x;

		snprintf(line, sizeof(line), "snapshot %s --dry-run",
			 rows[i].line);
		x = tool(line);
		st = stage_name(the_err.stage);
		if (x != rows[i].x || !strstr(the_err.desc, rows[i].says) ||
		    strcmp(err_class(&the_err), rows[i].class) ||
		    strcmp(st ? st : "-", rows[i].stage ? rows[i].stage : "-"))
			fail_msg("%s: %d %s %s '%s'", rows[i].line, x,
				 err_class(&the_err), st, the_err.desc);
		assert_string_equal(out, "");
	}
}

/* remove: not what carries a snapshot or shows one, but what was left of one */
static void remove_parts(void **state __unused_arg)
{
	assert_int_equal(tool("remove s --dry-run"), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "snapshot remove s"));
	assert_int_equal(tool("remove s-snap --dry-run"), XIT_BUSY);
	assert_non_null(strstr(the_err.desc, "snapshot remove s"));
	golden("remove lost-snap --dry-run", "remove lost-snap\n");
}

static void messages(void **state __unused_arg)
{
	golden("mirror pause m run --dry-run",
	       "message m: pause\nmessage run: pause\n");
	golden("mirror set m speed=1M copy-mode=write-blocking --dry-run",
	       "message m: set speed 2048\n"
	       "message m: set copy_mode write-blocking\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start), cmocka_unit_test(start_args),
		cmocka_unit_test(start_4k), cmocka_unit_test(start_json),
		cmocka_unit_test(json_brackets), cmocka_unit_test(one_document),
		cmocka_unit_test(refused), cmocka_unit_test(lvm),
		cmocka_unit_test(complete), cmocka_unit_test(group_of_two),
		cmocka_unit_test(cancel), cmocka_unit_test(messages),
		cmocka_unit_test(snapshot), cmocka_unit_test(snapshot_args),
		cmocka_unit_test(snapshot_group),
		cmocka_unit_test(snapshot_remove),
		cmocka_unit_test(snapshot_refused),
		cmocka_unit_test(remove_parts),
	};

	return cmocka_run_group_tests_name("dry run", tests, NULL, NULL);
}
