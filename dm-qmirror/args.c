// SPDX-License-Identifier: GPL-2.0
/*
 * The optional words of a table line: parsed, checked, printed, changed.
 *
 * Every argument is one row of a table.  What is printed is what is accepted.
 */
#include <linux/log2.h>

#include "args.h"
#include "qmirror.h"

const char *const qm_sync_names[QM_NR_SYNC] = {
	[QM_SYNC_FULL] = "full",
	[QM_SYNC_NONE] = "none",
	[QM_SYNC_BITMAP] = "bitmap",
};

const char *const qm_copy_mode_names[QM_NR_COPY_MODES] = {
	[QM_BACKGROUND] = "background",
	[QM_WRITE_BLOCKING] = "write-blocking",
};

static int parse_sync(void *to, const char *word)
{
	struct qm_args *args = to;
	int i = bc_find_word(qm_sync_names, QM_NR_SYNC, word);

	if (i < 0)
		return i;
	args->sync = i;
	return 0;
}

static int parse_copy_mode(void *to, const char *word)
{
	struct qm_args *args = to;
	int i = bc_find_word(qm_copy_mode_names, QM_NR_COPY_MODES, word);

	if (i < 0)
		return i;
	args->copy_mode = i;
	return 0;
}

static int parse_policy(struct qm_args *args, enum qm_side side,
			const char *word)
{
	int i = bc_find_word(bc_policy_names, BC_NR_POLICIES, word);

	if (i < 0)
		return i;
	args->on_error[side] = i;
	return 0;
}

static int parse_on_source_error(void *to, const char *word)
{
	struct qm_args *args = to;

	return parse_policy(args, QM_SOURCE, word);
}

static int parse_on_target_error(void *to, const char *word)
{
	struct qm_args *args = to;

	return parse_policy(args, QM_TARGET, word);
}

/* Against the devices it is checked by the constructor. */
static int parse_granularity(void *to, const char *word)
{
	struct qm_args *args = to;
	u64 v;

	if (bc_parse_u64(word, &v) || !is_power_of_2(v) ||
	    v > QM_MAX_GRANULARITY)
		return -EINVAL;
	args->granularity = v;
	return 0;
}

/* Rounded up to the granularity when that is known. */
static int parse_buf_size(void *to, const char *word)
{
	struct qm_args *args = to;
	u64 v;

	if (bc_parse_u64(word, &v) || v > (u64)LLONG_MAX >> SECTOR_SHIFT)
		return -EINVAL;
	args->buf_size = v ?: QM_DEFAULT_BUF_SIZE;
	return 0;
}

static int parse_speed(void *to, const char *word)
{
	struct qm_args *args = to;
	u64 v;

	if (bc_parse_u64(word, &v) || v > (u64)LLONG_MAX >> SECTOR_SHIFT)
		return -EINVAL;
	args->speed = v;
	return 0;
}

static int parse_target_timeout(void *to, const char *word)
{
	struct qm_args *args = to;
	u64 v;

	if (bc_parse_u64(word, &v) || v > INT_MAX)
		return -EINVAL;
	args->target_timeout = v;
	return 0;
}

static int parse_target_is_zero(void *to, const char *word)
{
	struct qm_args *args = to;

	args->target_is_zero = true;
	return 0;
}

static int parse_zero_detect(void *to, const char *word)
{
	struct qm_args *args = to;

	args->zero_detect = true;
	return 0;
}

static int parse_no_bounce(void *to, const char *word)
{
	struct qm_args *args = to;

	args->no_bounce = true;
	return 0;
}

static const struct bc_arg arg_table[] = {
	{ "sync", false, false,
	  "sync must be full, none or bitmap", parse_sync },
	{ "copy_mode", false, true,
	  "copy_mode must be background or write-blocking", parse_copy_mode },
	{ "granularity", false, false,
	  "granularity must be a power of two up to 131072", parse_granularity },
	{ "buf_size", false, false,
	  "buf_size must be a number of sectors", parse_buf_size },
	{ "speed", false, true,
	  "speed must be a number of sectors per second", parse_speed },
	{ "on_source_error", false, true,
	  "on_source_error must be report, ignore, stop, enospc or auto",
	  parse_on_source_error },
	{ "on_target_error", false, true,
	  "on_target_error must be report, ignore, stop, enospc or auto",
	  parse_on_target_error },
	{ "target_is_zero", true, false, NULL, parse_target_is_zero },
	{ "target_timeout", false, false,
	  "target_timeout must be a number of milliseconds",
	  parse_target_timeout },
	{ "zero_detect", true, false, NULL, parse_zero_detect },
	{ "no_bounce", true, false, NULL, parse_no_bounce },
};

/**
 * qm_args_parse() - the optional arguments of a table line
 * @ti: for ti->error
 * @as: the words behind the four that must be there: their number first
 * @args: set to the defaults, then to what the words say
 *
 * Return: 0, or -EINVAL with ti->error set and the word in the log.
 */
int qm_args_parse(struct dm_target *ti, struct dm_arg_set *as,
		  struct qm_args *args)
{
	const char *error, *word;

	*args = (struct qm_args) {
		.granularity = QM_DEFAULT_GRANULARITY,
		.buf_size = QM_DEFAULT_BUF_SIZE,
	};
	if (bc_args_parse(arg_table, ARRAY_SIZE(arg_table), as->argc, as->argv,
			  args, &error, &word)) {
		DMERR("%s: \"%s\"", error, word);
		ti->error = (char *)error;
		return -EINVAL;
	}
	args->buf_size = round_up(args->buf_size, args->granularity);
	return 0;
}

/**
 * qm_args_set() - change one argument of a running job
 * @args: a copy of the job's
 * @name: which
 * @value: to what
 *
 * Return: 0, -ENOENT for what cannot be set, -EINVAL for a bad value.
 */
int qm_args_set(struct qm_args *args, const char *name, const char *value)
{
	return bc_args_set(arg_table, ARRAY_SIZE(arg_table), args, name, value);
}

/**
 * qm_args_emit_settings() - what "set" can change, as <#args> <arg>…
 * @args: the arguments
 * @result: where to
 * @size: of @result
 *
 * Return: how many characters.
 */
unsigned int qm_args_emit_settings(const struct qm_args *args, char *result,
				   unsigned int size)
{
	return scnprintf(result, size,
			 "8 copy_mode %s speed %llu on_source_error %s on_target_error %s",
			 qm_copy_mode_names[args->copy_mode], args->speed,
			 bc_policy_names[args->on_error[QM_SOURCE]],
			 bc_policy_names[args->on_error[QM_TARGET]]);
}

/**
 * qm_args_emit() - all arguments, as the constructor accepts them
 * @args: the arguments
 * @result: where to
 * @size: of @result
 *
 * Return: how many characters.
 */
unsigned int qm_args_emit(const struct qm_args *args, char *result,
			  unsigned int size)
{
	unsigned int nr = 14 + args->target_is_zero + args->zero_detect +
			  args->no_bounce + (args->target_timeout ? 2 : 0);
	unsigned int n;

	n = scnprintf(result, size,
		      "%u sync %s copy_mode %s granularity %llu buf_size %llu speed %llu on_source_error %s on_target_error %s",
		      nr, qm_sync_names[args->sync],
		      qm_copy_mode_names[args->copy_mode], args->granularity,
		      args->buf_size, args->speed,
		      bc_policy_names[args->on_error[QM_SOURCE]],
		      bc_policy_names[args->on_error[QM_TARGET]]);
	if (args->target_is_zero)
		n += scnprintf(result + n, size - n, " target_is_zero");
	if (args->target_timeout)
		n += scnprintf(result + n, size - n, " target_timeout %u",
			       args->target_timeout);
	if (args->zero_detect)
		n += scnprintf(result + n, size - n, " zero_detect");
	if (args->no_bounce)
		n += scnprintf(result + n, size - n, " no_bounce");
	return n;
}
