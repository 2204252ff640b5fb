/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the small test programs share: a seeded generator, sector patterns that
 * name the sector and the generation that wrote them, time, and dying with words.
 */
#ifndef TESTS_TOOLS_COMMON_H
#define TESTS_TOOLS_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SECTOR 512ULL

/* Usage errors and broken set-ups end with 2, so that 1 can mean "found it". */
static inline void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

static inline uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static inline uint64_t now_ms(void)
{
	return now_ns() / 1000000;
}

struct rng {
	uint64_t s;
};

/* splitmix64: any seed will do, also 0 and neighbours. */
static inline uint64_t rng_next(struct rng *r)
{
	uint64_t z = (r->s += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline uint64_t rng_below(struct rng *r, uint64_t n)
{
	return n ? rng_next(r) % n : 0;
}

static inline uint64_t seed_or_time(const char *arg)
{
	if (arg && *arg)
		return strtoull(arg, NULL, 0);
	return now_ns() & 0x7fffffff;
}

/* One sector that can be told from any other sector and any other generation. */
static inline void pattern_fill(void *buf, uint64_t sector, uint64_t gen)
{
	uint64_t *w = buf, x = (sector + 1) * 0x9e3779b97f4a7c15ULL ^ gen;
	unsigned int i;

	w[0] = sector;
	w[1] = gen;
	for (i = 2; i < SECTOR / 8; i++) {
		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		w[i] = x;
	}
}

static inline bool pattern_ok(const void *buf, uint64_t sector, uint64_t gen)
{
	uint64_t want[SECTOR / 8];

	pattern_fill(want, sector, gen);
	return !memcmp(buf, want, SECTOR);
}

static inline bool all_byte(const void *buf, size_t len, unsigned char c)
{
	const unsigned char *p = buf;

	return !len || (p[0] == c && !memcmp(p, p + 1, len - 1));
}

static inline void *buf_alloc(size_t len)
{
	void *p;

	if (posix_memalign(&p, 4096, len ? len : 4096))
		die("out of memory");
	memset(p, 0, len);
	return p;
}

/* Only a block device will do: a missing node must never become a file. */
static inline int dev_open(const char *path, int flags)
{
	struct stat st;
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISBLK(st.st_mode))
		die("%s: not a block device", path);
	return fd;
}

static inline uint64_t dev_sectors(int fd)
{
	uint64_t bytes = 0;

	if (ioctl(fd, BLKGETSIZE64, &bytes))
		die("BLKGETSIZE64: %s", strerror(errno));
	return bytes / SECTOR;
}

static inline unsigned int dev_lbs(int fd)
{
	int lbs = 512;

	if (ioctl(fd, BLKSSZGET, &lbs))
		die("BLKSSZGET: %s", strerror(errno));
	return lbs / SECTOR;
}

static inline const char *errname(int err)
{
	const char *n = err ? strerrorname_np(err) : "ok";

	return n ? n : "?";
}

#endif
