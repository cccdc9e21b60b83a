/* A growable run of bytes: where lines are put together. The owner of the struct owns the bytes. */
#ifndef IMD_PROTO_BUF_H
#define IMD_PROTO_BUF_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct buf {
	char *data; /* not NUL-terminated; NULL before the first byte */
	size_t len;
	size_t capacity;
};

#define BUF_INIT {NULL, 0, 0}

/* Releases the bytes and empties the buffer, which may then be used again. */
void buf_fini(struct buf *buf);

/* Makes the buffer larger, so that `more` bytes fit behind its end. */
void buf_grow(struct buf *buf, size_t more);

/* Makes room for at least `more` bytes behind the end and returns where they begin; the caller
 * writes there and adds what it wrote to buf->len. */
static inline char *buf_room(struct buf *buf, size_t more)
{
	if (buf->data == NULL || buf->capacity - buf->len < more)
		buf_grow(buf, more);
	return buf->data + buf->len;
}

static inline void buf_add(struct buf *buf, const void *data, size_t len)
{
	if (len == 0)
		return;
	memcpy(buf_room(buf, len), data, len);
	buf->len += len;
}

static inline void buf_add_str(struct buf *buf, const char *text)
{
	buf_add(buf, text, strlen(text));
}

static inline void buf_add_char(struct buf *buf, char c)
{
	*buf_room(buf, 1) = c;
	buf->len++;
}

void buf_add_u64(struct buf *buf, uint64_t value); /* in decimal */
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
