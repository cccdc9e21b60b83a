#include "notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>

enum {
	RETRY_FIRST_MS = 100,
	RETRY_MAX_MS = 3200,
};

/* What there is to tell, in the order in which it is told. */
enum {
	TELL_WATCHDOG = 1 << 0, /* before all else, for it is what a daemon is killed for */
	TELL_RELOADING = 1 << 1,
	TELL_READY = 1 << 2,
	TELL_STATUS = 1 << 3,
	TELL_STOPPING = 1 << 4,
	TELL_LAST = TELL_STOPPING,
};

/* sd_notify waits while the manager does not read, so its protocol is spoken here. */
static struct {
	int fd; /* -1: there is no manager */
	struct sockaddr_un address;
	socklen_t address_len;
	notify_later_fn *later;
	void *arg;
	int retry_ms;
	unsigned pending; /* TELL_…, what is not told yet */
	bool stops;       /* TELL_STOPPING was asked for */
	uint64_t reloading_us; /* when the last reload began */
	char status[NOTIFY_STATUS_SIZE];
} manager = {.fd = -1};

/* ---- the socket that is handed over -------------------------------------------------------- */

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

/* ---- telling ------------------------------------------------------------------------------- */

/* A path, or an abstract name behind an @. False where it is neither. */
static bool address_set(const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof manager.address.sun_path)
		return false;
	manager.address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(manager.address.sun_path, name, len);
	manager.address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (name[0] == '@')
		manager.address.sun_path[0] = '\0';
	else
		manager.address_len++; /* its NUL */
	return true;
}

void notify_open(notify_later_fn *later, void *arg)
{
	const char *name = getenv("NOTIFY_SOCKET");

	manager.later = later;
	manager.arg = arg;
	manager.retry_ms = RETRY_FIRST_MS;
	if (name != NULL && address_set(name))
		manager.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	unsetenv("NOTIFY_SOCKET");
}

bool notify_wanted(void)
{
	return manager.fd >= 0;
}

static int message_write(unsigned what, char *text, size_t size)
{
	switch (what) {
	case TELL_WATCHDOG:
		return snprintf(text, size, "WATCHDOG=1");
	case TELL_RELOADING:
		return snprintf(text, size, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, manager.reloading_us);
	case TELL_READY:
		return snprintf(text, size, "READY=1");
	case TELL_STATUS:
		return snprintf(text, size, "STATUS=%s", manager.status);
	default:
		return snprintf(text, size, "STOPPING=1\nSTATUS=Stopping.");
	}
}

/* The socket is not connected, so that a manager that has made its own anew is found again. */
static int message_send(unsigned what)
{
	char text[NOTIFY_STATUS_SIZE + sizeof "STATUS="];
	int len = message_write(what, text, sizeof text);
	ssize_t sent;

	do {
		sent = sendto(manager.fd, text, (size_t)len, MSG_NOSIGNAL,
			(const struct sockaddr *)&manager.address, manager.address_len);
	} while (sent < 0 && errno == EINTR);
	return sent < 0 ? -1 : 0;
}

/* It does not matter why something cannot be sent: a queue gets room, and a manager that is not there may be
 * between two sockets. One that never comes back costs little, as the pauses grow. */
void notify_flush(void)
{
	for (unsigned what = 1; what <= TELL_LAST; what <<= 1) {
		if ((manager.pending & what) == 0)
			continue;
		if (message_send(what) < 0) {
			manager.later(manager.arg, manager.retry_ms);
			if (manager.retry_ms < RETRY_MAX_MS)
				manager.retry_ms *= 2;
			return;
		}
		manager.pending &= ~what;
	}
	manager.retry_ms = RETRY_FIRST_MS;
}

static void tell(unsigned what)
{
	if (manager.fd < 0 || (manager.stops && what != TELL_WATCHDOG))
		return; /* nothing is of interest behind the end but that it comes */
	manager.stops = what == TELL_STOPPING || manager.stops;
	manager.pending |= what;
	notify_flush();
}

void notify_ready(void)
{
	tell(TELL_READY);
}

/* The manager takes the READY=1 that comes next for the end of this reload by the time. So where others are
 * not told yet, this one stands for them, and their READY=1 would come too early. */
void notify_reloading(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	manager.reloading_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	manager.pending &= ~(unsigned)TELL_READY;
	tell(TELL_RELOADING);
}

void notify_stopping(void)
{
	manager.pending &= ~(unsigned)TELL_STATUS; /* this has its own */
	tell(TELL_STOPPING);
}

void notify_status(const char *text)
{
	snprintf(manager.status, sizeof manager.status, "%s", text);
	tell(TELL_STATUS);
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
	tell(TELL_WATCHDOG);
}
