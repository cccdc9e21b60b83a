#include "log.h"

#include <string.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/words.h"

static enum log_level log_level = LEVEL_INFO;

static const char *const level_names[] = {
	[LEVEL_ERR] = "err",
	[LEVEL_WARNING] = "warning",
	[LEVEL_NOTICE] = "notice",
	[LEVEL_INFO] = "info",
	[LEVEL_DEBUG] = "debug",
};

void log_set_level(enum log_level level)
{
	log_level = level;
}

int log_level_parse(const char *word)
{
	for (int level = LEVEL_ERR; level <= LEVEL_DEBUG; level++) {
		if (strcmp(level_names[level], word) == 0)
			return level;
	}
	return -1;
}

static void field_write(struct buf *line, const struct log_field *field)
{
	if (field->type == LOG_TEXT && field->text == NULL)
		return;
	buf_add_char(line, ' ');
	buf_add_str(line, field->key);
	buf_add_char(line, '=');
	if (field->type == LOG_TEXT)
		word_write(line, field->text, strlen(field->text));
	else
		buf_add_u64(line, field->number);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	if (level > log_level)
		return;
	struct buf line = BUF_INIT;
	buf_addf(&line, "<%d>%s", (int)level, event);
	for (const struct log_field *field = fields; field->type != LOG_END; field++)
		field_write(&line, field);
	buf_add_char(&line, '\n');
	/* One write a line, so that lines of several writers do not mix. Where stderr takes nothing
	 * there is nobody to be told. */
	ssize_t written = write(STDERR_FILENO, line.data, line.len);
	(void)written;
	buf_fini(&line);
}
