// SPDX-License-Identifier: GPL-2.0
/*
 * One error a run: the first one. It names the device, says what failed and
 * what to do, and carries what JSON readers need.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "qmirrorctl.h"

struct err the_err;

static const char *const stage_names[] = {
	[ST_LOOKUP] = "lookup",
	[ST_CHECK] = "check",
	[ST_CREATE_STORE] = "create-store",
	[ST_OPEN_STORE] = "open-store",
	[ST_LOAD] = "load",
	[ST_SUSPEND] = "suspend",
	[ST_ARM] = "arm",
	[ST_RESUME] = "resume",
	[ST_VIEW] = "view",
};

const char *stage_name(enum stage st)
{
	return st < ARRAY_SIZE(stage_names) ? stage_names[st] : NULL;
}

const char *errno_name(int eno)
{
	return eno ? strerrorname_np(eno) : NULL;
}

/* The classes are QAPI's of 2012; what no class was made for is GenericError. */
const char *err_class(const struct err *e)
{
	if (e->class == EC_OPEN_FILE)
		return "OpenFileFailed";
	if (e->class == EC_FORMAT)
		return "InvalidBlockFormat";
	switch (e->xit) {
	case XIT_NODEV:
		return "DeviceNotFound";
	case XIT_BUSY:
		return "DeviceInUse";
	default:
		return "GenericError";
	}
}

enum xit err_set(enum xit xit, enum stage stage, int eno, const char *device,
		 const char *fmt, ...)
{
	va_list ap;
	char *p;

	if (the_err.xit != XIT_OK)
		return xit;

	the_err.xit = xit;
	the_err.stage = stage;
	the_err.eno = eno < 0 ? -eno : eno;
	snprintf(the_err.device, sizeof(the_err.device), "%s",
		 device ? device : "");
	va_start(ap, fmt);
	vsnprintf(the_err.desc, sizeof(the_err.desc), fmt, ap);
	va_end(ap);
	/* one line, whatever was typed */
	for (p = the_err.desc; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	return xit;
}

void err_file(const char *file)
{
	snprintf(the_err.file, sizeof(the_err.file), "%s", file);
}

/* The error is about a STORE: its class, which DEV it is for, and its path. */
enum xit err_store(enum eclass class, const char *device, const char *file)
{
	the_err.class = class;
	if (class != EC_OF_STATUS)
		the_err.xit = XIT_FAIL;
	snprintf(the_err.device, sizeof(the_err.device), "%s", device);
	err_file(file);
	return the_err.xit;
}

void err_clear(void)
{
	memset(&the_err, 0, sizeof(the_err));
}

static void say(const char *fmt, va_list ap)
{
	fputs("qmirrorctl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

/* What the user should know though nothing failed. */
void note(const char *fmt, ...)
{
	va_list ap;

	if (opt.quiet)
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void verbose(const char *fmt, ...)
{
	va_list ap;

	if (!opt.verbose)
		return;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

/* Nothing is ever suspended when these are called, so dying is safe. */
static void no_memory(void)
{
	fputs("qmirrorctl: out of memory\n", stderr);
	exit(XIT_FAIL);
}

void *xcalloc(size_t n, size_t size)
{
	void *p = calloc(n ? n : 1, size);

	if (!p)
		no_memory();
	return p;
}

char *xstrdup(const char *s)
{
	char *p = strdup(s);

	if (!p)
		no_memory();
	return p;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *p;

	va_start(ap, fmt);
	if (vasprintf(&p, fmt, ap) < 0)
		no_memory();
	va_end(ap);
	return p;
}
