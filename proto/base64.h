/* Base64 as in RFC 4648, section 4: padded, without line breaks. None of the libraries that the project links
 * offers it, and glibc's b64_pton is undocumented and skips blanks. */
#ifndef IMD_PROTO_BASE64_H
#define IMD_PROTO_BASE64_H

#include <stddef.h>

/* The length of the text for so many bytes, and the room that the bytes of such a text need at most. */
#define BASE64_TEXT_LEN(bytes) (((bytes) + 2) / 3 * 4)
#define BASE64_DATA_MAX(text_len) ((text_len) / 4 * 3)

/* Writes BASE64_TEXT_LEN(len) characters, without a NUL. */
void base64_encode(const void *data, size_t len, char *ret_text);

/* Writes at most BASE64_DATA_MAX(len) bytes. -1 unless the text is what base64_encode makes of them: no other
 * characters, whole groups of four, padding at the end alone, and no bits set that are not used. */
int base64_decode(const char *text, size_t len, void *ret_data, size_t *ret_len);

#endif
