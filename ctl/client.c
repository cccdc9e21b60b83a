#include "client.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/limits.h"

#include "ctl.h"
#include "out.h"
#include "text.h"

enum {
	READ_SIZE = 64 * 1024,
	SHOWN_SIZE = 60,       /* bytes shown of a line that makes no sense */
	MIB = 1024 * 1024,
	PASSED_OVER_LINES_MAX = 1000,   /* that do not belong to a reply, before imctl gives up, */
	PASSED_OVER_BYTES_MAX = 64 * MIB, /* or so many bytes of them */
};

int64_t client_clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void client_init(struct client *client, const char *path, int64_t deadline_ms)
{
	*client = (struct client){.path = path, .deadline_ms = deadline_ms, .fd = -1};
	words_init(&client->words);
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	buf_fini(&client->in);
	words_fini(&client->words);
	words_init(&client->words);
	client->begin = 0;
}

/* What is left until the deadline; -1 for ever, as poll() has it. */
static int time_left_ms(const struct client *client)
{
	int64_t left_ms;

	if (client->deadline_ms == CLIENT_NO_DEADLINE)
		return -1;
	left_ms = client->deadline_ms - client_clock_ms();
	return left_ms < 0 ? 0 : left_ms > INT32_MAX ? INT32_MAX : (int)left_ms;
}

int client_lost(struct client *client, const char *why)
{
	if (client->resumes)
		snprintf(client->why, sizeof client->why, "%s", why);
	else
		say("cannot reach imd at %s: %s", client->path, why);
	return STATUS_UNREACHABLE;
}

int client_say_lost(const struct client *client)
{
	if (client->shut_down)
		say("%s: %s", err_code_name(ERR_SHUTTING_DOWN), client->why);
	else
		say("cannot reach imd at %s: %s", client->path, client->why);
	return STATUS_UNREACHABLE;
}

/* A socket that may not be opened is imd's way to say no, too. */
static int connect_failed(struct client *client, int number)
{
	int status = client_lost(client, strerror(number));

	return (number == EACCES || number == EPERM) && !client->resumes ? STATUS_DENIED : status;
}

/* connect() to a Unix socket waits while the daemon's backlog is full, as long as SO_SNDTIMEO
 * lets it; there is no such wait to be had from poll(). */
static int connect_in_time(struct client *client, const struct sockaddr_un *address)
{
	int left_ms = time_left_ms(client);
	struct timeval timeout = {.tv_sec = left_ms / 1000, .tv_usec = left_ms % 1000 * 1000};

	if (left_ms == 0)
		return STATUS_TIMED_OUT;
	if (left_ms > 0)
		setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
	while (connect(client->fd, (const struct sockaddr *)address, sizeof *address) < 0) {
		if (interrupt_seen())
			return STATUS_INTERRUPTED;
		if (errno == EAGAIN)
			return STATUS_TIMED_OUT;
		if (errno != EINTR)
			return connect_failed(client, errno);
	}
	return STATUS_OK;
}

int client_open(struct client *client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int status;

	assert(client->fd < 0);
	if (strlen(client->path) >= sizeof address.sun_path)
		return client_lost(client, "the path is too long for a socket");
	strcpy(address.sun_path, client->path);
	client->lagged = client->shut_down = false;
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return client_lost(client, strerror(errno));
	status = connect_in_time(client, &address);
	if (status != STATUS_OK)
		client_close(client);
	return status;
}

/* Waits until the socket, if there is one, is ready for `events`, at most limit_ms; -1: no limit.
 * That this time is over is no failure. */
static int wait_for(struct client *client, short events, int limit_ms)
{
	struct pollfd poll_fds[] = {
		{.fd = client->fd, .events = events},
		{.fd = interrupt_fd(), .events = POLLIN},
		{.fd = client->streams ? STDOUT_FILENO : -1, .events = 0},
	};
	int left_ms = time_left_ms(client);
	bool limited = limit_ms >= 0 && (left_ms < 0 || limit_ms < left_ms);
	int ready;

	if (interrupt_seen())
		return STATUS_INTERRUPTED;
	ready = poll(poll_fds, 3, limited ? limit_ms : left_ms);
	if (ready == 0)
		return limited ? STATUS_OK : STATUS_TIMED_OUT;
	if (ready < 0 && errno != EINTR)
		return client_lost(client, strerror(errno));
	if (interrupt_seen())
		return STATUS_INTERRUPTED;
	if (ready > 0 && (poll_fds[2].revents & POLLERR) != 0)
		return STATUS_FAILED;
	return STATUS_OK;
}

int client_pause(struct client *client, int delay_ms)
{
	client_close(client);
	return wait_for(client, 0, delay_ms);
}

static bool would_wait(int error_number)
{
	return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINTR;
}

int client_send(struct client *client, const struct buf *request)
{
	size_t sent = 0;

	client->heard = false;
	while (sent < request->len) {
		ssize_t len = send(client->fd, request->data + sent, request->len - sent,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		int status = STATUS_OK;

		if (len >= 0)
			sent += (size_t)len;
		else if (would_wait(errno))
			status = wait_for(client, POLLOUT, -1);
		else if (errno == EPIPE || errno == ECONNRESET)
			return STATUS_OK; /* reading tells what the daemon said before it closed */
		else
			status = client_lost(client, strerror(errno));
		if (status != STATUS_OK)
			return status;
	}
	return STATUS_OK;
}

/* Receives some bytes behind those that are there. */
static int receive_more(struct client *client)
{
	struct buf *in = &client->in;

	if (client->begin > 0) {
		memmove(in->data, in->data + client->begin, in->len - client->begin);
		in->len -= client->begin;
		client->begin = 0;
	}
	/* Asked here and not only when waiting: a busy stream would never wait. */
	if (time_left_ms(client) == 0)
		return STATUS_TIMED_OUT;
	for (;;) {
		ssize_t len = recv(client->fd, buf_room(in, READ_SIZE), READ_SIZE, MSG_DONTWAIT);
		int status;

		if (len > 0) {
			in->len += (size_t)len;
			return STATUS_OK;
		}
		if (len == 0 || errno == ECONNRESET)
			return client_lost(client, "the connection was closed");
		if (!would_wait(errno))
			return client_lost(client, strerror(errno));
		status = wait_for(client, POLLIN, -1);
		if (status != STATUS_OK)
			return status;
	}
}

static int not_understood(const struct client *client, const char *text, size_t len,
	const char *why)
{
	size_t shown = len < SHOWN_SIZE ? len : SHOWN_SIZE;

	say("imd at %s sent what imctl does not understand: '%.*s%s' (%s)", client->path, (int)shown,
		text, shown < len ? "…" : "", why);
	return STATUS_FAILED;
}

static bool begins_with(const char *text, size_t len, const char *word)
{
	size_t word_len = strlen(word);

	return len >= word_len && memcmp(text, word, word_len) == 0;
}

/* Only a task may have many values, its prerequisites. */
static size_t line_limit(const char *text, size_t len)
{
	return begins_with(text, len, "TASK ") ? LIMIT_TASK_LINE : LIMIT_LINE;
}

static int line_too_long(const struct client *client, size_t limit)
{
	say("imd at %s sent a line of more than %zu bytes, which is the maximum", client->path, limit);
	return STATUS_FAILED;
}

/* Receives until a whole line stands `at` bytes behind the beginning of what is unread. Interrupts are
 * looked at here as well, for while lines keep coming nothing waits. */
static int receive_line(struct client *client, size_t at, size_t *ret_len)
{
	const struct buf *in = &client->in;
	size_t scanned = at;

	for (;;) {
		size_t unread = in->len - client->begin;
		size_t limit = unread > at ? line_limit(in->data + client->begin + at, unread - at) : LIMIT_LINE;
		const char *end;
		int status;

		if (interrupt_seen())
			return STATUS_INTERRUPTED;
		end = scanned >= unread ? NULL :
			memchr(in->data + client->begin + scanned, '\n', unread - scanned);
		if (end != NULL) {
			*ret_len = (size_t)(end - in->data) - client->begin - at;
			return *ret_len > limit ? line_too_long(client, limit) : STATUS_OK;
		}
		if (unread > at + limit)
			return line_too_long(client, limit);
		scanned = unread > at ? unread : at;
		status = receive_more(client);
		if (status != STATUS_OK)
			return status;
	}
}

/* What ends a connection in a word is its end like any other. */
static int look_for_end(struct client *client)
{
	int code;

	if (!client->resumes || client->line.kind != LINE_ERR)
		return STATUS_OK;
	code = err_code_parse(client->line.name);
	client->lagged = code == ERR_LAGGED;
	client->shut_down = code == ERR_SHUTTING_DOWN;
	if (code != ERR_LAGGED && code != ERR_SHUTTING_DOWN)
		return STATUS_OK;
	return client_lost(client, client->line.text[0] != '\0' ? client->line.text : client->line.name);
}

int client_read(struct client *client, const struct line **ret_line)
{
	struct error error;
	const char *text;
	size_t len = 0;
	int status = receive_line(client, 0, &len);

	if (status != STATUS_OK)
		return status;
	text = client->in.data + client->begin;
	client->begin += len + 1;
	client->text = text;
	client->text_len = len > 0 && text[len - 1] == '\r' ? len - 1 : len;
	if (line_parse(&client->line, &client->words, text, len, &error) < 0)
		return not_understood(client, text, len, error.text);
	*ret_line = &client->line;
	status = look_for_end(client);
	client->heard = client->heard || (status == STATUS_OK && client->line.kind != LINE_EVENT);
	return status;
}

bool client_has_line(const struct client *client)
{
	return client->begin < client->in.len && memchr(client->in.data + client->begin, '\n',
		client->in.len - client->begin) != NULL;
}

void client_add_text(const struct client *client, struct buf *buf)
{
	char *text = strndup(client->text, client->text_len);

	if (text != NULL)
		text_add_safe(buf, text);
	free(text);
}

/* Whether the line is a record, as far as its first word tells. */
static bool is_record(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len && text[at] >= 'A' && text[at] <= 'Z')
		at++;
	return at > 0 && at < len && text[at] == ' ' && !begins_with(text, len, "OK ") &&
		!begins_with(text, len, "ERR ") && !begins_with(text, len, "EVENT ");
}

/* A record may be cut short where ERR stands behind it, so the line behind a record is looked at
 * first. Where the connection ends instead, that is found again by whoever reads on. */
static int skip_cut_record(struct client *client)
{
	bool resumes = client->resumes;
	size_t next_len = 0;
	size_t len = 0;
	int status = receive_line(client, 0, &len);

	if (status != STATUS_OK || !is_record(client->in.data + client->begin, len))
		return status;
	client->resumes = true;
	status = receive_line(client, len + 1, &next_len);
	client->resumes = resumes;
	if (status == STATUS_OK &&
	    begins_with(client->in.data + client->begin + len + 1, next_len, "ERR")) {
		client->begin += len + 1;
		client->heard = true;
	}
	return status == STATUS_UNREACHABLE ? STATUS_OK : status;
}

/* The function that takes such lines; NULL if there is none. */
static int (*taker_of(const struct reply_handler *handler, const struct line *line))(void *, const struct line *)
{
	switch (line->kind) {
	case LINE_RECORD:
		return handler->record;
	case LINE_EVENT:
		return handler->event;
	case LINE_METRIC:
		return handler->metric;
	default:
		return NULL;
	}
}

int client_pass_over(const struct client *client, struct passed_over *passed_over)
{
	passed_over->lines++;
	passed_over->bytes += client->text_len;
	if (passed_over->lines <= PASSED_OVER_LINES_MAX && passed_over->bytes <= PASSED_OVER_BYTES_MAX)
		return STATUS_OK;
	say("imd at %s sent more than %d lines or %d MiB that do not belong to the reply", client->path,
		PASSED_OVER_LINES_MAX, PASSED_OVER_BYTES_MAX / MIB);
	return STATUS_FAILED;
}

struct reading {
	size_t records;
	struct passed_over passed_over;
};

static int hand_on(const struct client *client, const struct reply_handler *handler, const struct line *line,
	struct reading *reading)
{
	int (*take)(void *, const struct line *) = taker_of(handler, line);
	bool over = line->kind == LINE_RECORD && handler->records_max > 0 &&
		reading->records == handler->records_max;

	reading->records += line->kind == LINE_RECORD && !over;
	if (take != NULL && !over)
		return take(handler->arg, line);
	return client_pass_over(client, &reading->passed_over);
}

int client_await(struct client *client, const struct reply_handler *handler,
	const struct line **ret_end)
{
	struct reading reading = {.records = 0};

	for (;;) {
		const struct line *line = NULL;
		int status = skip_cut_record(client);

		if (status == STATUS_OK)
			status = client_read(client, &line);
		if (status != STATUS_OK)
			return status;
		if (line->kind == LINE_OK || line->kind == LINE_ERR) {
			*ret_end = line;
			return STATUS_OK;
		}
		status = hand_on(client, handler, line, &reading);
		if (status != STATUS_OK)
			return status;
	}
}

int client_reply(struct client *client, const struct reply_handler *handler,
	const struct line **ret_ok)
{
	int status = client_await(client, handler, ret_ok);

	if (status == STATUS_OK && (*ret_ok)->kind == LINE_ERR)
		return client_refused(*ret_ok);
	return status;
}

int client_status_of(const struct line *line)
{
	switch (err_code_parse(line->name)) {
	case ERR_BAD_ARGUMENT:
	case ERR_LINE_TOO_LONG:
		return STATUS_USAGE;
	case ERR_NOT_FOUND:
		return STATUS_NOT_FOUND;
	case ERR_DENIED:
		return STATUS_DENIED;
	case ERR_SHUTTING_DOWN:
		return STATUS_UNREACHABLE;
	default:
		return STATUS_FAILED;
	}
}

int client_refused(const struct line *line)
{
	if (line->text[0] != '\0')
		say("%s: %s", line->name, line->text);
	else
		say("%s", line->name);
	return client_status_of(line);
}
