// SPDX-License-Identifier: GPL-2.0
/*
 * dio [-p] [-o BASE] DEV OP...   single direct I/Os, one line of result each
 *
 *	w:SECTOR:COUNT:PAT	write          W: with FUA (RWF_DSYNC)   N: with RWF_NOWAIT
 *	r:SECTOR:COUNT[:PAT]	read, and compare when PAT is given
 *	d:SECTOR:COUNT		BLKDISCARD
 *	z:SECTOR:COUNT		BLKZEROOUT (no unmap)
 *	u:SECTOR:COUNT		punch hole: write zeroes, may unmap, never written as data
 *	f			fsync, that is one flush
 *	s:MS			sleep
 *	PAT			gN: sector pattern of generation N; xHH: every byte 0xHH
 *
 * -p starts every operation at the same moment, each in a thread with its own
 * file, and waits for all.  -o says which sector of DEV is sector 0 of the
 * patterns (a leg with an offset).  Each line: OP ERRNO-OR-ok MILLISECONDS.
 * The exit status is 1 when one operation failed or one comparison did.
 */
#include "common.h"
#include <linux/falloc.h>
#include <pthread.h>

struct op {
	const char *text;
	const char *dev;
	char kind;
	uint64_t sector, count, gen;
	bool have_pat, is_byte;
	int err;
	uint64_t ms;
	char note[160];
};

static uint64_t base;
static pthread_barrier_t start;
static bool parallel;

static void parse(struct op *o, const char *text, const char *dev)
{
	char *end;

	memset(o, 0, sizeof(*o));
	o->text = text;
	o->dev = dev;
	o->kind = text[0];
	if (!strchr("wWNrdzufs", o->kind))
		die("%s: unknown operation", text);
	if (o->kind == 'f') {
		if (text[1])
			die("%s: f takes nothing", text);
		return;
	}
	if (text[1] != ':')
		die("%s: ':' expected", text);
	o->sector = strtoull(text + 2, &end, 0);
	if (o->kind == 's')
		return;
	if (*end != ':')
		die("%s: a count is missing", text);
	o->count = strtoull(end + 1, &end, 0);
	if (*end == ':') {
		o->have_pat = true;
		if (end[1] == 'x')
			o->is_byte = true;
		else if (end[1] != 'g')
			die("%s: pattern is gN or xHH", text);
		o->gen = strtoull(end + 2, &end, o->is_byte ? 16 : 0);
	}
	if (*end)
		die("%s: junk at the end", text);
	if (strchr("wWN", o->kind) && !o->have_pat)
		die("%s: a pattern is missing", text);
}

static void fill(const struct op *o, char *buf)
{
	uint64_t i;

	if (o->is_byte) {
		memset(buf, o->gen, o->count * SECTOR);
		return;
	}
	for (i = 0; i < o->count; i++)
		pattern_fill(buf + i * SECTOR, o->sector - base + i, o->gen);
}

static int check(struct op *o, const char *buf)
{
	uint64_t i;

	for (i = 0; i < o->count; i++) {
		const char *s = buf + i * SECTOR;

		if (o->is_byte ? all_byte(s, SECTOR, o->gen) :
				 pattern_ok(s, o->sector - base + i, o->gen))
			continue;
		snprintf(o->note, sizeof(o->note),
			 " sector %" PRIu64 " has %016" PRIx64 " %016" PRIx64,
			 o->sector + i, ((const uint64_t *)s)[0], ((const uint64_t *)s)[1]);
		return EILSEQ;
	}
	return 0;
}

/* Many calls of at most a MiB would be several bios: one call, as large as asked. */
static void *run(void *arg)
{
	struct op *o = arg;
	uint64_t range[2] = { o->sector * SECTOR, o->count * SECTOR };
	struct iovec iov;
	char *buf = NULL;
	ssize_t got = 0;
	uint64_t t0;
	int fd, flags = 0;

	fd = dev_open(o->dev, (o->kind == 'r' ? O_RDONLY : O_RDWR) | O_DIRECT);
	if (strchr("wWNr", o->kind)) {
		buf = buf_alloc(range[1]);
		if (o->kind != 'r')
			fill(o, buf);
	}
	iov.iov_base = buf;
	iov.iov_len = range[1];
	if (parallel)
		pthread_barrier_wait(&start);
	t0 = now_ns();
	switch (o->kind) {
	case 'W':
	case 'N':
		flags = o->kind == 'W' ? RWF_DSYNC : RWF_NOWAIT;
		/* fall through */
	case 'w':
		got = pwritev2(fd, &iov, 1, range[0], flags);
		break;
	case 'r':
		got = preadv(fd, &iov, 1, range[0]);
		break;
	case 'd':
		got = ioctl(fd, BLKDISCARD, range);
		break;
	case 'z':
		got = ioctl(fd, BLKZEROOUT, range);
		break;
	case 'u':
		got = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				range[0], range[1]);
		break;
	case 'f':
		got = fsync(fd);
		break;
	case 's':
		usleep(o->sector * 1000);
		break;
	}
	o->err = got < 0 ? errno : 0;
	if (buf && got >= 0 && (uint64_t)got != range[1])
		o->err = EIO;
	o->ms = (now_ns() - t0) / 1000000;
	if (o->kind == 'r' && !o->err && o->have_pat)
		o->err = check(o, buf);
	free(buf);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct op *ops;
	pthread_t *th;
	int c, i, n, bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((c = getopt(argc, argv, "po:")) != -1) {
		if (c == 'p')
			parallel = true;
		else if (c == 'o')
			base = strtoull(optarg, NULL, 0);
		else
			die("usage: dio [-p] [-o BASE] DEV OP...");
	}
	if (argc - optind < 2)
		die("usage: dio [-p] [-o BASE] DEV OP...");
	n = argc - optind - 1;
	ops = calloc(n, sizeof(*ops));
	th = calloc(n, sizeof(*th));
	if (!ops || !th)
		die("out of memory");
	for (i = 0; i < n; i++)
		parse(&ops[i], argv[optind + 1 + i], argv[optind]);
	if (parallel) {
		pthread_barrier_init(&start, NULL, n);
		for (i = 0; i < n; i++)
			if (pthread_create(&th[i], NULL, run, &ops[i]))
				die("pthread_create");
		for (i = 0; i < n; i++)
			pthread_join(th[i], NULL);
	}
	for (i = 0; i < n; i++) {
		if (!parallel)
			run(&ops[i]);
		printf("%s %s %" PRIu64 "%s\n", ops[i].text, errname(ops[i].err),
		       ops[i].ms, ops[i].note);
		bad |= ops[i].err != 0;
	}
	return bad;
}
