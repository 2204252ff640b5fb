// SPDX-License-Identifier: GPL-2.0
/*
 * The watchdog: a program of its own (this binary once more, by exec, in its
 * own session and cgroup) that lives as long as a run has steps to do. It has
 * read the journal and locked its memory before the run does its first step.
 *
 * It listens on a socket to the run:
 *   'A' and a number   devices will be suspended, for at most so many ms
 *   'D'                none is suspended any more
 *   'Q'                done, journal gone
 *   end of file        the run is dead
 * A run that is dead is put right at once; one that is past its deadline is
 * killed first. It holds the run's lock too, so nobody comes in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qmirrorctl.h"

/* five minutes at least; the lock is held all the while */
#define RESCUE_TRIES	600
#define RESCUE_PAUSE_MS	500
/* a killed run is gone in no time, or in D state on what we have to resume */
#define KILL_MS		5000

static pid_t dog_pid;

/* ---- the run's side ---- */

static void __attribute__((noreturn)) become_dog(int sock, pid_t run)
{
	char sock_arg[16], lock_arg[16], pid_arg[16];
	char *argv[] = { (char *)"qmirrorctl-watchdog", sock_arg, lock_arg,
			 pid_arg, NULL };

	setsid();
	unsetenv("QMIRROR_FAULT");
	fcntl(sock, F_SETFD, 0);
	fcntl(lock_fd, F_SETFD, 0);
	snprintf(sock_arg, sizeof(sock_arg), "%d", sock);
	snprintf(lock_arg, sizeof(lock_arg), "%d", lock_fd);
	snprintf(pid_arg, sizeof(pid_arg), "%d", (int)run);
	execv("/proc/self/exe", argv);
	_exit(127);
}

static bool without_dog(void)
{
#ifdef QMIRROR_FAULTS
	const char *f = getenv("QMIRROR_FAULT");

	return f && *f == 'n';
#else
	return false;
#endif
}

/*
 * Returns the socket, or WATCHDOG_FAILED: the run must not go on then. Waits
 * until the watchdog says it is ready. One that is late is killed before it can
 * see the end of the socket: it would take the run for dead and undo it.
 */
int watchdog_start(void)
{
	struct pollfd p;
	/* asked before the fork: a dead parent's place is taken by init */
	pid_t run = getpid();
	int sv[2];
	char c;

	dog_pid = 0;
	if (without_dog())
		return WATCHDOG_NONE;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		return WATCHDOG_FAILED;
	dog_pid = fork();
	if (dog_pid == 0)
		become_dog(sv[1], run);
	close(sv[1]);
	p.fd = sv[0];
	p.events = POLLIN;
	if (dog_pid > 0 && poll(&p, 1, 10000) == 1 &&
	    read(sv[0], &c, 1) == 1 && c == 'R')
		return sv[0];
	if (dog_pid > 0) {
		kill(dog_pid, SIGKILL);
		waitpid(dog_pid, NULL, 0);
	}
	close(sv[0]);
	dog_pid = 0;
	return WATCHDOG_FAILED;
}

static void tell(int fd, const char *text)
{
	if (fd >= 0 && send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		verbose("the watchdog is gone");
}

void watchdog_arm(int fd, long ms)
{
	char buf[32];

	snprintf(buf, sizeof(buf), "A%ld;", ms);
	tell(fd, buf);
}

void watchdog_disarm(int fd)
{
	tell(fd, "D");
}

void watchdog_stop(int fd)
{
	if (fd < 0)
		return;
	tell(fd, "Q");
	close(fd);
	waitpid(dog_pid, NULL, 0);
}

/* What could not be put right is the watchdog's now, and so is the lock. */
void watchdog_leave(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* ---- the watchdog's side ---- */

/*
 * Out of the run's cgroup, so that killing that one (a service stopped, a
 * container's memory limit) leaves us. The root of each hierarchy takes
 * processes always. Not being able to is no failure.
 */
static void leave_cgroup(void)
{
	static const char *const files[] = {
		"/sys/fs/cgroup/cgroup.procs",
		"/sys/fs/cgroup/unified/cgroup.procs",
		"/sys/fs/cgroup/systemd/cgroup.procs",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		int fd = open(files[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (write(fd, "0", 1) < 0)
			verbose("%s: %s", files[i], strerror(errno));
		close(fd);
	}
}

static void spare_me(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, "-1000", 5) < 0)
			verbose("oom_score_adj: %s", strerror(errno));
		close(fd);
	}
}

/* Nobody should wait for the end of our output. */
static void detach(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int i;

	if (fd < 0)
		return;
	for (i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
	if (chdir("/"))
		_exit(1);
}

static void to_kernel_log(const char *text)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		verbose("kmsg: %s", strerror(errno));
	close(fd);
}

/* A device left suspended is worth trying for: memory comes back, paths too. */
static void put_right(struct journal *j, struct group *g)
{
	struct rescue r;
	char *text;
	int i;

	for (i = 0; i < RESCUE_TRIES; i++) {
		/* built when we started: nothing to fetch from a disk */
		group_enter();
		group_rescue(g, &r);
		group_leave();
		if (!r.eno)
			break;
		poll(NULL, 0, RESCUE_PAUSE_MS);
	}
	if (r.eno == 0) {
		recover_after(j, &r);
		journal_drop();
	}
	text = xasprintf("qmirrorctl: watchdog: %s of %s (pid %d) died: %s\n",
			 j->what, j->n ? j->m[0].name : "?", j->pid,
			 r.eno ? "not all could be put right, see qmirrorctl recover" :
			 r.not_final ? "finished, but not all were final any more: those go on as mirrors, see qmirrorctl status" :
			 r.side == RESCUE_FORWARD ? "finished" : "undone");
	to_kernel_log(text);
	/* nobody reads the log for what the next run can say */
	if (!r.eno && r.not_final)
		notice_write(text);
	free(text);
}

static void kill_run(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	poll(&p, 1, KILL_MS);
}

/* Returns true when the run ended well. */
static bool watch(int sock, int pidfd)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	int64_t until = -1;
	long ms = -1;
	ssize_t got;
	char c;

	for (;;) {
		int64_t left = until < 0 ? -1 : until - now_ms();

		if (until >= 0 && left <= 0) {
			kill_run(pidfd);
			return false;
		}
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		got = recv(sock, &c, 1, 0);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)	/* no end of file: the run may be alive */
			kill_run(pidfd);
		if (got != 1)
			return false;
		if (c == 'Q')
			return true;
		if (c == 'D')
			until = -1;
		else if (c == 'A')
			ms = 0;
		else if (c >= '0' && c <= '9' && ms >= 0)
			ms = ms * 10 + (c - '0');
		else if (c == ';' && ms >= 0)
			until = now_ms() + ms;
	}
}

int watchdog_main(int argc, char **argv)
{
	struct journal j;
	struct group *g;
	sigset_t all;
	int sock, pidfd;

	if (argc != 4)
		return XIT_USAGE;
	sock = atoi(argv[1]);
	lock_fd = atoi(argv[2]);
	opt.quiet = true;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	pidfd = (int)syscall(SYS_pidfd_open, atoi(argv[3]), 0);
	/* without it there is no killing a run that hangs */
	if (pidfd < 0 || journal_read(&j))
		return XIT_FAIL;
	detach();
	leave_cgroup();
	spare_me();
	dm_begin();
	g = group_prepare(NULL, 0, &j);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	if (send(sock, "R", 1, MSG_NOSIGNAL) != 1)
		return XIT_FAIL;
	if (!watch(sock, pidfd))
		put_right(&j, g);
	return XIT_OK;
}
