/* A line echo over a Unix socket with a plain bufferevent for each client; with -n the reply is
 * written from the read callback instead of through another turn of the loop. */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

static bool at_once;

static void client_event(struct bufferevent *client, short what, void *arg)
{
	(void)what;
	(void)arg;
	bufferevent_free(client);
}

/* What the socket does not take goes through the loop, like all of it without -n. A bufferevent
 * keeps the front of its output frozen, and with EV_WRITE enabled arms itself with every byte added. */
static void output_flush(struct bufferevent *client, struct evbuffer *output)
{
	evbuffer_unfreeze(output, 1);
	evbuffer_write(output, bufferevent_getfd(client));
	evbuffer_freeze(output, 1);
	if (evbuffer_get_length(output) > 0)
		bufferevent_enable(client, EV_WRITE);
}

static void client_drained(struct bufferevent *client, void *arg)
{
	(void)arg;
	bufferevent_disable(client, EV_WRITE);
}

static void client_readable(struct bufferevent *client, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(client);
	struct evbuffer *output = bufferevent_get_output(client);
	size_t len = evbuffer_get_length(input);
	const unsigned char *data = evbuffer_pullup(input, -1);
	const unsigned char *end = memrchr(data, '\n', len);

	(void)arg;
	if (end == NULL)
		return;
	len = (size_t)(end - data) + 1;
	if (evbuffer_add(output, data, len) != 0 || evbuffer_drain(input, len) != 0)
		bench_die("no memory");
	if (at_once)
		output_flush(client, output);
}

static void client_accept(evutil_socket_t listener, short what, void *arg)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct bufferevent *client;

	(void)what;
	if (fd < 0)
		return;
	client = bufferevent_socket_new(arg, fd, BEV_OPT_CLOSE_ON_FREE);
	if (client == NULL)
		bench_die("no memory");
	if (at_once)
		bufferevent_disable(client, EV_WRITE);
	bufferevent_setcb(client, client_readable, at_once ? client_drained : NULL, client_event,
		NULL);
	bufferevent_enable(client, EV_READ);
}

int main(int argc, char **argv)
{
	struct event_base *base;
	struct event *accepting;
	int listener;

	at_once = argc == 3 && strcmp(argv[1], "-n") == 0;
	if (argc != 2 + at_once)
		bench_die("usage: echo_bufferevent [-n] SOCKET");
	signal(SIGPIPE, SIG_IGN);
	bench_raise_nofile();
	listener = bench_listen(argv[argc - 1]);
	base = event_base_new();
	if (base == NULL)
		bench_die("no event base");
	accepting = event_new(base, listener, EV_READ | EV_PERSIST, client_accept, base);
	if (accepting == NULL || event_add(accepting, NULL) != 0)
		bench_die("no event for the listener");
	event_base_dispatch(base);
	return 1;
}
