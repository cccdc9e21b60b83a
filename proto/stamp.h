/* Points in time on the wire: microseconds since the epoch, UTC, as 2026-11-22T08:35:12.227842Z. */
#ifndef IMD_PROTO_STAMP_H
#define IMD_PROTO_STAMP_H

#include <stddef.h>
#include <stdint.h>

enum { STAMP_TEXT_LEN = 27 };

/* Writes the 27 characters, no NUL. The date and time of the last second is remembered, so a run
 * of stamps costs little. */
void stamp_format(int64_t time_us, char *ret_text);
/* 0, or -1 where the text is not a stamp. */
int stamp_parse(const char *text, size_t len, int64_t *ret_us);

#endif
