// SPDX-License-Identifier: GPL-2.0
/* The journal comes back as it went in, or not at all; and the lock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static char dir[] = "/tmp/qmirror-unit-XXXXXX";

static int group_setup(void **state __unused_arg)
{
	static char sub[64];

	if (!mkdtemp(dir))
		return -1;
	snprintf(sub, sizeof(sub), "%s/run", dir);
	run_dir = sub;
	return 0;
}

static int group_teardown(void **state __unused_arg)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/run/lock", dir);
	unlink(path);
	rmdir(run_dir);
	return rmdir(dir);
}

static void sample(struct journal *j)
{
	struct jmember *m;

	memset(j, 0, sizeof(*j));
	j->verb = JV_START_SLIDE;
	strcpy(j->what, "mirror start");
	j->pid = 4711;
	j->n = 3;
	j->m = xcalloc(3, sizeof(*j->m));
	m = &j->m[0];
	strcpy(m->name, "a name with blanks");
	strcpy(m->src, "a name with blanks-qsrc");
	strcpy(m->src_uuid, UUID_SRC "12");
	m->major = 253;
	m->minor = 7;
	m->read_only = true;
	dmtable_add(&m->old, 0, 2048, "linear", "8:0 0");
	dmtable_add(&m->old, 2048, 8, "error", "");
	dmtable_add(&m->old, 2056, 8, "flakey", "8:0 0 1 2 1 drop_writes");
	m->start_bitmap = true;
	m->dirty.n = 3;
	m->dirty.r = xcalloc(3, sizeof(*m->dirty.r));
	m->dirty.r[2].start = 100;
	m->dirty.r[2].count = UINT64_MAX / 1024;
	m = &j->m[1];
	strcpy(m->name, "end");
	strcpy(m->top, "member x");
	m->top_major = 253;
	m->top_minor = 9;
	strcpy(m->top_to, "7:9 8");
	m->length = UINT64_MAX / 512;
	strcpy(m->uuid, UUID_PLAIN "1");
	m->need_final = true;
	m = &j->m[2];
	strcpy(m->name, "frozen");
	strcpy(m->view, "frozen-snap");
	strcpy(m->view_uuid, UUID_SNAP "5");
	strcpy(m->store, "/srv/some where/store file");
}

static void same(const struct journal *a, const struct journal *b)
{
	size_t i, k;

	assert_int_equal(a->verb, b->verb);
	assert_string_equal(a->what, b->what);
	assert_int_equal(a->pid, b->pid);
	assert_int_equal(a->n, b->n);
	for (i = 0; i < a->n; i++) {
		const struct jmember *x = &a->m[i], *y = &b->m[i];

		assert_string_equal(x->name, y->name);
		assert_string_equal(x->src, y->src);
		assert_string_equal(x->src_uuid, y->src_uuid);
		assert_string_equal(x->uuid, y->uuid);
		assert_string_equal(x->view, y->view);
		assert_string_equal(x->view_uuid, y->view_uuid);
		assert_string_equal(x->store, y->store);
		assert_string_equal(x->top, y->top);
		assert_string_equal(x->top_to, y->top_to);
		assert_int_equal(x->top_major, y->top_major);
		assert_int_equal(x->top_minor, y->top_minor);
		assert_int_equal(x->length, y->length);
		assert_int_equal(x->major, y->major);
		assert_int_equal(x->minor, y->minor);
		assert_int_equal(x->read_only, y->read_only);
		assert_int_equal(x->need_final, y->need_final);
		assert_int_equal(x->start_bitmap, y->start_bitmap);
		assert_true(dmtable_equal(&x->old, &y->old));
		assert_int_equal(x->dirty.n, y->dirty.n);
		for (k = 0; k < x->dirty.n; k++) {
			assert_int_equal(x->dirty.r[k].start,
					 y->dirty.r[k].start);
			assert_int_equal(x->dirty.r[k].count,
					 y->dirty.r[k].count);
		}
	}
}

static void round_trip(void **state __unused_arg)
{
	struct journal j, back;
	char *text;

	sample(&j);
	text = journal_encode(&j);
	assert_int_equal(journal_decode(text, &back), 0);
	same(&j, &back);
	journal_free(&back);
	journal_free(&j);
	free(text);
}

static void cut_off(void **state __unused_arg)
{
	struct journal j, back;
	char *text;
	size_t n;

	sample(&j);
	text = journal_encode(&j);
	journal_free(&j);
	/* all but the last newline must be there */
	for (n = strlen(text) - 2; n > 0; n--) {
		text[n] = '\0';
		assert_int_equal(journal_decode(text, &back), -EBADMSG);
		assert_null(back.m);
	}
	free(text);
}

static void malformed(void **state __unused_arg)
{
#define H "qmirrorctl-journal 1\nverb end\nwhat x\npid 1\n"
	static const char *const bad[] = {
		"", "\n", "qmirrorctl-journal 2\nend 0\n", H, H "end 1\n",
		H "end 0\nmore\n", H "member a\nend 2\n",
		H "member a\ncolour red\nend 1\n",
		H "member a\ndev 8\nend 1\n", H "member a\ndev 8:1x\nend 1\n",
		H "member a\nold 0 linear\nend 1\n",
		H "member a\nold x 1 linear 8:0 0\nend 1\n",
		H "member a\ndirty 1\nend 1\n",
		H "member a\ndirty 1 2 3\nend 1\n",
		H "member a\nflag\nend 1\n", H "member \nend 1\n",
		"qmirrorctl-journal 1\nverb stop\nend 0\n",
		"qmirrorctl-journal 1\npid -1\nend 0\n",
		"qmirrorctl-journal 1\npid 99999999999\nend 0\n",
	};
	struct journal j;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (journal_decode(bad[i], &j) != -EBADMSG)
			fail_msg("'%s' was taken", bad[i]);
}

static void files(void **state __unused_arg)
{
	struct journal j, back;

	opt.timeout_ms = 0;
	assert_int_equal(lock_take("test", false), XIT_OK);
	sample(&j);
	assert_int_equal(journal_read(&back), -ENOENT);
	assert_int_equal(journal_write(&j), XIT_OK);
	assert_int_equal(journal_read(&back), 0);
	same(&j, &back);
	journal_free(&back);
	journal_drop();
	assert_int_equal(journal_read(&back), -ENOENT);
	journal_free(&j);
	lock_release();
}

static void jobs(void **state __unused_arg)
{
	struct job_file f = { UUID_SRC "1", "top dev" }, back;

	assert_int_equal(job_file_read("a b", &back), -ENOENT);
	assert_int_equal(job_file_write("a b", &f), XIT_OK);
	assert_int_equal(job_file_read("a b", &back), 0);
	assert_string_equal(back.uuid, f.uuid);
	assert_string_equal(back.replaces, f.replaces);
	job_file_drop("a b");
	assert_int_equal(job_file_read("a b", &back), -ENOENT);
}

static void contention(void **state __unused_arg)
{
	int64_t t;
	int status;
	pid_t pid;

	assert_int_equal(lock_take("mirror start", false), XIT_OK);
	pid = fork();
	if (pid == 0) {
		lock_fd = -1;
		opt.timeout_ms = 100;
		t = now_ms();
		if (lock_take("mirror cancel", false) != XIT_BUSY ||
		    now_ms() - t < 100 || now_ms() - t > 5000)
			_exit(1);
		_exit(strstr(the_err.desc, "mirror start") &&
		      strstr(the_err.desc, "pid ") ? 0 : 2);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	lock_release();
	assert_int_equal(lock_take("again", false), XIT_OK);
	lock_release();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(cut_off),
		cmocka_unit_test(malformed), cmocka_unit_test(files),
		cmocka_unit_test(jobs), cmocka_unit_test(contention),
	};

	return cmocka_run_group_tests_name("journal", tests, group_setup,
					   group_teardown);
}
