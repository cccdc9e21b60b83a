#include "imctl_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum {
	FD = 1000,            /* of the first connection; no file has it */
	CONNECTIONS_MAX = 8,  /* at a time */
	CALLS_MAX = 1000000,  /* more than this is no end */
	WAIT_MAX_MS = 1000000,
};

struct connection {
	bool used, connected;
	bool closed;          /* by the server */
	size_t matched;       /* so many bytes of "OK" since the last LF; NO_MATCH: it is another line */
};

#define NO_MATCH SIZE_MAX

/* Connections receive of the one script what comes next. */
static struct {
	const char *at, *end; /* what is left of the script */
	struct connection connections[CONNECTIONS_MAX];
	int wait_ms;          /* nothing comes for so long */
	int64_t now_ms;
	unsigned calls;
	bool ok;              /* a line OK has been received */
} server;

void server_begin(const char *script, size_t len)
{
	memset(&server, 0, sizeof server);
	server.at = script;
	server.end = script + len;
	server.now_ms = 1000;
}

bool server_said_ok(void)
{
	return server.ok;
}

static void count_call(void)
{
	fuzz_require(++server.calls < CALLS_MAX, "imctl does not end");
}

static struct connection *connection_of(int fd)
{
	fuzz_require(fd >= FD && fd < FD + CONNECTIONS_MAX && server.connections[fd - FD].used,
		"imctl uses a socket that it has not");
	count_call();
	return &server.connections[fd - FD];
}

static void look_for_ok(struct connection *connection, char c)
{
	static const char ok[] = "OK";

	if (connection->matched == strlen(ok) && (c == '\n' || c == '\r' || c == ' '))
		server.ok = true;
	if (c == '\n' || (connection->matched == 0 && (c == ' ' || c == '\t')))
		connection->matched = 0;
	else if (connection->matched < strlen(ok) && c == ok[connection->matched])
		connection->matched++;
	else
		connection->matched = NO_MATCH;
}

/* ---- the script ---------------------------------------------------------------------------- */

static size_t line_length(void)
{
	const char *lf = memchr(server.at, '\n', (size_t)(server.end - server.at));

	return lf ? (size_t)(lf - server.at) + 1 : (size_t)(server.end - server.at);
}

static bool line_is(const char *text)
{
	size_t len = strlen(text);

	return line_length() >= len && memcmp(server.at, text, len) == 0;
}

static bool at_directive(void)
{
	return line_is("~\n") || line_is("~close\n") || line_is("~wait ");
}

/* Carries out the directives that come next, up to the close of the connection or a wait. */
static void follow_script(struct connection *connection)
{
	while (server.at < server.end && !connection->closed && server.wait_ms == 0 && at_directive()) {
		size_t len = line_length();

		if (line_is("~close\n"))
			connection->closed = true;
		else if (line_is("~wait "))
			for (const char *c = server.at + 6; c < server.at + len && *c >= '0' && *c <= '9'; c++)
				server.wait_ms = (server.wait_ms * 10 + (*c - '0')) % WAIT_MAX_MS;
		server.at += len;
	}
}

/* ---- the calls ----------------------------------------------------------------------------- */

int server_socket(int domain, int type, int protocol)
{
	int place = 0;

	(void)domain, (void)type, (void)protocol;
	count_call();
	while (place < CONNECTIONS_MAX && server.connections[place].used)
		place++;
	fuzz_require(place < CONNECTIONS_MAX, "imctl has too many sockets");
	server.connections[place] = (struct connection){.used = true};
	return FD + place;
}

int server_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	(void)fd, (void)level, (void)name, (void)value, (void)len;
	return 0;
}

int server_connect(int fd, const struct sockaddr *address, socklen_t len)
{
	struct connection *connection = connection_of(fd);

	(void)address, (void)len;
	fuzz_require(!connection->connected, "imctl connects what is connected");
	if (server.at == server.end) {
		errno = ECONNREFUSED;
		return -1;
	}
	connection->connected = true;
	return 0;
}

ssize_t server_send(int fd, const void *data, size_t len, int flags)
{
	(void)data, (void)flags;
	if (!connection_of(fd)->closed)
		return (ssize_t)len;
	errno = EPIPE;
	return -1;
}

ssize_t server_recv(int fd, void *data, size_t len, int flags)
{
	struct connection *connection = connection_of(fd);
	char *bytes = data;
	size_t count = 0;

	(void)flags;
	fuzz_require(connection->connected, "imctl receives without a connection");
	follow_script(connection);
	if (server.wait_ms > 0) {
		errno = EAGAIN;
		return -1;
	}
	connection->closed = connection->closed || server.at == server.end;
	while (!connection->closed && count < len && server.at < server.end && !at_directive()) {
		size_t line_len = line_length();

		for (; count < len && line_len > 0; line_len--, count++) {
			bytes[count] = *server.at++;
			look_for_ok(connection, bytes[count]);
		}
	}
	return (ssize_t)count;
}

/* The socket, if there is one, comes first. */
int server_poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	bool socket = count > 0 && fds[0].fd >= FD;

	count_call();
	for (nfds_t i = 0; i < count; i++)
		fds[i].revents = 0;
	fuzz_require(socket || timeout_ms >= 0, "imctl waits for ever");
	if (!socket || (timeout_ms >= 0 && timeout_ms < server.wait_ms)) {
		server.now_ms += timeout_ms;
		server.wait_ms -= socket ? timeout_ms : 0;
		return 0;
	}
	server.now_ms += server.wait_ms;
	server.wait_ms = 0;
	fds[0].revents = fds[0].events;
	return 1;
}

int server_close(int fd)
{
	connection_of(fd)->used = false;
	server.wait_ms = 0;
	return 0;
}

int server_clock_gettime(clockid_t clock, struct timespec *ret_now)
{
	(void)clock;
	*ret_now = (struct timespec){.tv_sec = server.now_ms / 1000, .tv_nsec = server.now_ms % 1000 * 1000000};
	return 0;
}
