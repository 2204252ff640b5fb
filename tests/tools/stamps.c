// SPDX-License-Identifier: GPL-2.0
/*
 * stamps write [-w WRITERS] [-l LOADERS] [-p US] [-r SEED] DEV...
 * stamps check [-w WRITERS] DEV...
 *
 * Is a group of copies of one instant?  write: each of WRITERS threads stamps the
 * first DEV, then the second ... then begins anew with the next number; a stamp
 * is a direct write that has ended before the next one begins.  So at any instant
 * no DEV is ahead of an earlier one, and the first is ahead of the last by one at
 * most.  LOADERS more threads write all over the rest of all DEVs, US microseconds
 * apart.  Runs until it is killed; a write that fails ends it with 1.
 *
 * check: does that hold on these DEVs (copies, in the same order)?  Prints the
 * first writer's number on the first DEV, and ends with 1 and the reason if not.
 */
#include "common.h"
#include <pthread.h>

/* each writer's stamp has a cluster of 64 KiB of its own */
#define SLOT	65536ULL
#define BLOCK	4096
#define MAGIC	0x73746d7021646e61ULL

static unsigned int writers = 1, loaders, apart, ndev;
static char **names;
static int *fds;
static uint64_t size, seed;

struct thread {
	pthread_t id;
	unsigned int nr;
};

static uint64_t *block(void)
{
	void *buf;

	if (posix_memalign(&buf, BLOCK, BLOCK))
		die("no memory");
	memset(buf, 0, BLOCK);
	return buf;
}

static void put(unsigned int dev, const void *buf, uint64_t at)
{
	ssize_t n = pwrite(fds[dev], buf, BLOCK, (off_t)at);

	if (n == BLOCK)
		return;
	fprintf(stderr, "%s: write at %" PRIu64 ": %s\n", names[dev], at,
		n < 0 ? strerror(errno) : "short");
	exit(1);
}

static uint64_t get(unsigned int dev, uint64_t *buf, unsigned int writer)
{
	ssize_t n = pread(fds[dev], buf, BLOCK, (off_t)(writer * SLOT));

	if (n != BLOCK)
		die("%s: read of stamp %u: %s", names[dev], writer,
		    n < 0 ? strerror(errno) : "short");
	/* never stamped */
	return buf[0] == MAGIC ? buf[1] : 0;
}

static void *stamp(void *arg)
{
	const struct thread *t = arg;
	uint64_t *buf = block(), n;
	unsigned int d, i;

	/* goes on where the last run ended */
	n = get(0, buf, t->nr);
	for (;;) {
		n++;
		for (i = 0; i < BLOCK / 8; i += 2) {
			buf[i] = MAGIC;
			buf[i + 1] = n;
		}
		for (d = 0; d < ndev; d++)
			put(d, buf, t->nr * SLOT);
	}
	return NULL;
}

static void *load(void *arg)
{
	const struct thread *t = arg;
	uint64_t *buf = block(), first = writers * SLOT / BLOCK;
	struct rng r = { .s = seed + t->nr };

	for (;;) {
		buf[0] = rng_next(&r);
		put((unsigned int)rng_below(&r, ndev), buf,
		    (first + rng_below(&r, size / BLOCK - first)) * BLOCK);
		if (apart)
			usleep(apart);
	}
	return NULL;
}

static int run(void)
{
	struct thread t[64];
	unsigned int i;

	for (i = 0; i < writers + loaders; i++) {
		t[i].nr = i;
		if (pthread_create(&t[i].id, NULL, i < writers ? stamp : load, &t[i]))
			die("no thread");
	}
	pthread_join(t[0].id, NULL);
	return 1;
}

static int check(void)
{
	uint64_t *buf = block(), first, before, now, shown = 0;
	unsigned int w, d, i;

	for (w = 0; w < writers; w++) {
		first = before = get(0, buf, w);
		if (w == 0)
			shown = first;
		for (d = 1; d < ndev; d++) {
			now = get(d, buf, w);
			for (i = 0; now && i < BLOCK / 8; i += 2)
				if (buf[i] != MAGIC || buf[i + 1] != now)
					die("%s: torn stamp", names[d]);
			if (now > before || now + 1 < first) {
				printf("stamp %u: %s has %" PRIu64 ", %s has %" PRIu64 ", %s has %" PRIu64 "\n",
				       w, names[0], first, names[d - 1], before,
				       names[d], now);
				return 1;
			}
			before = now;
		}
	}
	printf("%" PRIu64 "\n", shown);
	return 0;
}

int main(int argc, char **argv)
{
	bool writing = argc > 1 && !strcmp(argv[1], "write");
	const char *seedarg = NULL;
	unsigned int i;
	int c;

	if (!writing && (argc < 2 || strcmp(argv[1], "check")))
		die("usage: stamps write|check [-w N] [-l N] [-p US] [-r SEED] DEV...");
	argc--;
	argv++;
	while ((c = getopt(argc, argv, "w:l:p:r:")) != -1) {
		if (c == 'w')
			writers = (unsigned int)atoi(optarg);
		else if (c == 'l')
			loaders = (unsigned int)atoi(optarg);
		else if (c == 'p')
			apart = (unsigned int)atoi(optarg);
		else if (c == 'r')
			seedarg = optarg;
		else
			die("usage: stamps write|check [-w N] [-l N] [-p US] [-r SEED] DEV...");
	}
	ndev = (unsigned int)(argc - optind);
	names = argv + optind;
	if (!ndev || !writers || writers + loaders > 64)
		die("stamps: how many?");
	fds = calloc(ndev, sizeof(*fds));
	size = UINT64_MAX;
	for (i = 0; i < ndev; i++) {
		uint64_t n;

		fds[i] = open(names[i], (writing ? O_RDWR : O_RDONLY) | O_DIRECT | O_CLOEXEC);
		if (fds[i] < 0 || ioctl(fds[i], BLKGETSIZE64, &n))
			die("%s: %s", names[i], strerror(errno));
		size = n < size ? n : size;
	}
	if (size <= writers * SLOT)
		die("stamps: the devices are too small for %u writers", writers);
	if (!writing)
		return check();
	seed = seed_or_time(seedarg);
	printf("stamps seed=%" PRIu64 "\n", seed);
	fflush(stdout);
	return run();
}
