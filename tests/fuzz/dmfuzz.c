// SPDX-License-Identifier: GPL-2.0
/*
 * dmfuzz [-t SECONDS] [-r SEED] [-g THREADS] [-w SECONDS] LEG...
 * dmfuzz -p COUNT [-r SEED] [-g THREADS] [-n THREAD] LEG...
 * dmfuzz -f FILE [-w SECONDS] LEG...
 *
 * Devices fz0 ... fz5 that several threads create, load, suspend, resume, send
 * messages to and remove, in any order, while others do I/O on them and the legs
 * h0, h1, ... stop answering now and then. LEG: block devices; those whose name
 * begins with h are device-mapper's. All that a thread does follows from the seed
 * (gen.c): -p prints the first orders of each thread (or of thread -n) instead of
 * carrying them out, -f carries out such lines, a thread for each number.
 *
 * Ends with 0 when all could be removed in the end, 1 when something took longer
 * than -w seconds (its stacks are in the kernel's log then, and the last orders
 * are printed) or could not be removed. What the kernel says is the rig's
 * business.
 */
#include "dmfuzz.h"
#include <ctype.h>
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/sysmacros.h>

#define DIR_NODES	"/run/dmfuzz"
#define MINOR_BASE	200
#define MAX_THREADS	32
#define BUF_SIZE	(256 * 1024)
#define IO_SECTORS	4096
#define HISTORY		24

struct worker {
	pthread_t id;
	unsigned int nr;
	struct gen gen;
	char *ioctl_buf, *io_buf;
	_Atomic uint64_t since;		/* ms; 0: not in an order */
	_Atomic uint64_t done;
	char (*history)[160];		/* the last orders, in a ring */
	char **script;			/* -f */
	size_t script_len;
	int fd;				/* the last device of an I/O thread */
	unsigned int fd_dev;
};

enum count {
	C_LOAD, C_LOAD_MIRROR, C_LOAD_CBW, C_LOAD_VIEW, C_MSG, C_SUSPEND, C_RESUME,
	C_REMOVE, C_STATUS, C_IO, C_OTHER, COUNTS
};

static const char *const count_name[] = {
	"load", "qmirror", "cbw", "cbw-snapshot", "msg", "suspend", "resume", "remove",
	"status", "io", "other",
};

#define MAX_ERRNO 140
static _Atomic uint64_t good[COUNTS], bad[COUNTS][MAX_ERRNO];
static atomic_bool stop_orders, stop_all;
static dev_t legs[MAX_LEGS];
static unsigned int nr_legs, nr_hanging, dm_major;
static struct worker workers[MAX_THREADS];
static unsigned int nr_workers;
static uint64_t limit_ms = 30000;
static int ctl;

static void count(enum count c, bool ok)
{
	atomic_fetch_add(ok ? &good[c] : &bad[c][errno % MAX_ERRNO], 1);
}

/* --- the ioctls -------------------------------------------------------------------- */

static struct dm_ioctl *prepare(struct worker *w, const char *name, unsigned int flags)
{
	struct dm_ioctl *io = (void *)w->ioctl_buf;

	memset(io, 0, sizeof(*io));
	io->version[0] = DM_VERSION_MAJOR;
	io->data_size = BUF_SIZE;
	io->data_start = sizeof(*io);
	io->flags = flags;
	snprintf(io->name, sizeof(io->name), "%s", name);
	return io;
}

static bool call(unsigned long cmd, struct dm_ioctl *io)
{
	return !ioctl(ctl, cmd, io);
}

/* "fz3" is 3, anything else is -1 */
static int device_number(const char *name)
{
	return !strncmp(name, "fz", 2) && isdigit(name[2]) ? atoi(name + 2) : -1;
}

static bool create(struct worker *w, const char *name)
{
	struct dm_ioctl *io = prepare(w, name, DM_PERSISTENT_DEV_FLAG);

	io->dev = makedev(dm_major, MINOR_BASE + device_number(name));
	return call(DM_DEV_CREATE, io);
}

/*
 * @0 and @fz0 become numbers, \x41 a byte. A device above @self (the one whose
 * table it is to be) becomes none: see put_leg().
 */
static size_t resolve(char *to, const char *from, int self)
{
	char *start = to;
	unsigned int n;
	int used;

	while (*from) {
		used = 0;
		if (sscanf(from, "@fz%1u%n", &n, &used) == 1 && used) {
			to += (int)n > self ? sprintf(to, "0:0") :
				sprintf(to, "%u:%u", dm_major, MINOR_BASE + n);
			from += used;
		} else if (sscanf(from, "@%2u%n", &n, &used) == 1 && used && n < nr_legs) {
			to += sprintf(to, "%u:%u", major(legs[n]), minor(legs[n]));
			from += used;
		} else if (sscanf(from, "\\x%2x%n", &n, &used) == 1 && used == 4) {
			*to++ = n;
			from += used;
		} else {
			*to++ = *from++;
		}
	}
	*to = 0;
	return to - start;
}

static void load(struct worker *w, const char *name, char *rest)
{
	struct dm_ioctl *io = prepare(w, name, strncmp(rest, "ro", 2) ? 0 : DM_READONLY_FLAG);
	size_t at = io->data_start;
	enum count kind = C_LOAD;
	char *line, *save;
	bool ok;

	for (line = strtok_r(rest + 3, "|", &save); line; line = strtok_r(NULL, "|", &save)) {
		struct dm_target_spec *spec = (void *)(w->ioctl_buf + at);
		unsigned long long start, len;
		int n = 0;

		memset(spec, 0, sizeof(*spec));
		if (sscanf(line, "%llu %llu %15s%n", &start, &len, spec->target_type, &n) != 3)
			return;
		spec->sector_start = start;
		spec->length = len;
		if (!strcmp(spec->target_type, "qmirror"))
			kind = C_LOAD_MIRROR;
		else if (!strcmp(spec->target_type, "cbw"))
			kind = C_LOAD_CBW;
		else if (!strcmp(spec->target_type, "cbw-snapshot"))
			kind = C_LOAD_VIEW;
		n = resolve((char *)(spec + 1), line + n + (line[n] == ' '), device_number(name));
		spec->next = (sizeof(*spec) + n + 8) & ~7UL;
		at += spec->next;
		io->target_count++;
	}
	ok = call(DM_TABLE_LOAD, io);
	count(kind, ok);
}

static void message(struct worker *w, const char *name, const char *rest)
{
	struct dm_ioctl *io = prepare(w, name, 0);
	struct dm_target_msg *msg = (void *)(w->ioctl_buf + io->data_start);
	char *end;

	msg->sector = strtoull(rest, &end, 10);
	resolve(msg->message, end + (*end == ' '), -1);
	count(C_MSG, call(DM_TARGET_MSG, io));
}

static bool has(const char *rest, const char *word)
{
	return strstr(rest, word);
}

static void status(struct worker *w, const char *name, const char *rest)
{
	unsigned int flags = 0;

	if (has(rest, "table"))
		flags |= DM_STATUS_TABLE_FLAG;
	if (has(rest, "inactive"))
		flags |= DM_QUERY_INACTIVE_TABLE_FLAG;
	if (has(rest, "noflush"))
		flags |= DM_NOFLUSH_FLAG;
	count(C_STATUS, call(DM_TABLE_STATUS, prepare(w, name, flags)));
}

static void suspend(struct worker *w, const char *name, const char *rest)
{
	unsigned int flags = DM_SUSPEND_FLAG;

	if (has(rest, "noflush"))
		flags |= DM_NOFLUSH_FLAG;
	if (has(rest, "nolockfs"))
		flags |= DM_SKIP_LOCKFS_FLAG;
	count(C_SUSPEND, call(DM_DEV_SUSPEND, prepare(w, name, flags)));
}

/* --- I/O ------------------------------------------------------------------------------ */

static bool open_device(struct worker *w, unsigned int dev)
{
	char path[64];

	/* stay for a while: opening is most of the time of a small I/O */
	if (w->fd >= 0 && w->fd_dev == dev && w->done % 64)
		return true;
	if (w->fd >= 0)
		close(w->fd);
	snprintf(path, sizeof(path), DIR_NODES "/fz%u", dev);
	w->fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (w->fd < 0)
		w->fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	w->fd_dev = dev;
	return w->fd >= 0;
}

static void do_io(struct worker *w, const char *name, const char *rest)
{
	unsigned long long s = 0, n = 0;
	char kind[16] = "";
	struct iovec iov;
	uint64_t range[2];
	bool ok;

	if (sscanf(rest, "%15s %llu %llu", kind, &s, &n) != 3 || n > IO_SECTORS ||
	    device_number(name) < 0)
		return;
	/* an unused device must be removable */
	if (!open_device(w, device_number(name))) {
		count(C_IO, false);
		return;
	}
	iov = (struct iovec){ w->io_buf, n * SECTOR };
	range[0] = s * SECTOR;
	range[1] = n * SECTOR;
	if (!strcmp(kind, "read"))
		ok = preadv2(w->fd, &iov, 1, s * SECTOR, 0) > 0;
	else if (!strcmp(kind, "fua"))
		ok = pwritev2(w->fd, &iov, 1, s * SECTOR, RWF_DSYNC) > 0;
	else if (!strcmp(kind, "nowait"))
		ok = pwritev2(w->fd, &iov, 1, s * SECTOR, RWF_NOWAIT) > 0;
	else if (!strcmp(kind, "discard"))
		ok = !ioctl(w->fd, BLKDISCARD, range);
	else if (!strcmp(kind, "zero"))
		ok = !ioctl(w->fd, BLKZEROOUT, range);
	else if (!strcmp(kind, "flush"))
		ok = !fsync(w->fd);
	else
		ok = pwritev2(w->fd, &iov, 1, s * SECTOR, 0) > 0;
	count(C_IO, ok);
	if (!ok) {
		close(w->fd);
		w->fd = -1;
	}
}

/* --- threads ----------------------------------------------------------------------------- */

static void carry_out(struct worker *w, const char *order)
{
	char *copy = strdup(order), *verb, *name, *rest;

	if (!copy)
		die("out of memory");
	snprintf(w->history[w->done % HISTORY], sizeof(*w->history), "%s", order);
	verb = strtok_r(copy, " ", &rest);
	name = strtok_r(NULL, " ", &rest);
	if (!verb || !name)
		die("no order: %s", order);
	if (!strcmp(verb, "sleep")) {
		usleep(atoi(name) * 1000);
		atomic_fetch_add(&w->done, 1);
		free(copy);
		return;
	}
	atomic_store(&w->since, now_ms());
	if (!strcmp(verb, "io"))
		do_io(w, name, rest);
	else if (!strcmp(verb, "load"))
		load(w, name, rest);
	else if (!strcmp(verb, "msg"))
		message(w, name, rest);
	else if (!strcmp(verb, "suspend"))
		suspend(w, name, rest);
	else if (!strcmp(verb, "resume"))
		count(C_RESUME, call(DM_DEV_SUSPEND, prepare(w, name, 0)));
	else if (!strcmp(verb, "status"))
		status(w, name, rest);
	else if (!strcmp(verb, "remove"))
		count(C_REMOVE, call(DM_DEV_REMOVE, prepare(w, name, has(rest, "deferred") ?
							    DM_DEFERRED_REMOVE : 0)));
	else if (!strcmp(verb, "create"))
		count(C_OTHER, create(w, name));
	else if (!strcmp(verb, "clear"))
		count(C_OTHER, call(DM_TABLE_CLEAR, prepare(w, name, 0)));
	else if (!strcmp(verb, "deps"))
		count(C_OTHER, call(DM_TABLE_DEPS, prepare(w, name, 0)));
	else
		die("no order: %s", order);
	atomic_store(&w->since, 0);
	atomic_fetch_add(&w->done, 1);
	free(copy);
}

static bool over(const struct worker *w)
{
	/* whoever waits for a leg, or for a device below, must get on to the end */
	bool last = w->gen.role == ROLE_LEGS || w->gen.role == ROLE_JANITOR;

	return atomic_load(last ? &stop_all : &stop_orders);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	size_t i;

	if (w->script) {
		for (i = 0; i < w->script_len; i++)
			carry_out(w, w->script[i]);
	} else {
		/* a leg is never left in the middle, or it stays suspended */
		while (!over(w) || (w->gen.role == ROLE_LEGS && w->gen.step % 4))
			carry_out(w, gen_next(&w->gen));
	}
	if (w->fd >= 0)
		close(w->fd);
	return NULL;
}

static struct worker *add_worker(uint64_t seed, enum role role, unsigned int index)
{
	struct worker *w = &workers[nr_workers];

	if (nr_workers == MAX_THREADS)
		die("too many threads");
	w->nr = nr_workers++;
	w->fd = -1;
	w->gen.role = role;
	w->gen.index = index;
	w->gen.legs = nr_legs;
	w->gen.hanging = nr_hanging;
	w->gen.seed = seed;
	w->gen.r.s = seed * 1000003 + w->nr;
	w->gen.out = malloc(LINE_MAX_LEN);
	w->ioctl_buf = malloc(2 * BUF_SIZE);
	w->io_buf = buf_alloc(IO_SECTORS * SECTOR);
	w->history = calloc(HISTORY, sizeof(*w->history));
	if (!w->gen.out || !w->ioctl_buf || !w->history)
		die("out of memory");
	memset(w->io_buf, w->nr + 1, IO_SECTORS * SECTOR / 2);
	return w;
}

static void add_workers(uint64_t seed, unsigned int orders)
{
	unsigned int i;

	for (i = 0; i < orders; i++)
		add_worker(seed, ROLE_ORDERS, i);
	for (i = 0; i < 2; i++)
		add_worker(seed, ROLE_IO, i);
	if (nr_hanging)
		add_worker(seed, ROLE_LEGS, 0);
	for (i = 0; i < DEVICES; i++)
		add_worker(seed, ROLE_JANITOR, i);
}

/* --- the watchdog and the end ---------------------------------------------------------------- */

static void sysrq(const char *keys)
{
	int fd;

	for (; *keys; keys++) {
		fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, keys, 1) != 1)
			perror("/proc/sysrq-trigger");
		if (fd >= 0)
			close(fd);
	}
}

static void tell_where(void)
{
	unsigned int i;
	uint64_t n;

	for (i = 0; i < nr_workers; i++) {
		uint64_t since = atomic_load(&workers[i].since);
		uint64_t done = atomic_load(&workers[i].done);

		printf("thread %u: %" PRIu64 " orders done", i, done);
		if (since)
			printf(", in one for %" PRIu64 " ms", now_ms() - since);
		printf("\n");
		for (n = done < HISTORY ? 0 : done - HISTORY + 1; n <= done; n++)
			printf("  %" PRIu64 ": %s\n", n, workers[i].history[n % HISTORY]);
	}
	fflush(stdout);
}

static void watch(void)
{
	unsigned int i;

	for (i = 0; i < nr_workers; i++) {
		uint64_t since = atomic_load(&workers[i].since);

		if (!since || now_ms() - since < limit_ms)
			continue;
		printf("HANG: thread %u is in an order for more than %" PRIu64 " ms\n", i, limit_ms);
		sysrq("w");
		tell_where();
		sysrq("t");
		_exit(1);
	}
}

static void tell_progress(void)
{
	unsigned int i;

	printf("at:");
	for (i = 0; i < nr_workers; i++)
		printf(" %" PRIu64, atomic_load(&workers[i].done));
	printf("\n");
	fflush(stdout);
}

static void tell_counts(void)
{
	unsigned int i, e;
	uint64_t n;

	for (i = 0; i < COUNTS; i++) {
		printf("count %s ok %" PRIu64, count_name[i], atomic_load(&good[i]));
		for (e = 0; e < MAX_ERRNO; e++) {
			n = atomic_load(&bad[i][e]);
			if (n)
				printf(" %s %" PRIu64, errname(e), n);
		}
		printf("\n");
	}
}

static void join_role(bool last)
{
	unsigned int i;

	for (i = 0; i < nr_workers; i++) {
		bool is_last = workers[i].gen.role == ROLE_LEGS || workers[i].gen.role == ROLE_JANITOR;

		while (is_last == last && pthread_tryjoin_np(workers[i].id, NULL) == EBUSY) {
			watch();
			usleep(20000);
		}
	}
}

/* True when none of ours is left: removed from the top, more than once. */
static bool remove_all(void)
{
	struct worker *w = add_worker(0, ROLE_ORDERS, 0);
	uint64_t end = now_ms() + limit_ms;
	bool left;
	char name[16];
	int i;

	do {
		left = false;
		for (i = DEVICES - 1; i >= 0; i--) {
			snprintf(name, sizeof(name), "fz%d", i);
			call(DM_TABLE_CLEAR, prepare(w, name, 0));
			call(DM_DEV_SUSPEND, prepare(w, name, 0));
			call(DM_DEV_REMOVE, prepare(w, name, 0));
			left |= call(DM_DEV_STATUS, prepare(w, name, 0));
		}
		if (left)
			usleep(20000);
	} while (left && now_ms() < end);
	return !left;
}

/* --- set-up ------------------------------------------------------------------------------------ */

static void find_dm_major(void)
{
	FILE *f = fopen("/proc/devices", "re");
	char line[128], name[64];
	unsigned int n;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%u %63s", &n, name) == 2 && !strcmp(name, "device-mapper"))
			dm_major = n;
	}
	if (f)
		fclose(f);
	if (!dm_major)
		die("no device-mapper");
}

static void set_up_nodes(void)
{
	char path[64];
	int i;

	find_dm_major();
	ctl = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (ctl < 0)
		die("/dev/mapper/control: %s", strerror(errno));
	mkdir(DIR_NODES, 0700);
	for (i = 0; i < DEVICES; i++) {
		snprintf(path, sizeof(path), DIR_NODES "/fz%d", i);
		unlink(path);
		if (mknod(path, S_IFBLK | 0600, makedev(dm_major, MINOR_BASE + i)))
			die("%s: %s", path, strerror(errno));
	}
}

static void find_legs(char **paths, bool look)
{
	struct stat st;

	for (; *paths; paths++) {
		if (nr_legs == MAX_LEGS)
			die("too many legs");
		if (look && (stat(*paths, &st) || !S_ISBLK(st.st_mode)))
			die("%s: not a block device", *paths);
		legs[nr_legs++] = look ? st.st_rdev : 0;
		nr_hanging += !strncmp(strrchr(*paths, '/') ?: "", "/h", 2);
	}
	if (nr_legs < 2)
		die("at least two legs");
}

/* Lines "THREAD ORDER", as -p prints them. */
static void read_script(const char *file)
{
	FILE *f = fopen(file, "re");
	char *line = NULL;
	size_t size = 0;
	unsigned int nr;
	int used;

	if (!f)
		die("%s: %s", file, strerror(errno));
	while (getline(&line, &size, f) > 0) {
		struct worker *w;

		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "%u %n", &nr, &used) != 1 || nr >= MAX_THREADS - 1)
			continue;
		while (nr_workers <= nr)
			add_worker(0, ROLE_ORDERS, 0);
		w = &workers[nr];
		w->script = realloc(w->script, (w->script_len + 1) * sizeof(char *));
		if (!w->script)
			die("out of memory");
		w->script[w->script_len++] = strdup(line + used);
	}
	fclose(f);
	free(line);
}

static void print_orders(uint64_t n, long only)
{
	unsigned int i;
	uint64_t k;

	for (i = 0; i < nr_workers; i++) {
		for (k = 0; k < n && (only < 0 || only == (long)i); k++)
			printf("%u %s\n", i, gen_next(&workers[i].gen));
	}
}

int main(int argc, char **argv)
{
	uint64_t seed, seconds = 30, print = 0, end, next = 0;
	const char *file = NULL, *seedarg = NULL;
	unsigned int orders = 3, i;
	long only = -1;
	int c;

	while ((c = getopt(argc, argv, "t:r:g:w:p:n:f:")) != -1) {
		switch (c) {
		case 't': seconds = strtoull(optarg, NULL, 0); break;
		case 'r': seedarg = optarg; break;
		case 'g': orders = atoi(optarg); break;
		case 'w': limit_ms = strtoull(optarg, NULL, 0) * 1000; break;
		case 'p': print = strtoull(optarg, NULL, 0); break;
		case 'n': only = atol(optarg); break;
		case 'f': file = optarg; break;
		default: die("usage: see the head of dmfuzz.c");
		}
	}
	seed = seed_or_time(seedarg);
	find_legs(argv + optind, !print);
	printf("dmfuzz seed=%" PRIu64 " threads=%u legs=%u\n", seed, orders, nr_legs);
	fflush(stdout);
	if (file)
		read_script(file);
	else
		add_workers(seed, orders);
	if (print) {
		print_orders(print, only);
		return 0;
	}
	set_up_nodes();
	end = now_ms() + seconds * 1000;
	for (i = 0; i < nr_workers; i++) {
		if (pthread_create(&workers[i].id, NULL, work, &workers[i]))
			die("no thread");
	}
	while (!file && now_ms() < end) {
		usleep(200000);
		watch();
		if (now_ms() >= next) {
			tell_progress();
			next = now_ms() + 5000;
		}
	}
	atomic_store(&stop_orders, true);
	join_role(false);
	atomic_store(&stop_all, true);
	join_role(true);
	tell_progress();
	tell_counts();
	if (remove_all())
		return 0;
	printf("LEFT: devices that cannot be removed\n");
	sysrq("w");
	tell_where();
	return 1;
}
