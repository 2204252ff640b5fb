// SPDX-License-Identifier: GPL-2.0
/*
 * dmpoll [-n SECONDS] [-i MS] [-u REGEX] [-a] NAME
 *
 * Prints the status of a device-mapper device whenever it changes (-a: at
 * every look), each line: MILLISECONDS (at which we began to look) EVENT-NR
 * SUSPENDED STATUS...  Ends
 * after SECONDS (10), or, with status 0, as soon as a status matches REGEX
 * (extended).  -u without a match in time ends with 1.  One ioctl a look: it
 * sees states that a loop around dmsetup is far too slow for.
 */
#include "common.h"
#include <linux/dm-ioctl.h>
#include <regex.h>

static char buf[16384], prev[16384];

static struct dm_ioctl *prepare(const char *name)
{
	struct dm_ioctl *io = (void *)buf;

	memset(buf, 0, sizeof(*io));
	io->version[0] = DM_VERSION_MAJOR;
	io->data_size = sizeof(buf);
	io->data_start = sizeof(*io);
	snprintf(io->name, sizeof(io->name), "%s", name);
	return io;
}

int main(int argc, char **argv)
{
	const char *until = NULL, *name;
	uint64_t secs = 10, interval = 2, t0, end;
	bool all = false;
	regex_t re;
	int c, fd;

	while ((c = getopt(argc, argv, "n:i:u:a")) != -1) {
		switch (c) {
		case 'n':
			secs = strtoull(optarg, NULL, 0);
			break;
		case 'i':
			interval = strtoull(optarg, NULL, 0);
			break;
		case 'u':
			until = optarg;
			break;
		case 'a':
			all = true;
			break;
		default:
			die("usage: dmpoll [-n SECONDS] [-i MS] [-u REGEX] [-a] NAME");
		}
	}
	if (optind != argc - 1)
		die("usage: dmpoll [-n SECONDS] [-i MS] [-u REGEX] [-a] NAME");
	name = argv[optind];
	if (until && regcomp(&re, until, REG_EXTENDED | REG_NOSUB))
		die("%s: no regular expression", until);
	fd = open("/dev/mapper/control", O_RDWR);
	if (fd < 0)
		die("/dev/mapper/control: %s", strerror(errno));
	setvbuf(stdout, NULL, _IOLBF, 0);
	t0 = now_ms();
	end = t0 + secs * 1000;
	do {
		struct dm_ioctl *io = prepare(name);
		struct dm_target_spec *spec;
		const char *status;
		uint64_t now = now_ms() - t0;

		/* Only a look: never make a suspend wait for us to flush. */
		io->flags = DM_NOFLUSH_FLAG;
		if (ioctl(fd, DM_TABLE_STATUS, io)) {
			printf("%" PRIu64 " - - gone %s\n", now, errname(errno));
			return 1;
		}
		spec = (void *)(buf + io->data_start);
		status = io->target_count ? (char *)(spec + 1) : "";
		if (all || strcmp(status, prev)) {
			printf("%" PRIu64 " %u %d %s\n", now, io->event_nr,
			       !!(io->flags & DM_SUSPEND_FLAG), status);
			snprintf(prev, sizeof(prev), "%s", status);
		}
		if (until && !regexec(&re, status, 0, NULL, 0))
			return 0;
		usleep(interval * 1000);
	} while (now_ms() < end);
	return until ? 1 : 0;
}
