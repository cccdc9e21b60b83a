/* How long a server needs from exec to its first reply: starts it, sends a line as soon as somebody
 * listens, waits for one that begins with OK, and ends the server without asking. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

enum { RETRY_US = 100, LIMIT_S = 60 };

extern char **environ;

static int try_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof address.sun_path)
		bench_die("%s: cannot connect", path);
	strcpy(address.sun_path, path);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

static int connect_soon(const char *path, pid_t pid, uint64_t start_ns)
{
	int fd;

	while ((fd = try_connect(path)) < 0) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			bench_die("the server ended");
		if (bench_now_ns() - start_ns > LIMIT_S * 1000000000ull)
			bench_die("the server does not listen");
		nanosleep(&(struct timespec){.tv_nsec = RETRY_US * 1000}, NULL);
	}
	return fd;
}

int main(int argc, char **argv)
{
	char reply[64];
	uint64_t start_ns;
	pid_t pid;
	int fd;

	if (argc < 3)
		bench_die("usage: startup SOCKET PROGRAM [ARGUMENT...]");
	start_ns = bench_now_ns();
	errno = posix_spawn(&pid, argv[2], NULL, NULL, argv + 2, environ);
	if (errno != 0)
		bench_die("%s: %s", argv[2], strerror(errno));
	fd = connect_soon(argv[1], pid, start_ns);
	bench_write_all(fd, "PING\n", 5);
	if (bench_read_wait(fd, reply, sizeof reply) < 2 || memcmp(reply, "OK", 2) != 0)
		bench_die("the server did not answer OK");
	printf("seconds=%.6f\n", (double)(bench_now_ns() - start_ns) / 1e9);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return 0;
}
