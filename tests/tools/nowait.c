// SPDX-License-Identifier: GPL-2.0
/*
 * nowait [-t THREADS] [-d SECONDS] [-s START] [-n SECTORS] [-m SIZE] [-r SEED] DEV
 *
 * RWF_NOWAIT writes: each ends well or with EAGAIN before anything happened.
 * A model keeps what each block must hold; a block whose write ended with
 * EAGAIN must hold what it held before.  Ends with counts of both.
 */
#include "load.h"
#include <pthread.h>

struct worker {
	pthread_t th;
	uint64_t start, blocks, seed, gen;
	uint64_t *model;
};

static const char *dev;
static struct load o = {
	.threads = 4, .secs = 3, .max = 8,
	.usage = "nowait [-t N] [-d S] [-s START] [-n LEN] [-m SIZE] [-r SEED] DEV",
};
static uint64_t good, again;
static int failed;

static void *work(void *arg)
{
	struct worker *w = arg;
	struct rng r = { w->seed };
	int fd = dev_open(dev, O_RDWR | O_DIRECT);
	char *buf = buf_alloc(o.max * SECTOR);
	struct iovec iov = { buf, o.max * SECTOR };
	uint64_t i, b;

	while (now_ms() < o.until && !failed) {
		uint64_t s;

		b = rng_below(&r, w->blocks);
		s = w->start + b * o.max;
		w->gen++;
		for (i = 0; i < o.max; i++)
			pattern_fill(buf + i * SECTOR, s + i, w->gen);
		if (pwritev2(fd, &iov, 1, s * SECTOR, RWF_NOWAIT) == (ssize_t)iov.iov_len) {
			w->model[b] = w->gen;
			__atomic_add_fetch(&good, 1, __ATOMIC_RELAXED);
		} else if (errno == EAGAIN) {
			__atomic_add_fetch(&again, 1, __ATOMIC_RELAXED);
		} else {
			fprintf(stderr, "write at %" PRIu64 ": %s\n", s, strerror(errno));
			failed = 1;
		}
	}
	for (b = 0; b < w->blocks && !failed; b++) {
		uint64_t s = w->start + b * o.max;

		if (!w->model[b])
			continue;
		if (pread(fd, buf, iov.iov_len, s * SECTOR) != (ssize_t)iov.iov_len) {
			fprintf(stderr, "read at %" PRIu64 ": %s\n", s, strerror(errno));
			failed = 1;
		}
		for (i = 0; i < o.max && !failed; i++)
			if (!pattern_ok(buf + i * SECTOR, s + i, w->model[b])) {
				fprintf(stderr, "sector %" PRIu64 " is not generation %" PRIx64 "\n",
					s + i, w->model[b]);
				failed = 1;
			}
	}
	free(buf);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct worker w[32];
	uint64_t i;

	load_options(&o, argc, argv, 32, 1, "", NULL);
	dev = argv[optind];
	for (i = 0; i < o.threads; i++) {
		w[i].blocks = o.len / o.threads / o.max;
		w[i].start = o.start + i * w[i].blocks * o.max;
		w[i].seed = o.seed + i * 31337;
		w[i].gen = (o.seed << 24) + (i << 20);
		w[i].model = calloc(w[i].blocks + 1, sizeof(uint64_t));
		if (!w[i].model)
			die("out of memory");
		if (pthread_create(&w[i].th, NULL, work, &w[i]))
			die("pthread_create");
	}
	for (i = 0; i < o.threads; i++)
		pthread_join(w[i].th, NULL);
	printf("nowait seed=%" PRIu64 " good=%" PRIu64 " again=%" PRIu64 "\n", o.seed, good, again);
	return failed;
}
