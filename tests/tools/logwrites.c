// SPDX-License-Identifier: GPL-2.0
/*
 * logwrites write [-n ROUNDS] [-j THREADS] [-r SEED] DEV LOGNAME ACKED
 *	Stamps sectors of DEV in rounds of some direct writes and one fsync, or one
 *	FUA write. When that has returned, what it covers is written to the file
 *	ACKED and a mark into the log of the dm-log-writes device LOGNAME.
 *
 * logwrites replay [-a ACKED] [-c COMMAND] LOGDEV COPY
 *	Carries out the log on COPY, entry by entry, and stops at every flush, FUA
 *	and mark, as if the power had failed there: then everything acknowledged by
 *	the marks so far must be on COPY, or newer data of the same sector. COMMAND
 *	is run at each flush and FUA, with the number of the entry and the last mark
 *	as arguments; it must succeed. Prints "stops=N checked=N flushes=N fuas=N".
 *
 * The log's format is in the kernel's drivers/md/dm-log-writes.c. It has a write
 * only when a flush that began after its end has ended: what a disk may lose
 * is lost. Ends with 1 when something is missing.
 */
#include "common.h"
#include <endian.h>
#include <linux/dm-ioctl.h>
#include <pthread.h>

#define LOG_MAGIC	0x6a736677736872ULL
#define LOG_FLUSH	1
#define LOG_FUA		2
#define LOG_DISCARD	4
#define LOG_MARK	8

/* --- write --------------------------------------------------------------------- */

#define MAX_SECTORS	64

static const char *log_name;
static FILE *acked;
static pthread_mutex_t acked_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t flush_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t rounds = 100, seed, region;
static unsigned int threads = 3;
static int dev_fd;

struct stamp {
	uint64_t sector, count, gen;
};

static void mark_log(const char *text)
{
	char buf[1024] = { 0 };
	struct dm_ioctl *io = (void *)buf;
	struct dm_target_msg *msg = (void *)(io + 1);
	int ctl = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);

	io->version[0] = DM_VERSION_MAJOR;
	io->data_size = sizeof(buf);
	io->data_start = sizeof(*io);
	snprintf(io->name, sizeof(io->name), "%s", log_name);
	snprintf(msg->message, 128, "mark %s", text);
	if (ctl < 0 || ioctl(ctl, DM_TARGET_MSG, io))
		die("mark %s: %s", text, strerror(errno));
	close(ctl);
}

/* The file first: the mark must not name what the file does not have. */
static void acknowledge(unsigned int thread, uint64_t round, const struct stamp *s, unsigned int n)
{
	char text[64];
	unsigned int i;

	snprintf(text, sizeof(text), "acked-%u-%" PRIu64, thread, round);
	pthread_mutex_lock(&acked_lock);
	for (i = 0; i < n; i++)
		fprintf(acked, "%s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", text,
			s[i].sector, s[i].count, s[i].gen);
	pthread_mutex_unlock(&acked_lock);
	mark_log(text);
}

static void stamp(char *buf, const struct stamp *s, int flags)
{
	struct iovec iov = { buf, s->count * SECTOR };
	uint64_t i;

	for (i = 0; i < s->count; i++)
		pattern_fill(buf + i * SECTOR, s->sector + i, s->gen);
	if (pwritev2(dev_fd, &iov, 1, s->sector * SECTOR, flags) != (ssize_t)(s->count * SECTOR))
		die("write at %" PRIu64 ": %s", s->sector, strerror(errno));
}

/*
 * One at a time: the log takes along with a flush what was written before it, and
 * has that behind a later flush which ends first, with newer data of the same
 * sectors. No disk brings old data back.
 */
static void flush(void)
{
	pthread_mutex_lock(&flush_lock);
	if (fsync(dev_fd))
		die("fsync: %s", strerror(errno));
	pthread_mutex_unlock(&flush_lock);
}

static void *writer(void *arg)
{
	unsigned int me = (uintptr_t)arg, i, n;
	struct rng r = { seed * 1000003 + me };
	char *buf = buf_alloc(MAX_SECTORS * SECTOR);
	uint64_t round, gen = 0;

	for (round = 0; round < rounds; round++) {
		bool fua = rng_below(&r, 3) == 0, last;
		struct stamp s[8];

		n = 1 + rng_below(&r, 8);
		for (i = 0; i < n; i++) {
			s[i].count = 1 + rng_below(&r, MAX_SECTORS);
			last = fua && i == n - 1;
			/*
			 * FUA in an area of its own: the log would have it before a
			 * plain write of the same sector that came earlier and was
			 * not flushed, which no disk does.
			 */
			s[i].sector = me * region + (last ? region / 2 : 0) +
				      rng_below(&r, region / 2 - s[i].count);
			s[i].gen = ++gen;
			stamp(buf, &s[i], last ? RWF_DSYNC : 0);
		}
		if (!fua)
			flush();
		/* FUA is a promise about its own write only */
		acknowledge(me, round, fua ? &s[n - 1] : s, fua ? 1 : n);
	}
	return NULL;
}

static int do_write(char **argv)
{
	pthread_t id[16];
	unsigned int i;

	dev_fd = dev_open(argv[0], O_RDWR | O_DIRECT);
	log_name = argv[1];
	acked = fopen(argv[2], "we");
	if (!acked || !threads || threads > 16)
		die("%s: %s", argv[2], strerror(errno));
	region = dev_sectors(dev_fd) / threads;
	printf("logwrites seed=%" PRIu64 "\n", seed);
	fflush(stdout);
	for (i = 0; i < threads; i++)
		if (pthread_create(&id[i], NULL, writer, (void *)(uintptr_t)i))
			die("no thread");
	for (i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
	if (fclose(acked))
		die("%s: %s", argv[2], strerror(errno));
	return 0;
}

/* --- replay --------------------------------------------------------------------- */

struct ack {
	char mark[64];
	struct stamp s;
};

static struct ack *acks;
static size_t nr_acks;
static uint64_t *must;		/* for each sector: the least generation, 0: none */
static uint64_t copy_sectors;
static char *image;		/* what COPY holds */
static int copy_fd;

static void read_acks(const char *file)
{
	FILE *f = fopen(file, "re");
	struct ack a;

	if (!f)
		die("%s: %s", file, strerror(errno));
	while (fscanf(f, "%63s %" SCNu64 " %" SCNu64 " %" SCNu64, a.mark, &a.s.sector,
		      &a.s.count, &a.s.gen) == 4) {
		if ((nr_acks & (nr_acks - 1)) == 0) {
			struct ack *more = realloc(acks, (nr_acks ? 2 * nr_acks : 1) * sizeof(a));

			if (!more)
				die("out of memory");
			acks = more;
		}
		acks[nr_acks++] = a;
	}
	fclose(f);
}

static void believe(const char *mark)
{
	uint64_t k;
	size_t i;

	for (i = 0; i < nr_acks; i++) {
		if (strcmp(acks[i].mark, mark))
			continue;
		for (k = acks[i].s.sector; k < acks[i].s.sector + acks[i].s.count; k++)
			if (must[k] < acks[i].s.gen)
				must[k] = acks[i].s.gen;
	}
}

/* How many sectors were looked at; dies of the first that is not as promised. */
static uint64_t verify(uint64_t entry)
{
	uint64_t k, n = 0;

	for (k = 0; k < copy_sectors; k++) {
		const uint64_t *w = (void *)(image + k * SECTOR);

		if (!must[k])
			continue;
		n++;
		if (w[0] == k && w[1] >= must[k] && pattern_ok(w, k, w[1]))
			continue;
		printf("entry %" PRIu64 ": sector %" PRIu64 " has generation %" PRIu64
		       ", acknowledged and flushed was %" PRIu64 "\n", entry, k, w[1], must[k]);
		exit(1);
	}
	return n;
}

static void get(int fd, void *buf, size_t len, uint64_t at)
{
	if (pread(fd, buf, len, at) != (ssize_t)len)
		die("log at %" PRIu64 ": %s", at, strerror(errno));
}

/* One entry's data onto the copy; returns how much of the log it took. */
static uint64_t apply(int fd, uint64_t at, uint64_t sector, uint64_t n, uint64_t flags)
{
	if (!n)
		return 0;
	if (sector + n > copy_sectors)
		die("an entry past the end: %" PRIu64 " + %" PRIu64, sector, n);
	if (flags & LOG_DISCARD)
		memset(image + sector * SECTOR, 0, n * SECTOR);
	else
		get(fd, image + sector * SECTOR, n * SECTOR, at);
	if (pwrite(copy_fd, image + sector * SECTOR, n * SECTOR, sector * SECTOR) !=
	    (ssize_t)(n * SECTOR))
		die("copy: %s", strerror(errno));
	return flags & LOG_DISCARD ? 0 : n * SECTOR;
}

static void run_command(const char *command, uint64_t entry, const char *mark)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s %" PRIu64 " '%s'", command, entry, mark);
	fflush(stdout);
	if (system(line)) {
		printf("entry %" PRIu64 ", after mark '%s': %s failed\n", entry, mark, command);
		exit(1);
	}
}

static void open_copy(const char *path)
{
	struct stat st;

	copy_fd = open(path, O_RDWR | O_CLOEXEC);
	if (copy_fd < 0 || fstat(copy_fd, &st))
		die("%s: %s", path, strerror(errno));
	copy_sectors = (S_ISBLK(st.st_mode) ? dev_sectors(copy_fd) * SECTOR : (uint64_t)st.st_size)
		       / SECTOR;
	image = malloc(copy_sectors * SECTOR);
	must = calloc(copy_sectors, sizeof(*must));
	if (!image || !must)
		die("out of memory");
	get(copy_fd, image, copy_sectors * SECTOR, 0);
}

static int do_replay(char **argv, const char *command)
{
	uint64_t at, entry, entries, stops = 0, checked = 0, flushes = 0, fuas = 0, sector[64];
	char mark[SECTOR] = "";
	int fd = dev_open(argv[0], O_RDONLY);

	open_copy(argv[1]);
	get(fd, sector, SECTOR, 0);
	if (le64toh(sector[0]) != LOG_MAGIC || le64toh(sector[1]) != 1 ||
	    (uint32_t)le64toh(sector[3]) != SECTOR)
		die("%s: no log of version 1 with sectors of 512 bytes", argv[0]);
	entries = le64toh(sector[2]);
	for (at = SECTOR, entry = 0; entry < entries; entry++) {
		uint64_t flags;

		get(fd, sector, SECTOR, at);
		flags = le64toh(sector[2]);
		at += SECTOR;
		if (flags & LOG_MARK) {
			snprintf(mark, sizeof(mark), "%.*s", (int)le64toh(sector[3]),
				 (char *)&sector[4]);
			believe(mark);
		} else {
			at += apply(fd, at, le64toh(sector[0]), le64toh(sector[1]), flags);
		}
		if (!(flags & (LOG_MARK | LOG_FLUSH | LOG_FUA)))
			continue;
		stops++;
		flushes += !!(flags & LOG_FLUSH);
		fuas += !!(flags & LOG_FUA);
		checked += verify(entry);
		if (command && !(flags & LOG_MARK))
			run_command(command, entry, mark);
	}
	printf("stops=%" PRIu64 " checked=%" PRIu64 " flushes=%" PRIu64 " fuas=%" PRIu64 "\n",
	       stops, checked, flushes, fuas);
	return 0;
}

int main(int argc, char **argv)
{
	static const char usage[] = "usage: logwrites write|replay ..., see the head of logwrites.c";
	const char *seedarg = NULL, *command = NULL;
	int c;

	while ((c = getopt(argc, argv, "n:j:r:a:c:")) != -1) {
		switch (c) {
		case 'n':
			rounds = strtoull(optarg, NULL, 0);
			break;
		case 'j':
			threads = atoi(optarg);
			break;
		case 'r':
			seedarg = optarg;
			break;
		case 'a':
			read_acks(optarg);
			break;
		case 'c':
			command = optarg;
			break;
		default:
			die("%s", usage);
		}
	}
	seed = seed_or_time(seedarg);
	argv += optind;
	argc -= optind;
	if (argc == 4 && !strcmp(argv[0], "write"))
		return do_write(argv + 1);
	if (argc == 3 && !strcmp(argv[0], "replay"))
		return do_replay(argv + 1, command);
	die("%s", usage);
}
