#include "log.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"
#include "proto/buf.h"
#include "proto/words.h"

static enum log_level log_level = LEVEL_INFO;
static bool log_to_journal;
static int line_fd = STDERR_FILENO; /* where lines go */
static struct buf line_rest;        /* of a line that was taken in part */
static uint64_t lost;               /* events that nobody has taken, and that it was not told of */

static const char *const level_names[] = {
	[LEVEL_ERR] = "err",
	[LEVEL_WARNING] = "warning",
	[LEVEL_NOTICE] = "notice",
	[LEVEL_INFO] = "info",
	[LEVEL_DEBUG] = "debug",
};

/* What contrib/systemd/imd.catalog explains. The numbers are random, and stay what they are. */
static const struct {
	const char *event;
	const char *id;
} message_ids[] = {
	{"ready", "4ed3c9087ee349848809e2465c4abf4d"},
	{"cannot-start", "666d6f0f71c5409eb9deb36176d123c0"},
	{"reloaded", "99bd5cb5eb0342e6b8b5f4e60b88ee9e"},
	{"reload-failed", "396b5e4762894bd68e3e7657ffacb077"},
	{"needs-restart", "1b70ff9eaa8142f7b956c170d35320f5"},
	{"stopping", "3da93d1a418b40238a2c7faec951620f"},
	{"log-lost", "77453850f32d4bfaa5515ffff5ae2335"},
	{"storage-failed", "29dba85e185f4e3b967a0a527f2b83f3"},
	{"storage-works", "a24ebc7af0124815ad4e1f83cfde195b"},
	{"graph-started", "61d2a2dfc9334e068583bb7c35bb2a38"},
	{"graph-succeeded", "69c4a3038c0a41358f5e3fdf37fe1840"},
	{"graph-failed", "2d890c87b61e43a8aec8ca19e1ff48b7"},
	{"graph-superseded", "8fe3cb58babe40358a9045cbc908dca6"},
	{"graph-cancelled", "e2381a3c96ba455b801405ecc6926c92"},
	{"group-unknown", "086baa61e184443e8b81f1eff0d81b40"},
	{"node-died", "c9dd275b51e7477bb2b59521d2cf20f3"},
	{"node-replaced", "c5970e6d311147b2bc0557121c9bbe6f"},
	{"node-marked", "065136899e2e4bdfbf1164d3df763e96"},
	{"node-unmarked", "0af6c3c0e0274effba7a8760f109bed3"},
	{"request-denied", "5b0767aa3d1d47939a2b20f423e53cb4"},
	{"backup-started", "7d2f62f077c242778790f933972a27ba"},
	{"backup-succeeded", "f63cb0a8db514c2894c351be8d7aec0d"},
	{"backup-failed", "1bfd6b88fc024c33922d6e46b5a869fc"},
};

/* Whoever connects stderr to the journal tells the device and the number of that connection, so that the
 * variable means nothing to one whose stderr goes elsewhere. */
static bool is_journal(const struct stat *found)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;

	return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
		device == found->st_dev && inode == found->st_ino;
}

/* A pipe or a terminal may be shared with others, who must not find it non-blocking all at once. So it is opened
 * once more, where that is allowed. */
static int open_stderr(const struct stat *found)
{
	int fd = -1;

	if (S_ISFIFO(found->st_mode) || S_ISCHR(found->st_mode))
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd >= 0 ? fd : STDERR_FILENO;
}

bool log_open(void)
{
	struct stat found = {0};

	if (line_fd != STDERR_FILENO)
		close(line_fd);
	fstat(STDERR_FILENO, &found);
	line_fd = open_stderr(&found);
	log_to_journal = is_journal(&found) && journal_open(JOURNAL_SOCKET) == 0;
	return log_to_journal;
}

void log_set_level(enum log_level level)
{
	log_level = level;
}

int log_level_parse(const char *word)
{
	for (int level = LEVEL_ERR; level <= LEVEL_DEBUG; level++) {
		if (strcmp(level_names[level], word) == 0)
			return level;
	}
	return -1;
}

static void field_write(struct buf *line, const struct log_field *field)
{
	if (field->type == LOG_TEXT && field->text == NULL)
		return;
	buf_add_char(line, ' ');
	buf_add_str(line, field->key);
	buf_add_char(line, '=');
	if (field->type == LOG_TEXT)
		word_write(line, field->text, strlen(field->text));
	else
		buf_add_u64(line, field->number);
}

static void line_write(struct buf *line, const char *event, const struct log_field *fields)
{
	buf_add_str(line, event);
	for (const struct log_field *field = fields; field->type != LOG_END; field++)
		field_write(line, field);
}

/* ---- the journal --------------------------------------------------------------------------- */

static const char *message_id(const char *event)
{
	for (size_t i = 0; i < sizeof message_ids / sizeof message_ids[0]; i++) {
		if (strcmp(message_ids[i].event, event) == 0)
			return message_ids[i].id;
	}
	return NULL;
}

/* A field of an event is IMD_KEY. */
static void journal_event_field(struct buf *entry, const struct log_field *field)
{
	char key[64] = "IMD_", digits[24];
	size_t len = strlen(key);
	const char *value = field->text;

	assert(len + strlen(field->key) < sizeof key);
	for (const char *c = field->key; *c != '\0'; c++)
		key[len++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
	if (field->type == LOG_NUMBER) {
		snprintf(digits, sizeof digits, "%" PRIu64, field->number);
		value = digits;
	}
	if (value != NULL)
		journal_field(entry, key, value, strlen(value));
}

static int entry_send(enum log_level level, const char *event, const struct log_field *fields)
{
	struct buf entry = BUF_INIT, line = BUF_INIT;
	const char *id = message_id(event);
	const char priority = (char)('0' + level);
	int sent;

	line_write(&line, event, fields);
	journal_field(&entry, "MESSAGE", line.data, line.len);
	journal_field(&entry, "PRIORITY", &priority, 1);
	journal_field(&entry, "SYSLOG_IDENTIFIER", "imd", strlen("imd"));
	if (id != NULL)
		journal_field(&entry, "MESSAGE_ID", id, strlen(id));
	for (const struct log_field *field = fields; field->type != LOG_END; field++)
		journal_event_field(&entry, field);
	sent = journal_send(&entry);
	buf_fini(&line);
	buf_fini(&entry);
	return sent;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* What stderr takes of a text without a wait, -1 for nothing. Where it could not be opened once more, poll
 * says that a pipe has room for PIPE_BUF bytes, which only another writer could take away in between; a
 * terminal may have less. */
static ssize_t stderr_write(const char *text, size_t len)
{
	struct pollfd room = {.fd = line_fd, .events = POLLOUT};
	ssize_t written = send(line_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (written >= 0 || errno != ENOTSOCK)
		return written;
	if (line_fd == STDERR_FILENO) {
		if (poll(&room, 1, 0) <= 0 || (room.revents & POLLOUT) == 0)
			return -1;
		if (len > PIPE_BUF)
			len = PIPE_BUF;
	}
	return write(line_fd, text, len);
}

/* How much of a text stderr takes now. A signal may come in between. */
static size_t stderr_take(const char *text, size_t len)
{
	size_t taken = 0;

	while (taken < len) {
		ssize_t written = stderr_write(text + taken, len - taken);

		if (written > 0)
			taken += (size_t)written;
		else if (written == 0 || errno != EINTR)
			break;
	}
	return taken;
}

/* A line that was begun is ended before the next one, so that a line is there whole or not at all. */
static int stderr_line(const struct buf *line)
{
	size_t taken = stderr_take(line_rest.data, line_rest.len);

	if (taken < line_rest.len) {
		memmove(line_rest.data, line_rest.data + taken, line_rest.len - taken);
		line_rest.len -= taken;
		return -1;
	}
	buf_fini(&line_rest);
	taken = stderr_take(line->data, line->len);
	if (taken == 0)
		return -1;
	buf_add(&line_rest, line->data + taken, line->len - taken);
	return 0;
}

static int line_send(enum log_level level, const char *event, const struct log_field *fields)
{
	struct buf line = BUF_INIT;
	int sent;

	buf_addf(&line, "<%d>", (int)level);
	line_write(&line, event, fields);
	buf_add_char(&line, '\n');
	sent = stderr_line(&line);
	buf_fini(&line);
	return sent;
}

/* ---- events -------------------------------------------------------------------------------- */

/* A journal that is not there may still have stderr in its hands. One that is only behind has not lost what is
 * in its queue, and a line on stderr would come before that. */
static int event_send(enum log_level level, const char *event, const struct log_field *fields)
{
	int sent = log_to_journal ? entry_send(level, event, fields) : -ENOENT;

	if (sent == 0 || sent == -EAGAIN)
		return sent;
	return line_send(level, event, fields);
}

/* Whatever the level: what is lost was within it. */
static int tell_lost(void)
{
	const struct log_field fields[] = {LOG_U64("lines", lost), {0}};

	if (lost > 0 && event_send(LEVEL_WARNING, "log-lost", fields) < 0)
		return -1;
	lost = 0;
	return 0;
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	if (level <= log_level && (tell_lost() < 0 || event_send(level, event, fields) < 0))
		lost++;
}
