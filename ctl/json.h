/* The lines of the protocol as JSON: numbers as numbers, lists as arrays, yes as true. */
#ifndef IMD_CTL_JSON_H
#define IMD_CTL_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "proto/record.h"

/* The keys of a record, an OK or an event as an object; the caller owns it. */
json_t *json_of_keys(const struct line *line);
/* The same with the kind of line in front: of a record {"type": "node", …}, of an event
 * {"seq": 7, "type": "task-started", …}, {"type": "ok", …}, {"type": "error", "code", "text"}. */
json_t *json_of_line(const struct line *line);

/* A string; bytes of text that are not UTF-8 become U+FFFD. */
json_t *json_text(const char *text);
/* A value as the wire writes it: a number where it is one. */
json_t *json_value(const char *text);

/* Appends it in compact form. */
void json_add(struct buf *buf, const json_t *json);
/* Appends ,"key":value, the value as the wire writes it. */
void json_add_member(struct buf *buf, const char *key, const char *text);
/* Prints it as one line, and releases it. */
void json_print(json_t *json);
/* Prints a text of whole lines as it is; or, where JSON is wanted, an object with this one member. */
void json_print_text(bool json, const char *member, struct buf *text);

#endif
