/* SPDX-License-Identifier: GPL-2.0 */
/*
 * KUnit, as far as block-copy's tests use it: a suite is a program's worth of cases,
 * told as TAP. An assertion ends its case, an expectation does not.
 */
#ifndef UNIT_KUNIT_H
#define UNIT_KUNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include "../shim.h"

struct kunit {
	void *priv;
	bool failed;
	jmp_buf out;
};

struct kunit_case {
	void (*run_case)(struct kunit *test);
	const char *name;
};

struct kunit_suite {
	const char *name;
	int (*init)(struct kunit *test);
	void (*exit)(struct kunit *test);
	struct kunit_case *test_cases;
};

#define KUNIT_CASE(fn)		{ .run_case = fn, .name = #fn }

__attribute__((format(printf, 2, 3)))
static inline void kunit_fail(struct kunit *test, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	test->failed = true;
	printf("# ");
	vprintf(fmt, ap);
	putchar('\n');
	va_end(ap);
}

#define KUNIT_BINARY(test, l, op, r, end) do { \
	typeof(l) l_ = (l); \
	typeof(r) r_ = (r); \
	if (!(l_ op r_)) { \
		kunit_fail(test, "%s:%d: %s %s %s, but they are %lld and %lld", __FILE__, \
			   __LINE__, #l, #op, #r, (long long)l_, (long long)r_); \
		end; \
	} \
} while (0)
#define KUNIT_OUT(test)		longjmp((test)->out, 1)

#define KUNIT_EXPECT_EQ(test, l, r)	KUNIT_BINARY(test, l, ==, r, (void)0)
#define KUNIT_EXPECT_NE(test, l, r)	KUNIT_BINARY(test, l, !=, r, (void)0)
#define KUNIT_EXPECT_LE(test, l, r)	KUNIT_BINARY(test, l, <=, r, (void)0)
#define KUNIT_EXPECT_GE(test, l, r)	KUNIT_BINARY(test, l, >=, r, (void)0)
#define KUNIT_ASSERT_EQ(test, l, r)	KUNIT_BINARY(test, l, ==, r, KUNIT_OUT(test))
#define KUNIT_EXPECT_TRUE(test, c)	KUNIT_EXPECT_EQ(test, !!(c), true)
#define KUNIT_EXPECT_FALSE(test, c)	KUNIT_EXPECT_EQ(test, !!(c), false)
#define KUNIT_EXPECT_PTR_EQ(test, l, r) \
	KUNIT_EXPECT_EQ(test, (long)(l), (long)(r))
#define KUNIT_ASSERT_NOT_NULL(test, p)	do { \
	if (!(p)) { \
		kunit_fail(test, "%s:%d: %s is NULL", __FILE__, __LINE__, #p); \
		KUNIT_OUT(test); \
	} \
} while (0)
#define KUNIT_EXPECT_STREQ(test, l, r)	do { \
	const char *l_ = (l), *r_ = (r); \
	if (strcmp(l_, r_) != 0) \
		kunit_fail(test, "%s:%d: \"%s\" is not \"%s\"", __FILE__, __LINE__, l_, r_); \
} while (0)
#define KUNIT_FAIL(test, ...)	kunit_fail(test, __VA_ARGS__)

/* Freed with the program: what leaks is looked for in the code, not in its tests. */
struct kunit_memory {
	struct kunit_memory *next;
};
static struct kunit_memory *kunit_memory;

static inline void *kunit_kcalloc(struct kunit *test, size_t n, size_t size, int gfp)
{
	struct kunit_memory *m = calloc(1, sizeof(*m) * 2 + n * size);

	(void)test;
	(void)gfp;
	if (!m)
		return NULL;
	m->next = kunit_memory;
	kunit_memory = m;
	return m + 2;
}
#define kunit_kzalloc(test, size, gfp)	kunit_kcalloc(test, 1, size, gfp)

static inline void kunit_run_case(struct kunit_suite *suite, struct kunit_case *c,
				  struct kunit *test)
{
	if (setjmp(test->out))
		return;
	if (suite->init && suite->init(test)) {
		kunit_fail(test, "init failed");
		return;
	}
	c->run_case(test);
	if (suite->exit)
		suite->exit(test);
}

static inline int kunit_run(struct kunit_suite *suite)
{
	int n = 0, failed = 0;
	struct kunit_case *c;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (c = suite->test_cases; c->run_case; c++) {
		struct kunit test = { 0 };

		kunit_run_case(suite, c, &test);
		failed += test.failed;
		printf("%sok %d - %s.%s\n", test.failed ? "not " : "", ++n, suite->name,
		       c->name);
		while (kunit_memory) {
			struct kunit_memory *m = kunit_memory;

			kunit_memory = m->next;
			free(m);
		}
	}
	printf("1..%d\n", n);
	return failed != 0;
}

#define kunit_test_suite(suite) \
	int main(void) { return kunit_run(&(suite)); } \
	struct kernel_unused

#endif
