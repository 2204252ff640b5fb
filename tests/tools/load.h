/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the programs that make a load for a while share: their options.
 */
#ifndef TESTS_TOOLS_LOAD_H
#define TESTS_TOOLS_LOAD_H

#include "common.h"

struct load {
	uint64_t threads;	/* -t */
	uint64_t secs;		/* -d */
	uint64_t start;		/* -s, in sectors */
	uint64_t len;		/* -n, in sectors; 0: to the end of the device */
	uint64_t max;		/* -m, in sectors: of one I/O */
	uint64_t seed;		/* -r */
	uint64_t until;		/* when it is over, by now_ms() */
	uint64_t lbs;		/* of the last device, in sectors */
	const char *usage;
};

/*
 * load_options - the command line
 * @o: with the defaults; threads, secs and max are not 0
 * @most: threads at the most
 * @devs: devices at the end of the line; the last one is looked at
 * @more: the program's own options, for getopt()
 * @own: takes one of those; false: it is none
 */
static inline void load_options(struct load *o, int argc, char **argv,
				uint64_t most, int devs, const char *more,
				bool (*own)(int c, const char *arg))
{
	const char *seed = NULL;
	char all[64];
	int c, fd;

	snprintf(all, sizeof(all), "t:d:s:n:m:r:%s", more);
	while ((c = getopt(argc, argv, all)) != -1) {
		switch (c) {
		case 't':
			o->threads = strtoull(optarg, NULL, 0);
			break;
		case 'd':
			o->secs = strtoull(optarg, NULL, 0);
			break;
		case 's':
			o->start = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			o->len = strtoull(optarg, NULL, 0);
			break;
		case 'm':
			o->max = strtoull(optarg, NULL, 0);
			break;
		case 'r':
			seed = optarg;
			break;
		default:
			if (c == '?' || !own || !own(c, optarg))
				die("usage: %s", o->usage);
		}
	}
	if (optind != argc - devs || !o->threads || o->threads > most || !o->max)
		die("usage: %s", o->usage);
	fd = dev_open(argv[argc - 1], O_RDONLY);
	o->lbs = dev_lbs(fd);
	if (!o->len)
		o->len = dev_sectors(fd) - o->start;
	close(fd);
	o->seed = seed_or_time(seed);
	o->until = now_ms() + o->secs * 1000;
}

#endif
