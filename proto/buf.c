#include "buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mem.h"

enum { BUF_MIN = 128, U64_DIGITS = 20 };

static const char digit_pairs[] = "00010203040506070809"
				  "10111213141516171819"
				  "20212223242526272829"
				  "30313233343536373839"
				  "40414243444546474849"
				  "50515253545556575859"
				  "60616263646566676869"
				  "70717273747576777879"
				  "80818283848586878889"
				  "90919293949596979899";

void buf_fini(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf)BUF_INIT;
}

void buf_grow(struct buf *buf, size_t more)
{
	size_t capacity = buf->capacity < BUF_MIN ? BUF_MIN : buf->capacity;

	assert(more < SIZE_MAX / 4 && buf->len < SIZE_MAX / 4);
	while (capacity - buf->len < more)
		capacity *= 2;
	buf->data = mem_realloc(buf->data, capacity, 1);
	buf->capacity = capacity;
	mem_prefault(buf->data + buf->len, capacity - buf->len);
}

static unsigned decimal_digits(uint64_t value)
{
	unsigned digits = 1;

	for (uint64_t power = 10; digits < U64_DIGITS && value >= power; power *= 10)
		digits++;
	return digits;
}

/* Writes the digits in place, from its end: a copy costs as much again. */
void buf_add_u64(struct buf *buf, uint64_t value)
{
	unsigned digits = decimal_digits(value);
	char *at = buf_room(buf, digits) + digits;

	buf->len += digits;
	while (value >= 100) {
		at -= 2;
		memcpy(at, digit_pairs + 2 * (value % 100), 2);
		value /= 100;
	}
	if (value >= 10)
		memcpy(at - 2, digit_pairs + 2 * value, 2);
	else
		at[-1] = (char)('0' + value);
}

void buf_addf(struct buf *buf, const char *format, ...)
{
	va_list args;
	char *room = buf_room(buf, BUF_MIN);
	size_t size = buf->capacity - buf->len;
	int len;

	va_start(args, format);
	len = vsnprintf(room, size, format, args);
	va_end(args);
	assert(len >= 0);
	if ((size_t)len >= size) {
		size = (size_t)len + 1;
		room = buf_room(buf, size);
		va_start(args, format);
		len = vsnprintf(room, size, format, args);
		va_end(args);
		assert(len >= 0 && (size_t)len < size);
	}
	buf->len += (size_t)len;
}
