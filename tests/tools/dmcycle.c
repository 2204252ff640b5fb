// SPDX-License-Identifier: GPL-2.0
/*
 * dmcycle [-c COUNT] [-t TARGET] [-p PARAMS]... [-l SECTORS] [-r SEED] [-i MS] NAME
 *
 * COUNT times, picked at random: suspend and resume; suspend without flush
 * and resume; load one of the lines PARAMS (target type TARGET, SECTORS
 * long), suspend, resume; load one and clear it again.  By ioctl, so that
 * hundreds of cycles fit where a loop around dmsetup does ten.
 */
#include "common.h"
#include <linux/dm-ioctl.h>

static char buf[16384];
static int ctl;
static const char *name;

static struct dm_ioctl *prepare(unsigned int flags)
{
	struct dm_ioctl *io = (void *)buf;

	memset(buf, 0, sizeof(buf));
	io->version[0] = DM_VERSION_MAJOR;
	io->data_size = sizeof(buf);
	io->data_start = sizeof(*io);
	io->flags = flags;
	snprintf(io->name, sizeof(io->name), "%s", name);
	return io;
}

static void run(unsigned long cmd, const char *what, unsigned int flags, uint64_t n)
{
	if (ioctl(ctl, cmd, prepare(flags)))
		die("cycle %" PRIu64 ": %s: %s", n, what, strerror(errno));
}

static void load(const char *target, uint64_t len, const char *params, uint64_t n)
{
	struct dm_ioctl *io = prepare(0);
	struct dm_target_spec *spec = (void *)(buf + io->data_start);

	io->target_count = 1;
	spec->length = len;
	snprintf(spec->target_type, sizeof(spec->target_type), "%s", target);
	strcpy((char *)(spec + 1), params);
	spec->next = sizeof(*spec) + ((strlen(params) + 8) & ~7UL);
	if (ioctl(ctl, DM_TABLE_LOAD, io))
		die("cycle %" PRIu64 ": load: %s", n, strerror(errno));
}

int main(int argc, char **argv)
{
	uint64_t count = 200, len = 0, seed, i, kinds[4] = { 0 }, pause = 0;
	const char *target = "qmirror", *params[16], *seedarg = NULL;
	unsigned int nparams = 0;
	struct rng r;
	int c;

	while ((c = getopt(argc, argv, "c:t:p:l:r:i:")) != -1) {
		switch (c) {
		case 'c':
			count = strtoull(optarg, NULL, 0);
			break;
		case 't':
			target = optarg;
			break;
		case 'p':
			if (nparams == 16)
				die("too many -p");
			params[nparams++] = optarg;
			break;
		case 'l':
			len = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			seedarg = optarg;
			break;
		case 'i':
			pause = strtoull(optarg, NULL, 0);
			break;
		default:
			die("usage: dmcycle [-c N] [-t TARGET] [-p PARAMS]... [-l SECTORS] [-r SEED] [-i MS] NAME");
		}
	}
	if (optind != argc - 1 || !nparams || !len)
		die("usage: dmcycle [-c N] [-t TARGET] [-p PARAMS]... [-l SECTORS] [-r SEED] [-i MS] NAME");
	name = argv[optind];
	r.s = seed = seed_or_time(seedarg);
	printf("dmcycle seed=%" PRIu64 "\n", seed);
	fflush(stdout);
	ctl = open("/dev/mapper/control", O_RDWR);
	if (ctl < 0)
		die("/dev/mapper/control: %s", strerror(errno));
	for (i = 0; i < count; i++) {
		unsigned int kind = rng_below(&r, 4);

		kinds[kind]++;
		if (kind >= 2)
			load(target, len, params[rng_below(&r, nparams)], i);
		if (kind == 3) {
			run(DM_TABLE_CLEAR, "clear", 0, i);
		} else {
			run(DM_DEV_SUSPEND, "suspend",
			    DM_SUSPEND_FLAG | (kind == 1 ? DM_NOFLUSH_FLAG : 0), i);
			run(DM_DEV_SUSPEND, "resume", 0, i);
		}
		usleep(pause * 1000);
	}
	printf("dmcycle plain=%" PRIu64 " noflush=%" PRIu64 " reload=%" PRIu64 " load-clear=%" PRIu64 "\n",
	       kinds[0], kinds[1], kinds[2], kinds[3]);
	return 0;
}
