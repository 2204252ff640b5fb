// SPDX-License-Identifier: GPL-2.0
/*
 * blkcmp [-a SECTOR] [-b SECTOR] [-n SECTORS] [-g CHUNK] A B
 *
 * Compares two block devices with O_DIRECT (the page cache of a leg lies) and
 * says where the first difference is: sector and chunk of the mirror, and how
 * many sectors and chunks differ.  -a and -b: where the mirror starts on A
 * and B; -n: how much; -g: sectors per chunk (128).  0 equal, 1 not, 2 broken.
 */
#include "common.h"

#define STEP 2048ULL

static void get(int fd, char *buf, uint64_t sector, uint64_t n, const char *name)
{
	ssize_t r = pread(fd, buf, n * SECTOR, sector * SECTOR);

	if (r < 0 || (uint64_t)r != n * SECTOR)
		die("%s: read of sector %" PRIu64 ": %s", name, sector,
		    r < 0 ? strerror(errno) : "short");
}

int main(int argc, char **argv)
{
	uint64_t a0 = 0, b0 = 0, len = 0, chunk = 128, s, i, n;
	uint64_t first = UINT64_MAX, sectors = 0, chunks = 0, last_chunk = UINT64_MAX;
	char *a, *b;
	int fa, fb, c;

	while ((c = getopt(argc, argv, "a:b:n:g:")) != -1) {
		switch (c) {
		case 'a':
			a0 = strtoull(optarg, NULL, 0);
			break;
		case 'b':
			b0 = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			len = strtoull(optarg, NULL, 0);
			break;
		case 'g':
			chunk = strtoull(optarg, NULL, 0);
			break;
		default:
			die("usage: blkcmp [-a SECTOR] [-b SECTOR] [-n SECTORS] [-g CHUNK] A B");
		}
	}
	if (argc - optind != 2 || !chunk)
		die("usage: blkcmp [-a SECTOR] [-b SECTOR] [-n SECTORS] [-g CHUNK] A B");
	fa = dev_open(argv[optind], O_RDONLY | O_DIRECT);
	fb = dev_open(argv[optind + 1], O_RDONLY | O_DIRECT);
	if (!len)
		len = dev_sectors(fa) - a0;
	if (a0 + len > dev_sectors(fa) || b0 + len > dev_sectors(fb))
		die("the range does not fit on both devices");
	a = buf_alloc(STEP * SECTOR);
	b = buf_alloc(STEP * SECTOR);
	for (s = 0; s < len; s += n) {
		n = len - s < STEP ? len - s : STEP;
		get(fa, a, a0 + s, n, argv[optind]);
		get(fb, b, b0 + s, n, argv[optind + 1]);
		if (!memcmp(a, b, n * SECTOR))
			continue;
		for (i = 0; i < n; i++) {
			if (!memcmp(a + i * SECTOR, b + i * SECTOR, SECTOR))
				continue;
			if (first == UINT64_MAX) {
				uint64_t *wa = (void *)(a + i * SECTOR);
				uint64_t *wb = (void *)(b + i * SECTOR);

				first = s + i;
				printf("first difference: sector %" PRIu64 " chunk %" PRIu64
				       " A %016" PRIx64 " %016" PRIx64 " B %016" PRIx64
				       " %016" PRIx64 "\n", first, first / chunk,
				       wa[0], wa[1], wb[0], wb[1]);
			}
			sectors++;
			if ((s + i) / chunk != last_chunk) {
				last_chunk = (s + i) / chunk;
				chunks++;
			}
		}
	}
	if (!sectors) {
		printf("equal: %" PRIu64 " sectors\n", len);
		return 0;
	}
	printf("different: %" PRIu64 " of %" PRIu64 " sectors in %" PRIu64 " chunks\n",
	       sectors, len, chunks);
	return 1;
}
