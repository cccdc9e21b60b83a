#include "request.h"

#include <stdio.h>
#include <string.h>

#include "text.h"

void request_begin(struct buf *buf, enum verb verb)
{
	buf_add_str(buf, verb_row(verb)->name);
}

/* What looks like key=value is an option to the daemon unless it stands in quotes, and word_write
 * puts only those words in quotes that could not be read back. */
static void add_quoted(struct buf *buf, const char *text)
{
	buf_add_char(buf, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_char(buf, '\\');
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			buf_addf(buf, "\\x%02x", (unsigned)(unsigned char)*text);
		else
			buf_add_char(buf, *text);
	}
	buf_add_char(buf, '"');
}

void request_arg(struct buf *buf, const char *text)
{
	buf_add_char(buf, ' ');
	if (strchr(text, '=') != NULL)
		add_quoted(buf, text);
	else
		word_write(buf, text, strlen(text));
}

void request_option(struct buf *buf, const char *key, const char *value)
{
	buf_addf(buf, " %s=", key);
	word_write(buf, value, strlen(value));
}

void request_end(struct buf *buf)
{
	buf_add_char(buf, '\n');
}

void request_add(struct buf *buf, const struct ctl *ctl, enum verb verb)
{
	request_begin(buf, verb);
	for (size_t i = 0; i < ctl->arg_count; i++)
		request_arg(buf, ctl->args[i]);
	for (unsigned option = 0; option < VERB_OPTION_COUNT; option++) {
		struct ctl_option_row row = ctl_option_row(option);
		const char *value = ctl->values[option];

		if (value != NULL && (verb_row(verb)->options & OPT(option)) != 0)
			request_option(buf, row.key, row.value != NULL ? value : "yes");
	}
	if (ctl->quiet && (verb_row(verb)->options & OPT(OPT_QUIET)) != 0)
		request_option(buf, verb_option_row(OPT_QUIET)->key, "yes");
	if (ctl->values[CTL_NO] != NULL && (verb_row(verb)->options & OPT(OPT_MARK)) != 0)
		request_option(buf, verb_option_row(OPT_MARK)->key, "no");
}

/* How the connection ends is kept, for that may be no reason to say anything. */
static int ask(struct ctl *ctl, const struct buf *request, const struct reply_handler *handler,
	const struct line **ret_ok)
{
	int status;

	ctl->client.resumes = true;
	status = client_send(&ctl->client, request);
	if (status == STATUS_OK)
		status = client_reply(&ctl->client, handler, ret_ok);
	ctl->client.resumes = false;
	return status;
}

/* Nothing was begun of a request where the daemon said that it ends, in place of any reply. */
static bool not_begun(const struct client *client)
{
	return client->shut_down && !client->heard;
}

int request_again(struct ctl *ctl, enum verb verb, int status, int *tries)
{
	struct client *client = &ctl->client;
	bool changes = (verb_row(verb)->flags & VERB_CHANGES) != 0;

	if (status != STATUS_UNREACHABLE)
		return status;
	if (changes && !not_begun(client)) {
		say("imd did not answer; it is unknown whether it did what was asked: %s", client->why);
		return STATUS_FAILED;
	}
	if (client->heard || ++*tries == REQUEST_TRIES)
		return client_say_lost(client);
	client_close(client);
	return client_open(client);
}

int request_run(struct ctl *ctl, enum verb verb, const struct reply_handler *handler,
	const struct line **ret_ok)
{
	struct buf request = BUF_INIT;
	int status = ctl_connect(ctl);
	int tries = 0;

	request_add(&request, ctl, verb);
	request_end(&request);
	while (status == STATUS_OK) {
		status = ask(ctl, &request, handler, ret_ok);
		if (status == STATUS_OK)
			break;
		status = request_again(ctl, verb, status, &tries);
	}
	buf_fini(&request);
	return status;
}

int request_update(struct ctl *ctl, const struct reply_handler *handler, const struct line **ret_ok,
	bool *ret_unknown)
{
	struct buf request = BUF_INIT;
	int status;

	*ret_unknown = false;
	request_add(&request, ctl, VERB_update);
	request_end(&request);
	snprintf(ctl->afterword, sizeof ctl->afterword, "; imd may have taken the update all the same");
	status = ask(ctl, &request, handler, ret_ok);
	buf_fini(&request);
	if (status != STATUS_UNREACHABLE)
		return status;
	if (not_begun(&ctl->client)) {
		ctl->afterword[0] = '\0';
		return STATUS_UNREACHABLE;
	}
	say("imd did not answer; it is unknown whether it took the update: %s", ctl->client.why);
	*ret_unknown = true;
	return STATUS_FAILED;
}
