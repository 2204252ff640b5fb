// SPDX-License-Identifier: GPL-2.0
/* Stores: what a dead run may have left, and what is never touched. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char dir[] = "/tmp/qmirror-unit-XXXXXX";
static char path[64];

static int group_setup(void **state __unused_arg)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/store", dir);
	return 0;
}

static int group_teardown(void **state __unused_arg)
{
	return rmdir(dir);
}

static void make(mode_t mode, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static bool there(void)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static void forget_ours(void **state __unused_arg)
{
	make(0600, "");
	store_forget(path);
	assert_false(there());
	store_forget(path);	/* and once more */
	store_forget("");
}

/* Data, other people's rights, a link, a folder: not what we make. */
static void forget_nothing_else(void **state __unused_arg)
{
	make(0600, "data");
	store_forget(path);
	assert_true(there());
	unlink(path);

	make(0644, "");
	store_forget(path);
	assert_true(there());
	unlink(path);

	assert_int_equal(symlink("/nosuch", path), 0);
	store_forget(path);
	assert_true(there());
	unlink(path);

	assert_int_equal(mkdir(path, 0600), 0);
	store_forget(path);
	assert_true(there());
	rmdir(path);
}

/* The path is made absolute before the watchdog, which works in /, needs it. */
static void relative_path(void **state __unused_arg)
{
	struct blk dev = { .label = "data", .sectors = 2048, .block_size = 512 };
	char *cwd = get_current_dir_name();
	struct store s;

	assert_int_equal(chdir(dir), 0);
	assert_int_equal(store_find("./store", &dev, &s), XIT_OK);
	assert_true(s.file);
	assert_string_equal(s.path, path);
	assert_int_equal(s.sectors, 2048);
	/* not there yet: a table cannot name it */
	assert_null(store_text(&s, true));
	make(0600, "x");
	assert_int_equal(store_find("store", &dev, &s), XIT_FAIL);
	assert_int_equal(the_err.eno, EEXIST);
	assert_string_equal(the_err.file, "store");
	err_clear();
	unlink(path);
	assert_int_equal(store_find("sto\nre", &dev, &s), XIT_FAIL);
	err_clear();
	assert_int_equal(chdir(cwd), 0);
	free(cwd);
}

int __wrap_dm_get(const char *name, struct dmdev *d);
int __wrap_dm_get(const char *name __unused_arg, struct dmdev *d __unused_arg)
{
	return -ENXIO;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forget_ours),
		cmocka_unit_test(forget_nothing_else),
		cmocka_unit_test(relative_path),
	};

	return cmocka_run_group_tests_name("store", tests, group_setup,
					   group_teardown);
}
