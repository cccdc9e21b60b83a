/* Record and event lines: KIND key=value…. Writing is for the daemon, reading for clients. */
#ifndef IMD_PROTO_RECORD_H
#define IMD_PROTO_RECORD_H

#include <stdint.h>

#include "buf.h"
#include "id.h"
#include "words.h"

/* Each appends " key=value" to the line; record_open appends the kind, record_close the LF.
 * `key` is a literal that needs no quoting. A NULL or empty string and a time of 0 are left out. */
void record_open(struct buf *buf, const char *kind);
void record_str(struct buf *buf, const char *key, const char *value); /* quoted where it must be */
void record_word(struct buf *buf, const char *key, const char *value); /* known to need no quotes */
void record_u64(struct buf *buf, const char *key, uint64_t value);
void record_id(struct buf *buf, const char *key, const struct id *id);
void record_time(struct buf *buf, const char *key, int64_t time_us);
void record_close(struct buf *buf);

/* A line that came from the daemon. The strings live until the struct words is split again. */
enum line_kind { LINE_RECORD, LINE_EVENT, LINE_OK, LINE_ERR };
struct line {
	enum line_kind kind;
	const char *name;      /* "NODE"; of an event its type; of ERR its code; of OK "OK" */
	uint64_t seq;          /* of an event */
	const char *text;      /* of ERR: the sentence, "" where there is none */
	const struct words *words; /* the rest: use line_get */
};

/* Reads a line without its LF. words is the caller's, to hold what the result points to.
 * The text of an ERR line is free text and is not taken apart. -1 with ERR_BAD_REQUEST where the
 * line is not one of the protocol. */
int line_parse(struct line *ret_line, struct words *words, const char *text, size_t len,
	struct error *error);
/* The value of a key, or NULL. */
const char *line_get(const struct line *line, const char *key);

#endif
