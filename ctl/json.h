/* The lines of the protocol as JSON: numbers as numbers, lists as arrays, yes as true. */
#ifndef IMD_CTL_JSON_H
#define IMD_CTL_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "proto/record.h"

/* Appends the keys of a record, an OK or an event as an object. */
void json_add_keys(struct buf *buf, const struct line *line);
/* Prints that as one line. */
void json_print_keys(const struct line *line);
/* Prints the same as one line with the kind of line in front: of a record {"type": "node", …}, of an event
 * {"seq": 7, "type": "task-started", …}, {"type": "ok", …}, {"type": "error", "code", "text"}. */
void json_print_line(const struct line *line);

/* A string; bytes of text that are not UTF-8 become U+FFFD. */
json_t *json_text(const char *text);
/* A value as the wire writes it: a number where it is one. */
json_t *json_value(const char *text);

/* Appends it in compact form; what text.h calls unsafe is escaped. All JSON that imctl makes of what it received
 * comes from here. */
void json_add(struct buf *buf, const json_t *json);
/* Appends what stands between the quotes of a string; it may be one of several parts of that. */
void json_add_part(struct buf *buf, const char *text);
/* Appends ,"key":value, the value as the wire writes it. */
void json_add_member(struct buf *buf, const char *key, const char *text);
/* Prints it as one line, and releases it. */
void json_print(json_t *json);
/* Prints a text of whole lines as it is; or, where JSON is wanted, an object with this one member. */
void json_print_text(bool json, const char *member, struct buf *text);

#endif
