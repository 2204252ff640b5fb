// SPDX-License-Identifier: GPL-2.0
/*
 * What sysfs, mountinfo and swaps say about a block device. The roots are
 * variables so that the unit tests can show a made-up machine.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "qmirrorctl.h"

const char *sysfs_root = "/sys";
const char *proc_root = "/proc";

static void dev_dir(unsigned int maj, unsigned int min, char *buf, size_t size)
{
	snprintf(buf, size, "%s/dev/block/%u:%u", sysfs_root, maj, min);
}

int sysfs_str(unsigned int maj, unsigned int min, const char *attr, char *buf,
	      size_t size)
{
	char dir[128], path[PATH_MAX];
	size_t n;
	FILE *f;

	dev_dir(maj, min, dir, sizeof(dir));
	snprintf(path, sizeof(path), "%s/%s", dir, attr);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fread(buf, 1, size - 1, f);
	fclose(f);
	buf[n] = '\0';
	while (n && isspace((unsigned char)buf[n - 1]))
		buf[--n] = '\0';
	return 0;
}

int sysfs_u64(unsigned int maj, unsigned int min, const char *attr, uint64_t *v)
{
	char buf[64];
	int r = sysfs_str(maj, min, attr, buf, sizeof(buf));

	return r ? r : parse_u64(buf, v);
}

static bool real_dir(unsigned int maj, unsigned int min, char *buf)
{
	char dir[128];

	dev_dir(maj, min, dir, sizeof(dir));
	return realpath(dir, buf);
}

/* The kernel's name: dm-3, sda1, loop0. */
int sysfs_kname(unsigned int maj, unsigned int min, char *buf, size_t size)
{
	char path[PATH_MAX];
	char *p;

	if (!real_dir(maj, min, path))
		return -errno;
	snprintf(buf, size, "%s", basename(path));
	/* sysfs writes '/' in names as '!' */
	for (p = buf; *p; p++)
		if (*p == '!')
			*p = '/';
	return 0;
}

bool sysfs_is_partition(unsigned int maj, unsigned int min)
{
	uint64_t v;

	return sysfs_u64(maj, min, "partition", &v) == 0;
}

static int devno_of(const char *dir, const char *name, unsigned int *maj,
		    unsigned int *min)
{
	char path[PATH_MAX + 300];
	int n;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s/dev", dir, name);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	n = fscanf(f, "%u:%u", maj, min);
	fclose(f);
	return n == 2 ? 0 : -EINVAL;
}

/* The disk a partition is on. */
int sysfs_parent(unsigned int maj, unsigned int min, unsigned int *pmaj,
		 unsigned int *pmin)
{
	char path[PATH_MAX];

	if (!real_dir(maj, min, path))
		return -errno;
	return devno_of(path, "..", pmaj, pmin);
}

/* Calls fn for every device linked in dir ("slaves", "holders"). */
int sysfs_each(unsigned int maj, unsigned int min, const char *dir,
	       sysfs_each_fn fn, void *arg)
{
	char base[128], path[PATH_MAX];
	struct dirent *e;
	int r = 0;
	DIR *d;

	dev_dir(maj, min, base, sizeof(base));
	snprintf(path, sizeof(path), "%s/%s", base, dir);
	d = opendir(path);
	if (!d)
		return 0;
	while (!r && (e = readdir(d))) {
		unsigned int a = 0, b = 0;

		if (e->d_name[0] != '.' &&
		    devno_of(path, e->d_name, &a, &b) == 0)
			r = fn(a, b, arg);
	}
	closedir(d);
	return r;
}

/* Calls fn for every partition of a disk: subdirectories that have one. */
int sysfs_each_part(unsigned int maj, unsigned int min, sysfs_each_fn fn,
		    void *arg)
{
	char path[PATH_MAX];
	struct dirent *e;
	int r = 0;
	DIR *d;

	if (sysfs_is_partition(maj, min) || !real_dir(maj, min, path))
		return 0;
	d = opendir(path);
	if (!d)
		return 0;
	while (!r && (e = readdir(d))) {
		unsigned int a = 0, b = 0;

		if (e->d_name[0] != '.' &&
		    devno_of(path, e->d_name, &a, &b) == 0 &&
		    sysfs_is_partition(a, b))
			r = fn(a, b, arg);
	}
	closedir(d);
	return r;
}

/* mountinfo writes blanks as \040 and the like */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 +
				       (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = '\0';
}

struct mnt {
	unsigned int maj, min;
	char *where, *source;
};

/* 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw */
static bool mnt_parse(char *line, struct mnt *m)
{
	char *save = NULL, *w;
	int i;

	m->where = m->source = NULL;
	for (i = 0, w = strtok_r(line, " \n", &save); w;
	     i++, w = strtok_r(NULL, " \n", &save)) {
		if (i == 2 && sscanf(w, "%u:%u", &m->maj, &m->min) != 2)
			return false;
		if (i == 4)
			m->where = w;
		if (i > 5 && strcmp(w, "-") == 0)
			break;
	}
	if (!w || !m->where || !strtok_r(NULL, " \n", &save))
		return false;
	m->source = strtok_r(NULL, " \n", &save);
	if (!m->source)
		return false;
	unescape(m->where);
	unescape(m->source);
	return true;
}

static int mnt_each(bool (*fn)(const struct mnt *m, void *arg), void *arg)
{
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	struct mnt m;
	int r = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "%s/self/mountinfo", proc_root);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (r && getline(&line, &size, f) >= 0)
		if (mnt_parse(line, &m) && fn(&m, arg))
			r = 0;
	free(line);
	fclose(f);
	return r;
}

struct mnt_query {
	unsigned int maj, min;
	unsigned int *smaj, *smin;
	char *where;
	size_t size;
};

static bool source_devno(const char *source, unsigned int *maj,
			 unsigned int *min)
{
	struct stat st;

	if (source[0] != '/' || stat(source, &st) || !S_ISBLK(st.st_mode))
		return false;
	*maj = major(st.st_rdev);
	*min = minor(st.st_rdev);
	return true;
}

static bool mnt_is_of(const struct mnt *m, void *arg)
{
	struct mnt_query *q = arg;
	unsigned int a, b;

	/* btrfs and its like have numbers of their own: look at the source */
	if (!(m->maj == q->maj && m->min == q->min) &&
	    !(m->maj == 0 && source_devno(m->source, &a, &b) &&
	      a == q->maj && b == q->min))
		return false;
	snprintf(q->where, q->size, "%s", m->where);
	return true;
}

/* Where a device is mounted; -ENOENT when it is not. */
int mount_of(unsigned int maj, unsigned int min, char *where, size_t size)
{
	struct mnt_query q = { .maj = maj, .min = min, .where = where,
			       .size = size };

	return mnt_each(mnt_is_of, &q);
}

static bool mnt_has_source(const struct mnt *m, void *arg)
{
	struct mnt_query *q = arg;

	return m->maj == q->maj && m->min == q->min &&
	       source_devno(m->source, q->smaj, q->smin);
}

/* The device behind a file system number that is not a device's own. */
int mount_source_dev(unsigned int maj, unsigned int min, unsigned int *smaj,
		     unsigned int *smin)
{
	struct mnt_query q = { .maj = maj, .min = min, .smaj = smaj,
			       .smin = smin };

	return mnt_each(mnt_has_source, &q);
}

bool swap_on(unsigned int maj, unsigned int min)
{
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/swaps", proc_root);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getline(&line, &size, f) >= 0) {
		unsigned int a = 0, b = 0;

		line[strcspn(line, " \t\n")] = '\0';
		unescape(line);
		found = source_devno(line, &a, &b) && a == maj && b == min;
	}
	free(line);
	fclose(f);
	return found;
}
