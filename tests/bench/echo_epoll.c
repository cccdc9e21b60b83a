/* A line echo over a Unix socket with bare epoll: the least that a server can cost. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum { BUFFER = 65536, EVENTS = 256 };

struct client {
	int fd;
	size_t in;     /* bytes in buffer */
	size_t lines;  /* of them, those that belong to whole lines */
	size_t out;    /* of those, the ones written already */
	char buffer[BUFFER];
};

static int epoll_fd;

static void client_free(struct client *client)
{
	close(client->fd);
	free(client);
}

static void client_arm(struct client *client, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};

	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
}

/* Returns whether the client is still there; while lines wait for the socket nothing is read. */
static int client_write(struct client *client)
{
	while (client->out < client->lines) {
		ssize_t n = send(client->fd, client->buffer + client->out,
			client->lines - client->out, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return 1;
		if (n < 0) {
			client_free(client);
			return 0;
		}
		client->out += (size_t)n;
	}
	client->in -= client->lines;
	memmove(client->buffer, client->buffer + client->lines, client->in);
	client->lines = client->out = 0;
	return 1;
}

static void client_readable(struct client *client)
{
	ssize_t n = read(client->fd, client->buffer + client->in, BUFFER - client->in);
	const char *end;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_free(client);
		return;
	}
	client->in += (size_t)n;
	end = memrchr(client->buffer, '\n', client->in);
	client->lines = end == NULL ? 0 : (size_t)(end - client->buffer) + 1;
	if (client->lines == 0 && client->in == BUFFER)
		client->lines = BUFFER;
	if (client_write(client) && client->lines > 0)
		client_arm(client, EPOLLOUT);
}

static void client_writable(struct client *client)
{
	if (client_write(client) && client->lines == 0)
		client_arm(client, EPOLLIN);
}

static void client_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *client;
	struct epoll_event event = {.events = EPOLLIN};

	if (fd < 0)
		return;
	client = malloc(sizeof *client);
	if (client == NULL)
		bench_die("no memory");
	client->fd = fd;
	client->in = client->lines = client->out = 0;
	event.data.ptr = client;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		bench_die("epoll_ctl: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct epoll_event accepting = {.events = EPOLLIN};
	int listener;

	if (argc != 2)
		bench_die("usage: echo_epoll SOCKET");
	bench_raise_nofile();
	listener = bench_listen(argv[1]);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &accepting) != 0)
		bench_die("epoll: %s", strerror(errno));
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.ptr == NULL)
				client_accept(listener);
			else if (events[i].events & EPOLLOUT)
				client_writable(events[i].data.ptr);
			else
				client_readable(events[i].data.ptr);
		}
	}
}
