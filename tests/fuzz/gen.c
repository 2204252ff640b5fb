// SPDX-License-Identifier: GPL-2.0
/*
 * gen.c - orders for dmfuzz, from the grammar of the targets' tables and
 * messages: most are well-formed (only those get deep), some are mutated, some
 * are rubbish. Nothing here looks at what an order led to: a thread's orders
 * follow from the seed alone.
 */
#include "dmfuzz.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PICK(g, a) ((a)[rng_below(&(g)->r, COUNT(a))])

static bool chance(struct gen *g, unsigned int percent)
{
	return rng_below(&g->r, 100) < percent;
}

static void put(struct gen *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct gen *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	g->len += vsnprintf(g->out + g->len, LINE_MAX_LEN - g->len, fmt, ap);
	va_end(ap);
	if (g->len >= LINE_MAX_LEN)
		die("an order of %zu bytes", g->len);
}

static void put_byte(struct gen *g, unsigned char c)
{
	if (c < 0x20 || c > 0x7e || c == '\\' || c == '|')
		put(g, "\\x%02x", c);
	else
		put(g, "%c", c);
}

/* --- numbers and rubbish ----------------------------------------------------- */

static const char *const edge_numbers[] = {
	"0", "1", "2", "7", "8", "9", "16", "63", "64", "127", "128", "129", "1000",
	"2047", "2048", "4096", "8192", "16383", "16384", "16385", "131072", "131073",
	"262144", "2147483647", "2147483648", "4294967295", "4294967296", "4294967297",
	"9007199254740992", "36028797018963967", "36028797018963968",
	"9223372036854775807", "9223372036854775808", "18446744073709551615",
	"18446744073709551616", "99999999999999999999999999", "-1", "-0", "+5",
	"0x10", "010", "1k", "1.5", "1e3", "-", "00000000000000000000000000000000128",
};

static const char *const words[] = {
	"sync", "full", "none", "bitmap", "copy_mode", "background", "write-blocking",
	"granularity", "buf_size", "speed", "on_source_error", "on_target_error",
	"report", "ignore", "stop", "enospc", "auto", "target_is_zero",
	"target_timeout", "zero_detect", "no_bounce", "cluster_size", "on_cbw_error",
	"break-guest-write", "break-snapshot", "cbw_timeout", "idle", "pause",
	"resume", "set", "mark_dirty", "complete", "cancel", "force", "arm", "disarm",
	"release", "protect", "all", "@0", "@1", "@fz0", "@fz3", "/dev/null", "0:0",
	"4095:1048575", "/", "", "%s%n", "--", "@stats_list", "@cancel_deferred_remove",
};

static void put_rubbish(struct gen *g)
{
	unsigned int i, n = rng_below(&g->r, chance(g, 5) ? 9000 : 24);
	unsigned char c = rng_next(&g->r);
	bool same = chance(g, 40);

	for (i = 0; i < n; i++)
		put_byte(g, (same ? c : rng_next(&g->r)) ?: 1);
}

static void put_any_word(struct gen *g)
{
	switch (rng_below(&g->r, 4)) {
	case 0:
		put(g, "%s", PICK(g, edge_numbers));
		break;
	case 1:
		put_rubbish(g);
		break;
	default:
		put(g, "%s", PICK(g, words));
		break;
	}
}

/* Changes the text from @from on: words and bytes go, come, or change places. */
static void mutate(struct gen *g, size_t from)
{
	unsigned int rounds = 1 + rng_below(&g->r, 3);

	while (rounds--) {
		size_t len = g->len - from, at = from + rng_below(&g->r, len + 1);
		char *tail, *space;

		space = memchr(g->out + at, ' ', g->len - at);
		if (space && chance(g, 80))
			at = space - g->out;
		tail = strdup(g->out + at);
		if (!tail)
			die("out of memory");
		g->len = at;
		g->out[at] = 0;
		space = *tail ? strchr(tail + 1, ' ') : NULL;
		switch (rng_below(&g->r, 6)) {
		case 0:			/* a word more */
			put(g, " ");
			put_any_word(g);
			put(g, "%s", tail);
			break;
		case 1:			/* another word */
			put(g, " ");
			put_any_word(g);
			put(g, "%s", space ?: "");
			break;
		case 2:			/* a word less */
			put(g, "%s", space ?: "");
			break;
		case 3:			/* the end is missing */
			break;
		case 4:			/* twice */
			if (strlen(tail) < LINE_MAX_LEN / 16)
				put(g, "%s%s", tail, tail);
			break;
		default:		/* a byte less */
			put(g, "%s", *tail ? tail + 1 : "");
			break;
		}
		free(tail);
	}
}

/* --- sectors ------------------------------------------------------------------ */

static uint64_t some_sector(struct gen *g)
{
	uint64_t s = rng_below(&g->r, LEG_SECTORS);

	return chance(g, 60) ? s & ~7ULL : s;
}

static void put_ranges(struct gen *g)
{
	unsigned int n = 1 + rng_below(&g->r, chance(g, 10) ? 300 : 3);

	while (n--) {
		if (chance(g, 4))
			put(g, " %s %s", PICK(g, edge_numbers), PICK(g, edge_numbers));
		else
			put(g, " %" PRIu64 " %" PRIu64, some_sector(g),
			    1 + rng_below(&g->r, chance(g, 50) ? 64 : 4096));
	}
}

/* --- table lines --------------------------------------------------------------- */

struct arg {
	const char *name;
	const char *values[8];	/* none: a flag */
};

static const struct arg mirror_args[] = {
	{ "sync", { "full", "none", "bitmap" } },
	{ "copy_mode", { "background", "write-blocking" } },
	{ "granularity", { "8", "16", "64", "128", "2048", "131072" } },
	{ "buf_size", { "0", "8", "128", "2048", "32768" } },
	{ "speed", { "0", "1", "100", "20000" } },
	{ "on_source_error", { "report", "ignore", "stop", "enospc", "auto" } },
	{ "on_target_error", { "report", "ignore", "stop", "enospc", "auto" } },
	{ "target_is_zero", { NULL } },
	{ "target_timeout", { "0", "1", "20", "100", "5000" } },
	{ "zero_detect", { NULL } },
	{ "no_bounce", { NULL } },
};

static const struct arg cbw_args[] = {
	{ "cluster_size", { "8", "16", "128", "2048" } },
	{ "on_cbw_error", { "break-guest-write", "break-snapshot" } },
	{ "cbw_timeout", { "0", "1", "20", "100", "5000" } },
	{ "idle", { NULL } },
};

static const char *arg_value(struct gen *g, const struct arg *a)
{
	unsigned int n = 0;

	while (n < COUNT(a->values) && a->values[n])
		n++;
	return n ? a->values[rng_below(&g->r, n)] : NULL;
}

static void put_args(struct gen *g, const struct arg *args, unsigned int count)
{
	unsigned int i, n = 0, share = 10 + rng_below(&g->r, 40);
	const char *value[16] = { NULL };
	bool on[16];

	for (i = 0; i < count; i++) {
		on[i] = chance(g, share);
		value[i] = arg_value(g, &args[i]);
		n += on[i] ? 1 + !!value[i] : 0;
	}
	if (!n && chance(g, 50))
		return;
	put(g, " %u", n);
	for (i = 0; i < count; i++) {
		if (on[i])
			put(g, value[i] ? " %s %s" : " %s", args[i].name, value[i]);
	}
}

/*
 * A leg: a disk, or a device of ours of a lower number. Never a higher one, or
 * tables could form a ring, which device-mapper does not notice and no target
 * could survive.
 */
static void put_leg(struct gen *g, unsigned int dev, unsigned int leg)
{
	if (dev >= 3 && leg % 5 == 4)
		put(g, "@fz%u", leg % dev);
	else
		put(g, "@%u", leg % g->legs);
}

/*
 * The line with number @which of device @dev. The same number gives the same
 * line in all threads: a reload with an identical line has to be frequent, and so
 * have views that fit a filter (both take their legs from @pair).
 */
static void put_line(struct gen *g, unsigned int dev, unsigned int which)
{
	struct rng saved = g->r, pair;
	unsigned int kind = which % 4 ? dev % 3 : which / 4 % 3;
	unsigned int source, target;
	uint64_t len = LEG_SECTORS, off = 0;

	/*
	 * Mostly the first legs, which work: others end most lives at once. One
	 * pair of three always, so that no seed is without a life.
	 */
	pair.s = g->seed * 131 + (kind ? 0 : dev) * 17 + which % 3;
	source = rng_below(&pair, which % 3 == 1 || rng_below(&pair, 3) ? 4 : 64);
	target = (source + 1 + rng_below(&pair, 3)) % 4;
	if (which % 3 != 1 && !rng_below(&pair, 3))
		target = source + 1 + rng_below(&pair, g->legs - 1);
	if (rng_below(&pair, 4) == 0)
		len -= 8 * (1 + rng_below(&pair, 300));
	else if (rng_below(&pair, 4) == 0)
		off = 8 * rng_below(&pair, 100), len -= off;
	g->r.s = g->seed * 977 + dev * 61 + which;
	put(g, "0 %" PRIu64 " %s ", len, kind == 0 ? "qmirror" : kind == 1 ? "cbw" : "cbw-snapshot");
	/* the view's number is not its filter's: neither may depend on dev */
	put_leg(g, kind ? 0 : dev, source);
	put(g, " %" PRIu64 " ", off);
	put_leg(g, kind ? 0 : dev, target);
	put(g, " %" PRIu64, off);
	if (kind == 0)
		put_args(g, mirror_args, COUNT(mirror_args));
	else if (kind == 1)
		put_args(g, cbw_args, COUNT(cbw_args));
	g->r = saved;
}

static void put_other_target(struct gen *g, unsigned int dev)
{
	static const char *const types[] = { "linear", "error", "zero", "striped" };
	const char *type = PICK(g, types);

	put(g, "0 %u %s ", LEG_SECTORS, type);
	if (!strcmp(type, "linear")) {
		put_leg(g, dev, rng_below(&g->r, 64));
		put(g, " 0");
	} else if (!strcmp(type, "striped")) {
		put(g, "2 128 ");
		put_leg(g, dev, rng_below(&g->r, 64));
		put(g, " 0 ");
		put_leg(g, dev, rng_below(&g->r, 64));
		put(g, " 0");
	}
}

static void order_load(struct gen *g, unsigned int dev)
{
	size_t from;

	put(g, "load fz%u %s ", dev, chance(g, 5) ? "ro" : "rw");
	from = g->len;
	if (chance(g, 8)) {
		put_other_target(g, dev);
		return;
	}
	put_line(g, dev, rng_below(&g->r, chance(g, 80) ? 3 : 1000));
	if (chance(g, 3)) {		/* not alone in its table */
		put(g, "|%u 128 error ", LEG_SECTORS);
		return;
	}
	if (chance(g, 25)) {
		/* start, length and type are device-mapper's own business */
		while (g->out[from] != ' ')
			from++;
		from = strstr(g->out + from, "cbw") ? strstr(g->out + from, "cbw") - g->out
						    : strstr(g->out + from, "qmirror") - g->out;
		while (g->out[from] && g->out[from] != ' ')
			from++;
		mutate(g, from);
	}
}

/* --- messages ------------------------------------------------------------------- */

static void put_set(struct gen *g)
{
	static const unsigned int may[] = { 1, 4, 5, 6 };
	const struct arg *a = &mirror_args[chance(g, 90) ? PICK(g, may)
					   : rng_below(&g->r, COUNT(mirror_args))];

	put(g, "set %s %s", a->name, arg_value(g, a) ?: "");
}

/* Mostly the verbs of what this device mostly is; see put_line(). */
static void put_verb(struct gen *g, unsigned int dev)
{
	static const char *const mirror[] = {
		"pause", "resume", "resume", "complete", "complete", "cancel", "cancel force",
	};
	static const char *const filter[] = {
		"arm", "arm", "arm", "disarm", "protect all", "protect none",
	};

	if (chance(g, 90) ? dev % 3 == 0 : chance(g, 50))
		put(g, "%s", PICK(g, mirror));
	else
		put(g, "%s", PICK(g, filter));
}

static void order_message(struct gen *g, unsigned int dev)
{
	static const char *const ranged[] = { "release", "release", "protect" };
	size_t from;

	put(g, "msg fz%u 0 ", dev);
	from = g->len;
	switch (rng_below(&g->r, 20)) {
	case 0:
		put_rubbish(g);
		return;
	case 1:
	case 2:
	case 3:
		put_set(g);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		put(g, "%s", dev % 3 ? PICK(g, ranged) : "mark_dirty");
		put_ranges(g);
		break;
	default:
		put_verb(g, dev);
		break;
	}
	if (chance(g, 15))
		mutate(g, from);
}

/* --- whole orders ----------------------------------------------------------------- */

/*
 * A life begun as it should be, step by step: by chance alone a device would
 * seldom get that far, with others at it, too.
 */
static bool order_of_life(struct gen *g)
{
	if (!g->step && chance(g, 88))
		return false;
	if (!g->step)
		g->index = rng_below(&g->r, DEVICES);
	switch (g->step++) {
	case 0:
		put(g, "create fz%u", g->index);
		break;
	case 1:
		put(g, "load fz%u rw ", g->index);
		put_line(g, g->index, 1 + rng_below(&g->r, 3));
		break;
	case 2:
	case 5:
		put(g, "resume fz%u", g->index);
		break;
	case 3:
		put(g, "suspend fz%u%s", g->index, chance(g, 30) ? " noflush" : "");
		break;
	case 4:
	case 6:
		order_message(g, g->index);
		break;
	default:
		order_message(g, g->index);
		g->step = 0;
	}
	return true;
}

static void order_any(struct gen *g)
{
	unsigned int dev, what;

	if (order_of_life(g))
		return;
	dev = rng_below(&g->r, DEVICES);
	what = rng_below(&g->r, 100);
	if (what < 20) {
		order_load(g, dev);
	} else if (what < 45) {
		order_message(g, dev);
	} else if (what < 60) {
		put(g, "suspend fz%u%s%s", dev, chance(g, 40) ? " noflush" : "",
		    chance(g, 30) ? " nolockfs" : "");
	} else if (what < 75) {
		put(g, "resume fz%u", dev);
	} else if (what < 79) {
		put(g, "remove fz%u%s", dev, chance(g, 20) ? " deferred" : "");
	} else if (what < 86) {
		put(g, "create fz%u", dev);
	} else if (what < 89) {
		put(g, "clear fz%u", dev);
	} else if (what < 90) {
		put(g, "deps fz%u", dev);
	} else {
		put(g, "status fz%u%s%s%s", dev, chance(g, 40) ? " table" : "",
		    chance(g, 20) ? " inactive" : "", chance(g, 80) ? " noflush" : "");
	}
}

static void order_io(struct gen *g)
{
	static const char *const kinds[] = {
		"read", "read", "write", "write", "write", "fua", "discard", "zero", "flush",
		"nowait",
	};
	const char *kind = PICK(g, kinds);
	uint64_t s = rng_below(&g->r, LEG_SECTORS / 8) * 8;
	uint64_t n = rng_below(&g->r, chance(g, 80) ? 8 : 400) * 8 + 8;

	if (chance(g, 4))
		g->index = rng_below(&g->r, DEVICES);
	put(g, "io fz%u %s %" PRIu64 " %" PRIu64, g->index, kind, s, n);
}

/* A leg neither answers nor fails, for as long as a device's users would bear. */
static void order_legs(struct gen *g)
{
	unsigned int leg = g->index % g->hanging;

	switch (g->step++ % 4) {
	case 0:
		put(g, "suspend h%u noflush nolockfs", leg);
		return;
	case 1:
		put(g, "sleep %" PRIu64, rng_below(&g->r, 250));
		return;
	case 2:
		put(g, "resume h%u", leg);
		return;
	default:
		put(g, "sleep %" PRIu64, rng_below(&g->r, 500));
		g->index = rng_below(&g->r, g->hanging);
		return;
	}
}

/* Who suspends must not wait for a device below that nobody resumes. */
static void order_janitor(struct gen *g)
{
	switch (g->step++ % 3) {
	case 0:
		put(g, "create fz%u", g->index);
		return;
	case 1:
		put(g, "resume fz%u", g->index);
		return;
	default:
		put(g, "sleep %" PRIu64, 50 + rng_below(&g->r, 200));
	}
}

const char *gen_next(struct gen *g)
{
	g->len = 0;
	g->out[0] = 0;
	switch (g->role) {
	case ROLE_ORDERS:
		order_any(g);
		break;
	case ROLE_IO:
		order_io(g);
		break;
	case ROLE_LEGS:
		order_legs(g);
		break;
	case ROLE_JANITOR:
		order_janitor(g);
		break;
	}
	return g->out;
}
