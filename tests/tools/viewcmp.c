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
#include "load.h"
#include <pthread.h>

static const char *view;
static char *ref;
static struct load o = {
	.threads = 2, .secs = 3, .max = 512,
	.usage = "viewcmp [-t N] [-d S] [-m MAX] [-r SEED] [-e] REF VIEW",
};
static uint64_t good, bad;
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
	struct rng r = { o.seed + (uintptr_t)arg * 104729 };
	int fd = dev_open(view, O_RDONLY | O_DIRECT);
	char *buf = buf_alloc(o.max * SECTOR);
	bool dead = false;

	/* With -e what makes reads fail may come late. */
	while (!failed && (now_ms() < o.until ||
			   (may_fail && !dead && now_ms() < o.until + 60000))) {
		uint64_t s = rng_below(&r, o.len / o.lbs) * o.lbs;
		uint64_t n = (1 + rng_below(&r, o.max / o.lbs)) * o.lbs;

		if (n > o.len - s)
			n = o.len - s;
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
	char *buf = buf_alloc(o.max * SECTOR);
	uint64_t s, n;

	for (s = 0; s < o.len && !failed; s += n) {
		n = o.len - s < o.max ? o.len - s : o.max;
		compare(fd, buf, s, n);
	}
	free(buf);
	close(fd);
}

static bool own_option(int c, const char *arg)
{
	(void)arg;
	may_fail = c == 'e';
	return may_fail;
}

int main(int argc, char **argv)
{
	pthread_t th[32];
	uint64_t i, s;
	int fd;

	load_options(&o, argc, argv, 32, 2, "e", own_option);
	view = argv[optind + 1];
	fd = dev_open(argv[optind], O_RDONLY | O_DIRECT);
	if (dev_sectors(fd) < o.len)
		die("%s is smaller than %s", argv[optind], view);
	ref = buf_alloc(o.len * SECTOR);
	for (s = 0; s < o.len; s += i) {
		i = o.len - s < 2048 ? o.len - s : 2048;
		if (pread(fd, ref + s * SECTOR, i * SECTOR, s * SECTOR) != (ssize_t)(i * SECTOR))
			die("%s: %s", argv[optind], strerror(errno));
	}
	close(fd);
	if (o.max < o.lbs)
		o.max = o.lbs;
	printf("viewcmp seed=%" PRIu64 "\n", o.seed);
	fflush(stdout);
	o.until = now_ms() + o.secs * 1000;
	for (i = 0; i < o.threads; i++)
		if (pthread_create(&th[i], NULL, reader, (void *)(uintptr_t)i))
			die("pthread_create");
	for (i = 0; i < o.threads; i++)
		pthread_join(th[i], NULL);
	if (!failed)
		whole();
	printf("viewcmp reads: good=%" PRIu64 " failed=%" PRIu64 "\n", good, bad);
	return failed;
}
