/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as what has no dm in it and its KUnit tests need, made of
 * pthreads and the compiler's atomics. Every <linux/...> they include is this file:
 * tests/unit/Makefile writes the one-line headers.
 *
 * Order: what returns a value is a full barrier, as in the kernel; what does not is
 * relaxed, so that a barrier left out in the code is left out here, too (x86 does
 * not show all of them; TSan sees locks and atomics, not the fences).
 */
#ifndef UNIT_KERNEL_H
#define UNIT_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
typedef u64 sector_t;

#define U64_MAX			UINT64_MAX
#define NSEC_PER_SEC		1000000000L
#define BITS_PER_LONG		((int)sizeof(long) * 8)
#define BIT(n)			(1UL << (n))
#define BIT_ULL(n)		(1ULL << (n))
#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define BITS_TO_LONGS(n)	DIV_ROUND_UP(n, (unsigned long)BITS_PER_LONG)
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) \
	((type *)((char *)(p) - offsetof(type, member)))
#define one_of(a, op, b) ({ \
	typeof(a) a_ = (a); \
	typeof(b) b_ = (b); \
	a_ op b_ ? a_ : b_; \
})
#define min(a, b)		one_of(a, <, b)
#define max(a, b)		one_of(a, >, b)
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define __maybe_unused		__attribute__((unused))
#define ____cacheline_aligned_in_smp	__attribute__((aligned(64)))
#define EXPORT_SYMBOL_GPL(name)	extern typeof(name) name
#define MODULE_LICENSE(what)	struct kernel_unused
#define MODULE_DESCRIPTION(what) struct kernel_unused

static inline u64 div64_u64(u64 a, u64 b)
{
	return a / b;
}

/* ---- errors in pointers ---- */

#define MAX_ERRNO		4095
static inline void *ERR_PTR(long error)
{
	return (void *)error;
}

static inline bool IS_ERR(const void *p)
{
	return (unsigned long)p >= (unsigned long)-MAX_ERRNO;
}

/* ---- memory ---- */

#define GFP_KERNEL		0
#define __GFP_NOWARN		0
#define __GFP_RETRY_MAYFAIL	0
#define kvcalloc(n, size, gfp)	calloc(n, size)
#define kvfree(p)		free(p)

/* ---- atomics ---- */

typedef struct { long counter; } atomic_long_t;

#define READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#define cmpxchg(p, old, new) ({						\
	__typeof__(*(p)) __was = (old);					\
	__atomic_compare_exchange_n(p, &__was, new, 0, __ATOMIC_SEQ_CST, \
				    __ATOMIC_SEQ_CST);			\
	__was;								\
})
#define xchg(p, v)		__atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define smp_mb()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_mb__after_atomic()	smp_mb()
#define smp_rmb()		__atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()		__atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_store_release(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#define smp_load_acquire(p)	__atomic_load_n(p, __ATOMIC_ACQUIRE)

#define atomic_long_read(a)	READ_ONCE((a)->counter)
#define atomic_long_set(a, v)	WRITE_ONCE((a)->counter, v)
#define atomic_long_add(v, a) \
	((void)__atomic_fetch_add(&(a)->counter, (long)(v), __ATOMIC_RELAXED))
#define atomic_long_sub(v, a)	atomic_long_add(-(long)(v), a)
#define atomic_long_inc(a)	atomic_long_add(1, a)
#define atomic_long_inc_return(a) \
	__atomic_add_fetch(&(a)->counter, 1, __ATOMIC_SEQ_CST)
#define ATOMIC_LONG_INIT(i)	{ i }
#define atomic_long_dec(a)	atomic_long_sub(1, a)
#define atomic_long_fetch_or(v, a) \
	__atomic_fetch_or(&(a)->counter, (long)(v), __ATOMIC_SEQ_CST)
#define atomic_long_fetch_andnot(v, a) \
	__atomic_fetch_and(&(a)->counter, ~(long)(v), __ATOMIC_SEQ_CST)

/* ---- bits ---- */

#define hweight_long(w)		((unsigned long)__builtin_popcountl(w))
#define BIT_OF(n)		BIT((n) % BITS_PER_LONG)
#define WORD_OF(n)		((n) / BITS_PER_LONG)

static inline bool test_bit(unsigned long n, const unsigned long *map)
{
	return READ_ONCE(map[WORD_OF(n)]) & BIT_OF(n);
}

static inline void set_bit(unsigned long n, unsigned long *map)
{
	__atomic_fetch_or(&map[WORD_OF(n)], BIT_OF(n), __ATOMIC_RELAXED);
}

static inline void clear_bit(unsigned long n, unsigned long *map)
{
	__atomic_fetch_and(&map[WORD_OF(n)], ~BIT_OF(n), __ATOMIC_RELAXED);
}

static inline bool test_and_set_bit(unsigned long n, unsigned long *map)
{
	return __atomic_fetch_or(&map[WORD_OF(n)], BIT_OF(n),
				 __ATOMIC_SEQ_CST) & BIT_OF(n);
}

static inline bool test_and_clear_bit(unsigned long n, unsigned long *map)
{
	return __atomic_fetch_and(&map[WORD_OF(n)], ~BIT_OF(n),
				  __ATOMIC_SEQ_CST) & BIT_OF(n);
}

static inline bool __test_and_set_bit(unsigned long n, unsigned long *map)
{
	bool was = map[WORD_OF(n)] & BIT_OF(n);

	map[WORD_OF(n)] |= BIT_OF(n);
	return was;
}

static inline unsigned long find_next_bit(const unsigned long *map, unsigned long size,
					  unsigned long from)
{
	while (from < size) {
		unsigned long w = READ_ONCE(map[WORD_OF(from)]) >> from % BITS_PER_LONG;

		if (w)
			return min(from + (unsigned long)__builtin_ctzl(w), size);
		from = (WORD_OF(from) + 1) * BITS_PER_LONG;
	}
	return size;
}

static inline unsigned long find_next_zero_bit(const unsigned long *map,
					       unsigned long size, unsigned long from)
{
	while (from < size) {
		unsigned long w = ~READ_ONCE(map[WORD_OF(from)]) >> from % BITS_PER_LONG;

		if (w)
			return min(from + (unsigned long)__builtin_ctzl(w), size);
		from = (WORD_OF(from) + 1) * BITS_PER_LONG;
	}
	return size;
}

#define for_each_set_bit(bit, map, size) \
	for ((bit) = find_next_bit(map, size, 0); (bit) < (size); \
	     (bit) = find_next_bit(map, size, (bit) + 1))

#define hash_64(v, bits)	((u64)(v) * 0x61C8864680B583EBull >> (64 - (bits)))

/* ---- lists ---- */

struct list_head {
	struct list_head *next, *prev;
};

#define LIST_HEAD(name)		struct list_head name = { &(name), &(name) }
static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
	entry->next = head;
	entry->prev = head->prev;
	head->prev->next = entry;
	head->prev = entry;
}

#define list_for_each_entry_safe(p, n, head, member) \
	for ((p) = container_of((head)->next, typeof(*(p)), member), \
	     (n) = container_of((p)->member.next, typeof(*(p)), member); \
	     &(p)->member != (head); \
	     (p) = (n), (n) = container_of((n)->member.next, typeof(*(n)), member))

/* ---- locks, waiting, work ---- */

typedef pthread_mutex_t spinlock_t;
#define spin_lock_init(l)	pthread_mutex_init(l, NULL)
#define spin_lock_irqsave(l, flags)	((void)((flags) = 0), (void)pthread_mutex_lock(l))
#define spin_unlock_irqrestore(l, flags) ((void)(flags), (void)pthread_mutex_unlock(l))
#define cond_resched()		sched_yield()

struct completion {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned int done;
};

static inline void init_completion(struct completion *c)
{
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
	c->done = 0;
}

static inline void complete(struct completion *c)
{
	pthread_mutex_lock(&c->lock);
	c->done++;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static inline void wait_for_completion(struct completion *c)
{
	pthread_mutex_lock(&c->lock);
	while (!c->done)
		pthread_cond_wait(&c->cond, &c->lock);
	c->done--;
	pthread_mutex_unlock(&c->lock);
}

struct work_struct {
	void (*fn)(struct work_struct *work);
	pthread_t thread;
};
struct workqueue_struct;
#define WQ_UNBOUND		0
#define INIT_WORK(w, f)		((w)->fn = (f))
#define alloc_workqueue(name, flags, n)	((struct workqueue_struct *)1)
#define destroy_workqueue(wq)	((void)(wq))

static inline void *kernel_work(void *arg)
{
	struct work_struct *work = arg;

	work->fn(work);
	return NULL;
}

static inline void queue_work(struct workqueue_struct *wq __maybe_unused,
			      struct work_struct *work)
{
	if (pthread_create(&work->thread, NULL, kernel_work, work))
		abort();
}

static inline void flush_work(struct work_struct *work)
{
	pthread_join(work->thread, NULL);
}

/* ---- chance that is always the same ---- */

struct rnd_state {
	u64 x;
};

static inline void prandom_seed_state(struct rnd_state *state, u64 seed)
{
	state->x = seed;
}

static inline u32 prandom_u32_state(struct rnd_state *state)
{
	state->x = state->x * 6364136223846793005ull + 1442695040888963407ull;
	return state->x >> 32;
}

/* ---- trees: ordered, never balanced; which is not what is tested here ---- */

struct rb_node {
	struct rb_node *rb_up, *rb_left, *rb_right;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

#define RB_ROOT_CACHED		(struct rb_root_cached){ { NULL } }
#define RB_EMPTY_ROOT(root)	(!(root)->rb_node)
#define rb_entry(p, type, member)	container_of(p, type, member)

static inline struct rb_node *rb_leftmost(struct rb_node *n)
{
	while (n && n->rb_left)
		n = n->rb_left;
	return n;
}

static inline struct rb_node *rb_first_cached(const struct rb_root_cached *root)
{
	return rb_leftmost(root->rb_root.rb_node);
}

static inline struct rb_node *rb_next(struct rb_node *n)
{
	if (n->rb_right)
		return rb_leftmost(n->rb_right);
	while (n->rb_up && n->rb_up->rb_right == n)
		n = n->rb_up;
	return n->rb_up;
}

static inline void rb_replace(struct rb_root *root, struct rb_node *old,
			      struct rb_node *new)
{
	if (!old->rb_up)
		root->rb_node = new;
	else if (old->rb_up->rb_left == old)
		old->rb_up->rb_left = new;
	else
		old->rb_up->rb_right = new;
	if (new)
		new->rb_up = old->rb_up;
}

static inline void rb_remove(struct rb_root *root, struct rb_node *n)
{
	struct rb_node *next;

	if (!n->rb_left || !n->rb_right) {
		rb_replace(root, n, n->rb_left ? n->rb_left : n->rb_right);
		return;
	}
	next = rb_leftmost(n->rb_right);
	if (next != n->rb_right) {
		rb_replace(root, next, next->rb_right);
		next->rb_right = n->rb_right;
		next->rb_right->rb_up = next;
	}
	rb_replace(root, n, next);
	next->rb_left = n->rb_left;
	next->rb_left->rb_up = next;
}

#define INTERVAL_TREE_DEFINE(type, rb, itype, sub, START, LAST, how, name) \
how void name##_insert(type *node, struct rb_root_cached *root) \
{ \
	struct rb_node **link = &root->rb_root.rb_node, *up = NULL; \
	while (*link) { \
		up = *link; \
		link = START(node) < START(rb_entry(up, type, rb)) ? \
			&up->rb_left : &up->rb_right; \
	} \
	node->rb = (struct rb_node){ .rb_up = up }; \
	*link = &node->rb; \
} \
how void name##_remove(type *node, struct rb_root_cached *root) \
{ \
	rb_remove(&root->rb_root, &node->rb); \
} \
static type *name##_from(struct rb_node *n, itype start, itype last) \
{ \
	for (; n && START(rb_entry(n, type, rb)) <= last; n = rb_next(n)) \
		if (LAST(rb_entry(n, type, rb)) >= start) \
			return rb_entry(n, type, rb); \
	return NULL; \
} \
how type *name##_iter_first(struct rb_root_cached *root, itype start, itype last) \
{ \
	return name##_from(rb_first_cached(root), start, last); \
} \
how type *name##_iter_next(type *node, itype start, itype last) \
{ \
	return name##_from(rb_next(&node->rb), start, last); \
}

#endif
