#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void bench_die(const char *format, ...)
{
	va_list list;

	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	exit(1);
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t bench_cpu_ns(pid_t pid)
{
	char path[64];
	unsigned long long ns = 0;
	FILE *file;

	if (pid == 0)
		return 0;
	snprintf(path, sizeof path, "/proc/%ld/schedstat", (long)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu", &ns) != 1)
		ns = 0;
	fclose(file);
	return ns;
}

uint64_t bench_number(const char *text, uint64_t max)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < 1 || value > max)
		bench_die("%s is not a number from 1 to %llu", text, (unsigned long long)max);
	return value;
}

char *bench_unescape(const char *text)
{
	char *result = malloc(strlen(text) + 1);
	char *to = result;

	if (result == NULL)
		bench_die("no memory");
	for (; *text != '\0'; text++) {
		if (*text == '\\' && text[1] != '\0') {
			text++;
			*to++ = *text == 'r' ? '\r' : *text == 'n' ? '\n' : *text;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
	return result;
}

void bench_raise_nofile(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void address_fill(struct sockaddr_un *address, const char *path)
{
	memset(address, 0, sizeof *address);
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof address->sun_path)
		bench_die("%s: the path is too long", path);
	strcpy(address->sun_path, path);
}

static void nonblock(int fd)
{
	if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
		bench_die("fcntl: %s", strerror(errno));
}

/* Connecting blocks, so that a full backlog is waited for; what follows does not. */
int bench_connect(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		bench_die("socket: %s", strerror(errno));
	address_fill(&address, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
		bench_die("%s: %s", path, strerror(errno));
	nonblock(fd);
	return fd;
}

int bench_listen(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		bench_die("socket: %s", strerror(errno));
	address_fill(&address, path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1024) != 0)
		bench_die("%s: %s", path, strerror(errno));
	nonblock(fd);
	return fd;
}

static void wait_for(int fd, short events)
{
	struct pollfd poller = {.fd = fd, .events = events};

	if (poll(&poller, 1, 30000) <= 0)
		bench_die("the server did not answer within 30 s");
}

size_t bench_read_wait(int fd, char *buffer, size_t size)
{
	for (;;) {
		ssize_t n = read(fd, buffer, size);

		if (n > 0)
			return (size_t)n;
		if (n == 0)
			bench_die("the server closed a connection");
		if (errno != EAGAIN && errno != EINTR)
			bench_die("read: %s", strerror(errno));
		wait_for(fd, POLLIN);
	}
}

void bench_write_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			bench_die("write: %s", strerror(errno));
		wait_for(fd, POLLOUT);
	}
}
