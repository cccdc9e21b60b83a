#include "json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* Keys whose value is a number wherever they appear. `id` is one of a task, and a UUID elsewhere;
 * the two amounts are numbers unless they are percentages. */
static const char *const number_keys[] = {
	"slot", "version", "revision", "size", "uid", "tasks", "task", "waiting", "running",
	"succeeded", "failed", "cancelled", "attempt", "seq", "max-parallel", "min-available",
	"max-live", "max-surge", "max-unavailable", "cancelled-uid", "marked-uid", "offset", "bytes",
};

static bool is_number_key(const struct line *line, const char *key)
{
	if (strcmp(key, "id") == 0)
		return strcmp(line->name, "TASK") == 0;
	if (strcmp(key, "value") == 0)
		return strcmp(line->name, "STAT") == 0;
	for (size_t i = 0; i < sizeof number_keys / sizeof number_keys[0]; i++) {
		if (strcmp(number_keys[i], key) == 0)
			return true;
	}
	return false;
}

json_t *json_text(const char *text)
{
	struct buf valid = BUF_INIT;
	json_t *json;

	while (*text != '\0') {
		uint32_t point;
		size_t len = utf8_decode(text, &point);

		if (len > 0)
			buf_add(&valid, text, len);
		else
			buf_add_str(&valid, "\xef\xbf\xbd");
		text += len > 0 ? len : 1;
	}
	json = json_stringn(valid.len > 0 ? valid.data : "", valid.len);
	buf_fini(&valid);
	return json;
}

json_t *json_value(const char *text)
{
	int64_t number;

	return text_is_number(text, &number) ? json_integer(number) : json_text(text);
}

/* Writes the list into the object at the end of buf. There may be millions of numbers, and as many json_t
 * would take forty times their memory. */
static void add_prereqs(struct buf *buf, const char *text)
{
	const char *between = "";

	buf->len--; /* the brace that closes it */
	buf_add_str(buf, buf->data[buf->len - 1] == '{' ? "\"prereqs\":[" : ",\"prereqs\":[");
	while (text != NULL && *text >= '0' && *text <= '9') {
		char *end;

		buf_addf(buf, "%s%lld", between, strtoll(text, &end, 10));
		between = ",";
		text = *end == ',' ? end + 1 : end;
	}
	buf_add_str(buf, "]}");
}

static void add_word(json_t *object, const struct line *line, const struct word *word)
{
	json_t *value;

	if (strcmp(word->key, "prereqs") == 0)
		return;
	if (strcmp(word->key, "marked") == 0)
		value = json_boolean(strcmp(word->text, "yes") == 0);
	else if (is_number_key(line, word->key))
		value = json_value(word->text);
	else
		value = json_text(word->text);
	json_object_set_new(object, word->key, value);
}

static void add_keys(json_t *object, const struct line *line)
{
	for (size_t i = 0; i < line->words->count; i++) {
		if (line->words->list[i].key != NULL)
			add_word(object, line, &line->words->list[i]);
	}
}

/* Appends an object with the keys of the line, and releases it. */
static void add_object(struct buf *buf, json_t *object, const struct line *line)
{
	json_add(buf, object);
	json_decref(object);
	if (strcmp(line->name, "TASK") == 0)
		add_prereqs(buf, line_get(line, "prereqs"));
}

void json_add_keys(struct buf *buf, const struct line *line)
{
	json_t *object = json_object();

	add_keys(object, line);
	add_object(buf, object, line);
}

static void print_line(struct buf *line)
{
	buf_add_char(line, '\n');
	fwrite(line->data, 1, line->len, stdout);
	buf_fini(line);
}

void json_print_keys(const struct line *line)
{
	struct buf text = BUF_INIT;

	json_add_keys(&text, line);
	print_line(&text);
}

static json_t *json_of_error(const struct line *line)
{
	json_t *object = json_object();

	json_object_set_new(object, "type", json_text("error"));
	json_object_set_new(object, "code", json_text(line->name));
	json_object_set_new(object, "text", json_text(line->text));
	return object;
}

static json_t *json_of_line(const struct line *line)
{
	json_t *object = json_object();
	char type[64];
	size_t len = 0;

	if (line->kind == LINE_EVENT)
		json_object_set_new(object, "seq", json_integer((json_int_t)line->seq));
	for (; line->name[len] != '\0' && len + 1 < sizeof type; len++)
		type[len] = (char)tolower((unsigned char)line->name[len]);
	type[len] = '\0';
	json_object_set_new(object, "type", json_text(type));
	if (line->kind == LINE_METRIC)
		json_object_set_new(object, "text", json_text(line->text));
	add_keys(object, line);
	return object;
}

void json_print_line(const struct line *line)
{
	struct buf text = BUF_INIT;

	if (line->kind == LINE_ERR) {
		json_print(json_of_error(line));
		return;
	}
	add_object(&text, json_of_line(line), line);
	print_line(&text);
}

static int add_chunk(const char *data, size_t len, void *arg)
{
	buf_add(arg, data, len);
	return 0;
}

/* Appends JSON with its unsafe characters as \uXXXX. jansson has escaped those below U+0020, and others are
 * in strings only. */
static void add_escaped(struct buf *buf, const char *json)
{
	const char *plain = json, *at = json;

	while (*at != '\0') {
		uint32_t point = 0;
		size_t len;

		if (*at >= ' ' && *at <= '~') { /* almost everything */
			at++;
			continue;
		}
		len = utf8_decode(at, &point);
		if (len > 0 && point_is_unsafe(point)) {
			buf_add(buf, plain, (size_t)(at - plain));
			buf_addf(buf, "\\u%04x", (unsigned)point);
			plain = at + len;
		}
		at += len > 0 ? len : 1;
	}
	buf_add(buf, plain, (size_t)(at - plain));
}

void json_add(struct buf *buf, const json_t *json)
{
	struct buf text = BUF_INIT;

	if (json == NULL) {
		buf_add_str(buf, "null");
		return;
	}
	json_dump_callback(json, add_chunk, &text, JSON_COMPACT | JSON_ENCODE_ANY);
	buf_add_char(&text, '\0');
	add_escaped(buf, text.data);
	buf_fini(&text);
}

void json_add_part(struct buf *buf, const char *text)
{
	struct buf string = BUF_INIT;
	json_t *value = json_text(text);

	json_add(&string, value);
	json_decref(value);
	if (string.len > 2)
		buf_add(buf, string.data + 1, string.len - 2);
	buf_fini(&string);
}

void json_add_member(struct buf *buf, const char *key, const char *text)
{
	json_t *value = json_value(text);

	buf_addf(buf, ",\"%s\":", key);
	json_add(buf, value);
	json_decref(value);
}

void json_print(json_t *json)
{
	struct buf line = BUF_INIT;

	json_add(&line, json);
	print_line(&line);
	json_decref(json);
}

void json_print_text(bool json, const char *member, struct buf *text)
{
	json_t *object;

	if (!json) {
		fwrite(text->data, 1, text->len, stdout);
		return;
	}
	buf_add_char(text, '\0');
	object = json_object();
	json_object_set_new(object, member, json_text(text->data));
	json_print(object);
}
