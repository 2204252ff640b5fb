// SPDX-License-Identifier: GPL-2.0
/*
 * The words of both targets' table lines: parsed, checked, printed.  What is
 * printed is what is accepted.
 */
#include <linux/log2.h>

#include "cbw.h"

const char *const cbw_policy_names[CBW_NR_POLICIES] = {
	[CBW_BREAK_GUEST_WRITE] = "break-guest-write",
	[CBW_BREAK_SNAPSHOT] = "break-snapshot",
};

/* Against the devices it is checked by the constructor. */
static int parse_cluster_size(void *to, const char *word)
{
	struct cbw_args *args = to;
	u64 v;

	if (bc_parse_u64(word, &v) || !is_power_of_2(v) ||
	    v < CBW_MIN_CLUSTER || v > CBW_MAX_CLUSTER)
		return -EINVAL;
	args->cluster_size = v;
	return 0;
}

static int parse_on_cbw_error(void *to, const char *word)
{
	struct cbw_args *args = to;
	int i = bc_find_word(cbw_policy_names, CBW_NR_POLICIES, word);

	if (i < 0)
		return i;
	args->on_cbw_error = i;
	return 0;
}

static int parse_cbw_timeout(void *to, const char *word)
{
	struct cbw_args *args = to;
	u64 v;

	if (bc_parse_u64(word, &v) || v > INT_MAX)
		return -EINVAL;
	args->cbw_timeout = v;
	return 0;
}

static int parse_idle(void *to, const char *word)
{
	struct cbw_args *args = to;

	args->idle = true;
	return 0;
}

static const struct bc_arg arg_table[] = {
	{ "cluster_size", false, false,
	  "cluster_size must be a power of two, 8 to 131072",
	  parse_cluster_size },
	{ "on_cbw_error", false, false,
	  "on_cbw_error must be break-guest-write or break-snapshot",
	  parse_on_cbw_error },
	{ "cbw_timeout", false, false,
	  "cbw_timeout must be a number of milliseconds", parse_cbw_timeout },
	{ "idle", true, false, NULL, parse_idle },
};

/**
 * cbw_ctr_error() - why a table line is refused
 * @ti: for ti->error
 * @error: one static sentence
 * @word: the word that is wrong, for the log
 * @r: returned
 */
int cbw_ctr_error(struct dm_target *ti, const char *error, const char *word,
		  int r)
{
	DMERR("%s: \"%s\"", error, word);
	ti->error = (char *)error;
	return r;
}

/**
 * cbw_args_parse() - the optional arguments of a filter's line
 * @ti: for ti->error
 * @as: the words behind the four that must be there: their number first
 * @args: set to the defaults, then to what the words say
 *
 * Return: 0, or -EINVAL with ti->error set and the word in the log.
 */
int cbw_args_parse(struct dm_target *ti, struct dm_arg_set *as,
		   struct cbw_args *args)
{
	const char *error, *word;

	*args = (struct cbw_args) { .cluster_size = CBW_DEFAULT_CLUSTER };
	if (bc_args_parse(arg_table, ARRAY_SIZE(arg_table), as->argc, as->argv,
			  args, &error, &word))
		return cbw_ctr_error(ti, error, word, -EINVAL);
	return 0;
}

/**
 * cbw_args_emit() - the arguments as <#args> <arg>...
 * @args: the arguments
 * @idle: print "idle", too
 * @result: where to
 * @size: of @result
 *
 * Return: how many characters.
 */
unsigned int cbw_args_emit(const struct cbw_args *args, bool idle, char *result,
			   unsigned int size)
{
	return scnprintf(result, size,
			 "%u cluster_size %llu on_cbw_error %s cbw_timeout %u%s",
			 6 + idle, args->cluster_size,
			 cbw_policy_names[args->on_cbw_error],
			 args->cbw_timeout, idle ? " idle" : "");
}

static int get_leg(struct dm_target *ti, enum cbw_side side, char **argv,
		   struct dm_dev **dev, sector_t *start, bc_mode_t mode)
{
	static const char *const no_device[] = {
		"Cannot open the source", "Cannot open the store",
	};
	static const char *const no_offset[] = {
		"Invalid source offset", "Invalid store offset",
	};
	static const char *const too_small[] = {
		"Source is smaller than offset and length",
		"Store is smaller than offset and length",
	};
	static const char *const misaligned[] = {
		"Length or source offset is not a multiple of the logical block size",
		"Length or store offset is not a multiple of the logical block size",
	};
	sector_t size;
	u64 v;
	int r;

	if (bc_parse_u64(argv[1], &v) || v > (u64)LLONG_MAX >> SECTOR_SHIFT)
		return cbw_ctr_error(ti, no_offset[side], argv[1], -EINVAL);
	*start = v;
	r = dm_get_device(ti, argv[0], mode, dev);
	if (r) {
		*dev = NULL;
		return cbw_ctr_error(ti, no_device[side], argv[0], r);
	}

	size = bdev_nr_sectors((*dev)->bdev);
	if (v > size || ti->len > size - v)
		return cbw_ctr_error(ti, too_small[side], argv[0], -EINVAL);
	if (bc_misaligned((*dev)->bdev, ti->len, v))
		return cbw_ctr_error(ti, misaligned[side], argv[0], -EINVAL);
	return 0;
}

/**
 * cbw_get_legs() - the words that both targets begin with
 * @ti: the target
 * @argv: <source> <source offset> <store> <store offset>
 * @dev: dm's references; what is not NULL on return is to be put
 * @start: the offsets
 * @write: the store is written, whatever the guest may do
 *
 * Return: 0, or a negative errno with ti->error set.  May sleep.
 */
int cbw_get_legs(struct dm_target *ti, char **argv, struct dm_dev **dev,
		 sector_t *start, bool write)
{
	bc_mode_t mode = write ? dm_table_get_mode(ti->table) : BC_OPEN_READ;
	int side, r = 0;

	for (side = 0; side < CBW_NR_SIDES && !r; side++) {
		if (write && side == CBW_STORE)
			mode |= BC_OPEN_WRITE;
		r = get_leg(ti, side, argv + 2 * side, &dev[side],
			    &start[side], mode);
	}
	return r;
}
