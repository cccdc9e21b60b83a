/* The connection to the daemon: requests out, lines in, in blocking calls with a deadline. */
#ifndef IMD_CTL_CLIENT_H
#define IMD_CTL_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/record.h"

#define CLIENT_NO_DEADLINE INT64_MAX

struct client {
	const char *path;    /* of the socket; the caller's */
	int64_t deadline_ms; /* on the monotonic clock */
	int fd;              /* -1: not connected */
	struct buf in;       /* what was received; the lines before `begin` are done with */
	size_t begin;
	const char *text;    /* the line that was read last, as it came */
	size_t text_len;
	struct words words;  /* behind the line that was read last */
	struct line line;
	bool streams;        /* also end when the reader of stdout is gone */
	bool resumes;        /* who uses it connects again: how a connection ended is kept, not said */
	bool heard;          /* something of the reply to what was sent last, whose end is not the connection's */
	bool lagged;         /* it ended with ERR lagged, */
	bool shut_down;      /* or with ERR shutting-down: what has no reply was not begun */
	char why[128];       /* else how it ended, or why there is none */
};

/* The functions below return 0 or an exit status; the message has been printed then, but for
 * STATUS_INTERRUPTED and STATUS_TIMED_OUT, which main() prints, and for STATUS_UNREACHABLE where
 * `resumes` is set. ERR shutting-down and ERR lagged are ends of the connection then as well. */

/* Ready for client_open. path must outlive the client. */
void client_init(struct client *client, const char *path, int64_t deadline_ms);
/* Closes the connection and releases everything; client_open may follow. */
void client_close(struct client *client);

int client_open(struct client *client);

/* Notes, or says, why imd cannot be reached. STATUS_UNREACHABLE. */
int client_lost(struct client *client, const char *why);
/* Says how the connection ended, where `resumes` had it kept. STATUS_UNREACHABLE. */
int client_say_lost(const struct client *client);
/* Lets this time pass, but for what ends every wait. */
int client_pause(struct client *client, int delay_ms);

/* Sends the bytes: whole lines. */
int client_send(struct client *client, const struct buf *request);

/* Reads one line. It lives until the next one is read. */
int client_read(struct client *client, const struct line **ret_line);
/* Whether client_read would return a line without waiting. */
bool client_has_line(const struct client *client);
/* Appends the text of the line that was read last, made harmless. */
void client_add_text(const struct client *client, struct buf *buf);

/* Lines that do not belong to a reply, and their bytes without line ends. */
struct passed_over {
	unsigned lines;
	size_t bytes;
};

/* Counts the line that was read last as one of these, for a later version of imd may send such lines. Beyond a
 * maximum of lines or of bytes the reading ends: the message is printed, and STATUS_FAILED returned. */
int client_pass_over(const struct client *client, struct passed_over *passed_over);

/* What is to be done with the lines before the end of a reply: each returns STATUS_OK, or an exit status that
 * ends the reading, its message printed. Each may be NULL. Of lines that nobody takes, and of records beyond
 * the maximum, a few are passed over, see client_pass_over. Events of a watch may come in front of a reply,
 * never within one. */
struct reply_handler {
	int (*record)(void *arg, const struct line *line);
	int (*event)(void *arg, const struct line *line);
	int (*metric)(void *arg, const struct line *line);
	void *arg;
	size_t records_max; /* that the reply may have; 0: any number */
};

/* Reads up to the line that ends the reply, OK or ERR. The last record before ERR, which may be
 * cut short, is left out. */
int client_await(struct client *client, const struct reply_handler *handler,
	const struct line **ret_end);
/* The same, but ERR is printed and becomes an exit status. */
int client_reply(struct client *client, const struct reply_handler *handler,
	const struct line **ret_ok);

/* The exit status that an ERR line stands for. */
int client_status_of(const struct line *line);
/* Prints an ERR line as the daemon said it and returns the exit status that it stands for. */
int client_refused(const struct line *line);

/* Milliseconds of the monotonic clock. */
int64_t client_clock_ms(void);

#endif
