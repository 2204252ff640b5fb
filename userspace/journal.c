// SPDX-License-Identifier: GPL-2.0
/*
 * The journal of the run in progress, the lock that allows only one, and the
 * little that must outlive `mirror start`. All of it lives in /run, as long as
 * the dm devices it speaks of: until the next boot.
 *
 * The journal is written whole, synced and renamed into place before the first
 * step and removed after the last: a reader finds all of it or none. One line
 * a fact, "key value"; a value goes to the end of its line.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qmirrorctl.h"

#define MAGIC	"qmirrorctl-journal 1"
/* how long a second run waits for the first when nobody says --timeout */
#define LOCK_MS	30000
/* and at least, for `status` takes the lock for a moment */
#define LOCK_MIN_MS	100

const char *run_dir = "/run/qmirrorctl";
int lock_fd = -1;

static const char *const jverb_names[] = {
	[JV_START_SLIDE] = "start",
	[JV_START_PLAIN] = "create",
	[JV_END] = "end",
	[JV_SNAPSHOT] = "snapshot",
	[JV_UNSNAPSHOT] = "unsnapshot",
};

/* ---- encoding ---- */

static void put_member(FILE *f, const struct jmember *m)
{
	size_t i;

	fprintf(f, "member %s\n", m->name);
	fprintf(f, "dev %u:%u\n", m->major, m->minor);
	if (m->uuid[0])
		fprintf(f, "uuid %s\n", m->uuid);
	if (m->src[0])
		fprintf(f, "src %s\nsrc-uuid %s\n", m->src, m->src_uuid);
	if (m->top[0])
		fprintf(f, "top %s\ntop-dev %u:%u\ntop-to %s\n", m->top,
			m->top_major, m->top_minor, m->top_to);
	if (m->view[0])
		fprintf(f, "view %s\nview-uuid %s\n", m->view, m->view_uuid);
	if (m->store[0])
		fprintf(f, "store %s\n", m->store);
	if (m->length)
		fprintf(f, "length %llu\n", (unsigned long long)m->length);
	if (m->read_only)
		fprintf(f, "read-only\n");
	if (m->need_final)
		fprintf(f, "need-final\n");
	if (m->start_bitmap)
		fprintf(f, "start-bitmap\n");
	for (i = 0; i < m->old.n; i++)
		fprintf(f, "old %llu %llu %s %s\n",
			(unsigned long long)m->old.line[i].start,
			(unsigned long long)m->old.line[i].len,
			m->old.line[i].type, m->old.line[i].params);
	for (i = 0; i < m->dirty.n; i++)
		fprintf(f, "dirty %llu %llu\n",
			(unsigned long long)m->dirty.r[i].start,
			(unsigned long long)m->dirty.r[i].count);
}

char *journal_encode(const struct journal *j)
{
	char *text = NULL;
	size_t size, i;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		abort();
	fprintf(f, MAGIC "\nverb %s\nwhat %s\npid %d\n", jverb_names[j->verb],
		j->what, j->pid);
	for (i = 0; i < j->n; i++)
		put_member(f, &j->m[i]);
	fprintf(f, "end %zu\n", j->n);
	if (fclose(f))
		abort();
	return text;
}

/* ---- decoding ---- */

static int get_str(const char *v, char *buf, size_t size)
{
	if (!*v || strlen(v) >= size)
		return -EBADMSG;
	memcpy(buf, v, strlen(v) + 1);
	return 0;
}

static int get_old(char *v, struct dmtable *t)
{
	char *save = NULL;
	char *a = strtok_r(v, " ", &save);
	char *b = strtok_r(NULL, " ", &save);
	char *type = strtok_r(NULL, " ", &save);
	uint64_t start, len;

	if (!type || parse_u64(a, &start) || parse_u64(b, &len))
		return -EBADMSG;
	dmtable_add(t, start, len, type, save ? save : "");
	return 0;
}

static int get_dirty(const char *v, struct ranges *r)
{
	unsigned long long a, b;
	int end = 0;

	if (sscanf(v, "%llu %llu%n", &a, &b, &end) != 2 || v[end])
		return -EBADMSG;
	/* grown in powers of two; n is all there is to know the room by */
	if ((r->n & (r->n - 1)) == 0) {
		r->r = reallocarray(r->r, r->n ? r->n * 2 : 1, sizeof(*r->r));
		if (!r->r)
			abort();
	}
	r->r[r->n].start = a;
	r->r[r->n++].count = b;
	return 0;
}

static int get_flag(struct jmember *m, const char *key)
{
	if (strcmp(key, "read-only") == 0)
		m->read_only = true;
	else if (strcmp(key, "need-final") == 0)
		m->need_final = true;
	else if (strcmp(key, "start-bitmap") == 0)
		m->start_bitmap = true;
	else
		return -EBADMSG;
	return 0;
}

static int get_dev(const char *v, unsigned int *maj, unsigned int *min)
{
	int end = 0;

	return sscanf(v, "%u:%u%n", maj, min, &end) == 2 && !v[end] ?
	       0 : -EBADMSG;
}

static int get_top(struct jmember *m, const char *key, const char *v)
{
	if (strcmp(key, "top") == 0)
		return get_str(v, m->top, sizeof(m->top));
	if (strcmp(key, "top-dev") == 0)
		return get_dev(v, &m->top_major, &m->top_minor);
	if (strcmp(key, "top-to") == 0)
		return get_str(v, m->top_to, sizeof(m->top_to));
	return -EBADMSG;
}

static int get_member_line(struct jmember *m, const char *key, char *v)
{
	if (!v)
		return get_flag(m, key);
	if (strcmp(key, "dev") == 0)
		return get_dev(v, &m->major, &m->minor);
	if (strcmp(key, "uuid") == 0)
		return get_str(v, m->uuid, sizeof(m->uuid));
	if (strcmp(key, "src") == 0)
		return get_str(v, m->src, sizeof(m->src));
	if (strcmp(key, "src-uuid") == 0)
		return get_str(v, m->src_uuid, sizeof(m->src_uuid));
	if (strcmp(key, "view") == 0)
		return get_str(v, m->view, sizeof(m->view));
	if (strcmp(key, "view-uuid") == 0)
		return get_str(v, m->view_uuid, sizeof(m->view_uuid));
	if (strcmp(key, "store") == 0)
		return get_str(v, m->store, sizeof(m->store));
	if (strncmp(key, "top", 3) == 0)
		return get_top(m, key, v);
	if (strcmp(key, "length") == 0)
		return parse_u64(v, &m->length) ? -EBADMSG : 0;
	if (strcmp(key, "old") == 0)
		return get_old(v, &m->old);
	if (strcmp(key, "dirty") == 0)
		return get_dirty(v, &m->dirty);
	return -EBADMSG;
}

static int get_head(struct journal *j, const char *key, const char *v)
{
	uint64_t n;
	size_t i;

	if (!v)
		return -EBADMSG;
	if (strcmp(key, "what") == 0)
		return get_str(v, j->what, sizeof(j->what));
	if (strcmp(key, "pid") == 0) {
		if (parse_u64(v, &n) || n > INT32_MAX)
			return -EBADMSG;
		j->pid = (int)n;
		return 0;
	}
	if (strcmp(key, "verb") != 0)
		return -EBADMSG;
	for (i = 0; i < ARRAY_SIZE(jverb_names); i++)
		if (strcmp(v, jverb_names[i]) == 0) {
			j->verb = (enum jverb)i;
			return 0;
		}
	return -EBADMSG;
}

static struct jmember *new_member(struct journal *j, const char *name)
{
	struct jmember *m = reallocarray(j->m, j->n + 1, sizeof(*m));

	if (!m)
		abort();
	j->m = m;
	m += j->n++;
	memset(m, 0, sizeof(*m));
	return get_str(name, m->name, sizeof(m->name)) ? NULL : m;
}

static int decode(char *text, struct journal *j)
{
	struct jmember *m = NULL;
	char *line, *save = NULL;
	uint64_t n;
	int r = 0;

	line = strtok_r(text, "\n", &save);
	if (!line || strcmp(line, MAGIC) != 0)
		return -EBADMSG;
	while (!r && (line = strtok_r(NULL, "\n", &save))) {
		char *v = strchr(line, ' ');

		if (v)
			*v++ = '\0';
		if (v && strcmp(line, "end") == 0)
			/* the last line, and the count must be right */
			return parse_u64(v, &n) || n != j->n || *save ?
			       -EBADMSG : 0;
		if (v && strcmp(line, "member") == 0) {
			m = new_member(j, v);
			r = m ? 0 : -EBADMSG;
		} else {
			r = m ? get_member_line(m, line, v) :
				get_head(j, line, v);
		}
	}
	return r ? r : -EBADMSG;	/* no end: cut off */
}

int journal_decode(const char *text, struct journal *j)
{
	char *copy = xstrdup(text);
	int r;

	memset(j, 0, sizeof(*j));
	r = decode(copy, j);
	free(copy);
	if (r)
		journal_free(j);
	return r;
}

void journal_free(struct journal *j)
{
	size_t i;

	for (i = 0; i < j->n; i++) {
		dmtable_free(&j->m[i].old);
		free(j->m[i].dirty.r);
	}
	free(j->m);
	memset(j, 0, sizeof(*j));
}

/* ---- files ---- */

static char *run_path(const char *dir, const char *name)
{
	return xasprintf("%s/%s%s", run_dir, dir, name);
}

static int sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fsync(fd) ? -errno : 0;
	close(fd);
	return r;
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		left -= (size_t)n;
	}
	return fsync(fd) ? -errno : 0;
}

/* Whole or not at all, and on stable ground when it returns. */
static int write_file(const char *path, const char *text)
{
	char *tmp = xasprintf("%s.new", path);
	int fd, r;

	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		r = -errno;
	} else {
		r = write_all(fd, text);
		if (close(fd) && !r)
			r = -errno;
		if (!r && rename(tmp, path))
			r = -errno;
		if (!r)
			r = sync_dir(run_dir);
		if (r)
			unlink(tmp);
	}
	free(tmp);
	return r;
}

static int read_file(const char *path, char **text)
{
	size_t size = 0;
	FILE *f = fopen(path, "re");
	int r = 0;

	*text = NULL;
	if (!f)
		return -errno;
	if (getdelim(text, &size, '\0', f) < 0)
		r = ferror(f) ? -EIO : -EBADMSG;
	fclose(f);
	if (r) {
		free(*text);
		*text = NULL;
	}
	return r;
}

enum xit journal_write(const struct journal *j)
{
	char *text = journal_encode(j), *path = run_path("", "journal");
	enum xit x = XIT_OK;
	int r = write_file(path, text);

	if (r) {
		x = err_set(XIT_FAIL, ST_CHECK, r, NULL,
			    "%s cannot be written: %s; nothing was changed",
			    path, strerror(-r));
		err_file(path);
	}
	free(text);
	free(path);
	return x;
}

int journal_read(struct journal *j)
{
	char *text, *path = run_path("", "journal");
	int r = read_file(path, &text);

	free(path);
	memset(j, 0, sizeof(*j));
	if (r)
		return r;
	r = journal_decode(text, j);
	free(text);
	return r;
}

void journal_drop(void)
{
	char *path = run_path("", "journal");

	unlink(path);
	sync_dir(run_dir);
	free(path);
}

/* ---- the lock ---- */

static void holder(char *buf, size_t size)
{
	ssize_t n = pread(lock_fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	if (!buf[0])
		snprintf(buf, size, "another run");
}

static int lock_wait(void)
{
	long ms = opt.timeout_ms >= 0 ? opt.timeout_ms : LOCK_MS;
	int64_t until = deadline_ms(ms > LOCK_MIN_MS ? ms : LOCK_MIN_MS);

	/* flock has no time-out; trying again costs little and hides nothing */
	while (flock(lock_fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (now_ms() >= until)
			return -EWOULDBLOCK;
		poll(NULL, 0, 20);
	}
	return 0;
}

/*
 * Held for the steps of one command. The watchdog inherits it, so a dead
 * run's devices are not touched by anybody before they are put right.
 */
enum xit lock_take(const char *what, bool recover_first)
{
	char *path = run_path("", "lock"), *text, who[160];
	enum xit x = XIT_OK;
	int r;

	if (mkdir(run_dir, 0700) && errno != EEXIST)
		x = err_set(XIT_FAIL, ST_CHECK, errno, NULL,
			    "%s cannot be made: %s", run_dir, strerror(errno));
	if (x == XIT_OK) {
		lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		if (lock_fd < 0)
			x = err_set(XIT_FAIL, ST_CHECK, errno, NULL,
				    "%s cannot be opened: %s", path,
				    strerror(errno));
	}
	free(path);
	if (x != XIT_OK)
		return x;
	r = lock_wait();
	if (r) {
		holder(who, sizeof(who));
		close(lock_fd);
		lock_fd = -1;
		return err_set(XIT_BUSY, ST_CHECK, EBUSY, NULL,
			       "another qmirrorctl is at work (%s); nothing was changed, try again or give a longer --timeout",
			       who);
	}
	text = xasprintf("pid %d, %s\n", (int)getpid(), what);
	if (ftruncate(lock_fd, 0) == 0 &&
	    pwrite(lock_fd, text, strlen(text), 0) < 0)
		verbose("cannot write the holder's name into the lock");
	free(text);
	return recover_first ? recover_if_needed() : XIT_OK;
}

void lock_release(void)
{
	if (lock_fd < 0)
		return;
	if (ftruncate(lock_fd, 0))
		verbose("cannot clear the lock's text");
	close(lock_fd);
	lock_fd = -1;
}

/*
 * For who only looks: a file to close, and until then no run begins; or -EBUSY,
 * one is at work, or the watchdog of one. -ENOENT: there has never been any.
 */
int lock_look(void)
{
	char *path = run_path("", "lock");
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : 0;

	free(path);
	if (!r && flock(fd, LOCK_SH | LOCK_NB)) {
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
	}
	return r ? r : fd;
}

/* ---- what the watchdog has to say to people ---- */

void notice_write(const char *text)
{
	char *path = run_path("", "notice");
	int r = write_file(path, text);

	if (r)
		verbose("%s: %s", path, strerror(-r));
	free(path);
}

/* Once, by the next run that changes something. */
void notice_tell(void)
{
	char *path = run_path("", "notice"), text[512];
	FILE *f = fopen(path, "re");

	if (f) {
		if (fgets(text, sizeof(text), f)) {
			text[strcspn(text, "\n")] = '\0';
			note("%s", text);
		}
		fclose(f);
		unlink(path);
	}
	free(path);
}

/* ---- job files ---- */

enum xit job_file_write(const char *name, const struct job_file *f)
{
	char *file = xasprintf("job.%s", name);
	char *path = run_path("", file);
	char *text = xasprintf("uuid %s\nreplaces %s\n", f->uuid, f->replaces);
	enum xit x = XIT_OK;
	int r = write_file(path, text);

	if (r)
		x = err_set(XIT_FAIL, ST_CHECK, r, name,
			    "%s cannot be written: %s; nothing was changed",
			    path, strerror(-r));
	free(text);
	free(path);
	free(file);
	return x;
}

int job_file_read(const char *name, struct job_file *f)
{
	char *file = xasprintf("job.%s", name);
	char *path = run_path("", file), *text;
	int r = read_file(path, &text);

	memset(f, 0, sizeof(*f));
	if (!r) {
		if (sscanf(text, "uuid %128[^\n]\nreplaces %127[^\n]",
			   f->uuid, f->replaces) != 2)
			r = -EBADMSG;
		free(text);
	}
	free(path);
	free(file);
	return r;
}

/*
 * Where --force puts another manager's device: noted before the swap, so that
 * it is known also when somebody else has to finish for us, and taken for true
 * or dropped after it.
 */
enum xit forced_note(const char *uuid, const char *target)
{
	char *name = xasprintf("%s.next", uuid);
	struct job_file f;
	enum xit x;

	snprintf(f.uuid, sizeof(f.uuid), "%s", uuid);
	snprintf(f.replaces, sizeof(f.replaces), "%s", target);
	x = job_file_write(name, &f);
	free(name);
	return x;
}

void forced_settle(const char *uuid, bool swapped)
{
	char *file = xasprintf("job.%s", uuid), *path = run_path("", file);
	char *next = xasprintf("%s.next", path);

	if (swapped)
		rename(next, path);
	else
		unlink(next);
	free(next);
	free(path);
	free(file);
}

void job_file_drop(const char *name)
{
	char *file = xasprintf("job.%s", name);
	char *path = run_path("", file);

	unlink(path);
	free(path);
	free(file);
}
