/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dmfuzz - what its two halves share: gen.c makes orders (lines of text), from
 * a seed and nothing else; dmfuzz.c carries lines out. So what a thread did up to
 * a crash can be printed again, kept, cut down and replayed.
 */
#ifndef DMFUZZ_H
#define DMFUZZ_H

#include "../tools/common.h"

#define DEVICES		6	/* fz0 ... fz5 */
#define MAX_LEGS	16
#define LINE_MAX_LEN	(200 * 1024)
#define LEG_SECTORS	16384	/* what a whole leg is thought to have */

enum role { ROLE_ORDERS, ROLE_IO, ROLE_LEGS, ROLE_JANITOR };

struct gen {
	struct rng r;
	enum role role;
	unsigned int index;	/* the device or leg that it is at */
	unsigned int step;	/* of what takes more than one order */
	unsigned int legs;	/* how many @N there are */
	unsigned int hanging;	/* how many leg names hN may be suspended */
	uint64_t seed;		/* of the whole run: the pool of lines */
	char *out;
	size_t len;
};

/*
 * The next order, as one line:
 *	create|remove|clear|resume|deps NAME
 *	suspend NAME [noflush] [nolockfs]
 *	load NAME rw|ro START LEN TYPE PARAMS[|START LEN TYPE PARAMS]...
 *	msg NAME SECTOR TEXT
 *	status NAME [table] [inactive] [noflush]
 *	io NAME KIND SECTOR COUNT
 *	sleep MS
 * @N is the device number of leg N, @fzN that of a device; bytes that are no
 * plain text, and | and \ in texts, are \xNN.
 */
const char *gen_next(struct gen *g);

#endif
