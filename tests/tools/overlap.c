// SPDX-License-Identifier: GPL-2.0
/*
 * overlap [-t THREADS] [-d SECONDS] [-s START] [-n SECTORS] [-m MAX] [-r SEED] DEV
 *
 * Threads write overlapping ranges of a small window with O_DIRECT, each
 * write filled with one value of its own.  What a mirror must keep: both legs
 * see overlapping writes in one order.  Compare the legs afterwards.
 */
#include "load.h"
#include <pthread.h>

static const char *dev;
static struct load o = {
	.threads = 4, .secs = 3, .max = 128, .len = 2048,
	.usage = "overlap [-t N] [-d S] [-s START] [-n LEN] [-m MAX] [-r SEED] DEV",
};
static uint64_t writes;
static int failed;

static void *writer(void *arg)
{
	struct rng r = { o.seed + (uintptr_t)arg * 1000003 };
	int fd = dev_open(dev, O_WRONLY | O_DIRECT);
	uint64_t *buf = buf_alloc(o.max * SECTOR);

	while (now_ms() < o.until && !failed) {
		uint64_t off = rng_below(&r, o.len / o.lbs) * o.lbs;
		uint64_t n = (1 + rng_below(&r, o.max / o.lbs)) * o.lbs;
		uint64_t tag = rng_next(&r), i;

		if (n > o.len - off)
			n = o.len - off;
		for (i = 0; i < n * SECTOR / 8; i++)
			buf[i] = tag;
		if (pwrite(fd, buf, n * SECTOR, (o.start + off) * SECTOR) !=
		    (ssize_t)(n * SECTOR)) {
			fprintf(stderr, "write of %" PRIu64 " sectors at %" PRIu64 ": %s\n",
				n, o.start + off, strerror(errno));
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
	pthread_t th[64];
	uintptr_t i;

	load_options(&o, argc, argv, 64, 1, "", NULL);
	dev = argv[optind];
	for (i = 0; i < o.threads; i++)
		if (pthread_create(&th[i], NULL, writer, (void *)i))
			die("pthread_create");
	for (i = 0; i < o.threads; i++)
		pthread_join(th[i], NULL);
	printf("overlap seed=%" PRIu64 " threads=%" PRIu64 " writes=%" PRIu64 "\n",
	       o.seed, o.threads, writes);
	return failed;
}
