#include "listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "proto/mem.h"
#include "sys/trust.h"

enum {
	BACKLOG = 511,
	ACCEPTS_A_PASS = 32, /* so that a crowd at the door does not keep those within waiting */
	PAUSE_US = 100 * 1000,
	SOCKET_FLAGS = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
};

/* ---- the path ------------------------------------------------------------------------------ */

/* Says why a path cannot be listened at, from errno. */
static int path_failed(const char *path, struct error *error)
{
	int failed = errno;
	enum err_code code = ERR_INTERNAL;

	if (failed == EACCES || failed == EPERM || failed == EROFS)
		code = ERR_DENIED;
	else if (failed == ENOENT || failed == ENOTDIR || failed == ELOOP || failed == ENAMETOOLONG ||
		failed == EISDIR)
		code = ERR_BAD_ARGUMENT;
	return error_set(error, code, "cannot listen at %s: %s", path, strerror(failed));
}

static int path_conflict(const char *path, struct error *error)
{
	return error_set(error, ERR_CONFLICT, "cannot listen at %s: another daemon serves it", path);
}

static int path_address(const char *path, struct sockaddr_un *ret_address, struct error *error)
{
	size_t len = strlen(path);

	if (len == 0)
		return error_set(error, ERR_BAD_ARGUMENT, "the path of the socket is empty");
	if (len >= sizeof ret_address->sun_path)
		return error_set(error, ERR_BAD_ARGUMENT,
			"the path of the socket is %zu bytes long; %zu are the most: %.64s...", len,
			sizeof ret_address->sun_path - 1, path);
	memset(ret_address, 0, sizeof *ret_address);
	ret_address->sun_family = AF_UNIX;
	memcpy(ret_address->sun_path, path, len);
	return 0;
}

static void lock_path(const char *path, char *ret_path, size_t size)
{
	snprintf(ret_path, size, "%s.lock", path);
}

/* Whether the file that was locked is still the one at the path: who ends removes it, and then the
 * lock would guard nothing. */
static bool lock_is_at(int fd, const char *path)
{
	struct stat locked, there;

	return fstat(fd, &locked) == 0 && lstat(path, &there) == 0 &&
		locked.st_dev == there.st_dev && locked.st_ino == there.st_ino;
}

/* Locks the path against other daemons; returns the lock's descriptor. The lock goes with the
 * process, whatever becomes of it. */
static int lock_take(const char *path, struct error *error)
{
	char lock[sizeof ((struct sockaddr_un *)NULL)->sun_path + sizeof ".lock"];

	lock_path(path, lock, sizeof lock);
	for (;;) {
		int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

		if (fd < 0)
			return path_failed(path, error);
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			if (errno == EWOULDBLOCK)
				path_conflict(path, error);
			else
				path_failed(path, error);
			close(fd);
			return -1;
		}
		if (lock_is_at(fd, lock))
			return fd;
		close(fd);
	}
}

/* Removes a socket file that nobody listens at any more. Only who holds the lock may call it. */
static int stale_remove(const char *path, const struct sockaddr_un *address, struct error *error)
{
	struct stat stat;
	int fd, connected, failed;

	if (lstat(path, &stat) < 0)
		return errno == ENOENT ? 0 : path_failed(path, error);
	if (!S_ISSOCK(stat.st_mode))
		return error_set(error, ERR_BAD_ARGUMENT,
			"cannot listen at %s: it exists and is not a socket", path);
	fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
	if (fd < 0)
		return path_failed(path, error);
	connected = connect(fd, (const struct sockaddr *)address, sizeof *address);
	failed = errno;
	close(fd);
	errno = failed;
	if (connected == 0 || failed == EAGAIN || failed == EINPROGRESS || failed == EPROTOTYPE)
		return path_conflict(path, error);
	if (failed == ENOENT)
		return 0;
	if (failed != ECONNREFUSED || (unlink(path) < 0 && errno != ENOENT))
		return path_failed(path, error);
	return 0;
}

/* The file has its mode from the beginning: there is no moment at which others may connect. */
static int bind_mode(int fd, const struct sockaddr_un *address, unsigned mode)
{
	mode_t before = umask(0777 & ~mode);
	int ret = bind(fd, (const struct sockaddr *)address, sizeof *address);
	int failed = errno;

	umask(before);
	errno = failed;
	return ret;
}

static int listen_at(const char *path, unsigned mode, struct error *error)
{
	struct sockaddr_un address;
	int fd;

	if (path_address(path, &address, error) < 0 || stale_remove(path, &address, error) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCKET_FLAGS, 0);
	if (fd < 0)
		return path_failed(path, error);
	if (bind_mode(fd, &address, mode) < 0) {
		if (errno == EADDRINUSE)
			path_conflict(path, error);
		else
			path_failed(path, error);
		close(fd);
		return -1;
	}
	if (listen(fd, BACKLOG) < 0) {
		path_failed(path, error);
		unlink(path);
		close(fd);
		return -1;
	}
	return fd;
}

static bool option_is(int fd, int option, int wanted)
{
	int value = 0;
	socklen_t len = sizeof value;

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 && value == wanted;
}

static int handed_in_check(int fd, struct error *error)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || !option_is(fd, SO_DOMAIN, AF_UNIX) || !option_is(fd, SO_TYPE, SOCK_STREAM) ||
		!option_is(fd, SO_ACCEPTCONN, 1))
		return error_set(error, ERR_BAD_ARGUMENT,
			"the descriptor %d that was handed in is no listening Unix stream socket", fd);
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return error_set(error, ERR_INTERNAL, "cannot set up the socket that was handed in: %s",
			strerror(errno));
	return 0;
}

/* Not where somebody has removed the lock's file: the path may be another daemon's by now. */
static bool lock_held(const struct listener *listener)
{
	char lock[sizeof ((struct sockaddr_un *)NULL)->sun_path + sizeof ".lock"];

	lock_path(listener->path, lock, sizeof lock);
	return lock_is_at(listener->lock_fd, lock);
}

static void lock_release(struct listener *listener, const char *path)
{
	char lock[sizeof ((struct sockaddr_un *)NULL)->sun_path + sizeof ".lock"];

	if (listener->lock_fd < 0)
		return;
	lock_path(path, lock, sizeof lock);
	if (lock_is_at(listener->lock_fd, lock))
		unlink(lock);
	close(listener->lock_fd);
	listener->lock_fd = -1;
}

/* Root makes no file where others decide what the path leads to. If it cannot be resolved, to bind fails too, and says
 * why. Ordinary users may listen wherever they can. */
static int check_trusted(const char *path, struct error *error)
{
	struct trust_path found;
	struct error why;

	if (geteuid() != 0)
		return 0;
	if (trust_resolve(path, TRUST_FILE_NOFOLLOW, &found, &why) < 0)
		return errno != EPERM ? 0 :
			error_set(error, ERR_DENIED, "cannot listen at %s: %s", path, why.text);
	trust_path_fini(&found);
	return 0;
}

static int listener_bind(struct listener *listener, const char *path, unsigned mode,
	struct error *error)
{
	struct sockaddr_un address;

	if (path_address(path, &address, error) < 0 || check_trusted(path, error) < 0)
		return -1;
	listener->lock_fd = lock_take(path, error);
	if (listener->lock_fd < 0)
		return -1;
	listener->fd = listen_at(path, mode, error);
	if (listener->fd < 0) {
		lock_release(listener, path);
		return -1;
	}
	listener->path = mem_strdup(path);
	return 0;
}

static int reserve_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int listener_init(struct listener *listener, const char *path, unsigned mode, int listen_fd,
	struct error *error)
{
	*listener = (struct listener){.fd = listen_fd, .lock_fd = -1, .reserve_fd = -1};
	if (listen_fd >= 0) {
		if (handed_in_check(listen_fd, error) < 0)
			return -1;
	} else if (listener_bind(listener, path, mode, error) < 0) {
		return -1;
	}
	listener->reserve_fd = reserve_open();
	return 0;
}

/* ---- accepting ----------------------------------------------------------------------------- */

/* Out of descriptors, the socket stays readable and the loop would spin. So one client is told, by
 * means of the reserve, and the others wait in the backlog until a pause is over. */
static void listener_pause(struct listener *listener, int failed)
{
	if (listener->reserve_fd >= 0 && (failed == EMFILE || failed == ENFILE)) {
		int fd;

		close(listener->reserve_fd);
		fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			listener->host->no_room(listener->arg, fd);
		listener->reserve_fd = reserve_open();
	}
	event_del(listener->event);
	event_add(listener->again, &(struct timeval){0, PAUSE_US});
	if (!listener->pausing)
		log_event(LEVEL_WARNING, "cannot-accept", LOG_STR("error", strerror(failed)));
	listener->pausing = true;
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)fd;
	(void)what;
	if (listener->reserve_fd < 0)
		listener->reserve_fd = reserve_open();
	event_add(listener->event, NULL);
}

static void on_client(evutil_socket_t listen_fd, short what, void *arg)
{
	struct listener *listener = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_PASS; i++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listener->pausing = false;
			listener->host->accepted(listener->arg, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno != EAGAIN)
			listener_pause(listener, errno);
		return;
	}
}

int listener_set_up(struct listener *listener, struct event_base *base,
	const struct listener_host *host, void *arg)
{
	listener->host = host;
	listener->arg = arg;
	listener->event = event_new(base, listener->fd, EV_READ | EV_PERSIST, on_client, listener);
	listener->again = evtimer_new(base, on_again, listener);
	return listener->event != NULL && listener->again != NULL ? 0 : -1;
}

void listener_start(struct listener *listener)
{
	event_add(listener->event, NULL);
}

void listener_close(struct listener *listener)
{
	if (listener->event != NULL)
		event_free(listener->event);
	if (listener->again != NULL)
		event_free(listener->again);
	listener->event = listener->again = NULL;
	if (listener->fd < 0)
		return;
	if (listener->path != NULL && lock_held(listener))
		unlink(listener->path);
	close(listener->fd);
	listener->fd = -1;
}

void listener_fini(struct listener *listener)
{
	listener_close(listener);
	if (listener->reserve_fd >= 0)
		close(listener->reserve_fd);
	if (listener->path != NULL)
		lock_release(listener, listener->path);
	free(listener->path);
	*listener = (struct listener){.fd = -1, .lock_fd = -1, .reserve_fd = -1};
}
