/* A copy of the state: imd sends it, imctl writes it. Nothing of what comes is trusted: each record must begin where
 * the one before it ended, and the file gets its name only when imd has confirmed the whole of it. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "json.h"
#include "new_file.h"
#include "out.h"
#include "proto/base64.h"
#include "request.h"
#include "text.h"

enum {
	OUTPUT_AT_ONCE = 4096,     /* PIPE_BUF: so much never blocks if poll() found room in a pipe */
	PROGRESS_EVERY_MS = 100,
};

struct backup {
	struct ctl *ctl;
	bool to_output;       /* to standard output, and not to the file */
	struct new_file file;
	uint64_t bytes;       /* received and written */
	struct passed_over passed_over;
	bool shows;           /* the progress is shown, */
	int64_t shown_ms;     /* and was at this time */
	const struct line *ok;
};

/* ---- progress ------------------------------------------------------------------------------ */

/* The cursor returns to the beginning of the line, so a message that follows overwrites it. */
static void progress_show(struct backup *backup, bool ended)
{
	int64_t now_ms = client_clock_ms();

	if (!backup->shows || (!ended && now_ms - backup->shown_ms < PROGRESS_EVERY_MS))
		return;
	backup->shown_ms = now_ms;
	fprintf(stderr, "%" PRIu64 " KiB copied%c", backup->bytes / 1024, ended ? '\n' : '\r');
	fflush(stderr);
}

/* ---- output -------------------------------------------------------------------------------- */

/* Waits until standard output takes something. */
static int await_output(const struct backup *backup)
{
	struct pollfd poll_fds[] = {
		{.fd = STDOUT_FILENO, .events = POLLOUT},
		{.fd = interrupt_fd(), .events = POLLIN},
	};
	int64_t deadline_ms = backup->ctl->deadline_ms, left_ms = -1;
	int ready;

	if (deadline_ms != CLIENT_NO_DEADLINE) {
		left_ms = deadline_ms - client_clock_ms();
		if (left_ms <= 0)
			return STATUS_TIMED_OUT;
	}
	ready = poll(poll_fds, 2, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
	if (interrupt_seen())
		return STATUS_INTERRUPTED;
	return ready == 0 ? STATUS_TIMED_OUT : STATUS_OK;
}

static int write_output(const struct backup *backup, const char *data, size_t len)
{
	while (len > 0) {
		int status = await_output(backup);
		ssize_t written;

		if (status != STATUS_OK)
			return status;
		written = write(STDOUT_FILENO, data, len < OUTPUT_AT_ONCE ? len : OUTPUT_AT_ONCE);
		if (written < 0 && errno != EINTR && errno != EAGAIN) {
			say("cannot write to standard output: %s", strerror(errno));
			return STATUS_FAILED;
		}
		if (written > 0) {
			data += written;
			len -= (size_t)written;
		}
	}
	return STATUS_OK;
}

static int write_data(struct backup *backup, const char *data, size_t len)
{
	struct error error;
	int status = STATUS_OK;

	if (backup->to_output) {
		status = write_output(backup, data, len);
	} else if (new_file_write(&backup->file, data, len, &error) < 0) {
		say("%s", error.text);
		status = STATUS_FAILED;
	}
	if (status == STATUS_OK) {
		backup->bytes += len;
		progress_show(backup, false);
	}
	return status;
}

/* ---- the reply ----------------------------------------------------------------------------- */

static int is_wrong(const struct backup *backup, const char *what, const char *value)
{
	say("imd at %s sent a wrong copy: %s%s%.20s after %" PRIu64 " bytes", backup->ctl->client.path, what,
		value != NULL ? "=" : "", value != NULL ? value : "", backup->bytes);
	return STATUS_FAILED;
}

static bool is_number(const char *text, uint64_t expected)
{
	int64_t number;

	return text != NULL && text_is_number(text, &number) && (uint64_t)number == expected;
}

static int take_data(struct backup *backup, const struct line *record)
{
	const char *offset = line_get(record, "offset"), *bytes = line_get(record, "bytes");
	const char *text = line_get(record, "base64");
	char data[LIMIT_DATA];
	size_t text_len = text != NULL ? strlen(text) : 0, len = 0;

	if (!is_number(offset, backup->bytes))
		return is_wrong(backup, "DATA with offset", offset != NULL ? offset : "none");
	if (text_len == 0 || text_len > BASE64_TEXT_LEN(LIMIT_DATA))
		return is_wrong(backup, "DATA without base64, or with too much of it", NULL);
	if (base64_decode(text, text_len, data, &len) < 0)
		return is_wrong(backup, "DATA whose base64 is not valid", NULL);
	if (!is_number(bytes, len))
		return is_wrong(backup, "DATA with bytes", bytes != NULL ? bytes : "none");
	return write_data(backup, data, len);
}

static int take_end(struct backup *backup, const struct line *ok)
{
	const char *bytes = line_get(ok, "bytes");

	if (!is_number(bytes, backup->bytes) || backup->bytes == 0)
		return is_wrong(backup, "OK with bytes", bytes != NULL ? bytes : "none");
	backup->ok = ok;
	return STATUS_OK;
}

/* Reads up to the end of the reply. */
static int receive(struct backup *backup)
{
	for (;;) {
		const struct line *line = NULL;
		int status = client_read(&backup->ctl->client, &line);

		if (status == STATUS_OK && line->kind == LINE_OK)
			return take_end(backup, line);
		if (status == STATUS_OK && line->kind == LINE_ERR)
			return client_refused(line);
		if (status == STATUS_OK && line->kind == LINE_RECORD && strcmp(line->name, "DATA") == 0)
			status = take_data(backup, line);
		else if (status == STATUS_OK)
			status = client_pass_over(&backup->ctl->client, &backup->passed_over);
		if (status != STATUS_OK)
			return status;
	}
}

/* How the connection ends is kept, because a copy of which nothing came may be requested again. */
static int request_once(struct backup *backup)
{
	struct client *client = &backup->ctl->client;
	struct buf request = BUF_INIT;
	int status;

	request_begin(&request, VERB_backup);
	request_end(&request);
	client->resumes = true;
	status = client_send(client, &request);
	if (status == STATUS_OK)
		status = receive(backup);
	client->resumes = false;
	buf_fini(&request);
	return status;
}

static int request_copy(struct backup *backup)
{
	struct client *client = &backup->ctl->client;
	int status = ctl_connect(backup->ctl), tries = 0;

	while (status == STATUS_OK) {
		status = request_once(backup);
		if (status == STATUS_OK)
			break;
		if (status == STATUS_UNREACHABLE && backup->bytes > 0) {
			say("imd at %s did not finish the copy: %s after %" PRIu64 " bytes", client->path, client->why,
				backup->bytes);
			break;
		}
		status = request_again(backup->ctl, VERB_backup, status, &tries);
	}
	return status;
}

/* ---- the command --------------------------------------------------------------------------- */

static int run_to_output(struct backup *backup)
{
	if (backup->ctl->json || backup->ctl->values[CTL_FORCE] != NULL) {
		say("backup to standard output takes no option --%s", backup->ctl->json ? "json" : "force");
		return STATUS_USAGE;
	}
	if (isatty(STDOUT_FILENO)) {
		say("standard output is a terminal; redirect it, or name a file");
		return STATUS_USAGE;
	}
	backup->to_output = true;
	return request_copy(backup);
}

static int run_to_file(struct backup *backup, const char *path)
{
	struct error error;
	int status;

	if (path[0] == '\0') {
		say("backup needs the name of a file, not an empty one");
		return STATUS_USAGE;
	}
	if (new_file_begin(&backup->file, path, backup->ctl->values[CTL_FORCE] != NULL, &error) < 0) {
		say("%s", error.text);
		return STATUS_FAILED;
	}
	status = request_copy(backup);
	if (status == STATUS_OK && interrupt_seen())
		status = STATUS_INTERRUPTED;
	if (status == STATUS_OK && new_file_finish(&backup->file, &error) < 0) {
		say("%s", error.text);
		status = STATUS_FAILED;
	}
	new_file_end(&backup->file);
	return status;
}

int command_backup(struct ctl *ctl)
{
	struct backup backup = {.ctl = ctl, .file = {.directory = -1, .fd = -1}};
	int status;

	interrupt_arm_all();
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of the write */
	snprintf(ctl->afterword, sizeof ctl->afterword, "; no copy was saved");
	backup.shows = !ctl->quiet && isatty(STDERR_FILENO);
	status = strcmp(ctl->args[0], "-") == 0 ? run_to_output(&backup) : run_to_file(&backup, ctl->args[0]);
	if (status == STATUS_OK) {
		progress_show(&backup, true);
		if (ctl->json)
			json_print_line(backup.ok);
	}
	return status;
}
