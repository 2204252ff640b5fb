// SPDX-License-Identifier: GPL-2.0
/* Sizes, times, bitmap files, and the lines of the target. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static void sizes(void **state __unused_arg)
{
	static const struct {
		const char *text;
		uint64_t v;
	} good[] = {
		{ "0", 0 }, { "1", 1 }, { "512", 512 }, { "007", 7 },
		{ "1k", 1024 }, { "1K", 1024 }, { "1KiB", 1024 },
		{ "1kib", 1024 }, { "1KIB", 1024 }, { "64M", 64ull << 20 },
		{ "3g", 3ull << 30 }, { "2TiB", 2ull << 40 },
		{ "5P", 5ull << 50 }, { "8191P", 8191ull << 50 },
		{ "9223372036854775807", INT64_MAX },
	};
	static const char *const bad[] = {
		"", " ", "K", "iB", "-1", "+1", " 1", "1 ", "1.5G", "1,5",
		"0x10", "1KB", "1B", "1iB", "1KiBs", "1Ki", "1E", "1KK",
		"9223372036854775808", "18446744073709551616", "8192P",
		"99999999999999999999999", "1e3", "ten",
	};
	uint64_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse_size(good[i].text, &v), 0);
		assert_int_equal(v, good[i].v);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		v = 4711;
		assert_int_not_equal(parse_size(bad[i], &v), 0);
		assert_int_equal(v, 4711);
	}
}

static void aligned(void **state __unused_arg)
{
	uint64_t v;

	assert_int_equal(parse_aligned("1024", &v), 0);
	assert_int_equal(v, 1024);
	assert_int_equal(parse_aligned("0", &v), 0);
	assert_int_equal(parse_aligned("1000", &v), -EDOM);
	assert_int_equal(parse_aligned("511", &v), -EDOM);
	assert_int_equal(parse_aligned("x", &v), -EINVAL);
}

static void times(void **state __unused_arg)
{
	static const char *const bad[] = {
		"", "s", "ms", "-1", "1.5", "1h", "1 s", "1sec", "1S", "1M",
		"99999999999", "2147484", "40000m", "0x1",
	};
	long ms = -7;
	size_t i;

	assert_int_equal(parse_time("0", &ms), 0);
	assert_int_equal(ms, 0);
	assert_int_equal(parse_time("2", &ms), 0);
	assert_int_equal(ms, 2000);
	assert_int_equal(parse_time("3s", &ms), 0);
	assert_int_equal(ms, 3000);
	assert_int_equal(parse_time("250ms", &ms), 0);
	assert_int_equal(ms, 250);
	assert_int_equal(parse_time("5m", &ms), 0);
	assert_int_equal(ms, 300000);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_not_equal(parse_time(bad[i], &ms), 0);
	assert_int_equal(ms, 300000);
}

static enum xit bitmap(const char *text, struct ranges *r)
{
	FILE *f = fmemopen((void *)text, strlen(text) ? strlen(text) : 1, "r");
	enum xit x;

	err_clear();
	if (!*text)
		fseek(f, 0, SEEK_END);
	x = parse_bitmap(f, "map", 2048, r);
	fclose(f);
	return x;
}

static void bitmaps(void **state __unused_arg)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{ "0\n", "line 1: expected OFFSET LENGTH" },
		{ "0 512 3\n", "line 1: expected OFFSET LENGTH" },
		{ "0 512\nx 512\n", "line 2: OFFSET and LENGTH are plain" },
		{ "0 1K\n", "plain byte counts" },
		{ "-512 512\n", "plain byte counts" },
		{ "0 511\n", "not a multiple of 512" },
		{ "1 512\n", "not a multiple of 512" },
		{ "0 0\n", "LENGTH is zero" },
		{ "1048576 512\n", "past the end" },
		{ "0 1049088\n", "past the end" },
		{ "1048064 1024\n", "past the end" },
		{ "512 18446744073709551104\n", "past the end" },
		{ "0 99999999999999999999\n", "plain byte counts" },
	};
	struct ranges r;
	size_t i;

	assert_int_equal(bitmap("0 512\n\n  1024\t2048  \n1048064 512", &r),
			 XIT_OK);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.r[1].start, 2);
	assert_int_equal(r.r[1].count, 4);
	assert_int_equal(r.r[2].start, 2047);
	assert_int_equal(r.r[2].count, 1);
	free(r.r);
	assert_int_equal(bitmap("0 1048576\n", &r), XIT_OK);
	free(r.r);
	assert_int_equal(bitmap("\n", &r), XIT_OK);
	assert_int_equal(r.n, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(bitmap(bad[i].text, &r), XIT_USAGE);
		assert_non_null(strstr(the_err.desc, bad[i].says));
		assert_string_equal(the_err.file, "map");
		assert_null(r.r);
	}
}

static void many_ranges(void **state __unused_arg)
{
	char text[200 * 12] = "";
	struct ranges r;
	int i;

	for (i = 0; i < 200; i++)
		sprintf(text + strlen(text), "%d 512\n", i * 512);
	assert_int_equal(bitmap(text, &r), XIT_OK);
	assert_int_equal(r.n, 200);
	assert_int_equal(r.r[199].start, 199);
	free(r.r);
}

#define LINE "running no 100/2048 7/16 ok - 0 0 256 8 speed 2048 copy_mode "	\
	     "write-blocking on_source_error report on_target_error stop - 0"

static void status_lines(void **state __unused_arg)
{
	struct mirror_status st;

	assert_int_equal(parse_mirror_status(LINE, &st), 0);
	assert_int_equal(st.state, MS_RUNNING);
	assert_int_equal(st.synced, SYNCED_NO);
	assert_int_equal(st.offset, 100);
	assert_int_equal(st.len, 2048);
	assert_int_equal(st.dirty, 7);
	assert_int_equal(st.chunks, 16);
	assert_int_equal(st.in_flight, 256);
	assert_int_equal(st.speed, 2048);
	assert_string_equal(st.copy_mode, "write-blocking");
	assert_string_equal(st.on_target_error, "stop");
	assert_int_equal(st.ending, END_NONE);

	assert_int_equal(parse_mirror_status(
		"pending final 5/5 0/1 nospace target:write:ENOSPC:8 1 2 0 0 complete 3",
		&st), 0);
	assert_int_equal(st.state, MS_PENDING);
	assert_int_equal(st.synced, SYNCED_FINAL);
	assert_string_equal(st.error, "target:write:ENOSPC:8");
	assert_string_equal(st.io_status, "nospace");
	assert_int_equal(st.source_errors, 1);
	assert_int_equal(st.target_errors, 2);
	assert_int_equal(st.ending, END_COMPLETE);
	assert_int_equal(st.orphans, 3);
	/* a newer target: more settings, more fields at the end */
	assert_int_equal(parse_mirror_status(
		"ready yes 5/5 0/1 ok - 0 0 0 4 speed 1 colour red cancel 0 new 7",
		&st), 0);
	assert_int_equal(st.speed, 1);
	assert_int_equal(st.ending, END_CANCEL);
}

static void bad_status_lines(void **state __unused_arg)
{
	static const char *const bad[] = {
		"", " ", "running", "Running no 0/0 0/0 ok - 0 0 0 0 - 0",
		"running maybe 0/0 0/0 ok - 0 0 0 0 - 0",
		"running no 0 0/0 ok - 0 0 0 0 - 0",
		"running no 2/1 0/0 ok - 0 0 0 0 - 0",
		"running no 0/0 3/2 ok - 0 0 0 0 - 0",
		"running no 0/0 0/0 ok - x 0 0 0 - 0",
		"running no 0/0 0/0 ok - 0 0 0 1 speed - 0",
		"running no 0/0 0/0 ok - 0 0 0 2 speed",
		"running no 0/0 0/0 ok - 0 0 0 2 speed fast - 0",
		"running no 0/0 0/0 ok - 0 0 0 9999 - 0",
		"running no 0/0 0/0 ok - 0 0 0 0 done 0",
		"running no 0/0 0/0 ok - 0 0 0 0 -",
		"running no -1/0 0/0 ok - 0 0 0 0 - 0",
		"running no 0/0 0/0 waytoolongstatus - 0 0 0 0 - 0",
	};
	struct mirror_status st;
	char text[3000];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_mirror_status(bad[i], &st), -EINVAL);
	/* cut off anywhere: refused, and nothing read past the end */
	for (i = 0; i < strlen(LINE) - 2; i++) {
		snprintf(text, i + 1, "%s", LINE);
		assert_int_equal(parse_mirror_status(text, &st), -EINVAL);
	}
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(parse_mirror_status(text, &st), -EINVAL);
}

static void tables(void **state __unused_arg)
{
	struct mirror_table t;

	assert_int_equal(parse_mirror_table("8:0 0 8:16 2048", &t), 0);
	assert_string_equal(t.source, "8:0");
	assert_int_equal(t.target_offset, 2048);
	assert_string_equal(t.sync, "full");
	assert_int_equal(t.granularity, 128);
	assert_int_equal(parse_mirror_table(
		"8:0 1 8:16 2 10 sync none granularity 8 no_bounce copy_mode write-blocking on_target_error stop zero_detect",
		&t), 0);
	assert_string_equal(t.sync, "none");
	assert_string_equal(t.copy_mode, "write-blocking");
	assert_string_equal(t.on_target_error, "stop");
	assert_int_equal(t.granularity, 8);
	assert_int_equal(parse_mirror_table("8:0 0 8:16", &t), -EINVAL);
	assert_int_equal(parse_mirror_table("8:0 x 8:16 0", &t), -EINVAL);
	assert_int_equal(parse_mirror_table("", &t), -EINVAL);
	assert_int_equal(parse_mirror_table("8:0 0 8:16 0 2 sync", &t),
			 -EINVAL);
}

static void cbw_lines(void **state __unused_arg)
{
	static const char *const bad[] = {
		"", "armed", "asleep 0/8 0 - 0 0", "armed 9/8 0 - 0 0",
		"armed 1 0 - 0 0", "armed 1/8 x - 0 0", "armed 1/8 0 -",
		"armed 1/8 0 - x",
	};
	struct cbw_status st;
	size_t i;

	assert_int_equal(parse_cbw_status(
		"armed 3/512 1 write:ENOSPC:2048 7 6 cluster_size 128 on_cbw_error break-guest-write cbw_timeout 0",
		&st), 0);
	assert_int_equal(st.state, SS_ARMED);
	assert_int_equal(st.copied, 3);
	assert_int_equal(st.clusters, 512);
	assert_int_equal(st.in_flight, 1);
	assert_string_equal(st.error, "write:ENOSPC:2048");
	assert_int_equal(st.failed_writes, 7);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_cbw_status(bad[i], &st), -EINVAL);
	assert_int_equal(sstate_of("idle 0/8 0 - 0"), SS_IDLE);
	assert_int_equal(sstate_of("armed 0/8"), SS_ARMED);
	assert_int_equal(sstate_of("broken"), SS_BROKEN);
	assert_true(sstate_of("arm 0/8") < 0);
	assert_true(sstate_of("") < 0);
}

static void cbw_tables(void **state __unused_arg)
{
	enum vstate v;
	struct cbw_table t;
	char error[96];

	assert_int_equal(parse_cbw_table(
		"253:5 0 7:0 8 7 cluster_size 8 on_cbw_error break-snapshot cbw_timeout 1500 idle", &t), 0);
	assert_string_equal(t.source, "253:5");
	assert_string_equal(t.store, "7:0");
	assert_int_equal(t.store_offset, 8);
	assert_int_equal(t.cluster_size, 8);
	assert_string_equal(t.on_cbw_error, "break-snapshot");
	assert_int_equal(t.cbw_timeout, 1500);
	assert_int_equal(parse_cbw_table("253:5 0 7:0 0", &t), 0);
	assert_int_equal(t.cluster_size, 128);
	assert_string_equal(t.on_cbw_error, "break-guest-write");
	assert_int_equal(parse_cbw_table("253:5 0 7:0", &t), -EINVAL);
	assert_int_equal(parse_cbw_table("253:5 0 7:0 0 2 cluster_size", &t),
			 -EINVAL);
	assert_int_equal(parse_cbw_table("253:5 0 7:0 0 2 cluster_size 0", &t),
			 -EINVAL);
	assert_int_equal(parse_view_status("live -", &v, error, sizeof(error)),
			 0);
	assert_int_equal(v, VS_LIVE);
	assert_int_equal(parse_view_status("ended -", &v, error,
					   sizeof(error)), 0);
	assert_int_equal(v, VS_ENDED);
	assert_int_equal(parse_view_status("unknown -", &v, error,
					   sizeof(error)), -EINVAL);
	assert_int_equal(parse_view_status("live", &v, error, sizeof(error)),
			 -EINVAL);
}

static void names(void **state __unused_arg)
{
	char longest[NAME_LEN + 1];

	memset(longest, 'n', sizeof(longest));
	longest[NAME_LEN - 1] = '\0';
	assert_true(dm_name_ok("a"));
	assert_true(dm_name_ok("vg-lv--1 x"));
	assert_true(dm_name_ok(longest));
	longest[NAME_LEN - 1] = 'n';
	longest[NAME_LEN] = '\0';
	assert_false(dm_name_ok(longest));
	assert_false(dm_name_ok(""));
	assert_false(dm_name_ok("a/b"));
	assert_false(dm_name_ok("a\nb"));
	assert_false(dm_name_ok("."));
	assert_false(dm_name_ok(".."));
	assert_true(word_in("stop", "report|stop|auto"));
	assert_true(word_in("auto", "report|stop|auto"));
	assert_false(word_in("to", "report|stop|auto"));
	assert_false(word_in("", "report|stop"));
	assert_false(word_in("report|stop", "report|stop"));
}

static void merging(void **state __unused_arg)
{
	struct range in[] = { { 40, 8 }, { 0, 8 }, { 8, 8 }, { 4, 2 },
			      { 30, 20 }, { 100, 1 } };
	struct ranges r = { in, ARRAY_SIZE(in) }, none = { NULL, 0 };

	ranges_merge(&none);
	assert_int_equal(none.n, 0);
	ranges_merge(&r);
	assert_int_equal(r.n, 3);
	assert_int_equal(r.r[0].start, 0);
	assert_int_equal(r.r[0].count, 16);
	assert_int_equal(r.r[1].start, 30);
	assert_int_equal(r.r[1].count, 20);
	assert_int_equal(r.r[2].start, 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(merging),
		cmocka_unit_test(sizes), cmocka_unit_test(aligned),
		cmocka_unit_test(times), cmocka_unit_test(bitmaps),
		cmocka_unit_test(many_ranges), cmocka_unit_test(status_lines),
		cmocka_unit_test(bad_status_lines), cmocka_unit_test(tables),
		cmocka_unit_test(names), cmocka_unit_test(cbw_lines),
		cmocka_unit_test(cbw_tables),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
