// SPDX-License-Identifier: GPL-2.0
/*
 * Verbs and options as data: dispatch, --help, the bash completion and the
 * check of the man page's synopsis all come from the two tables below.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "qmirrorctl.h"

struct options opt = {
	.timeout_ms = -1,
	.cbw_timeout = -1,
	.cluster_size = -1,
	.granularity = -1,
	.buf_size = -1,
	.speed = -1,
};

#define POLICIES	"report|ignore|stop|enospc|auto"
#define GLOBAL_OPTS	"jDTqvhV"

const struct opt_def opt_table[] = {
	{ 'n', "name", "N", NULL, "create /dev/mapper/N over a plain SOURCE" },
	{ 's', "sync", "full|none|bitmap|top", "full|none|bitmap|top",
	  "what is copied (full)" },
	{ 'b', "bitmap", "FILE|-", NULL,
	  "ranges to copy, OFFSET LENGTH in bytes a line, with --sync bitmap" },
	{ 'c', "copy-mode", "background|write-blocking",
	  "background|write-blocking", "when guest writes reach the target (background)" },
	{ 'g', "granularity", "SIZE", NULL, "dirty-bitmap chunk (64K)" },
	{ 'B', "buf-size", "SIZE", NULL, "limit on copies in flight (16M)" },
	{ 'S', "speed", "RATE", NULL, "limit on the background copy (0: none)" },
	{ 'e', "on-source-error", POLICIES, POLICIES,
	  "when the copy cannot read (report)" },
	{ 't', "on-target-error", POLICIES, POLICIES,
	  "when the target cannot be written (report)" },
	{ 'z', "target-is-zero", NULL, NULL, "the target reads as zeroes now" },
	{ 'd', "zero-detect", NULL, NULL, "write zeroes as unmap where possible" },
	{ 'x', "no-bounce", NULL, NULL,
	  "no private copy of guest writes (see the man page first)" },
	{ 'r', "replaces", "DEV", NULL,
	  "on complete DEV, not SOURCE, moves to TARGET" },
	{ 'f', "force", NULL, NULL, "do it all the same" },
	{ 'w', "wait", NULL, NULL, "wait until ready" },
	{ 'F', "for", "ready|synced|paused|pending|concluded",
	  "ready|synced|paused|pending|concluded", "what to wait for (ready)" },
	{ 'G', "group", NULL, NULL, "all of them at one instant, or none" },
	{ 'o', "format", "raw", NULL, "how a store is written (raw)" },
	{ 'E', "on-cbw-error", "break-guest-write|break-snapshot",
	  "break-guest-write|break-snapshot",
	  "what gives way when the store fails (break-guest-write)" },
	{ 'C', "cbw-timeout", "TIME", NULL,
	  "a copy that takes longer has failed (0: never)" },
	{ 'k', "cluster-size", "SIZE", NULL, "what is copied at once (64K)" },
	{ 'p', "protect", "DEV=FILE", NULL,
	  "keep only these ranges of DEV, OFFSET LENGTH in bytes a line" },
	{ 'Z', "no-freeze", NULL, NULL,
	  "do not freeze mounted file systems: crash-consistent" },
	{ 'y', "sync-first", NULL, NULL,
	  "write dirty data out before, for a shorter freeze" },
	{ 'W', "watch", NULL, NULL, "again whenever something changes" },
	{ 'j', "json", NULL, NULL, "JSON on stdout" },
	{ 'D', "dry-run", NULL, NULL, "print what would be done, do nothing" },
	{ 'T', "timeout", "TIME", NULL, "give up after that long" },
	{ 'q', "quiet", NULL, NULL, "errors only" },
	{ 'v', "verbose", NULL, NULL, "say more" },
	{ 'h', "help", NULL, NULL, "this text" },
	{ 'V', "version", NULL, NULL, "print the version" },
	{ 0, NULL, NULL, NULL, NULL },
};

const struct verb verb_table[] = {
	{ "mirror", "start", "SOURCE TARGET", "nsbcgBSetzdxrfw", 2, 2,
	  "devices", cmd_mirror_start, "mirror SOURCE to TARGET" },
	{ "mirror", "pause", "NAME...", "", 1, -1, "mirrors",
	  cmd_mirror_pause, "stop copying" },
	{ "mirror", "resume", "NAME...", "", 1, -1, "mirrors",
	  cmd_mirror_resume, "go on copying" },
	{ "mirror", "set", "NAME ARG=VALUE...", "", 2, -1, "settings",
	  cmd_mirror_set, "change speed, copy-mode or an error policy" },
	{ "mirror", "mark-dirty", "NAME FILE|-", "", 2, 2, "mirrors",
	  cmd_mirror_mark_dirty, "have ranges copied again" },
	{ "mirror", "wait", "NAME...", "F", 1, -1, "mirrors",
	  cmd_mirror_wait, "sleep until the mirror is there" },
	{ "mirror", "complete", "NAME...", "Gwf", 1, -1, "mirrors",
	  cmd_mirror_complete, "move over to the target" },
	{ "mirror", "cancel", "NAME...", "Gf", 1, -1, "mirrors",
	  cmd_mirror_cancel, "end the job and put the old table back" },
	{ "snapshot", "create", "DEV=STORE...", "oECkpZyf", 1, -1, "devices",
	  cmd_snapshot_create, "freeze devices at one instant" },
	{ "snapshot", "release", "NAME OFFSET LENGTH...", "", 3, -1,
	  "snapshots", cmd_snapshot_release, "give up parts of a snapshot" },
	{ "snapshot", "remove", "NAME...", "", 1, -1, "snapshots",
	  cmd_snapshot_remove, "end snapshots and put the old tables back" },
	{ NULL, "status", "[NAME...]", "W", 0, -1, "names",
	  cmd_status, "show mirrors, snapshots and leftovers" },
	{ NULL, "events", "[NAME...]", "", 0, -1, "names",
	  cmd_events, "follow what happens" },
	{ NULL, "remove", "NAME", "", 1, 1, "ours",
	  cmd_remove, "remove an unused device of ours" },
	{ NULL, "recover", "", "", 0, 0, "",
	  cmd_recover, "put right what a dead run left" },
	{ NULL, NULL, NULL, NULL, 0, 0, NULL, NULL, NULL },
};

/* ---- help ---- */

static const struct opt_def *opt_by_key(char key)
{
	const struct opt_def *o;

	for (o = opt_table; o->key; o++)
		if (o->key == key)
			return o;
	abort();
}

static void verb_line(const struct verb *v, FILE *out, const char *indent)
{
	const char *k;

	fprintf(out, "%s%s%s%s", indent, v->noun ? v->noun : "",
		v->noun ? " " : "", v->name);
	if (*v->args)
		fprintf(out, " %s", v->args);
	for (k = v->opts; *k; k++) {
		const struct opt_def *o = opt_by_key(*k);

		fprintf(out, " [--%s%s%s]", o->name, o->arg ? " " : "",
			o->arg ? o->arg : "");
	}
	fputc('\n', out);
}

static void opt_lines(const char *keys, FILE *out)
{
	char left[80];

	for (; *keys; keys++) {
		const struct opt_def *o = opt_by_key(*keys);

		snprintf(left, sizeof(left), "--%s%s%s", o->name,
			 o->arg ? " " : "", o->arg ? o->arg : "");
		fprintf(out, "  %-40s %s\n", left, o->help);
	}
}

void print_help(const struct verb *v, FILE *out)
{
	const struct verb *all;

	if (v) {
		fputs("usage: qmirrorctl ", out);
		verb_line(v, out, "");
		fprintf(out, "  %s\n\n", v->help);
		opt_lines(v->opts, out);
		opt_lines(GLOBAL_OPTS, out);
		return;
	}
	fputs("usage: qmirrorctl VERB [OPTION...] [NAME...]\n\n", out);
	for (all = verb_table; all->name; all++)
		fprintf(out, "  %s%s%s %-*s %s\n", all->noun ? all->noun : "",
			all->noun ? " " : "", all->name,
			(int)(34 - strlen(all->name) -
			      (all->noun ? strlen(all->noun) + 1 : 0)),
			all->args, all->help);
	fputs("\neverywhere:\n", out);
	opt_lines(GLOBAL_OPTS, out);
	fputs("\nSIZE: bytes, or with K to P. RATE: SIZE a second. TIME: seconds, or with ms, s, m.\n"
	      "qmirrorctl VERB --help says more about one verb; all of it is in qmirrorctl(8).\n", out);
}

/* One line a verb: what the man page's synopsis has to say too. */
void print_synopsis(void)
{
	const struct verb *v;

	for (v = verb_table; v->name; v++)
		verb_line(v, stdout, "");
	opt_lines(GLOBAL_OPTS, stdout);
}

/* ---- parsing ---- */

static enum xit usage(const char *fmt, const char *a, const char *b)
{
	char text[512];

	/* the formats are the literals below, with two strings at most */
	snprintf(text, sizeof(text), fmt, a, b);
	return err_set(XIT_USAGE, ST_NONE, EINVAL, NULL, "%s (see qmirrorctl --help)",
		       text);
}

static enum xit bad_size(const char *name, const char *value, int r)
{
	if (r == -EDOM)
		return usage("--%s: '%.100s' is not a multiple of 512 bytes",
			     name, value);
	if (r == -ERANGE)
		return usage("--%s: '%.100s' is too large", name, value);
	return usage("--%s: '%.100s' is no size (bytes, or with K, M, G, T, P)",
		     name, value);
}

static enum xit take_size(const struct opt_def *o, const char *value,
			  int64_t *to)
{
	uint64_t v;
	int r = parse_aligned(value, &v);

	/* what is no power of two is told so by the verb, in better words */
	if (r == -EDOM && (o->key == 'g' || o->key == 'k'))
		r = parse_size(value, &v);
	if (r)
		return bad_size(o->name, value, r);
	*to = (int64_t)v;
	return XIT_OK;
}

static enum xit take_time(const struct opt_def *o, const char *value, long *to)
{
	int r = parse_time(value, to);

	if (!r)
		return XIT_OK;
	return usage(r == -ERANGE ? "--%s: '%.100s' is too long" :
		     "--%s: '%.100s' is no time (seconds, or with ms, s, m)",
		     o->name, value);
}

/* once for each device */
static enum xit take_protect(const char *value)
{
	opt.protect = reallocarray(opt.protect, opt.protect_n + 1,
				   sizeof(*opt.protect));
	if (!opt.protect)
		abort();
	opt.protect[opt.protect_n++] = value;
	return XIT_OK;
}

static const char **string_of(char key)
{
	switch (key) {
	case 'n': return &opt.name;
	case 's': return &opt.sync;
	case 'b': return &opt.bitmap;
	case 'c': return &opt.copy_mode;
	case 'e': return &opt.on_source_error;
	case 't': return &opt.on_target_error;
	case 'r': return &opt.replaces;
	case 'F': return &opt.goal;
	case 'o': return &opt.format;
	case 'E': return &opt.on_cbw_error;
	default: return NULL;
	}
}

static bool *flag_of(char key)
{
	switch (key) {
	case 'z': return &opt.target_is_zero;
	case 'd': return &opt.zero_detect;
	case 'x': return &opt.no_bounce;
	case 'f': return &opt.force;
	case 'w': return &opt.wait;
	case 'G': return &opt.group;
	case 'W': return &opt.watch;
	case 'Z': return &opt.no_freeze;
	case 'y': return &opt.sync_first;
	case 'j': return &opt.json;
	case 'D': return &opt.dry_run;
	case 'q': return &opt.quiet;
	case 'v': return &opt.verbose;
	default: return NULL;
	}
}

static enum xit take(const struct opt_def *o, const char *value)
{
	const char **s = string_of(o->key);
	bool *f = flag_of(o->key);

	if (f) {
		*f = true;
		return XIT_OK;
	}
	if (o->values && !word_in(value, o->values)) {
		char name[64];

		snprintf(name, sizeof(name), "%s %s", o->name, o->values);
		return usage("--%s: '%.100s' is none of those", name, value);
	}
	if (s) {
		if (!*value)
			return usage("--%s: the value is empty%s", o->name, "");
		*s = value;
		return XIT_OK;
	}
	switch (o->key) {
	case 'g': return take_size(o, value, &opt.granularity);
	case 'B': return take_size(o, value, &opt.buf_size);
	case 'S': return take_size(o, value, &opt.speed);
	case 'k': return take_size(o, value, &opt.cluster_size);
	case 'p': return take_protect(value);
	case 'T': return take_time(o, value, &opt.timeout_ms);
	case 'C': return take_time(o, value, &opt.cbw_timeout);
	}
	return XIT_OK;
}

static struct option *long_options(void)
{
	struct option *lo = xcalloc(ARRAY_SIZE(opt_table), sizeof(*lo));
	size_t i;

	for (i = 0; opt_table[i].key; i++) {
		lo[i].name = opt_table[i].name;
		lo[i].has_arg = opt_table[i].arg ? required_argument :
						   no_argument;
		lo[i].val = (unsigned char)opt_table[i].key;
	}
	return lo;
}

/* getopt's '?' and ':' in words: what was typed is in argv[optind - 1]. */
static enum xit getopt_error(int c, char **argv)
{
	const char *word = argv[optind - 1];

	if (c == ':')
		return usage("%.100s needs a value%s", word, "");
	if (optopt && strchr(word, '='))
		return usage("%.100s: this option takes no value%s", word, "");
	if (word[0] == '-' && word[1] == '-')
		return usage("unknown or ambiguous option '%.100s'%s", word, "");
	return usage("unknown option '%.100s'%s", word, "");
}

static const struct verb *find_verb(int argc, char **argv, int *words)
{
	const struct verb *v;

	for (v = verb_table; v->name; v++) {
		if (v->noun) {
			if (argc < 2 || strcmp(argv[0], v->noun) != 0 ||
			    strcmp(argv[1], v->name) != 0)
				continue;
			*words = 2;
		} else {
			if (argc < 1 || strcmp(argv[0], v->name) != 0)
				continue;
			*words = 1;
		}
		return v;
	}
	return NULL;
}

static enum xit verb_error(int argc, char **argv)
{
	const struct verb *v;

	if (argc == 0)
		return usage("no verb given%s%s", "", "");
	for (v = verb_table; v->name; v++)
		if (v->noun && strcmp(v->noun, argv[0]) == 0)
			return argc == 1 ?
				usage("%s: which verb?%s", argv[0], "") :
				usage("%s has no verb '%.100s'", argv[0], argv[1]);
	return usage("unknown verb '%.100s'%s", argv[0], "");
}

static enum xit check_use(const struct verb *v, const char *used, int nargs)
{
	const char *k;
	char name[64];

	snprintf(name, sizeof(name), "%s%s%s", v->noun ? v->noun : "",
		 v->noun ? " " : "", v->name);
	for (k = used; *k; k++)
		if (!strchr(v->opts, *k) && !strchr(GLOBAL_OPTS, *k))
			return usage("%s has no option --%s", name,
				     opt_by_key(*k)->name);
	if (nargs < v->min_args)
		return usage("%s needs %s", name, v->args);
	if (v->max_args >= 0 && nargs > v->max_args)
		return v->max_args ? usage("%s takes only %s", name, v->args) :
				     usage("%s takes no arguments%s", name, "");
	return XIT_OK;
}

/*
 * Options may stand anywhere, also before the verb. Returns XIT_OK with *verb
 * NULL when all was said (--help, --version).
 */
int parse_command(int argc, char **argv, const struct verb **verb, int *first)
{
	struct option *lo = long_options();
	char used[ARRAY_SIZE(opt_table)] = "", help = 0;
	enum xit x = XIT_OK;
	int c, words = 0;

	*verb = NULL;
	opterr = 0;
	optind = 0;
	while (x == XIT_OK && (c = getopt_long(argc, argv, ":", lo, NULL)) != -1) {
		if (c == '?' || c == ':') {
			x = getopt_error(c, argv);
		} else if (c == 'h' || c == 'V') {
			help = (char)c;
		} else {
			char one[2] = { (char)c, '\0' };

			if (!strchr(used, c))
				strcat(used, one);
			x = take(opt_by_key((char)c), optarg);
		}
	}
	free(lo);
	if (x != XIT_OK)
		return x;
	*verb = find_verb(argc - optind, argv + optind, &words);
	if (help == 'V')
		puts("qmirrorctl " QM_VERSION);
	else if (help)
		print_help(*verb, stdout);
	if (help) {
		*verb = NULL;
		return XIT_OK;
	}
	if (!*verb)
		return verb_error(argc - optind, argv + optind);
	*first = optind + words;
	return check_use(*verb, used, argc - *first);
}

/* ---- main ---- */

static enum xit finish(enum xit x)
{
	if (x != XIT_OK && the_err.xit == XIT_OK)
		err_set(x, ST_NONE, 0, NULL, "failed");
	if (the_err.xit != XIT_OK) {
		fprintf(stderr, "qmirrorctl: %s\n", the_err.desc);
		if (opt.json)
			json_error(&the_err);
		x = the_err.xit;
	}
	json_plans(x);
	if (fflush(stdout) || ferror(stdout)) {
		fputs("qmirrorctl: cannot write the output\n", stderr);
		if (x == XIT_OK)
			x = XIT_FAIL;
	}
	return x;
}

/* A mistake before --json was read is told in JSON all the same. */
static void look_for_json(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--json") == 0)
			opt.json = true;
}

/*
 * Started with 0, 1 or 2 closed, the lock or the watchdog's socket would get
 * that number, and what is printed would go there.
 */
static void three_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct verb *v;
	int first = 0;
	enum xit x;

	three_files();
	if (argc > 0 && strcmp(argv[0], "qmirrorctl-watchdog") == 0)
		return watchdog_main(argc, argv);
	if (argc == 2 && strcmp(argv[1], "--print-completion") == 0) {
		print_completion();
		return finish(XIT_OK);
	}
	if (argc == 2 && strcmp(argv[1], "--print-synopsis") == 0) {
		print_synopsis();
		return finish(XIT_OK);
	}
	look_for_json(argc, argv);
	x = parse_command(argc, argv, &v, &first);
	if (x == XIT_OK && !v)
		return finish(XIT_OK);
	if (x == XIT_OK && geteuid() != 0)
		x = err_set(XIT_FAIL, ST_CHECK, EPERM, NULL,
			    "not root: device-mapper can only be used by root");
	if (x == XIT_OK) {
		dm_begin();
		x = v->run(argc - first, argv + first);
		dm_end();
	}
	return finish(x);
}
