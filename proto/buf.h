/* A growable run of bytes: where lines are put together. The owner of the struct owns the bytes. */
#ifndef IMD_PROTO_BUF_H
#define IMD_PROTO_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data; /* not NUL-terminated; NULL before the first byte */
	size_t len;
	size_t capacity;
};

#define BUF_INIT {NULL, 0, 0}

/* Releases the bytes and empties the buffer, which may then be used again. */
void buf_fini(struct buf *buf);

/* Makes room for at least `more` bytes behind the end and returns where they begin; the caller
 * writes there and adds what it wrote to buf->len. */
char *buf_room(struct buf *buf, size_t more);

void buf_add(struct buf *buf, const void *data, size_t len);
void buf_add_str(struct buf *buf, const char *text);
void buf_add_u64(struct buf *buf, uint64_t value); /* in decimal */
void buf_add_char(struct buf *buf, char c);
void buf_addf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
