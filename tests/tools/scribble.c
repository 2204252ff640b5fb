// SPDX-License-Identifier: GPL-2.0
/*
 * scribble [-t THREADS] [-d SECONDS] [-s START] [-n SECTORS] [-m SIZE] [-r SEED] DEV
 *
 * The rude guest: each writer's O_DIRECT buffer is changed by a second thread
 * all the time, also while the write is in flight.  What ends up on the disk
 * is anyone's guess, but it must be the same on both legs.
 * The writers have windows of their own, so that no two writes overlap.
 */
#include "load.h"
#include <pthread.h>

struct pair {
	pthread_t writer, scribbler;
	uint64_t *buf;
	uint64_t start, seed;
};

static const char *dev;
static struct load o = {
	.threads = 2, .secs = 3, .max = 8,
	.usage = "scribble [-t N] [-d S] [-s START] [-n LEN] [-m SIZE] [-r SEED] DEV",
};
static uint64_t window;
static uint64_t writes;
static int failed, stop;

static void *writer(void *arg)
{
	struct pair *p = arg;
	struct rng r = { p->seed };
	int fd = dev_open(dev, O_WRONLY | O_DIRECT);

	while (now_ms() < o.until && !failed) {
		uint64_t off = rng_below(&r, window / o.max) * o.max;

		if (pwrite(fd, p->buf, o.max * SECTOR, (p->start + off) * SECTOR) !=
		    (ssize_t)(o.max * SECTOR)) {
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
	uint64_t i = 0, n = o.max * SECTOR / 8, x = rng_next(&r);

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		buf[i] = x++;
		i = (i + 61) % n;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct pair p[16];
	uint64_t i;

	load_options(&o, argc, argv, 16, 1, "", NULL);
	dev = argv[optind];
	window = o.len / o.threads / o.max * o.max;
	if (!window)
		die("the range is too small");
	for (i = 0; i < o.threads; i++) {
		p[i].buf = buf_alloc(o.max * SECTOR);
		p[i].start = o.start + i * window;
		p[i].seed = o.seed + i * 7919;
		if (pthread_create(&p[i].scribbler, NULL, scribbler, &p[i]) ||
		    pthread_create(&p[i].writer, NULL, writer, &p[i]))
			die("pthread_create");
	}
	for (i = 0; i < o.threads; i++)
		pthread_join(p[i].writer, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < o.threads; i++)
		pthread_join(p[i].scribbler, NULL);
	printf("scribble seed=%" PRIu64 " writes=%" PRIu64 "\n", o.seed, writes);
	return failed;
}
