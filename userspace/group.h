/* SPDX-License-Identifier: GPL-2.0 */
/*
 * group.h - what group.c, window.c and same.c share: the parts of the critical
 * section. Nobody else includes it, so raw ioctls stay in these files; same.c
 * looks whether it is still the devices that were looked up.
 */
#ifndef QMIRRORCTL_GROUP_H
#define QMIRRORCTL_GROUP_H

#include <linux/dm-ioctl.h>
#include <signal.h>

#include "qmirrorctl.h"

struct gmember {
	const struct jmember *jm;
	struct dm_ioctl *load;		/* the old table, ready to be loaded */
	size_t load_size;
	/* as last probed */
	bool there, swapped, suspended, inactive;
	bool armed;			/* a cbw with a snapshot */
	bool src_there, src_live, src_suspended, src_inactive;
	bool top_there, top_swapped, top_suspended, top_inactive;
};

struct pool;

struct group {
	int fd;
	enum jverb verb;
	const struct op *op;
	size_t nops;
	struct gmember *m;
	size_t n;
	struct dm_ioctl *io;		/* table_bytes, for everything */
	size_t table_bytes;
	bool none_swapped;		/* the run is before its first resume */
	int64_t final_until;
	struct pool *pool;		/* threads for parallel suspends */
	struct window window;
	int64_t first_us;
};

/* group.c */
extern volatile sig_atomic_t got_alarm, got_signal;

void header(struct dm_ioctl *io, size_t size, const char *name, uint32_t flags);
int dmctl(struct group *g, unsigned long cmd, const char *name, uint32_t flags);
int g_resume(struct group *g, const char *name);
uint32_t suspend_flags(enum op_kind kind);
const char *first_line(struct group *g, struct dm_target_spec **spec);
unsigned int io_major(const struct dm_ioctl *io);
unsigned int io_minor(const struct dm_ioctl *io);
const struct jmember *member_of(struct group *g, const char *name);
void signals(bool let_in);
void timer_stop(void);
int64_t clock_ms(void);
void tried(struct rescue *r, int rc, const char *device);
void force_back(struct group *g, struct gmember *m, struct rescue *r);
void clear_all(struct group *g, struct rescue *r);
void go_back(struct group *g, struct gmember *m, struct rescue *r);

/* same.c */
size_t same_bytes(const struct op *op, size_t n);
int same_tables(struct group *g, size_t n, size_t *failed_at);

/* window.c */
void priority_raise(void);
void priority_restore(void);
bool is_snapshot_verb(enum jverb v);
void window_mark(struct group *g, const struct op *op);
void window_end(struct group *g);
int arm_step(struct group *g, const char *name);
struct pool *pool_start(int fd, const struct op *op, size_t n);
void pool_stop(struct pool *p);
size_t batch_size(const struct group *g, size_t i);
int suspend_batch(struct group *g, size_t from, size_t n, int64_t until,
		  size_t *failed_at);
void probe_armed(struct group *g, struct gmember *m, struct rescue *r);
void snapshot_rescue(struct group *g, struct rescue *r);

#endif
