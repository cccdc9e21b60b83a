/* Text for people: messages, untrusted text made harmless, local time, colour. */
#ifndef IMD_CTL_TEXT_H
#define IMD_CTL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

/* Flushes stdout and prints "imctl: …" as one line on stderr; control characters are shown as
 * \xHH. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The length of the UTF-8 character that text (NUL-terminated) begins with; 0 where it is none. */
size_t utf8_length(const char *text);

/* Appends text with control characters (C1 too) and bytes that are not UTF-8 written as \xHH. */
void text_add_safe(struct buf *buf, const char *text);

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
