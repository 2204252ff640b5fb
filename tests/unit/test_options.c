// SPDX-License-Identifier: GPL-2.0
/* The command line: every malformed one is refused with one clear line. */
#include <string.h>

#include "unit.h"

static const struct options defaults = {
	.timeout_ms = -1, .granularity = -1, .buf_size = -1, .speed = -1,
	.cbw_timeout = -1, .cluster_size = -1,
};

static enum xit parse(const char *line, const struct verb **v)
{
	static char copy[512], *argv[64];
	int argc = 0, first;
	char *w, *save = NULL;

	opt = defaults;
	err_clear();
	strcpy(copy, line);
	argv[argc++] = (char *)"qmirrorctl";
	for (w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		/* '' stands for an empty word */
		argv[argc++] = strcmp(w, "''") ? w : w + 2;
	argv[argc] = NULL;
	return parse_command(argc, argv, v, &first);
}

static void malformed(void **state __unused_arg)
{
	static const char *const rows[][2] = {
		{ "", "no verb" },
		{ "frobnicate", "unknown verb 'frobnicate'" },
		{ "mirror", "which verb" },
		{ "mirror explode x", "no verb 'explode'" },
		{ "snapshot", "which verb" },
		{ "snapshot arm a", "no verb 'arm'" },
		{ "snapshot create", "needs DEV=STORE" },
		{ "snapshot release a 0", "needs NAME OFFSET LENGTH" },
		{ "snapshot remove", "needs NAME" },
		{ "snapshot remove a --force", "has no option --force" },
		{ "snapshot create a=b --on-cbw-error stop", "'stop' is none" },
		{ "snapshot create a=b --cbw-timeout 1h", "no time" },
		{ "snapshot create a=b --cluster-size x", "no size" },
		{ "snapshot create a=b --cluster-size", "needs a value" },
		{ "snapshot create a=b --granularity 64K", "has no option --granularity" },
		{ "snapshot create a=b --format ''", "the value is empty" },
		{ "mirror start a b --no-freeze", "has no option --no-freeze" },
		{ "mirror start", "needs SOURCE TARGET" },
		{ "mirror start a", "needs SOURCE TARGET" },
		{ "mirror start a b c", "takes only SOURCE TARGET" },
		{ "mirror pause", "needs NAME" },
		{ "mirror resume", "needs NAME" },
		{ "mirror set a", "needs NAME ARG=VALUE" },
		{ "mirror mark-dirty a", "needs NAME FILE" },
		{ "mirror mark-dirty a b c", "takes only" },
		{ "mirror wait", "needs NAME" },
		{ "mirror complete", "needs NAME" },
		{ "mirror cancel", "needs NAME" },
		{ "remove", "needs NAME" },
		{ "remove a b", "takes only NAME" },
		{ "recover now", "takes no arguments" },
		{ "mirror start a b --bogus", "unknown or ambiguous option '--bogus'" },
		{ "mirror start a b --on", "unknown or ambiguous option '--on'" },
		{ "mirror start a b -z", "unknown option" },
		{ "mirror start a b --force=yes", "takes no value" },
		{ "mirror start a b --speed", "needs a value" },
		{ "mirror start a b --speed ''", "no size" },
		{ "mirror start a b --speed -1", "no size" },
		{ "mirror start a b --speed 10X", "no size" },
		{ "mirror start a b --speed 1.5M", "no size" },
		{ "mirror start a b --speed 100", "not a multiple of 512" },
		{ "mirror start a b --speed 16384P", "too large" },
		{ "mirror start a b --speed 99999999999999999999", "no size" },
		{ "mirror start a b --buf-size 1K5", "no size" },
		{ "mirror start a b --buf-size 1000", "not a multiple of 512" },
		{ "mirror start a b --granularity 64KB", "no size" },
		{ "mirror start a b --granularity x", "no size" },
		{ "mirror start a b --granularity", "needs a value" },
		{ "mirror start a b --sync all", "--sync full|none|bitmap|top: 'all'" },
		{ "mirror start a b --sync incremental", "'incremental' is none" },
		{ "mirror start a b --sync ''", "'' is none" },
		{ "mirror start a b --sync full|none", "is none of those" },
		{ "mirror start a b --copy-mode active", "'active' is none" },
		{ "mirror start a b --on-source-error panic", "'panic' is none" },
		{ "mirror start a b --on-target-error STOP", "'STOP' is none" },
		{ "mirror start a b --name ''", "the value is empty" },
		{ "mirror start a b --replaces ''", "the value is empty" },
		{ "mirror start a b --bitmap ''", "the value is empty" },
		{ "mirror start a b --group", "has no option --group" },
		{ "mirror start a b --for ready", "has no option --for" },
		{ "mirror start a b --watch", "has no option --watch" },
		{ "mirror wait a --for done", "'done' is none" },
		{ "mirror wait a --timeout 1h", "no time" },
		{ "mirror wait a --timeout -5", "no time" },
		{ "mirror wait a --timeout 1.5", "no time" },
		{ "mirror wait a --timeout 999999999", "too long" },
		{ "mirror wait a --timeout", "needs a value" },
		{ "mirror wait a --force", "has no option --force" },
		{ "mirror cancel a --wait", "has no option --wait" },
		{ "mirror complete a --replaces b", "has no option --replaces" },
		{ "status --for ready", "has no option --for" },
		{ "events --watch", "has no option --watch" },
		{ "recover --force", "has no option --force" },
	};
	const struct verb *v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (parse(rows[i][0], &v) != XIT_USAGE ||
		    !strstr(the_err.desc, rows[i][1]))
			fail_msg("'%s' said '%s'", rows[i][0], the_err.desc);
		assert_null(strchr(the_err.desc, '\n'));
		assert_string_equal(err_class(&the_err), "GenericError");
	}
}

static void well_formed(void **state __unused_arg)
{
	const struct verb *v;

	assert_int_equal(parse("--json mirror --quiet start --speed 1M a b "
			       "--granularity 4K --buf-size 1MiB --wait "
			       "--on-target-error stop --timeout 3s", &v),
			 XIT_OK);
	assert_string_equal(v->name, "start");
	assert_true(opt.json && opt.quiet && opt.wait);
	assert_int_equal(opt.speed, 1 << 20);
	assert_int_equal(opt.granularity, 4096);
	assert_int_equal(opt.buf_size, 1 << 20);
	assert_int_equal(opt.timeout_ms, 3000);
	assert_string_equal(opt.on_target_error, "stop");
	assert_int_equal(parse("status", &v), XIT_OK);
	assert_int_equal(parse("mirror complete a b c --group", &v), XIT_OK);
	assert_int_equal(parse("mirror start a b --speed=0", &v), XIT_OK);
	assert_int_equal(opt.speed, 0);
	/* what only the verb can judge gets that far */
	assert_int_equal(parse("mirror start a b --granularity 1000", &v),
			 XIT_OK);
}

static void start_words(void **state __unused_arg)
{
	static const char *const rows[][2] = {
		{ "mirror start a b --granularity 511", "not in the range" },
		{ "mirror start a b --granularity 128M", "not in the range" },
		{ "mirror start a b --granularity 0", "not in the range" },
		{ "mirror start a b --granularity 1000", "not a power of two" },
		{ "mirror start a b --granularity 96K", "not a power of two" },
		{ "mirror start a b --bitmap f", "--sync bitmap only" },
		{ "mirror start a b --sync full --bitmap f", "--sync bitmap only" },
		{ "mirror start a b --sync bitmap --wait", "would never end" },
		{ "mirror start a b --name x/y", "no device-mapper name" },
		{ "mirror start a b --name ..", "no device-mapper name" },
	};
	char *args[] = { (char *)"a", (char *)"b" };
	const struct verb *v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(parse(rows[i][0], &v), XIT_OK);
		if (cmd_mirror_start(2, args) != XIT_USAGE ||
		    !strstr(the_err.desc, rows[i][1]))
			fail_msg("'%s' said '%s'", rows[i][0], the_err.desc);
	}
}

static enum xit create(const char *line)
{
	static char copy[256], *words[16];
	const struct verb *v;
	int argc = 0;
	char *w, *save = NULL;

	if (parse(line, &v) != XIT_OK)
		return XIT_OK;
	/* `snapshot create` and what follows it, without the options */
	strcpy(copy, line);
	for (w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		if (argc || strchr(w, '=') || strcmp(w, "x") == 0)
			words[argc++] = w;
	words[argc] = NULL;
	return v->run(1, words);
}

static void snapshot_words(void **state __unused_arg)
{
	static const struct {
		const char *line, *says;
		enum xit x;
	} rows[] = {
		{ "snapshot create x", "expected DEV=STORE", XIT_USAGE },
		{ "snapshot create =s", "expected DEV=STORE", XIT_USAGE },
		{ "snapshot create a=", "expected DEV=STORE", XIT_USAGE },
		{ "snapshot create a=s --cluster-size 2K", "4K to 64M", XIT_USAGE },
		{ "snapshot create a=s --cluster-size 128M", "4K to 64M", XIT_USAGE },
		{ "snapshot create a=s --cluster-size 96K", "power of two", XIT_USAGE },
		{ "snapshot create a=s --cluster-size 5000", "power of two", XIT_USAGE },
		{ "snapshot create a=s --protect b", "DEV=FILE", XIT_USAGE },
		{ "snapshot create a=s --format qcow2", "unknown format 'qcow2'", XIT_FAIL },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		enum xit x = create(rows[i].line);

		if (x != rows[i].x || !strstr(the_err.desc, rows[i].says))
			fail_msg("'%s': %d '%s'", rows[i].line, x,
				 the_err.desc);
	}
	assert_string_equal(err_class(&the_err), "InvalidBlockFormat");
}

static void settings(void **state __unused_arg)
{
	static char *const bad[] = {
		(char *)"speed", (char *)"=1", (char *)"speed=", (char *)"",
		(char *)"speed=-1", (char *)"speed=1000", (char *)"speed=x",
		(char *)"colour=red", (char *)"copy-mode=active",
		(char *)"copy-mode=", (char *)"on-source-error=panic",
		(char *)"on-target-error=", (char *)"granularity=64K",
		(char *)"averyveryverylongargumentthatisnone=1",
	};
	char *args[2] = { (char *)"nosuch" };
	size_t i;

	opt = defaults;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		err_clear();
		args[1] = bad[i];
		assert_int_equal(cmd_mirror_set(2, args), XIT_USAGE);
		assert_true(strlen(the_err.desc) > 10);
	}
}

/* Each key once, each verb's keys known: the tables are the only truth. */
static void tables_agree(void **state __unused_arg)
{
	const struct opt_def *o, *p;
	const struct verb *v;
	const char *k;

	for (o = opt_table; o->key; o++)
		for (p = o + 1; p->key; p++) {
			assert_true(o->key != p->key);
			assert_string_not_equal(o->name, p->name);
		}
	for (v = verb_table; v->name; v++) {
		assert_non_null(v->run);
		assert_true(strlen(v->help) > 0);
		for (k = v->opts; *k; k++) {
			for (o = opt_table; o->key && o->key != *k; o++)
				;
			assert_true(o->key == *k);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malformed), cmocka_unit_test(well_formed),
		cmocka_unit_test(start_words), cmocka_unit_test(snapshot_words),
		cmocka_unit_test(settings),
		cmocka_unit_test(tables_agree),
	};

	return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
