// SPDX-License-Identifier: GPL-2.0
/*
 * The progress bar: on a terminal only, on stderr, redrawn in place. `ready`
 * is a word of its own and not 100 %: a mirror that has copied everything may
 * still have to catch up.
 */
#include <math.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "qmirrorctl.h"

#define BAR_CELLS	20

void progress_begin(struct progress *p)
{
	memset(p, 0, sizeof(*p));
	p->on = isatty(STDERR_FILENO) && !opt.quiet && !opt.json;
	p->rate = -1;
}

/*
 * A moving average over some five seconds; unknown until the second look. An
 * offset that falls is another job's. Only a job that runs is on its way to an
 * end: one that is paused, or ready, or over, has no ETA.
 */
void rate_update(struct progress *p, struct mirror *m)
{
	uint64_t offset = m->st.offset << SECTOR_SHIFT;
	int64_t now = now_ms();
	double dt = (double)(now - p->last_ms) / 1000;

	if (offset < p->last_offset) {
		p->rate = -1;
		p->last_ms = 0;
	}
	if (p->last_ms && dt < 0.2) {
		m->rate = p->rate;
	} else {
		if (p->last_ms) {
			double r = (double)(offset - p->last_offset) / dt;
			double a = 1 - exp(-dt / 5);

			p->rate = p->rate < 0 ? r : p->rate + a * (r - p->rate);
		}
		p->last_ms = now;
		p->last_offset = offset;
		m->rate = p->rate;
	}
	m->eta = -1;
	if (m->st.state == MS_RUNNING && m->rate > 1 &&
	    m->st.len >= m->st.offset)
		m->eta = (double)((m->st.len - m->st.offset) << SECTOR_SHIFT) /
			 m->rate;
}

static void eta_text(double eta, char *buf, size_t size)
{
	if (eta < 0)
		snprintf(buf, size, "--:--");
	else if (eta < 3600)
		snprintf(buf, size, "%02d:%02d", (int)eta / 60, (int)eta % 60);
	else
		snprintf(buf, size, "%.1f h", eta / 3600);
}

/* A bar is for what has an end: 'ready' is a state and not 100 %. */
static bool has_end(const struct mirror *m)
{
	return m->st.state == MS_RUNNING || m->st.state == MS_PAUSED;
}

/* The figures come first: the bar takes what the line has left. */
static void bar_text(const struct mirror *m, char *buf, size_t size, int width)
{
	double part = m->st.len ? (double)m->st.offset / (double)m->st.len : 0;
	char cells[BAR_CELLS + 1], head[NAME_LEN + 16], tail[128];
	char a[32], b[32], r[32], eta[32];
	int i, n;

	eta_text(m->eta, eta, sizeof(eta));
	snprintf(head, sizeof(head), "%s: %s", m->dev.name,
		 mstate_name(m->st.state));
	human_size(m->st.offset << SECTOR_SHIFT, a, sizeof(a));
	human_size(m->st.len << SECTOR_SHIFT, b, sizeof(b));
	if (!has_end(m)) {
		snprintf(buf, size, "%s  %s of %s", head, a, b);
		return;
	}
	snprintf(tail, sizeof(tail), "%5.1f %%  %s of %s  %s%s  ETA %s",
		 part * 100, a, b,
		 m->rate < 0 ? "-" : human_size((uint64_t)m->rate, r, sizeof(r)),
		 m->rate < 0 ? "" : "/s", eta);
	n = width - (int)strlen(head) - (int)strlen(tail) - 5;
	n = n > BAR_CELLS ? BAR_CELLS : n < 4 ? 4 : n;
	for (i = 0; i < n; i++)
		cells[i] = i < (int)(part * n) ? '#' : '.';
	cells[n] = '\0';
	snprintf(buf, size, "%s [%s] %s", head, cells, tail);
}

void progress_show(struct progress *p, const struct mirror *m)
{
	struct mirror now = *m;
	struct winsize w;
	char line[512];
	int width = 80;

	if (!p->on)
		return;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 10)
		width = w.ws_col;
	rate_update(p, &now);
	bar_text(&now, line, sizeof(line), width);
	fprintf(stderr, "\r\033[2K%.*s", width - 1, line);
	fflush(stderr);
	p->drawn = true;
}

void progress_end(struct progress *p)
{
	if (p->on && p->drawn)
		fputs("\r\033[2K", stderr);
	p->on = p->drawn = false;
}
