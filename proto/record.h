/* Record and event lines: KIND key=value…. Writing is for the daemon, reading for clients. */
#ifndef IMD_PROTO_RECORD_H
#define IMD_PROTO_RECORD_H

#include <stdint.h>

#include "buf.h"
#include "id.h"
#include "stamp.h"
#include "words.h"

/* Each appends " key=value" to the line; record_open appends the kind, record_close the LF.
 * `key` is a literal that needs no quoting; it is written inline, so that its length is known when
 * this is compiled. A NULL or empty string and a time of 0 are left out. */
static inline void record_open(struct buf *buf, const char *kind)
{
	buf_add_str(buf, kind);
}

/* Appends " key=" and returns where its value of at most `room` bytes is to be written. */
static inline char *record_key(struct buf *buf, const char *key, size_t room)
{
	size_t len = strlen(key);
	char *at = buf_room(buf, len + 2 + room);

	at[0] = ' ';
	memcpy(at + 1, key, len);
	at[len + 1] = '=';
	buf->len += len + 2;
	return at + len + 2;
}

/* Quoted where it must be. */
static inline void record_str(struct buf *buf, const char *key, const char *value)
{
	if (value == NULL || value[0] == '\0')
		return;
	record_key(buf, key, 0);
	word_write(buf, value, strlen(value));
}

/* Known to need no quotes. */
static inline void record_word(struct buf *buf, const char *key, const char *value)
{
	size_t len;

	if (value == NULL || value[0] == '\0')
		return;
	len = strlen(value);
	memcpy(record_key(buf, key, len), value, len);
	buf->len += len;
}

static inline void record_u64(struct buf *buf, const char *key, uint64_t value)
{
	record_key(buf, key, 20);
	buf_add_u64(buf, value);
}

static inline void record_id(struct buf *buf, const char *key, const struct id *id)
{
	id_format(id, record_key(buf, key, ID_TEXT_LEN));
	buf->len += ID_TEXT_LEN;
}

static inline void record_time(struct buf *buf, const char *key, int64_t time_us)
{
	if (time_us == 0)
		return;
	stamp_format(time_us, record_key(buf, key, STAMP_TEXT_LEN));
	buf->len += STAMP_TEXT_LEN;
}

static inline void record_close(struct buf *buf)
{
	buf_add_char(buf, '\n');
}

/* A line that came from the daemon. The strings live until the struct words is split again. */
enum line_kind { LINE_RECORD, LINE_EVENT, LINE_OK, LINE_ERR, LINE_METRIC };
struct line {
	enum line_kind kind;
	const char *name;      /* "NODE"; of an event its type; of ERR its code; of OK "OK"; "METRIC" */
	uint64_t seq;          /* of an event */
	const char *text;      /* of ERR: the sentence, "" where there is none; of METRIC: the line */
	const struct words *words; /* the rest: use line_get */
};

/* Reads a line without its LF. words is the caller's, to hold what the result points to.
 * The text of an ERR line is free text and is not taken apart, nor is a line of metrics. -1 with
 * ERR_BAD_REQUEST where the line is not one of the protocol. */
int line_parse(struct line *ret_line, struct words *words, const char *text, size_t len,
	struct error *error);
/* The value of a key, or NULL. */
const char *line_get(const struct line *line, const char *key);

#endif
