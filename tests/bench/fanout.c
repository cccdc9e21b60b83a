/* Fan-out: one who makes events and many who watch, for imd and for redis.
 *
 * imd: a group goes from no node to K and back, again and again; the driver needs no time. Every such
 * change reaches the watchers in two bursts: its tasks start, its tasks end. How many event lines that are
 * depends on what is watched: NODES K each burst, GRAPHS one, ALL about 2 K.
 * redis: two bursts of pipelined PUBLISHes, the second as soon as the first was answered.
 *
 * A round is two bursts, and ends when the first watcher has all of them; then the next begins. So it is
 * the server that is measured, the others are read only as often as keeps their sockets from
 * filling, a part of them in every round while the server works; with -e all in every round. All watchers
 * get the same bytes: the first one's are looked at, the others' counted, and the time ends when every
 * watcher has as many as the first. */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"

enum {
	BUFFER = 256 * 1024,
	EVENTS = 256,
	WATCHERS = 10000,
	BURST = 10000,
	WARM_ROUNDS = 4,
};

struct watcher {
	int fd;
	uint64_t bytes;
};

enum kind { KIND_NODES, KIND_GRAPHS, KIND_ALL, KIND_REDIS };
static const char *const kinds[] = {"NODES", "GRAPHS", "ALL", "redis"};

static const char *socket_path;
static enum kind kind = KIND_NODES;
static unsigned watchers = 1;
static unsigned nodes = 1;      /* imd: K */
static unsigned burst = 1;      /* redis: messages of a burst */
static unsigned message = 128;  /* redis: bytes of a delivery, with its framing */
static uint64_t duration_ns = 1000000000;
static pid_t server_pid;

static int epoll_fd, publisher;
static struct watcher *list;
static char buffer[BUFFER];
static unsigned read_next = 1;  /* the watcher that is read next, */
static unsigned read_slice;     /* and how many are in a round */
static bool eager;
static uint64_t lines;          /* event lines of the first watcher */
static char tail[512];          /* the line of the first watcher that is not whole yet */
static size_t tail_len;
static bool graph_ended;
static bool growing;            /* imd: the last change went from 0 to K */
static char *publishing;        /* redis: the requests of a burst */
static size_t publishing_len;

/* Looks at a whole line of the first watcher. */
static void line_look(const char *text, size_t len)
{
	static const char ended[] = " graph-succeeded ";

	if (memmem(text, len, ended, sizeof ended - 1) != NULL)
		graph_ended = true;
	else if (strncmp(text, "EVENT ", 6) != 0)
		bench_die("a watcher got %.*s", (int)len, text);
	lines++;
}

static void tail_add(const char *data, size_t len)
{
	if (tail_len + len > sizeof tail)
		bench_die("a line of more than %zu bytes", sizeof tail);
	memcpy(tail + tail_len, data, len);
	tail_len += len;
}

static void lines_look(const char *data, size_t len)
{
	const char *end = data + len, *lf;

	while (data < end) {
		lf = memchr(data, '\n', (size_t)(end - data));
		if (lf == NULL) {
			tail_add(data, (size_t)(end - data));
			return;
		}
		if (tail_len > 0) {
			tail_add(data, (size_t)(lf - data));
			line_look(tail, tail_len);
			tail_len = 0;
		} else {
			line_look(data, (size_t)(lf - data));
		}
		data = lf + 1;
	}
}

static void watcher_readable(struct watcher *watcher)
{
	ssize_t n = read(watcher->fd, buffer, sizeof buffer);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		bench_die("the server closed a watcher's connection");
	watcher->bytes += (uint64_t)n;
	if (watcher == list && kind != KIND_REDIS)
		lines_look(buffer, (size_t)n);
}

/* The publisher's replies: their lines, and none of them an error. */
static unsigned publisher_readable(void)
{
	ssize_t n = read(publisher, buffer, sizeof buffer);
	unsigned count = 0;

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n <= 0)
		bench_die("the server closed the publisher's connection");
	for (ssize_t i = 0; i < n; i++)
		count += buffer[i] == '\n';
	if (memmem(buffer, (size_t)n, "ERR", 3) != NULL)
		bench_die("the publisher got %.*s", (int)n, buffer);
	return count;
}

/* Returns the number of lines that the publisher got. */
static unsigned loop_pass(void)
{
	struct epoll_event events[EVENTS];
	int count = epoll_wait(epoll_fd, events, EVENTS, 10000);
	unsigned answers = 0;

	if (count == 0)
		bench_die("no event for 10 s");
	for (int i = 0; i < count; i++) {
		if (events[i].data.ptr == NULL)
			answers += publisher_readable();
		else
			watcher_readable(events[i].data.ptr);
	}
	return answers;
}

/* Reads the next few of the other watchers. */
static void slice_read(void)
{
	for (unsigned i = 0; i < read_slice; i++) {
		if (read_next >= watchers)
			read_next = 1;
		watcher_readable(&list[read_next++]);
	}
}

/* Reads all the other watchers until they have what the first has. */
static void others_read(void)
{
	struct pollfd poller = {.events = POLLIN};

	for (unsigned i = 1; i < watchers; i++) {
		while (list[i].bytes < list[0].bytes) {
			poller.fd = list[i].fd;
			if (poll(&poller, 1, 10000) <= 0)
				bench_die("watcher %u gets no more", i);
			watcher_readable(&list[i]);
		}
		if (list[i].bytes != list[0].bytes)
			bench_die("watcher %u got other events than the first", i);
	}
}

static bool change_seen(uint64_t lines_before)
{
	if (kind == KIND_NODES)
		return lines - lines_before >= 2 * (uint64_t)nodes;
	return graph_ended;
}

/* Returns how many events there were. */
static uint64_t round_imd(void)
{
	uint64_t lines_before = lines;
	char text[96];
	int len;

	growing = !growing;
	graph_ended = false;
	len = snprintf(text, sizeof text, "UPDATE %u 1 group=bench quiet=yes\n", growing ? nodes : 0);
	bench_write_all(publisher, text, (size_t)len);
	slice_read();
	while (!change_seen(lines_before) || tail_len > 0)
		loop_pass();
	return lines - lines_before;
}

static uint64_t round_redis(void)
{
	uint64_t bytes = list->bytes + 2ull * burst * message;
	unsigned answers = 0;

	bench_write_all(publisher, publishing, publishing_len);
	slice_read();
	while (answers < burst)
		answers += loop_pass();
	bench_write_all(publisher, publishing, publishing_len);
	while (answers < 2 * burst || list->bytes < bytes)
		answers += loop_pass();
	return 2ull * burst;
}

/* One request, and its reply up to a line that ends in the text given, or begins with it. */
static void ask(int fd, const char *text, const char *answer)
{
	char reply[4096];
	size_t len = 0;

	bench_write_all(fd, text, strlen(text));
	do {
		if (len == sizeof reply - 1)
			bench_die("no end to the answer to %s", text);
		len += bench_read_wait(fd, reply + len, sizeof reply - 1 - len);
		reply[len] = '\0';
		if (strstr(reply, "ERR") != NULL)
			bench_die("%s", reply);
	} while (strstr(reply, answer) == NULL || reply[len - 1] != '\n');
}

static void interest_add(int fd, void *pointer)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = pointer};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		bench_die("epoll_ctl: %s", strerror(errno));
}

static void watchers_open(void)
{
	char text[96];

	snprintf(text, sizeof text, "WATCH %s group=bench initial=no\n", kinds[kind]);
	for (unsigned i = 0; i < watchers; i++) {
		list[i].fd = bench_connect(socket_path);
		if (kind == KIND_REDIS)
			ask(list[i].fd, "SUBSCRIBE c\r\n", ":1\r\n");
		else
			ask(list[i].fd, text, "OK seq=");
	}
	interest_add(list[0].fd, &list[0]);
}

/* A delivery is "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$LEN\r\nTEXT\r\n". */
static void publishing_make(void)
{
	unsigned framing = (unsigned)snprintf(NULL, 0, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%u\r\n\r\n",
		message);
	unsigned len = message > framing ? message - framing : 1;
	char *text = malloc(len + 1);

	message = (unsigned)snprintf(NULL, 0, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%u\r\n\r\n", len) + len;
	publishing = malloc((size_t)burst * (len + 64));
	if (text == NULL || publishing == NULL)
		bench_die("no memory");
	memset(text, 'x', len);
	text[len] = '\0';
	for (unsigned i = 0; i < burst; i++)
		publishing_len += (size_t)sprintf(publishing + publishing_len,
			"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$%u\r\n%s\r\n", len, text);
	free(text);
}

static uint64_t round_run(void)
{
	return kind == KIND_REDIS ? round_redis() : round_imd();
}

static void publisher_open(void)
{
	publisher = bench_connect(socket_path);
	if (kind == KIND_REDIS)
		publishing_make();
	else
		ask(publisher, "UPDATE 0 1 group=bench quiet=yes\n", "OK graph=");
	interest_add(publisher, NULL);
}

/* A socket holds 200 KiB, of which every write costs some more than its bytes. */
static void slice_set(uint64_t burst_bytes)
{
	uint64_t rounds = 100000 / (2 * (burst_bytes * 3 / 2 + 1024));

	read_slice = watchers - 1;
	if (!eager && rounds > 1)
		read_slice = (watchers - 1 + (unsigned)rounds - 1) / (unsigned)rounds;
}

/* Rounds in which all is read, so that the first round that counts finds nothing left. */
static void warm(void)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < WARM_ROUNDS; i++) {
		bytes = list->bytes;
		round_run();
		others_read();
	}
	slice_set((list->bytes - bytes) / 2);
}

static void measure(void)
{
	uint64_t start_ns, server_ns, own_ns, bytes, events = 0, rounds = 0;
	double ns, deliveries;

	warm();
	bytes = list->bytes;
	server_ns = bench_cpu_ns(server_pid);
	own_ns = bench_cpu_ns(getpid());
	start_ns = bench_now_ns();
	for (; bench_now_ns() < start_ns + duration_ns; rounds++)
		events += round_run();
	others_read();
	ns = (double)(bench_now_ns() - start_ns);
	server_ns = bench_cpu_ns(server_pid) - server_ns;
	own_ns = bench_cpu_ns(getpid()) - own_ns;
	deliveries = (double)events * watchers;
	printf("deliveries=%.0f seconds=%.3f rate=%.0f rounds=%llu burst=%.1f bytes=%.1f "
		"server_cpu_ns=%.1f client_cpu_ns=%.1f\n", deliveries, ns / 1e9,
		deliveries / (ns / 1e9), (unsigned long long)rounds,
		(double)events / 2 / (double)rounds, (double)(list->bytes - bytes) / (double)events,
		(double)server_ns / deliveries, (double)own_ns / deliveries);
}

static void usage(void)
{
	bench_die("usage: fanout [-e] -s SOCKET [-k NODES|GRAPHS|ALL|redis] [-w WATCHERS] [-n NODES] "
		"[-b BURST] [-z BYTES] [-t MILLISECONDS] [-p SERVER_PID]");
}

static void kind_set(const char *word)
{
	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(word, kinds[i]) == 0) {
			kind = (enum kind)i;
			return;
		}
	}
	usage();
}

static void options_read(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "es:k:w:n:b:z:t:p:")) != -1) {
		switch (option) {
		case 'e': eager = true; break;
		case 's': socket_path = optarg; break;
		case 'k': kind_set(optarg); break;
		case 'w': watchers = (unsigned)bench_number(optarg, WATCHERS); break;
		case 'n': nodes = (unsigned)bench_number(optarg, BURST); break;
		case 'b': burst = (unsigned)bench_number(optarg, BURST); break;
		case 'z': message = (unsigned)bench_number(optarg, 4096); break;
		case 't': duration_ns = bench_number(optarg, 3600000) * 1000000; break;
		case 'p': server_pid = (pid_t)bench_number(optarg, INT32_MAX); break;
		default: usage();
		}
	}
	if (socket_path == NULL || optind != argc)
		usage();
}

int main(int argc, char **argv)
{
	options_read(argc, argv);
	bench_raise_nofile();
	list = calloc(watchers, sizeof *list);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (list == NULL || epoll_fd < 0)
		bench_die("cannot begin: %s", strerror(errno));
	publisher_open();
	watchers_open();
	measure();
	return 0;
}
