// SPDX-License-Identifier: GPL-2.0
/*
 * mixer [-t THREADS] [-d SECONDS] [-s START] [-n SECTORS] [-m MAX] [-r SEED]
 *	 [-w W] [-R R] [-D D] [-Z Z] [-U U] [-F F] DEV
 *
 * Random writes, reads, discards, zeroes (BLKZEROOUT and punch hole) and
 * flushes in the given proportions, each checked against a model: a sector
 * reads as the generation that wrote it last, as zeroes after zeroing, and as
 * anything after a discard (but then the same on every read until it is
 * written again is not demanded).  Each thread has a window of its own.  At
 * the end everything is read once more.  A write or read that fails is an
 * error; a discard that fails is one too: a mirror never makes it fail.
 */
#include "load.h"
#include <linux/falloc.h>
#include <pthread.h>

#define UNKNOWN 0ULL
#define ZEROES (~0ULL)

struct worker {
	pthread_t th;
	uint64_t start, len, seed, gen;
	uint64_t *model;
	uint64_t ops[6];
};

static const char *dev;
static struct load o = {
	.threads = 2, .secs = 3, .max = 256,
	.usage = "mixer [-t N] [-d S] [-s START] [-n LEN] [-m MAX] [-r SEED] [-wRDZUF WEIGHT] DEV",
};
static unsigned int weight[6] = { 60, 10, 10, 10, 5, 5 };
static const char letters[] = "wRDZUF";
static int failed;

static void complain(const char *what, uint64_t sector, uint64_t n, const char *why)
{
	fprintf(stderr, "%s of %" PRIu64 " sectors at %" PRIu64 ": %s\n", what, n, sector, why);
	failed = 1;
}

static void check(struct worker *w, const char *buf, uint64_t off, uint64_t n)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		uint64_t gen = w->model[off + i];
		const uint64_t *s = (const void *)(buf + i * SECTOR);

		if (gen == UNKNOWN)
			continue;
		if (gen == ZEROES ? all_byte(s, SECTOR, 0) : pattern_ok(s, w->start + off + i, gen))
			continue;
		fprintf(stderr, "sector %" PRIu64 ": model generation %" PRIx64
			", read %016" PRIx64 " %016" PRIx64 "\n", w->start + off + i, gen, s[0], s[1]);
		failed = 1;
		return;
	}
}

static void set_model(struct worker *w, uint64_t off, uint64_t n, uint64_t gen)
{
	while (n--)
		w->model[off++] = gen;
}

static void one(struct worker *w, struct rng *r, int fd, char *buf)
{
	uint64_t off = rng_below(r, w->len / o.lbs) * o.lbs, n, i, range[2];
	unsigned int pick, op, sum = 0;

	/* Mostly small, sometimes up to the maximum: edges of chunks want both. */
	n = rng_below(r, 4) ? (1 + rng_below(r, 16)) * o.lbs : (1 + rng_below(r, o.max / o.lbs)) * o.lbs;
	if (n > o.max)
		n = o.max;
	if (n > w->len - off)
		n = w->len - off;
	range[0] = (w->start + off) * SECTOR;
	range[1] = n * SECTOR;
	for (op = 0; op < 6; op++)
		sum += weight[op];
	pick = rng_below(r, sum);
	for (op = 0; pick >= weight[op]; op++)
		pick -= weight[op];
	w->ops[op]++;
	switch (op) {
	case 0:
		w->gen++;
		for (i = 0; i < n; i++)
			pattern_fill(buf + i * SECTOR, w->start + off + i, w->gen);
		if (pwrite(fd, buf, range[1], range[0]) != (ssize_t)range[1])
			complain("write", w->start + off, n, strerror(errno));
		set_model(w, off, n, w->gen);
		break;
	case 1:
		if (pread(fd, buf, range[1], range[0]) != (ssize_t)range[1])
			complain("read", w->start + off, n, strerror(errno));
		else
			check(w, buf, off, n);
		break;
	case 2:
		if (ioctl(fd, BLKDISCARD, range) && errno != EOPNOTSUPP)
			complain("discard", w->start + off, n, strerror(errno));
		set_model(w, off, n, UNKNOWN);
		break;
	case 3:
		if (ioctl(fd, BLKZEROOUT, range))
			complain("zeroout", w->start + off, n, strerror(errno));
		set_model(w, off, n, ZEROES);
		break;
	case 4:
		/* No fall back to data here, so that NOTSUPP is no mistake. */
		if (!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range[0], range[1]))
			set_model(w, off, n, ZEROES);
		else if (errno == EOPNOTSUPP)
			set_model(w, off, n, UNKNOWN);
		else
			complain("punch hole", w->start + off, n, strerror(errno));
		break;
	case 5:
		if (fsync(fd))
			complain("flush", 0, 0, strerror(errno));
		break;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct rng r = { w->seed };
	int fd = dev_open(dev, O_RDWR | O_DIRECT);
	char *buf = buf_alloc(o.max * SECTOR);
	uint64_t off;

	while (now_ms() < o.until && !failed)
		one(w, &r, fd, buf);
	for (off = 0; off < w->len && !failed; ) {
		uint64_t n = w->len - off < o.max ? w->len - off : o.max;

		if (pread(fd, buf, n * SECTOR, (w->start + off) * SECTOR) != (ssize_t)(n * SECTOR))
			complain("last read", w->start + off, n, strerror(errno));
		else
			check(w, buf, off, n);
		off += n;
	}
	free(buf);
	close(fd);
	return NULL;
}

static bool own_option(int c, const char *arg)
{
	const char *l = strchr(letters, c);

	if (!l)
		return false;
	weight[l - letters] = strtoul(arg, NULL, 0);
	return true;
}

int main(int argc, char **argv)
{
	uint64_t i, sum[6] = { 0 };
	struct worker w[32];
	unsigned int k;

	load_options(&o, argc, argv, 32, 1, "w:R:D:Z:U:F:", own_option);
	dev = argv[optind];
	if (o.max < o.lbs)
		o.max = o.lbs;
	printf("mixer seed=%" PRIu64 "\n", o.seed);
	fflush(stdout);
	for (i = 0; i < o.threads; i++) {
		memset(&w[i], 0, sizeof(w[i]));
		w[i].len = o.len / o.threads / o.lbs * o.lbs;
		w[i].start = o.start + i * w[i].len;
		if (i == o.threads - 1)
			w[i].len = o.start + o.len - w[i].start;
		w[i].seed = o.seed + i * 104729;
		/* Generations of different runs must differ too. */
		w[i].gen = (o.seed << 24) + (i << 20);
		w[i].model = calloc(w[i].len, sizeof(uint64_t));
		if (!w[i].model)
			die("out of memory");
	}
	for (i = 0; i < o.threads; i++)
		if (pthread_create(&w[i].th, NULL, work, &w[i]))
			die("pthread_create");
	for (i = 0; i < o.threads; i++) {
		pthread_join(w[i].th, NULL);
		for (k = 0; k < 6; k++)
			sum[k] += w[i].ops[k];
	}
	printf("mixer ops:");
	for (k = 0; k < 6; k++)
		printf(" %c=%" PRIu64, letters[k], sum[k]);
	printf("\n");
	return failed;
}
