// SPDX-License-Identifier: GPL-2.0
/*
 * Rate limit; see rate.h.
 */
#include <linux/export.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/time64.h>

#include "rate.h"

/**
 * bc_rate_set() - change the limit
 * @rate: the limiter
 * @speed: sectors per second, 0: no limit
 * @now: the clock, ns
 *
 * What was charged under the old limit is forgotten, so that a raised limit
 * acts at once (qemu-semantics M-75).
 */
void bc_rate_set(struct bc_rate *rate, u64 speed, u64 now)
{
	rate->speed = speed;
	rate->next = now;
}
EXPORT_SYMBOL_GPL(bc_rate_set);

/**
 * bc_rate_delay() - how long to wait before the next piece of work
 * @rate: the limiter
 * @now: the clock, ns
 *
 * Return: ns, 0: go ahead.
 */
u64 bc_rate_delay(const struct bc_rate *rate, u64 now)
{
	if (!rate->speed || rate->next <= now)
		return 0;
	return rate->next - now;
}
EXPORT_SYMBOL_GPL(bc_rate_delay);

/**
 * bc_rate_charge() - account work that is about to start
 * @rate: the limiter
 * @now: the clock, ns
 * @sectors: how much; at most 2^31
 */
void bc_rate_charge(struct bc_rate *rate, u64 now, u64 sectors)
{
	u64 from;

	if (!rate->speed)
		return;
	/* Idle time is not saved up, but a late wake-up is made good. */
	from = now > BC_RATE_SLACK ? now - BC_RATE_SLACK : 0;
	rate->next = max(rate->next, from) +
		     div64_u64(sectors * NSEC_PER_SEC, rate->speed);
}
EXPORT_SYMBOL_GPL(bc_rate_charge);
