/* SPDX-License-Identifier: GPL-2.0 */
/*
 * qmirrorctl - what every file of the tool shares.
 *
 * Reading order: main.c (verbs and options as data), plan.c (a command is a
 * list of steps; --dry-run prints the list, a run walks it), start.c and
 * ending.c (they build plans), group.c (what happens while devices are
 * suspended), journal.c and recover.c (what happens when we die half-way).
 *
 * Return convention: functions that can fail for the user return an
 * enum xit; the first error of the run is kept by err.c and printed by main().
 * Small helpers return 0 or -errno.
 */
#ifndef QMIRRORCTL_H
#define QMIRRORCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define QM_VERSION	"1.0"
#define SECTOR_SHIFT	9
#define SECTOR_SIZE	512u
#define NAME_LEN	128	/* DM_NAME_LEN */
#define UUID_LEN	129	/* DM_UUID_LEN */
/* dm uuids of ours: the udev rule hides the first kind from everybody */
#define UUID_SRC	"QMIRROR-src-"
#define UUID_SNAP	"QMIRROR-snap-"
#define UUID_HIDDEN	"QMIRROR-"
#define UUID_PLAIN	"QMIRRORDEV-"
#define SRC_SUFFIX	"-qsrc"
#define SNAP_SUFFIX	"-snap"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __printf(f, a)	__attribute__((format(printf, f, a)))
#define __unused_arg	__attribute__((unused))

/* ---- exit status and errors (err.c) ---- */

enum xit {
	XIT_OK = 0,	/* done, also when there was nothing to do */
	XIT_FAIL = 1,
	XIT_USAGE = 2,
	XIT_NODEV = 3,	/* no such device */
	XIT_BUSY = 4,	/* in use or refused */
	XIT_STATE = 5,	/* not in this state */
	XIT_TIMEOUT = 6,
	XIT_JOB = 7,	/* the job ended with an error */
};

enum stage {
	ST_NONE, ST_LOOKUP, ST_CHECK, ST_CREATE_STORE, ST_OPEN_STORE, ST_LOAD,
	ST_SUSPEND, ST_ARM, ST_RESUME, ST_VIEW,
};

/* what no exit status tells apart; EC_OF_STATUS: the status says it */
enum eclass { EC_OF_STATUS, EC_OPEN_FILE, EC_FORMAT };

struct err {
	enum xit xit;
	enum eclass class;
	enum stage stage;
	int eno;		/* 0: no errno behind it */
	char device[NAME_LEN];	/* "": none */
	char file[256];
	char desc[1024];
};

extern struct err the_err;

enum xit err_set(enum xit xit, enum stage stage, int eno, const char *device,
		 const char *fmt, ...) __printf(5, 6);
void err_file(const char *file);
enum xit err_store(enum eclass class, const char *device, const char *file);
void err_clear(void);
const char *err_class(const struct err *e);
const char *stage_name(enum stage st);
const char *errno_name(int eno);
void note(const char *fmt, ...) __printf(1, 2);
void verbose(const char *fmt, ...) __printf(1, 2);
void *xcalloc(size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __printf(1, 2);

/* ---- options (main.c) ---- */

struct options {
	bool json, dry_run, quiet, verbose, force, wait, group, watch;
	bool target_is_zero, zero_detect, no_bounce;
	bool no_freeze, sync_first;
	long timeout_ms, cbw_timeout;	/* -1: not given */
	const char *name, *sync, *bitmap, *copy_mode, *replaces, *goal;
	const char *on_source_error, *on_target_error;
	const char *format, *on_cbw_error;
	const char **protect;		/* DEV=FILE, protect_n times */
	size_t protect_n;
	int64_t granularity, buf_size, speed;	/* bytes, -1: not given */
	int64_t cluster_size;
};

extern struct options opt;

struct opt_def {
	char key;		/* ours, unique; what verbs list */
	const char *name;
	const char *arg;	/* NULL: a flag */
	const char *values;	/* words it takes, '|' between, for checks and completion */
	const char *help;
};

struct verb {
	const char *noun, *name;	/* noun NULL: the verb stands alone */
	const char *args;
	const char *opts;		/* keys of struct opt_def */
	int min_args, max_args;		/* max -1: any number */
	const char *complete;		/* what the completion offers: mirrors, devices, ... */
	enum xit (*run)(int argc, char **argv);
	const char *help;
};

extern const struct opt_def opt_table[];
extern const struct verb verb_table[];

int parse_command(int argc, char **argv, const struct verb **verb, int *first);
void print_help(const struct verb *v, FILE *out);
void print_completion(void);
void print_synopsis(void);

enum xit cmd_mirror_start(int argc, char **argv);
enum xit cmd_mirror_pause(int argc, char **argv);
enum xit cmd_mirror_resume(int argc, char **argv);
enum xit cmd_mirror_set(int argc, char **argv);
enum xit cmd_mirror_mark_dirty(int argc, char **argv);
enum xit cmd_mirror_wait(int argc, char **argv);
enum xit cmd_mirror_complete(int argc, char **argv);
enum xit cmd_mirror_cancel(int argc, char **argv);
enum xit cmd_snapshot_create(int argc, char **argv);
enum xit cmd_snapshot_release(int argc, char **argv);
enum xit cmd_snapshot_remove(int argc, char **argv);
enum xit cmd_status(int argc, char **argv);
enum xit cmd_events(int argc, char **argv);
enum xit cmd_remove(int argc, char **argv);
enum xit cmd_recover(int argc, char **argv);

/* ---- words and numbers (parse.c) ---- */

struct range {
	uint64_t start, count;	/* sectors */
};

struct ranges {
	struct range *r;
	size_t n;
};

enum mstate {
	MS_RUNNING, MS_PAUSED, MS_READY, MS_STANDBY, MS_PENDING, MS_ABORTING,
	MS_CONCLUDED,
};

enum synced { SYNCED_NO, SYNCED_YES, SYNCED_FINAL };
enum ending { END_NONE, END_COMPLETE, END_CANCEL };

struct mirror_status {
	enum mstate state;
	enum synced synced;
	uint64_t offset, len;		/* sectors */
	uint64_t dirty, chunks;
	char io_status[12];
	char error[96];			/* "-": none */
	uint64_t source_errors, target_errors;
	uint64_t in_flight;		/* sectors */
	uint64_t speed;			/* sectors a second */
	char copy_mode[16], on_source_error[8], on_target_error[8];
	enum ending ending;
	uint64_t orphans;
};

struct mirror_table {
	char source[64], target[64];	/* as the kernel prints them: M:m */
	uint64_t source_offset, target_offset;
	char sync[8];
	char copy_mode[16], on_source_error[8], on_target_error[8];
	uint64_t granularity, speed;	/* sectors */
};

enum sstate { SS_IDLE, SS_ARMED, SS_BROKEN };
enum vstate { VS_UNKNOWN, VS_LIVE, VS_BROKEN, VS_ENDED };

struct cbw_status {
	enum sstate state;
	uint64_t copied, clusters, in_flight, failed_writes;
	char error[96];			/* "-": none */
};

struct cbw_table {
	char source[64], store[64];	/* as the kernel prints them: M:m */
	uint64_t source_offset, store_offset;
	uint64_t cluster_size, cbw_timeout;	/* sectors, milliseconds */
	char on_cbw_error[24];
};

int parse_size(const char *s, uint64_t *bytes);
int parse_aligned(const char *s, uint64_t *bytes);
int parse_time(const char *s, long *ms);
int parse_u64(const char *s, uint64_t *v);
enum xit parse_bitmap(FILE *in, const char *what, uint64_t dev_sectors,
		      struct ranges *out);
void ranges_merge(struct ranges *r);
int parse_mirror_status(const char *params, struct mirror_status *st);
int parse_mirror_table(const char *params, struct mirror_table *t);
int parse_cbw_status(const char *params, struct cbw_status *st);
int parse_cbw_table(const char *params, struct cbw_table *t);
int parse_view_status(const char *params, enum vstate *state, char *error,
		      size_t size);
int sstate_of(const char *params);
const char *sstate_name(enum sstate s);
const char *vstate_name(enum vstate s);
bool dm_name_ok(const char *name);
bool word_in(const char *word, const char *list);
const char *mstate_name(enum mstate s);
const char *human_size(uint64_t bytes, char *buf, size_t size);

/* ---- libdevmapper (dm.c) ---- */

struct dmdev {
	char name[NAME_LEN], uuid[UUID_LEN];
	unsigned int major, minor;
	bool exists, suspended, live, inactive, read_only;
	int open_count;
	uint32_t event_nr;
};

struct dmline {
	uint64_t start, len;
	char *type, *params;
};

struct dmtable {
	size_t n;
	struct dmline *line;
};

void dm_begin(void);
void dm_end(void);
int dm_get(const char *name, struct dmdev *d);
int dm_get_by_devno(unsigned int major, unsigned int minor, struct dmdev *d);
int dm_table(const char *name, bool inactive, struct dmtable *t);
int dm_status(const char *name, struct dmtable *t);
int dm_list(struct dmdev **list, size_t *n);
int dm_target_version(const char *target);
int dm_create(const char *name, const char *uuid);
int dm_load(const char *name, const struct dmtable *t, bool read_only);
int dm_resume(const char *name, bool hidden);
int dm_clear(const char *name);
int dm_remove(const char *name, bool deferred);
int dm_message(const char *name, const char *msg, char *said, size_t size);
void dm_settle(void);
const char *dm_said(void);

void dmtable_add(struct dmtable *t, uint64_t start, uint64_t len,
		 const char *type, const char *params);
void dmtable_copy(struct dmtable *to, const struct dmtable *from);
void dmtable_free(struct dmtable *t);
bool dmtable_equal(const struct dmtable *a, const struct dmtable *b);
uint64_t dmtable_len(const struct dmtable *t);

/* ---- block devices and what stands on them (legs.c, sysfs.c) ---- */

struct blk {
	char path[256];		/* as the user said it, or a node that works */
	char label[NAME_LEN];	/* short name for messages */
	unsigned int major, minor;
	bool is_dm;
	struct dmdev dm;	/* when is_dm */
	uint64_t sectors;
	unsigned int block_size;
	bool read_only, dax, zoned;
};

extern const char *sysfs_root;	/* "" but in tests */
extern const char *proc_root;

int sysfs_str(unsigned int maj, unsigned int min, const char *attr, char *buf,
	      size_t size);
int sysfs_u64(unsigned int maj, unsigned int min, const char *attr,
	      uint64_t *v);
int sysfs_kname(unsigned int maj, unsigned int min, char *buf, size_t size);
bool sysfs_is_partition(unsigned int maj, unsigned int min);
typedef int (*sysfs_each_fn)(unsigned int maj, unsigned int min, void *arg);
int sysfs_each(unsigned int maj, unsigned int min, const char *dir,
	       sysfs_each_fn fn, void *arg);
int sysfs_each_part(unsigned int maj, unsigned int min, sysfs_each_fn fn,
		    void *arg);
int sysfs_parent(unsigned int maj, unsigned int min, unsigned int *pmaj,
		 unsigned int *pmin);
int mount_of(unsigned int maj, unsigned int min, char *where, size_t size);
int mount_source_dev(unsigned int maj, unsigned int min, unsigned int *smaj,
		     unsigned int *smin);
bool swap_on(unsigned int maj, unsigned int min);

enum xit blk_find(const char *word, const char *role, struct blk *b);
struct loop_info64;
void loop_devno(const struct loop_info64 *info, unsigned int *maj,
		unsigned int *min);
void blk_label(unsigned int maj, unsigned int min, char *buf, size_t size);
unsigned int blk_block_size(unsigned int maj, unsigned int min);
void blk_node(unsigned int maj, unsigned int min, char *buf, size_t size);
bool blk_is_on(unsigned int maj, unsigned int min, unsigned int base_maj,
	       unsigned int base_min);
enum xit blk_unused(const struct blk *b, const char *role);
enum xit blk_no_signature(const struct blk *b, const char *role);
enum xit leg_check_target(const struct blk *src, const struct blk *tgt,
			  bool signature);
const char *other_manager(const char *uuid);
void note_manager(const char *name, const char *uuid, const char *what);

/* ---- is the target there? (target.c) ---- */

enum xit need_target(const char *target, const char *module);

/* ---- the journal and the lock (journal.c) ---- */

enum jverb {
	JV_START_SLIDE, JV_START_PLAIN, JV_END,
	JV_SNAPSHOT, JV_UNSNAPSHOT,
};

/*
 * One device of a run. What a run did so far is never written down: it is read
 * off the devices themselves (the type of the live table says on which side
 * of its resume each one is), so the journal cannot lie about it.
 */
struct jmember {
	char name[NAME_LEN];		/* the device users hold */
	char src[NAME_LEN];		/* NAME-qsrc, "" when there is none */
	char src_uuid[UUID_LEN];
	char uuid[UUID_LEN];		/* JV_START_PLAIN: what we create */
	unsigned int major, minor;	/* of name, 0:0 while it does not exist */
	char top[NAME_LEN];		/* --replaces DEV at the end, "" none */
	unsigned int top_major, top_minor;
	char top_to[96];		/* the linear line DEV gets: "M:m offset" */
	uint64_t length;		/* of the mirror, in sectors */
	bool read_only;
	bool need_final;		/* JV_END: only `final` lets it swap */
	struct dmtable old;		/* the table to go back to */
	struct ranges dirty;		/* sync bitmap: still to be sent */
	bool start_bitmap;
	char view[NAME_LEN], view_uuid[UUID_LEN];	/* of a snapshot */
	char store[512];		/* the file to be made for it, "" none */
};

struct journal {
	enum jverb verb;
	char what[64];			/* "mirror start", for messages */
	int pid;
	size_t n;
	struct jmember *m;
};

extern const char *run_dir;
extern int lock_fd;

char *journal_encode(const struct journal *j);
int journal_decode(const char *text, struct journal *j);
enum xit journal_write(const struct journal *j);
int journal_read(struct journal *j);	/* 0, -ENOENT, -EBADMSG, ... */
void journal_drop(void);
void journal_free(struct journal *j);
void notice_write(const char *text);
void notice_tell(void);

enum xit lock_take(const char *verb, bool recover_first);
void lock_release(void);
int lock_look(void);

/*
 * What must outlive a run but is in no table: --replaces, by the uuid of
 * NAME-qsrc; and where --force has moved another manager's device, by its uuid
 * (with .next until it has).
 */
struct job_file {
	char uuid[UUID_LEN];	/* ties the file to one start */
	char replaces[NAME_LEN];	/* or the target's number */
};

enum xit job_file_write(const char *name, const struct job_file *f);
int job_file_read(const char *name, struct job_file *f);
void job_file_drop(const char *name);
enum xit forced_note(const char *uuid, const char *target);
void forced_settle(const char *uuid, bool swapped);

/* ---- steps (plan.c) and the critical section (group.c) ---- */

enum op_kind {
	/* by libdevmapper, nothing is suspended */
	OP_CREATE, OP_LOAD, OP_ACTIVATE, OP_ACTIVATE_HIDDEN, OP_MESSAGE,
	OP_WAIT, OP_REMOVE, OP_REMOVE_UNUSED, OP_STORE, OP_SYNC,
	/* in a critical section */
	OP_SUSPEND, OP_SUSPEND_NOFLUSH, OP_SUSPEND_FREEZE, OP_CHECK_FINAL,
	OP_CHECK_ALONE, OP_ARM, OP_RESUME,
};

struct store;

struct op {
	enum op_kind kind;
	char dev[NAME_LEN];
	char *text;		/* uuid, message; OP_CHECK_ALONE: the one opener */
	struct dmtable table;	/* OP_LOAD; TABLE_DEV in params: see plan.c */
	/* OP_SUSPEND: what must be live, and loaded, when all are suspended */
	struct dmtable live, next;
	bool read_only;
	struct store *store;	/* OP_STORE; what TABLE_STORE stands for */
	unsigned int level;	/* suspends of one level (not 0) go in parallel */
	/* for errors, where they are not what the kind of step says */
	enum stage stage;
	char owner[NAME_LEN];
};

/* a critical section as it went */
struct window {
	int64_t instant_us;	/* since the epoch: when all were suspended */
	int64_t frozen_us;	/* first suspend to last resume */
};

/*
 * Each run of critical steps is one critical section. What fails after the
 * last of them is not undone.
 */
struct plan {
	size_t n, cap;
	struct op *op;
	long suspend_ms;	/* what a section may take; 0: as for mirrors */
	struct window window;	/* of the last section */
	struct journal j;
};

/*
 * In the params of a table: a device that may not exist yet, \1name\1, and
 * the store of this step, which is a device only when it has been made.
 */
#define TABLE_DEV	'\1'
#define TABLE_STORE	'\2'

struct op *plan_add(struct plan *p, enum op_kind kind, const char *dev,
		    const char *text);
void plan_load(struct plan *p, const char *dev, const struct dmtable *t,
	       bool read_only);
void plan_suspend(struct plan *p, const char *dev, const struct dmtable *live,
		  const struct dmtable *next);
char *op_table_text(const struct op *op);
void plan_print(const struct plan *p);
enum xit plan_run(struct plan *p);
enum xit plan_steps(struct plan *p, int dog);
void plan_free(struct plan *p);
bool op_is_critical(enum op_kind k);
bool op_suspends(enum op_kind k);
void fault_point(void);
bool fault_on(void);
bool fault_fails(void);

/* ---- sliding under a device in use (slide.c) ---- */

struct slide {
	struct blk dev;
	char name[NAME_LEN], qsrc[NAME_LEN];
	char uuid[UUID_LEN];	/* of NAME-qsrc */
	struct dmtable old;
};

enum xit slide_check_dm(const struct dmdev *d);
enum xit slide_check(struct slide *s, const char *what);
enum xit slide_check_same(const struct slide *s);
void plan_slide(const struct slide *s, const struct dmtable *ours,
		struct plan *p);
void slide_journal(const struct slide *s, struct jmember *m);
void make_uuid(char *uuid, const char *prefix);

/* ---- where a snapshot keeps what was overwritten (store.c) ---- */

struct store {
	bool file;		/* a path, at which a file is made */
	char path[512];		/* as the user said it; absolute for a file */
	struct blk blk;		/* the device; for a file its file system's */
	uint64_t sectors;	/* of the file */
	unsigned int max_block;	/* its blocks may not be larger */
	int loop_fd;		/* < 0: none yet, or not any more */
	unsigned int loop_major, loop_minor;
};

enum xit store_find(const char *word, const struct blk *dev, struct store *s);
enum xit store_check(const struct store *s, const struct blk *dev);
enum xit store_apart_from_device(const struct store *s, const char *dev,
				 const struct blk *member);
enum xit stores_apart(const struct store *s, const char *dev,
		      const struct store *other);
void store_warn(const struct store *s, const struct blk *dev);
char *store_text(const struct store *s, bool real);
enum xit store_make(struct store *s, const char *dev);
void store_close(struct store *s);
void store_forget(const char *path);
bool store_goes(const char *devno);
void store_wipe(const char *devno);
void store_show(const char *devno, char *buf, size_t size, int64_t *room);

/* ---- snapshots (snapshot.c, snapcreate.c, snapremove.c) ---- */

struct snapshot {
	struct dmdev dev;
	uint64_t sectors;
	struct cbw_table table;
	struct cbw_status st;
	bool has_view;
	struct dmdev view;
	enum vstate view_state;
	char view_error[96];
	char store[512];	/* path to show */
	int64_t store_room;	/* bytes its file can still grow by, < 0: unknown */
	const char *consistency;	/* after create; NULL: unknown */
};

int snapshot_read(const char *name, struct snapshot *s);
enum xit snapshot_find(const char *word, struct snapshot *s);
int snapshot_list(struct snapshot **list, size_t *n);
bool snapshot_src(const struct snapshot *s, struct dmdev *src);
bool view_cbw(const struct dmdev *view, char *name, size_t size);
int sync_device(const char *name);
void slid_line(struct dmtable *t, uint64_t sectors);
enum xit unsnapshot(const struct jmember *m);
bool unsnapshot_begun(const struct jmember *m);
/* what a critical section of a snapshot may take, when nobody says --timeout */
#define SNAPSHOT_MS	10000

struct group;

enum rescue_side { RESCUE_NOTHING, RESCUE_BACK, RESCUE_FORWARD };

struct rescue {
	enum rescue_side side;
	bool not_final;		/* forward, but a member had to go back */
	int eno;		/* first ioctl that did not work */
	char device[NAME_LEN];
};

struct group *group_prepare(const struct op *op, size_t n,
			    const struct journal *j);
int group_run(struct group *g, long deadline_ms, size_t *failed_at);
struct window group_window(const struct group *g);
void group_rescue(struct group *g, struct rescue *r);
void group_free(struct group *g);
void group_enter(void);
void group_leave(void);

/* sleeping on the events of all dm devices; raw too, so it lives in group.c */
int dmpoll_open(void);
int dmpoll_arm(int fd);

/* ---- recovery (recover.c) and the watchdog (watchdog.c) ---- */

enum xit recover_journal(struct journal *j, struct rescue *r);
enum xit recover_after(struct journal *j, struct rescue *r);
enum xit recover_if_needed(void);

int watchdog_main(int argc, char **argv);
#define WATCHDOG_NONE	(-1)	/* the tests do without */
#define WATCHDOG_FAILED	(-2)

int watchdog_start(void);
void watchdog_arm(int fd, long deadline_ms);
void watchdog_disarm(int fd);
void watchdog_stop(int fd);
void watchdog_leave(int fd);

/* ---- mirrors (mirror.c) ---- */

struct mirror {
	struct dmdev dev;
	uint64_t sectors;	/* of the device; st.len is a progress figure */
	struct mirror_table table;
	struct mirror_status st;
	char source[NAME_LEN + 16], target[NAME_LEN + 16];	/* paths to show */
	double rate;		/* bytes a second, < 0: unknown */
	double eta;		/* seconds, < 0: unknown */
};

enum xit mirror_find(const char *word, struct mirror *m);
int mirror_read(const char *name, struct mirror *m);
enum xit mirror_refresh(struct mirror *m);
enum xit mirror_message(struct mirror *m, const char *msg);
void plan_ranges(struct plan *p, const char *name, const char *verb,
		 const struct ranges *r);
enum xit messages_run(struct plan *p);
enum xit mirror_mark_dirty(const char *name, const struct ranges *r);
int mirror_list(struct mirror **list, size_t *n);
bool mirror_src(const struct mirror *m, struct dmdev *src);
bool mirror_taken(const struct mirror *m);
bool job_taken(const char *name, const char *source);
void devno_path(const char *devno, char *buf, size_t size);
enum xit bitmap_load(const char *file, uint64_t dev_sectors,
		     struct ranges *out);

/* ---- waiting (wait.c) and progress (progress.c) ---- */

enum goal {
	GOAL_READY, GOAL_SYNCED, GOAL_PAUSED, GOAL_PENDING, GOAL_CONCLUDED,
};

enum verdict { V_WAIT, V_DONE, V_NEVER };

enum verdict goal_verdict(enum goal goal, bool gone,
			  const struct mirror_status *st);
int goal_parse(const char *word, enum goal *goal);
enum xit wait_for(struct mirror *m, size_t n, enum goal goal, bool progress);
int64_t now_ms(void);
int64_t deadline_ms(long timeout_ms);

struct progress {
	bool on;
	bool drawn;
	int64_t last_ms;
	uint64_t last_offset;
	double rate;
};

void progress_begin(struct progress *p);
void progress_show(struct progress *p, const struct mirror *m);
void progress_end(struct progress *p);
void rate_update(struct progress *p, struct mirror *m);

/* ---- output (json.c, status.c) ---- */

struct orphan {
	char device[NAME_LEN];
	char what[256];
	bool forced;		/* no leftover: moved behind its manager's back */
};

/* what `snapshot create` has to say beyond what the devices say */
struct created {
	struct window window;
	const char **consistency;	/* of each name */
};

struct listing {
	struct mirror *m;
	size_t n;
	struct snapshot *s;
	size_t sn;
	struct orphan *o;
	size_t on;
	const struct created *created;	/* NULL: nothing was created */
};

struct json_object;

void json_status(const struct listing *l, bool line);
void json_error(const struct err *e);
void json_plan(const struct plan *p);
void json_plans(enum xit x);
struct json_object *json_mirror(const struct mirror *m);
struct json_object *json_snapshot(const struct snapshot *s);
void json_line(struct json_object *o);
enum xit report_done(char **names, int n);
enum xit ending_undo(const char *name, bool plain);
enum xit report_snapshots(char **names, int n, const struct created *how);
void instant_text(int64_t us, char *buf, size_t size);
int orphan_list(struct orphan **list, size_t *n);

#endif
