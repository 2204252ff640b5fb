// SPDX-License-Identifier: GPL-2.0
/*
 * viewcmp [-t THREADS] [-d SECONDS] [-m MAX] [-r SEED] [-e] REF VIEW
 *
 * Threads read ranges of VIEW at random, with O_DIRECT, and compare them with
 * REF, which was read once at the beginning: a view never changes. At the end
 * one of them reads it all. -e: reads will fail with EIO, from some moment on
 * for ever, and never have wrong data; waits for that for another minute. Ends
 * with counts of both.
 */
#include "common.h"
#include <pthread.h>

static const char *view;
static char *ref;
static uint64_t len, max = 512, until, lbs, seed, good, bad;
static bool may_fail;
static int failed;

/* 0 equal, 1 not, -1 the read failed */
static int compare(int fd, char *buf, uint64_t sector, uint64_t n)
{
	ssize_t r = pread(fd, buf, n * SECTOR, sector * SECTOR);
	uint64_t i;

	if (r != (ssize_t)(n * SECTOR)) {
		__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
		if (may_fail && r < 0 && errno == EIO)
			return -1;
		fprintf(stderr, "read of %" PRIu64 " sectors at %" PRIu64 ": %s\n", n,
			sector, r < 0 ? strerror(errno) : "short");
		failed = 1;
		return -1;
	}
	__atomic_add_fetch(&good, 1, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++) {
		const uint64_t *is = (void *)(buf + i * SECTOR);
		const uint64_t *want = (void *)(ref + (sector + i) * SECTOR);

		if (!memcmp(is, want, SECTOR))
			continue;
		fprintf(stderr, "sector %" PRIu64 " of a read of %" PRIu64 " at %" PRIu64
			": %016" PRIx64 " %016" PRIx64 " instead of %016" PRIx64 " %016" PRIx64 "\n",
			sector + i, n, sector, is[0], is[1], want[0], want[1]);
		failed = 1;
		return 1;
	}
	return 0;
}

static void *reader(void *arg)
{
	struct rng r = { seed + (uintptr_t)arg * 104729 };
	int fd = dev_open(view, O_RDONLY | O_DIRECT);
	char *buf = buf_alloc(max * SECTOR);
	bool dead = false;

	/* With -e what makes reads fail may come late. */
	while (!failed && (now_ms() < until ||
			   (may_fail && !dead && now_ms() < until + 60000))) {
		uint64_t s = rng_below(&r, len / lbs) * lbs;
		uint64_t n = (1 + rng_below(&r, max / lbs)) * lbs;

		if (n > len - s)
			n = len - s;
		if (compare(fd, buf, s, n) < 0) {
			dead = true;
		} else if (dead) {
			fprintf(stderr, "a read succeeds after one has failed\n");
			failed = 1;
		}
	}
	free(buf);
	close(fd);
	return NULL;
}

static void whole(void)
{
	int fd = dev_open(view, O_RDONLY | O_DIRECT);
	char *buf = buf_alloc(max * SECTOR);
	uint64_t s, n;

	for (s = 0; s < len && !failed; s += n) {
		n = len - s < max ? len - s : max;
		compare(fd, buf, s, n);
	}
	free(buf);
	close(fd);
}

int main(int argc, char **argv)
{
	uint64_t threads = 2, secs = 3, i, s;
	const char *seedarg = NULL;
	pthread_t th[32];
	int c, fd;

	while ((c = getopt(argc, argv, "t:d:m:r:e")) != -1) {
		switch (c) {
		case 't':
			threads = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			secs = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			max = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			seedarg = optarg;
			break;
		case 'e':
			may_fail = true;
			break;
		default:
			die("usage: viewcmp [-t N] [-d S] [-m MAX] [-r SEED] [-e] REF VIEW");
		}
	}
	if (argc - optind != 2 || threads > 32 || !max)
		die("usage: viewcmp [-t N] [-d S] [-m MAX] [-r SEED] [-e] REF VIEW");
	view = argv[optind + 1];
	fd = dev_open(view, O_RDONLY);
	len = dev_sectors(fd);
	lbs = dev_lbs(fd);
	close(fd);
	fd = dev_open(argv[optind], O_RDONLY | O_DIRECT);
	if (dev_sectors(fd) < len)
		die("%s is smaller than %s", argv[optind], view);
	ref = buf_alloc(len * SECTOR);
	for (s = 0; s < len; s += i) {
		i = len - s < 2048 ? len - s : 2048;
		if (pread(fd, ref + s * SECTOR, i * SECTOR, s * SECTOR) != (ssize_t)(i * SECTOR))
			die("%s: %s", argv[optind], strerror(errno));
	}
	close(fd);
	if (max < lbs)
		max = lbs;
	seed = seed_or_time(seedarg);
	printf("viewcmp seed=%" PRIu64 "\n", seed);
	fflush(stdout);
	until = now_ms() + secs * 1000;
	for (i = 0; i < threads; i++)
		if (pthread_create(&th[i], NULL, reader, (void *)(uintptr_t)i))
			die("pthread_create");
	for (i = 0; i < threads; i++)
		pthread_join(th[i], NULL);
	if (!failed)
		whole();
	printf("viewcmp reads: good=%" PRIu64 " failed=%" PRIu64 "\n", good, bad);
	return failed;
}
