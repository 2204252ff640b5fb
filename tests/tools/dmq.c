// SPDX-License-Identifier: GPL-2.0
/*
 * dmq status|table NAME...	the line of each, as dmsetup prints it
 * dmq events NAME		the event number
 * dmq msg NAME WORD...		a message to sector 0; prints ok or the errno's name
 * dmq log [MARK]		the kernel's log behind the line that ends with MARK
 * dmq create NAME TABLE	with its node; TABLE: lines as for dmsetup
 * dmq load NAME TABLE		the inactive table; dmq clear NAME: none
 * dmq swap NAME TABLE [--noflush]	load, suspend, resume
 * dmq suspend NAME [--noflush], dmq resume NAME, dmq remove NAME
 * dmq all -			many of the last three lines from standard input,
 *				words apart by tabs, until one fails
 * dmq ms VERB NAME [WORD...]	one of the last two lines, and how many
 *				milliseconds it took: without the time that a
 *				process needs to begin on a busy machine
 * dmq cost N VERB NAME [WORD...]	any of these but log, N times: what one costs,
 *				with what it leaves to kernel threads: time on a
 *				processor, which is instructions in a machine
 *				that counts them; waiting costs nothing
 *
 * What the tests ask hundreds of times, without the cost of dmsetup, which in
 * an emulated machine is a tenth of a second a call.
 */
#include "common.h"
#include <linux/dm-ioctl.h>

static char buf[65536];

static struct dm_ioctl *prepare(const char *name, unsigned int flags)
{
	struct dm_ioctl *io = (void *)buf;

	memset(buf, 0, sizeof(*io));
	io->version[0] = DM_VERSION_MAJOR;
	io->data_size = sizeof(buf);
	io->data_start = sizeof(*io);
	io->flags = flags;
	snprintf(io->name, sizeof(io->name), "%s", name);
	return io;
}

static int show(int fd, const char *name, unsigned int flags)
{
	struct dm_ioctl *io = prepare(name, flags | DM_NOFLUSH_FLAG);
	struct dm_target_spec *spec;
	unsigned int i;
	size_t at;

	if (ioctl(fd, DM_TABLE_STATUS, io)) {
		printf("%s: %s\n", name, errname(errno));
		return 1;
	}
	at = io->data_start;
	for (i = 0; i < io->target_count; i++) {
		spec = (void *)(buf + at);
		printf("%" PRIu64 " %" PRIu64 " %s %s\n", (uint64_t)spec->sector_start,
		       (uint64_t)spec->length, spec->target_type, (char *)(spec + 1));
		at = io->data_start + spec->next;
	}
	return 0;
}

static int message(int fd, const char *name, char **words, int n)
{
	struct dm_ioctl *io = prepare(name, 0);
	struct dm_target_msg *msg = (void *)(buf + io->data_start);
	char *p = msg->message;
	int i;

	msg->sector = 0;
	for (i = 0; i < n; i++)
		p += sprintf(p, "%s%s", i ? " " : "", words[i]);
	p[1] = 0;
	if (ioctl(fd, DM_TARGET_MSG, io)) {
		printf("%s\n", errname(errno));
		return 1;
	}
	printf("ok\n");
	return 0;
}

/* Each read of /dev/kmsg is one record: "prio,seq,time,flags;text\n ..." */
static int klog(const char *mark)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	size_t used = 0, size = 1 << 20, len;
	char *out = malloc(size);
	ssize_t n;

	if (fd < 0 || !out)
		die("/dev/kmsg: %s", strerror(errno));
	while ((n = read(fd, buf, sizeof(buf) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		char *text, *end;

		if (n < 0)
			continue;
		buf[n] = 0;
		text = strchr(buf, ';');
		if (!text)
			continue;
		text++;
		end = strchr(text, '\n');
		if (end)
			*end = 0;
		len = strlen(text);
		if (mark && len >= strlen(mark) && !strcmp(text + len - strlen(mark), mark)) {
			used = 0;
			continue;
		}
		if (used + len + 2 > size) {
			size *= 2;
			out = realloc(out, size);
			if (!out)
				die("out of memory");
		}
		used += sprintf(out + used, "%s\n", text);
	}
	fwrite(out, 1, used, stdout);
	return 0;
}

static int call(int fd, unsigned long cmd, const char *what, const char *name,
		unsigned int flags)
{
	if (!ioctl(fd, cmd, prepare(name, flags)))
		return 0;
	fprintf(stderr, "%s %s: %s\n", what, name, strerror(errno));
	return 1;
}

static int load(int fd, const char *name, char *table)
{
	struct dm_ioctl *io = prepare(name, 0);
	size_t at = io->data_start;
	char *line, *save;

	for (line = strtok_r(table, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct dm_target_spec *spec = (void *)(buf + at);
		unsigned long long start, len;
		char type[16];
		int n;

		memset(spec, 0, sizeof(*spec));
		if (sscanf(line, "%llu %llu %15s%n", &start, &len, type, &n) != 3)
			die("no table line: %s", line);
		for (line += n; *line == ' '; line++)
			;
		spec->sector_start = start;
		spec->length = len;
		strcpy(spec->target_type, type);
		strcpy((char *)(spec + 1), line);
		spec->next = sizeof(*spec) + ((strlen(line) + 8) & ~7UL);
		at += spec->next;
		io->target_count++;
	}
	if (!ioctl(fd, DM_TABLE_LOAD, io))
		return 0;
	fprintf(stderr, "load %s: %s\n", name, strerror(errno));
	return 1;
}

static const char *node(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "/dev/mapper/%s", name);
	return path;
}

static int create(int fd, const char *name, char *table)
{
	struct dm_ioctl *io;
	dev_t dev;

	if (call(fd, DM_DEV_CREATE, "create", name, 0))
		return 1;
	io = (void *)buf;
	dev = io->dev;
	if (load(fd, name, table) || call(fd, DM_DEV_SUSPEND, "resume", name, 0)) {
		call(fd, DM_DEV_REMOVE, "remove", name, 0);
		return 1;
	}
	unlink(node(name));
	if (mknod(node(name), S_IFBLK | 0600, dev))
		die("%s: %s", node(name), strerror(errno));
	return 0;
}

static int change(int fd, const char *verb, const char *name, char **argv)
{
	unsigned int flags = 0;
	char *table = NULL;

	for (; *argv; argv++) {
		if (!strcmp(*argv, "--noflush"))
			flags = DM_NOFLUSH_FLAG;
		else
			table = *argv;
	}
	if (!strcmp(verb, "remove")) {
		if (call(fd, DM_DEV_REMOVE, "remove", name, 0))
			return 1;
		unlink(node(name));
		return 0;
	}
	if (!strcmp(verb, "clear"))
		return call(fd, DM_TABLE_CLEAR, verb, name, 0);
	if (!strcmp(verb, "suspend"))
		return call(fd, DM_DEV_SUSPEND, verb, name, DM_SUSPEND_FLAG | flags);
	if (!strcmp(verb, "resume"))
		return call(fd, DM_DEV_SUSPEND, verb, name, 0);
	if (!table)
		die("%s: a table is missing", verb);
	if (!strcmp(verb, "create"))
		return create(fd, name, table);
	if (!strcmp(verb, "load"))
		return load(fd, name, table);
	if (!strcmp(verb, "swap"))
		return load(fd, name, table) ||
		       call(fd, DM_DEV_SUSPEND, "suspend", name, DM_SUSPEND_FLAG | flags) ||
		       call(fd, DM_DEV_SUSPEND, "resume", name, 0);
	die("%s: unknown", verb);
}

static int all(int fd)
{
	char *line = NULL, *words[5], *save;
	size_t size = 0;
	int n, rc = 0;

	while (!rc && getline(&line, &size, stdin) > 0) {
		n = 0;
		for (char *w = strtok_r(line, "\t\n", &save); w && n < 4;
		     w = strtok_r(NULL, "\t\n", &save))
			words[n++] = w;
		words[n] = NULL;
		if (n < 2)
			die("all: a line without a name");
		rc = change(fd, words[0], words[1], words + 2);
	}
	free(line);
	return rc;
}

/* Nanoseconds that all tasks have had; ours counts when it goes to sleep. */
static uint64_t read_schedstat(void)
{
	uint64_t sum = 0, ns;
	char line[512];
	FILE *f = fopen("/proc/schedstat", "r");

	if (!f)
		die("/proc/schedstat: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "cpu%*u %*u %*u %*u %*u %*u %*u %" SCNu64, &ns) == 1)
			sum += ns;
	fclose(f);
	return sum;
}

/* The same when nobody does anything any more. */
static uint64_t on_cpu(void)
{
	uint64_t before, now = read_schedstat();

	do {
		before = now;
		usleep(50000);
		now = read_schedstat();
	} while (now - before > 500000);
	return now;
}

static int verb(int fd, int argc, char **argv);

static int cost(int fd, int argc, char **argv)
{
	uint64_t t0, t1;
	int i, n = atoi(argv[0]), out = dup(1), rc = 0;

	if (n < 1 || !freopen("/dev/null", "w", stdout))
		die("cost: how often?");
	t0 = on_cpu();
	for (i = 0; i < n && !rc; i++)
		rc = verb(fd, argc - 1, argv + 1);
	t1 = on_cpu();
	dprintf(out, "%" PRIu64 "\n", (t1 - t0) / n);
	return rc;
}

static int verb(int fd, int argc, char **argv)
{
	int i, rc = 0;

	if (!strcmp(argv[0], "msg"))
		return message(fd, argv[1], argv + 2, argc - 2);
	if (strcmp(argv[0], "status") && strcmp(argv[0], "table"))
		return change(fd, argv[0], argv[1], argv + 2);
	for (i = 1; i < argc; i++)
		rc |= show(fd, argv[i], !strcmp(argv[0], "table") ? DM_STATUS_TABLE_FLAG : 0);
	return rc;
}

int main(int argc, char **argv)
{
	int fd, rc = 0;

	if (argc >= 2 && !strcmp(argv[1], "log"))
		return klog(argc > 2 ? argv[2] : NULL);
	if (argc < 3)
		die("usage: dmq VERB NAME [WORD...], see the head of dmq.c");
	fd = open("/dev/mapper/control", O_RDWR);
	if (fd < 0)
		die("/dev/mapper/control: %s", strerror(errno));
	if (!strcmp(argv[1], "cost") && argc > 4)
		return cost(fd, argc - 2, argv + 2);
	if (!strcmp(argv[1], "events")) {
		struct dm_ioctl *io = prepare(argv[2], 0);

		if (ioctl(fd, DM_DEV_STATUS, io))
			die("%s: %s", argv[2], strerror(errno));
		printf("%u\n", io->event_nr);
		return 0;
	}
	if (!strcmp(argv[1], "all"))
		return all(fd);
	if (!strcmp(argv[1], "ms") && argc > 3) {
		uint64_t t0 = now_ms();

		rc = change(fd, argv[2], argv[3], argv + 4);
		printf("%" PRIu64 "\n", now_ms() - t0);
		return rc;
	}
	return verb(fd, argc - 1, argv + 1);
}
