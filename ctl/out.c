#include "out.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"
#include "text.h"

static volatile sig_atomic_t interrupted;
static int interrupt_pipe[2] = {-1, -1};

/* A failed write leaves errno to whoever comes next, so the pipe itself is asked. */
static bool reader_is_gone(void)
{
	struct pollfd poll_fd = {.fd = STDOUT_FILENO, .events = POLLOUT};

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLERR | POLLHUP)) != 0;
}

int out_flush(void)
{
	static bool said;

	errno = 0;
	if (fflush(stdout) == 0 && !ferror(stdout))
		return STATUS_OK;
	if (interrupted)
		return STATUS_INTERRUPTED;
	if (errno != EPIPE && !reader_is_gone() && !said) {
		said = true;
		if (errno != 0)
			say("cannot write the output: %s", strerror(errno));
		else
			say("cannot write the output");
	}
	return STATUS_FAILED;
}

int out_check(void)
{
	return ferror(stdout) ? out_flush() : STATUS_OK;
}

static void note_interrupt(int signal_number)
{
	int saved_errno = errno;

	(void)signal_number;
	interrupted = 1;
	/* The pipe is full only where the reader has been woken already. */
	if (write(interrupt_pipe[1], "", 1) < 0)
		errno = 0;
	errno = saved_errno;
}

/* A signal that is ignored from the start, as SIGHUP by nohup(1), stays ignored. */
static void note_signal(int signal_number)
{
	struct sigaction action = {.sa_handler = note_interrupt}, before;

	/* Without SA_RESTART, so that a write to a stopped reader ends too. */
	if (sigaction(signal_number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		sigaction(signal_number, &action, NULL);
}

void interrupt_arm(void)
{
	if (interrupt_pipe[0] < 0 && pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) == 0)
		note_signal(SIGINT);
}

void interrupt_arm_all(void)
{
	interrupt_arm();
	note_signal(SIGTERM);
	note_signal(SIGHUP);
}

int interrupt_fd(void)
{
	return interrupt_pipe[0];
}

bool interrupt_seen(void)
{
	return interrupted != 0;
}
