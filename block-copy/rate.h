/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rate limit and back-off: plain arithmetic on a clock that the caller reads.
 * No locks: one user at a time.  Unit-tested in user space.
 */
#ifndef BLOCK_COPY_RATE_H
#define BLOCK_COPY_RATE_H

#include <linux/types.h>

/**
 * struct bc_rate - a limit in sectors per second
 * @speed: the limit, 0: none
 * @next: when the work charged so far is paid for, ns
 */
struct bc_rate {
	u64 speed;
	u64 next;
};

/* How late the user may wake up and still catch up, ns. */
#define BC_RATE_SLACK	100000000ULL

void bc_rate_set(struct bc_rate *rate, u64 speed, u64 now);
u64 bc_rate_delay(const struct bc_rate *rate, u64 now);
void bc_rate_charge(struct bc_rate *rate, u64 now, u64 sectors);

#define BC_BACKOFF_FIRST	100U	/* ms */
#define BC_BACKOFF_LAST		10000U	/* ms */

/**
 * bc_backoff_next() - how long to wait before the next retry
 * @ms: how long the last wait was, 0: there was none
 *
 * 100 ms doubling to 10 s.  QEMU retries at once and for ever (qemu-semantics
 * 1.12, K-24).
 */
static inline unsigned int bc_backoff_next(unsigned int ms)
{
	if (!ms)
		return BC_BACKOFF_FIRST;
	return ms < BC_BACKOFF_LAST / 2 ? ms * 2 : BC_BACKOFF_LAST;
}

#endif /* BLOCK_COPY_RATE_H */
