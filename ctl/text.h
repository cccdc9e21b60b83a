/* Text for people: messages, untrusted text made harmless, local time, colour. */
#ifndef IMD_CTL_TEXT_H
#define IMD_CTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

/* Flushes stdout and prints "imctl: …" as one line on stderr, made safe as by text_add_safe. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The length in bytes of the UTF-8 character at the beginning of text, which is NUL-terminated, and its code
 * point; 0 if it is not valid UTF-8. */
size_t utf8_decode(const char *text, uint32_t *ret_point);

/* Whether imctl escapes this code point in everything that it prints: control characters (C0, DEL, C1),
 * zero-width characters and the controls of bidirectional text. */
bool point_is_unsafe(uint32_t point);

/* Appends text; each byte of an unsafe code point, and each byte that is not UTF-8, becomes \xHH. The result
 * does not change if it is made safe again. */
void text_add_safe(struct buf *buf, const char *text);
/* Appends the first max bytes of text, or all of it if it is shorter, in the same way. */
void text_add_safe_part(struct buf *buf, const char *text, size_t max);

/* Whether text is a plain decimal number that fits a signed 64-bit integer. */
bool text_is_number(const char *text, int64_t *ret_value);

/* Local time as 2019/03/11 18:05:45, of a stamp of the protocol; ret_text has room for
 * LOCAL_TIME_SIZE bytes. -1 where the text is not a stamp. */
enum { LOCAL_TIME_SIZE = 32 };
int local_time_of_stamp(const char *stamp, char *ret_text);
/* The same of this moment. */
void local_time_now(char *ret_text);

/* The escape sequence that colours a state ("succeeded"), NULL for one without a colour. */
const char *state_colour(const char *state);
#define COLOUR_END "\033[0m"
/* Whether stdout is to be coloured: it is a terminal, TERM is set and not
 * "dumb", and NO_COLOR is not set. */
bool colour_wanted(void);

#endif
