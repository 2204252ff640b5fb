// SPDX-License-Identifier: GPL-2.0
/*
 * dmfreeze [-l] [-m MESSAGE] NAME... - suspends all devices at the same time, by
 * one thread each, started before; sends each MESSAGE; resumes all at the same
 * time, or with -l one after the other; prints "suspend US message US resume US
 * all US". What a group snapshot's freeze is measured against.
 */
#include "common.h"
#include <linux/dm-ioctl.h>
#include <pthread.h>
#include <semaphore.h>

#define MAX_DEVS 256

struct dev {
	pthread_t thread;
	sem_t go;
	const char *name, *what;
	unsigned long cmd;
	union {
		struct dm_ioctl io;
		char room[1024];
	};
};

static int ctl;
static sem_t finished;
static struct dev dev[MAX_DEVS];

static void prepare(struct dev *d, unsigned long cmd, const char *what, unsigned int flags)
{
	memset(d->room, 0, sizeof(d->room));
	d->cmd = cmd;
	d->what = what;
	d->io.version[0] = DM_VERSION_MAJOR;
	d->io.data_size = sizeof(d->io);
	d->io.data_start = sizeof(d->io);
	d->io.flags = flags;
	snprintf(d->io.name, sizeof(d->io.name), "%s", d->name);
}

static void call(struct dev *d)
{
	if (ioctl(ctl, d->cmd, &d->io))
		die("%s: %s: %s", d->name, d->what, strerror(errno));
}

static void *work(void *arg)
{
	struct dev *d = arg;

	for (;;) {
		sem_wait(&d->go);
		call(d);
		sem_post(&finished);
	}
	return NULL;
}

static void all_at_once(int n)
{
	int i;

	for (i = 0; i < n; i++)
		sem_post(&dev[i].go);
	for (i = 0; i < n; i++)
		sem_wait(&finished);
}

static void one_by_one(int n)
{
	int i;

	for (i = 0; i < n; i++)
		call(&dev[i]);
}

static void prepare_message(struct dev *d, const char *msg)
{
	struct dm_target_msg *t;
	size_t len = strlen(msg) + 1;

	prepare(d, DM_TARGET_MSG, msg, 0);
	t = (struct dm_target_msg *)(d->room + sizeof(d->io));
	if (sizeof(d->io) + sizeof(*t) + len > sizeof(d->room))
		die("%s: too long a message", msg);
	d->io.data_size += sizeof(*t) + len;
	memcpy(t->message, msg, len);
}

int main(int argc, char **argv)
{
	bool serial = false;
	const char *msg = NULL;
	uint64_t t[4];
	int c, n, i;

	while ((c = getopt(argc, argv, "lm:")) != -1) {
		if (c == 'l')
			serial = true;
		else if (c == 'm')
			msg = optarg;
		else
			die("usage: dmfreeze [-l] [-m MESSAGE] NAME...");
	}
	n = argc - optind;
	if (n < 1 || n > MAX_DEVS)
		die("1 to %d devices", MAX_DEVS);
	ctl = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	if (ctl < 0)
		die("/dev/mapper/control: %s", strerror(errno));
	sem_init(&finished, 0, 0);
	for (i = 0; i < n; i++) {
		dev[i].name = argv[optind + i];
		sem_init(&dev[i].go, 0, 0);
		prepare(&dev[i], DM_DEV_SUSPEND, "suspend", DM_SUSPEND_FLAG);
		if (pthread_create(&dev[i].thread, NULL, work, &dev[i]))
			die("no thread");
	}
	t[0] = now_ns();
	all_at_once(n);
	t[1] = now_ns();
	for (i = 0; i < n && msg; i++) {
		prepare_message(&dev[i], msg);
		call(&dev[i]);
	}
	t[2] = now_ns();
	for (i = 0; i < n; i++)
		prepare(&dev[i], DM_DEV_SUSPEND, "resume", 0);
	if (serial)
		one_by_one(n);
	else
		all_at_once(n);
	t[3] = now_ns();
	printf("suspend %" PRIu64 " message %" PRIu64 " resume %" PRIu64 " all %" PRIu64 "\n",
	       (t[1] - t[0]) / 1000, (t[2] - t[1]) / 1000, (t[3] - t[2]) / 1000,
	       (t[3] - t[0]) / 1000);
	return 0;
}
