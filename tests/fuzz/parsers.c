// SPDX-License-Identifier: GPL-2.0
/*
 * parsers.c - the tool's parsers under libFuzzer, with ASan and UBSan: what
 * users type, what files hold, what the kernel prints. The first byte of an input
 * says which parser; the rest is its text, cut at the first NUL where it is a word.
 *
 *	make fuzz-parsers TIME=600	looks for new inputs
 *	make unit			runs the corpus, which is the known ones
 *
 * Besides "does not crash": what a parser accepts is within bounds, and what can
 * be written again reads as the same.
 */
#include <stdlib.h>
#include <string.h>

#include "qmirrorctl.h"

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "CHECK failed, line %d: %s\n", __LINE__, #cond); \
		abort();						\
	}								\
} while (0)

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_numbers(const char *text)
{
	uint64_t v = 0, w = 0;
	char buf[32];
	long ms = 0;

	if (!parse_size(text, &v))
		CHECK(v <= INT64_MAX);
	if (!parse_aligned(text, &w))
		CHECK(w == v && w % SECTOR_SIZE == 0);
	if (!parse_time(text, &ms))
		CHECK(ms >= 0);
	if (!parse_u64(text, &v)) {
		/* zeroes in front are all that may get lost */
		snprintf(buf, sizeof(buf), "%llu", (unsigned long long)v);
		CHECK(strlen(buf) <= strlen(text));
		CHECK(!strcmp(buf, text + strlen(text) - strlen(buf)));
	}
	CHECK(human_size(v, buf, sizeof(buf)) && strlen(buf) < sizeof(buf));
	(void)dm_name_ok(text);
	(void)word_in(text, "report|ignore|stop|enospc|auto");
}

static void fuzz_bitmap(const char *text, size_t size)
{
	uint64_t sectors = 1 << 20, last = 0;
	struct ranges r = { 0 };
	FILE *f = fmemopen((void *)text, size + 1, "r");
	size_t i;

	CHECK(f);
	if (parse_bitmap(f, "map", sectors, &r) == XIT_OK) {
		for (i = 0; i < r.n; i++)
			CHECK(r.r[i].count && r.r[i].start < sectors &&
			      r.r[i].count <= sectors - r.r[i].start);
		ranges_merge(&r);
		for (i = 0; i < r.n; i++) {
			/* in order, and with a gap between neighbours */
			CHECK(!i || r.r[i].start > last);
			last = r.r[i].start + r.r[i].count;
			CHECK(last <= sectors);
		}
		free(r.r);
	}
	fclose(f);
}

static bool ends_in(const char *s, size_t room)
{
	return memchr(s, '\0', room);
}

static void fuzz_mirror(const char *text)
{
	struct mirror_status st;
	struct mirror_table t;

	if (!parse_mirror_status(text, &st)) {
		CHECK(mstate_name(st.state));
		CHECK(ends_in(st.io_status, sizeof(st.io_status)));
		CHECK(ends_in(st.error, sizeof(st.error)));
		CHECK(ends_in(st.copy_mode, sizeof(st.copy_mode)));
		CHECK(ends_in(st.on_source_error, sizeof(st.on_source_error)));
		CHECK(ends_in(st.on_target_error, sizeof(st.on_target_error)));
	}
	if (!parse_mirror_table(text, &t)) {
		CHECK(ends_in(t.source, sizeof(t.source)) && *t.source);
		CHECK(ends_in(t.target, sizeof(t.target)) && *t.target);
		CHECK(ends_in(t.sync, sizeof(t.sync)));
	}
}

static void fuzz_snapshot(const char *text)
{
	struct cbw_status st;
	struct cbw_table t;
	enum vstate v;
	char error[96];

	if (!parse_cbw_status(text, &st)) {
		CHECK(sstate_name(st.state));
		CHECK(ends_in(st.error, sizeof(st.error)));
	}
	if (!parse_cbw_table(text, &t)) {
		CHECK(ends_in(t.source, sizeof(t.source)) && *t.source);
		CHECK(ends_in(t.store, sizeof(t.store)) && *t.store);
		CHECK(ends_in(t.on_cbw_error, sizeof(t.on_cbw_error)));
	}
	if (!parse_view_status(text, &v, error, sizeof(error))) {
		CHECK(vstate_name(v));
		CHECK(ends_in(error, sizeof(error)));
	}
	(void)sstate_of(text);
}

/*
 * What was read and is written again reads the same, if it reads at all: one that
 * we did not write may lack a line that ours always have.
 */
static void fuzz_journal(const char *text)
{
	struct journal j, k;
	char *once, *twice;

	if (journal_decode(text, &j))
		return;
	once = journal_encode(&j);
	if (!journal_decode(once, &k)) {
		twice = journal_encode(&k);
		CHECK(!strcmp(once, twice));
		free(twice);
		journal_free(&k);
	}
	free(once);
	journal_free(&j);
}

/* A command line: its words are what is between newlines. */
static void fuzz_arguments(char *text)
{
	static char name[] = "qmirrorctl";
	char *argv[40] = { name }, *save = NULL, *w;
	const struct verb *verb = NULL;
	int argc = 1, first = 0;

	for (w = strtok_r(text, "\n", &save); w && argc < 39;
	     w = strtok_r(NULL, "\n", &save))
		argv[argc++] = w;
	memset(&opt, 0, sizeof(opt));
	if (parse_command(argc, argv, &verb, &first) == XIT_OK && verb) {
		CHECK(first > 0 && first <= argc);
		CHECK(argc - first >= verb->min_args);
		CHECK(verb->max_args < 0 || argc - first <= verb->max_args);
	}
	free(opt.protect);
}

/* Help and errors are not what is looked at, and would fill the terminal. */
int LLVMFuzzerInitialize(int *argc __unused_arg, char ***argv __unused_arg)
{
	CHECK(freopen("/dev/null", "w", stdout));
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	/* of its very size: one byte too far is seen */
	text = malloc(size);
	CHECK(text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	err_clear();
	switch (data[0]) {
	case 'n':
		fuzz_numbers(text);
		break;
	case 'b':
		fuzz_bitmap(text, size - 1);
		break;
	case 'm':
		fuzz_mirror(text);
		break;
	case 's':
		fuzz_snapshot(text);
		break;
	case 'j':
		fuzz_journal(text);
		break;
	case 'a':
		fuzz_arguments(text);
		break;
	}
	free(text);
	return 0;
}
