/* A load generator: connections that keep a number of requests in flight each, and what comes of it.
 *
 * One thread, epoll, nothing blocks. The same request is sent again and again; every reply that ends
 * lets another one go. The result is one line of key=value on stdout. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

enum {
	BUFFER = 256 * 1024,
	EVENTS = 256,
	CONNECTIONS = 10000,
	DEPTH = 1024,
	WARM_MS = 100,
};

/* Latencies: 32 buckets between two powers of 2, so a percentile is right to 3 %. */
enum { SUB_BITS = 5, SUB = 1 << SUB_BITS, BUCKETS = 64 * SUB };

/* Where in a reply a connection is. */
enum place {
	PLACE_START, /* at the start of a line */
	PLACE_E,     /* behind an E that starts a line: EVENT or ERR */
	PLACE_LINE,  /* in a line that does not end a reply */
	PLACE_LAST,  /* in the line that ends a reply */
};

struct connection {
	int fd;
	enum place place;
	size_t unsent;    /* bytes of requests that the socket did not take yet */
	unsigned head;    /* of sent_ns, a ring: when each request in flight was sent */
	uint64_t *sent_ns;
};

static const char *socket_path;
static char *request;
static unsigned connections = 1, depth = 1;
static bool records;      /* replies are record lines and a line of OK or ERR */
static char expected;     /* of replies that are one line: what it begins with, NUL: anything */
static uint64_t duration_ns, limit;
static pid_t server_pid;

static int epoll_fd;
static char *batch;       /* depth requests, one behind the other */
static size_t request_len;
static char buffer[BUFFER];
static uint64_t replies, now_ns;
static uint64_t histogram[BUCKETS];

static void latency_add(uint64_t ns)
{
	unsigned shift = 0;

	if (ns >= SUB)
		shift = 63 - (unsigned)__builtin_clzll(ns) - SUB_BITS;
	histogram[shift * SUB + (ns >> shift)]++;
}

/* The buckets with shift 0 hold 0 to 2 * SUB - 1, each further shift the SUB behind them. */
static double latency_us(double part)
{
	uint64_t sum = 0, total = 0;

	for (unsigned i = 0; i < BUCKETS; i++)
		total += histogram[i];
	for (unsigned i = 0; i < BUCKETS; i++) {
		unsigned shift = i < 2 * SUB ? 0 : i / SUB - 1;

		sum += histogram[i];
		if (sum > 0 && (double)sum >= part * (double)total)
			return (double)((uint64_t)(i - shift * SUB) << shift) / 1000;
	}
	return 0;
}

static void interest_set(struct connection *connection, int operation, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};

	if (epoll_ctl(epoll_fd, operation, connection->fd, &event) != 0)
		bench_die("epoll_ctl: %s", strerror(errno));
}

/* Requests are all alike, so what is unsent is always the end of the batch. */
static void requests_flush(struct connection *connection)
{
	size_t before = connection->unsent;
	ssize_t n = send(connection->fd, batch + depth * request_len - before, before, MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN)
		bench_die("write: %s", strerror(errno));
	if (n > 0)
		connection->unsent -= (size_t)n;
}

static void requests_send(struct connection *connection, unsigned count)
{
	bool waits = connection->unsent > 0;

	connection->unsent += count * request_len;
	if (waits)
		return;
	requests_flush(connection);
	if (connection->unsent > 0)
		interest_set(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

/* What a line tells by its first bytes, where replies are records and a last line. */
static enum place place_by_record(struct connection *connection, char c)
{
	if (connection->place == PLACE_E) {
		if (c == 'R')
			bench_die("the server answered an error");
		return PLACE_LINE;
	}
	return c == 'O' ? PLACE_LAST : c == 'E' ? PLACE_E : PLACE_LINE;
}

static enum place place_by_line(char c)
{
	if (expected != '\0' && c != expected)
		bench_die("a reply begins with %c, not with %c", c, expected);
	return PLACE_LAST;
}

/* Returns how many replies ended within the bytes. */
static unsigned replies_count(struct connection *connection, const char *data, size_t len)
{
	const char *end = data + len;
	unsigned count = 0;

	while (data < end) {
		if (connection->place <= PLACE_E) {
			connection->place = records ? place_by_record(connection, *data) :
				place_by_line(*data);
			if (connection->place == PLACE_E) {
				data++;
				continue;
			}
		}
		data = memchr(data, '\n', (size_t)(end - data));
		if (data == NULL)
			break;
		data++;
		count += connection->place == PLACE_LAST;
		connection->place = PLACE_START;
	}
	return count;
}

static void connection_readable(struct connection *connection)
{
	ssize_t n = read(connection->fd, buffer, sizeof buffer);
	unsigned count;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		bench_die("the server closed a connection");
	count = replies_count(connection, buffer, (size_t)n);
	if (count > depth)
		bench_die("more replies than requests");
	now_ns = bench_now_ns();
	for (unsigned i = 0; i < count; i++) {
		latency_add(now_ns - connection->sent_ns[connection->head]);
		connection->sent_ns[connection->head] = now_ns;
		connection->head = connection->head + 1 == depth ? 0 : connection->head + 1;
	}
	replies += count;
	if (count > 0)
		requests_send(connection, count);
}

static void connection_writable(struct connection *connection)
{
	requests_flush(connection);
	if (connection->unsent == 0)
		interest_set(connection, EPOLL_CTL_MOD, EPOLLIN);
}

static void loop_pass(void)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(epoll_fd, events, EVENTS, 10000);

	if (count == 0)
		bench_die("no reply for 10 s");
	for (int i = 0; i < count; i++) {
		if (events[i].events & EPOLLOUT)
			connection_writable(events[i].data.ptr);
		if (events[i].events & ~(uint32_t)EPOLLOUT)
			connection_readable(events[i].data.ptr);
	}
}

static void connections_open(struct connection *list)
{
	for (unsigned i = 0; i < connections; i++) {
		list[i].fd = bench_connect(socket_path);
		list[i].sent_ns = calloc(depth, sizeof *list[i].sent_ns);
		if (list[i].sent_ns == NULL)
			bench_die("no memory");
		interest_set(&list[i], EPOLL_CTL_ADD, EPOLLIN);
	}
	now_ns = bench_now_ns();
	for (unsigned i = 0; i < connections; i++) {
		for (unsigned j = 0; j < depth; j++)
			list[i].sent_ns[j] = now_ns;
		requests_send(&list[i], depth);
	}
}

static void report(uint64_t start_ns, uint64_t server_ns, uint64_t own_ns)
{
	double ns = (double)(bench_now_ns() - start_ns);
	double count = (double)replies;

	server_ns = bench_cpu_ns(server_pid) - server_ns;
	own_ns = bench_cpu_ns(getpid()) - own_ns;
	printf("replies=%llu seconds=%.3f rate=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f max_us=%.1f "
		"server_cpu_us=%.3f client_cpu_us=%.3f\n",
		(unsigned long long)replies, ns / 1e9, count / (ns / 1e9), latency_us(0.5),
		latency_us(0.99), latency_us(0.999), latency_us(1), (double)server_ns / 1000 / count,
		(double)own_ns / 1000 / count);
}

/* With a duration the first tenth of a second is not counted: it has the connecting in it. */
static void measure(struct connection *list)
{
	uint64_t start_ns = bench_now_ns(), end_ns, server_ns, own_ns;

	connections_open(list);
	if (limit == 0) {
		while (now_ns < start_ns + WARM_MS * 1000000ull)
			loop_pass();
		replies = 0;
		memset(histogram, 0, sizeof histogram);
	}
	server_ns = bench_cpu_ns(server_pid);
	own_ns = bench_cpu_ns(getpid());
	start_ns = bench_now_ns();
	end_ns = start_ns + duration_ns;
	while (limit > 0 ? replies < limit : now_ns < end_ns)
		loop_pass();
	report(start_ns, server_ns, own_ns);
}

static void usage(void)
{
	bench_die("usage: load -s SOCKET -r REQUEST [-c CONNECTIONS] [-d DEPTH] "
		"[-k imd|lines|lines:C] [-t MILLISECONDS | -n REPLIES] [-p SERVER_PID]");
}

static void kind_set(const char *kind)
{
	records = strcmp(kind, "imd") == 0;
	if (strncmp(kind, "lines:", 6) == 0 && strlen(kind) == 7)
		expected = kind[6];
	else if (!records && strcmp(kind, "lines") != 0)
		usage();
}

static void options_read(int argc, char **argv)
{
	int option;

	duration_ns = 1000000000;
	while ((option = getopt(argc, argv, "s:r:c:d:k:t:n:p:")) != -1) {
		switch (option) {
		case 's': socket_path = optarg; break;
		case 'r': request = bench_unescape(optarg); break;
		case 'c': connections = (unsigned)bench_number(optarg, CONNECTIONS); break;
		case 'd': depth = (unsigned)bench_number(optarg, DEPTH); break;
		case 'k': kind_set(optarg); break;
		case 't': duration_ns = bench_number(optarg, 3600000) * 1000000; break;
		case 'n': limit = bench_number(optarg, UINT64_MAX); break;
		case 'p': server_pid = (pid_t)bench_number(optarg, INT32_MAX); break;
		default: usage();
		}
	}
	if (socket_path == NULL || request == NULL || *request == '\0' || optind != argc)
		usage();
}

int main(int argc, char **argv)
{
	struct connection *list;

	options_read(argc, argv);
	bench_raise_nofile();
	request_len = strlen(request);
	batch = malloc(depth * request_len);
	list = calloc(connections, sizeof *list);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (batch == NULL || list == NULL || epoll_fd < 0)
		bench_die("cannot begin: %s", strerror(errno));
	for (unsigned i = 0; i < depth; i++)
		memcpy(batch + i * request_len, request, request_len);
	measure(list);
	return 0;
}
