#include "notify.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <time.h>

int notify_listen_fd(int *ret_fd, struct error *error)
{
	*ret_fd = -1;
	/* The variables are taken out of the environment: they are not meant for children. */
	int count = sd_listen_fds(1);
	if (count < 0) {
		return error_set(error, ERR_INTERNAL, "cannot take the sockets that were handed over: %s",
			strerror(-count));
	}
	if (count == 0)
		return 0;
	if (count > 1) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"%d sockets were handed over in LISTEN_FDS; imd takes exactly one", count);
	}
	if (sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"what was handed over in LISTEN_FDS is not a Unix stream socket that listens");
	}
	*ret_fd = SD_LISTEN_FDS_START;
	return 0;
}

bool notify_wanted(void)
{
	return getenv("NOTIFY_SOCKET") != NULL;
}

void notify_ready(void)
{
	sd_notify(0, "READY=1");
}

/* The manager takes the READY=1 that comes next for the end of this reload by the time. */
void notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		(uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

void notify_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=Stopping.");
}

void notify_status(const char *text)
{
	sd_notifyf(0, "STATUS=%s", text);
}

uint64_t notify_watchdog_us(void)
{
	uint64_t interval_us = 0;
	if (sd_watchdog_enabled(0, &interval_us) <= 0)
		return 0;
	return interval_us;
}

void notify_watchdog(void)
{
	sd_notify(0, "WATCHDOG=1");
}
