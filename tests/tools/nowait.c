// SPDX-License-Identifier: GPL-2.0
/*
 * nowait [-t THREADS] [-d SECONDS] [-s START] [-n SECTORS] [-m SIZE] [-r SEED] DEV
 *
 * RWF_NOWAIT writes: each ends well or with EAGAIN before anything happened.
 * A model keeps what each block must hold; a block whose write ended with
 * EAGAIN must hold what it held before.  Ends with counts of both.
 */
#include "common.h"
#include <pthread.h>

struct worker {
	pthread_t th;
	uint64_t start, blocks, seed, gen;
	uint64_t *model;
};

static const char *dev;
static uint64_t size = 8, until;
static uint64_t good, again;
static int failed;

static void *work(void *arg)
{
	struct worker *w = arg;
	struct rng r = { w->seed };
	int fd = dev_open(dev, O_RDWR | O_DIRECT);
	char *buf = buf_alloc(size * SECTOR);
	struct iovec iov = { buf, size * SECTOR };
	uint64_t i, b;

	while (now_ms() < until && !failed) {
		uint64_t s;

		b = rng_below(&r, w->blocks);
		s = w->start + b * size;
		w->gen++;
		for (i = 0; i < size; i++)
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
		uint64_t s = w->start + b * size;

		if (!w->model[b])
			continue;
		if (pread(fd, buf, iov.iov_len, s * SECTOR) != (ssize_t)iov.iov_len) {
			fprintf(stderr, "read at %" PRIu64 ": %s\n", s, strerror(errno));
			failed = 1;
		}
		for (i = 0; i < size && !failed; i++)
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
	uint64_t threads = 4, secs = 3, start = 0, len = 0, seed, i;
	const char *seedarg = NULL;
	struct worker w[32];
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
			die("usage: nowait [-t N] [-d S] [-s START] [-n LEN] [-m SIZE] [-r SEED] DEV");
		}
	}
	if (optind != argc - 1 || !threads || threads > 32 || !size)
		die("usage: nowait [-t N] [-d S] [-s START] [-n LEN] [-m SIZE] [-r SEED] DEV");
	dev = argv[optind];
	fd = dev_open(dev, O_RDONLY);
	if (!len)
		len = dev_sectors(fd) - start;
	close(fd);
	seed = seed_or_time(seedarg);
	until = now_ms() + secs * 1000;
	for (i = 0; i < threads; i++) {
		w[i].blocks = len / threads / size;
		w[i].start = start + i * w[i].blocks * size;
		w[i].seed = seed + i * 31337;
		w[i].gen = (seed << 24) + (i << 20);
		w[i].model = calloc(w[i].blocks + 1, sizeof(uint64_t));
		if (!w[i].model)
			die("out of memory");
		if (pthread_create(&w[i].th, NULL, work, &w[i]))
			die("pthread_create");
	}
	for (i = 0; i < threads; i++)
		pthread_join(w[i].th, NULL);
	printf("nowait seed=%" PRIu64 " good=%" PRIu64 " again=%" PRIu64 "\n", seed, good, again);
	return failed;
}
