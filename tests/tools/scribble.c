// SPDX-License-Identifier: GPL-2.0
/*
 * scribble [-t THREADS] [-d SECONDS] [-s START] [-n SECTORS] [-m SIZE] [-r SEED] DEV
 *
 * The rude guest: each writer's O_DIRECT buffer is changed by a second thread
 * all the time, also while the write is in flight.  What ends up on the disk
 * is anyone's guess, but it must be the same on both legs.
 * The writers have windows of their own, so that no two writes overlap.
 */
#include "common.h"
#include <pthread.h>

struct pair {
	pthread_t writer, scribbler;
	uint64_t *buf;
	uint64_t start, seed;
};

static const char *dev;
static uint64_t size = 8, window = 1024, until;
static uint64_t writes;
static int failed, stop;

static void *writer(void *arg)
{
	struct pair *p = arg;
	struct rng r = { p->seed };
	int fd = dev_open(dev, O_WRONLY | O_DIRECT);

	while (now_ms() < until && !failed) {
		uint64_t off = rng_below(&r, window / size) * size;

		if (pwrite(fd, p->buf, size * SECTOR, (p->start + off) * SECTOR) !=
		    (ssize_t)(size * SECTOR)) {
			fprintf(stderr, "write: %s\n", strerror(errno));
			failed = 1;
		}
		__atomic_add_fetch(&writes, 1, __ATOMIC_RELAXED);
	}
	close(fd);
	return NULL;
}

static void *scribbler(void *arg)
{
	struct pair *p = arg;
	struct rng r = { ~p->seed };
	volatile uint64_t *buf = p->buf;
	uint64_t i = 0, n = size * SECTOR / 8, x = rng_next(&r);

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		buf[i] = x++;
		i = (i + 61) % n;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t threads = 2, secs = 3, start = 0, len = 0, seed;
	const char *seedarg = NULL;
	struct pair p[16];
	uint64_t i;
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
			size = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			seedarg = optarg;
			break;
		default:
			die("usage: scribble [-t N] [-d S] [-s START] [-n LEN] [-m SIZE] [-r SEED] DEV");
		}
	}
	if (optind != argc - 1 || !threads || threads > 16 || !size)
		die("usage: scribble [-t N] [-d S] [-s START] [-n LEN] [-m SIZE] [-r SEED] DEV");
	dev = argv[optind];
	fd = dev_open(dev, O_RDONLY);
	if (!len)
		len = dev_sectors(fd) - start;
	close(fd);
	window = len / threads / size * size;
	if (!window)
		die("the range is too small");
	seed = seed_or_time(seedarg);
	until = now_ms() + secs * 1000;
	for (i = 0; i < threads; i++) {
		p[i].buf = buf_alloc(size * SECTOR);
		p[i].start = start + i * window;
		p[i].seed = seed + i * 7919;
		if (pthread_create(&p[i].scribbler, NULL, scribbler, &p[i]) ||
		    pthread_create(&p[i].writer, NULL, writer, &p[i]))
			die("pthread_create");
	}
	for (i = 0; i < threads; i++)
		pthread_join(p[i].writer, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < threads; i++)
		pthread_join(p[i].scribbler, NULL);
	printf("scribble seed=%" PRIu64 " writes=%" PRIu64 "\n", seed, writes);
	return failed;
}
