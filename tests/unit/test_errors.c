// SPDX-License-Identifier: GPL-2.0
/* Exit status and JSON class, and when waiting is over. */
#include <errno.h>
#include <string.h>

#include "unit.h"

static void classes(void **state __unused_arg)
{
	static const struct {
		enum xit xit;
		int status;
		const char *class;
	} rows[] = {
		{ XIT_OK, 0, "GenericError" },
		{ XIT_FAIL, 1, "GenericError" },
		{ XIT_USAGE, 2, "GenericError" },
		{ XIT_NODEV, 3, "DeviceNotFound" },
		{ XIT_BUSY, 4, "DeviceInUse" },
		{ XIT_STATE, 5, "GenericError" },
		{ XIT_TIMEOUT, 6, "GenericError" },
		{ XIT_JOB, 7, "GenericError" },
	};
	struct err e = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		e.xit = rows[i].xit;
		assert_int_equal(e.xit, rows[i].status);
		assert_string_equal(err_class(&e), rows[i].class);
	}
	e.class = EC_OPEN_FILE;
	assert_string_equal(err_class(&e), "OpenFileFailed");
	e.class = EC_FORMAT;
	assert_string_equal(err_class(&e), "InvalidBlockFormat");
}

/* What is wrong with a STORE is status 1, whoever found it; but not all is. */
static void stores(void **state __unused_arg)
{
	err_clear();
	err_set(XIT_BUSY, ST_OPEN_STORE, EBUSY, "sdb", "held");
	assert_int_equal(err_store(EC_OPEN_FILE, "data", "/dev/sdb"), XIT_FAIL);
	assert_string_equal(the_err.device, "data");
	assert_string_equal(the_err.file, "/dev/sdb");
	assert_string_equal(err_class(&the_err), "OpenFileFailed");
	err_clear();
	assert_string_equal(err_class(&the_err), "GenericError");
	err_set(XIT_BUSY, ST_CHECK, EBUSY, "data", "stacked");
	assert_int_equal(err_store(EC_OF_STATUS, "data", "/dev/sdb"), XIT_BUSY);
	assert_string_equal(err_class(&the_err), "DeviceInUse");
	err_clear();
}

static void stages(void **state __unused_arg)
{
	static const char *const names[] = {
		"lookup", "check", "create-store", "open-store", "load",
		"suspend", "arm", "resume", "view",
	};
	size_t i;

	assert_null(stage_name(ST_NONE));
	for (i = 0; i < ARRAY_SIZE(names); i++)
		assert_string_equal(stage_name((enum stage)(ST_LOOKUP + i)),
				    names[i]);
}

static void first_error_wins(void **state __unused_arg)
{
	err_clear();
	assert_int_equal(err_set(XIT_BUSY, ST_CHECK, -EBUSY, "a", "first"),
			 XIT_BUSY);
	assert_int_equal(err_set(XIT_FAIL, ST_LOAD, EIO, "b", "second"),
			 XIT_FAIL);
	assert_int_equal(the_err.xit, XIT_BUSY);
	assert_int_equal(the_err.eno, EBUSY);
	assert_string_equal(the_err.desc, "first");
	assert_string_equal(errno_name(the_err.eno), "EBUSY");
	assert_null(errno_name(0));
	err_clear();
}

/* d: done, w: wait, n: never; states in the order of enum mstate, then gone */
static void verdicts(void **state __unused_arg)
{
	static const struct {
		enum goal goal;
		const char *v;
	} rows[] = {
		/* running paused ready standby pending aborting concluded gone */
		{ GOAL_READY,     "wndddnnn" },
		{ GOAL_SYNCED,    "wnwnwnnn" },
		{ GOAL_PAUSED,    "wdwdwnnn" },
		{ GOAL_PENDING,   "wnwndnnn" },
		{ GOAL_CONCLUDED, "wwwwwwdd" },
	};
	size_t i;
	int s;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		for (s = 0; s < 8; s++) {
			struct mirror_status st = {
				.state = s < 7 ? (enum mstate)s : MS_RUNNING,
			};
			enum verdict v = goal_verdict(rows[i].goal, s == 7, &st);
			char c = v == V_DONE ? 'd' : v == V_WAIT ? 'w' : 'n';

			if (c != rows[i].v[s])
				fail_msg("goal %d state %d: %c", rows[i].goal,
					 s, c);
		}
}

static void synced(void **state __unused_arg)
{
	struct mirror_status st = { .state = MS_READY, .synced = SYNCED_YES };

	assert_int_equal(goal_verdict(GOAL_SYNCED, false, &st), V_DONE);
	/* background mode never gets there, but for an ending */
	st.synced = SYNCED_NO;
	strcpy(st.copy_mode, "background");
	assert_int_equal(goal_verdict(GOAL_SYNCED, false, &st), V_NEVER);
	st.ending = END_COMPLETE;
	assert_int_equal(goal_verdict(GOAL_SYNCED, false, &st), V_WAIT);
	strcpy(st.copy_mode, "write-blocking");
	st.ending = END_NONE;
	assert_int_equal(goal_verdict(GOAL_SYNCED, false, &st), V_WAIT);
	st.synced = SYNCED_FINAL;
	st.state = MS_PENDING;
	assert_int_equal(goal_verdict(GOAL_SYNCED, false, &st), V_DONE);
}

static void managers(void **state __unused_arg)
{
	assert_string_equal(other_manager("LVM-abc"), "LVM");
	assert_string_equal(other_manager("CRYPT-LUKS2-x"), "CRYPT");
	assert_string_equal(other_manager("mpath-3600"), "mpath");
	assert_null(other_manager(""));
	assert_null(other_manager("nodash"));
	assert_null(other_manager(UUID_SRC "1"));
	assert_null(other_manager(UUID_PLAIN "1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(classes), cmocka_unit_test(stores), cmocka_unit_test(stages),
		cmocka_unit_test(first_error_wins), cmocka_unit_test(verdicts),
		cmocka_unit_test(synced), cmocka_unit_test(managers),
	};

	return cmocka_run_group_tests_name("errors", tests, NULL, NULL);
}
