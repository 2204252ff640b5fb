// SPDX-License-Identifier: GPL-2.0
/*
 * overlap [-t THREADS] [-d SECONDS] [-s START] [-n SECTORS] [-m MAX] [-r SEED] DEV
 *
 * Threads write overlapping ranges of a small window with O_DIRECT, each
 * write filled with one value of its own.  What a mirror must keep: both legs
 * see overlapping writes in one order.  Compare the legs afterwards.
 */
#include "common.h"
#include <pthread.h>

static const char *dev;
static uint64_t start, len = 2048, max = 128, seed, until, lbs;
static uint64_t writes;
static int failed;

static void *writer(void *arg)
{
	struct rng r = { seed + (uintptr_t)arg * 1000003 };
	int fd = dev_open(dev, O_WRONLY | O_DIRECT);
	uint64_t *buf = buf_alloc(max * SECTOR);

	while (now_ms() < until && !failed) {
		uint64_t off = rng_below(&r, len / lbs) * lbs;
		uint64_t n = (1 + rng_below(&r, max / lbs)) * lbs;
		uint64_t tag = rng_next(&r), i;

		if (n > len - off)
			n = len - off;
		for (i = 0; i < n * SECTOR / 8; i++)
			buf[i] = tag;
		if (pwrite(fd, buf, n * SECTOR, (start + off) * SECTOR) !=
		    (ssize_t)(n * SECTOR)) {
			fprintf(stderr, "write of %" PRIu64 " sectors at %" PRIu64 ": %s\n",
				n, start + off, strerror(errno));
			failed = 1;
		}
		__atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED);
	}
	free(buf);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t threads = 4, secs = 3;
	const char *seedarg = NULL;
	pthread_t th[64];
	uintptr_t i;
	int c, fd;

	while ((c = getopt(argc, argv, "t:d:s:n:m:r:")) != -1) {
		switch (c) {
		case 't':
			threads = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			secs = strtoull(optarg, NULL, 0);
			break;
		case 's':
			start = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			len = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			max = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			seedarg = optarg;
			break;
		default:
			die("usage: overlap [-t N] [-d S] [-s START] [-n LEN] [-m MAX] [-r SEED] DEV");
		}
	}
	if (optind != argc - 1 || !threads || threads > 64)
		die("usage: overlap [-t N] [-d S] [-s START] [-n LEN] [-m MAX] [-r SEED] DEV");
	dev = argv[optind];
	fd = dev_open(dev, O_RDONLY);
	lbs = dev_lbs(fd);
	close(fd);
	seed = seed_or_time(seedarg);
	until = now_ms() + secs * 1000;
	for (i = 0; i < threads; i++)
		if (pthread_create(&th[i], NULL, writer, (void *)i))
			die("pthread_create");
	for (i = 0; i < threads; i++)
		pthread_join(th[i], NULL);
	printf("overlap seed=%" PRIu64 " threads=%" PRIu64 " writes=%" PRIu64 "\n",
	       seed, threads, writes);
	return failed;
}
