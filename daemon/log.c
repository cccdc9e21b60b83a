#include "log.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* It is not known here where in the sources an event comes from. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "proto/buf.h"
#include "proto/words.h"

enum {
	FIELDS_MAX = 24, /* of an event */
	OWN_FIELDS = 4,  /* of an entry in the journal, besides */
};

static enum log_level log_level = LEVEL_INFO;
static bool log_to_journal;

static const char *const level_names[] = {
	[LEVEL_ERR] = "err",
	[LEVEL_WARNING] = "warning",
	[LEVEL_NOTICE] = "notice",
	[LEVEL_INFO] = "info",
	[LEVEL_DEBUG] = "debug",
};

/* What contrib/systemd/imd.catalog explains. The numbers are random, and stay what they are. */
static const struct {
	const char *event;
	const char *id;
} message_ids[] = {
	{"ready", "4ed3c9087ee349848809e2465c4abf4d"},
	{"stopping", "3da93d1a418b40238a2c7faec951620f"},
	{"storage-failed", "29dba85e185f4e3b967a0a527f2b83f3"},
	{"storage-works", "a24ebc7af0124815ad4e1f83cfde195b"},
	{"graph-started", "61d2a2dfc9334e068583bb7c35bb2a38"},
	{"graph-succeeded", "69c4a3038c0a41358f5e3fdf37fe1840"},
	{"graph-failed", "2d890c87b61e43a8aec8ca19e1ff48b7"},
	{"graph-superseded", "8fe3cb58babe40358a9045cbc908dca6"},
	{"graph-cancelled", "e2381a3c96ba455b801405ecc6926c92"},
	{"node-died", "c9dd275b51e7477bb2b59521d2cf20f3"},
	{"node-replaced", "c5970e6d311147b2bc0557121c9bbe6f"},
};

/* Whoever connects stderr to the journal tells the device and the number of that connection, so that the
 * variable means nothing to one whose stderr goes elsewhere. */
void log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat found;

	log_to_journal = stream != NULL && fstat(STDERR_FILENO, &found) == 0 &&
		sscanf(stream, "%ju:%ju", &device, &inode) == 2 && device == found.st_dev &&
		inode == found.st_ino;
}

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

static void line_write(struct buf *line, const char *event, const struct log_field *fields)
{
	buf_add_str(line, event);
	for (const struct log_field *field = fields; field->type != LOG_END; field++)
		field_write(line, field);
}

/* ---- the journal --------------------------------------------------------------------------- */

static const char *message_id(const char *event)
{
	for (size_t i = 0; i < sizeof message_ids / sizeof message_ids[0]; i++) {
		if (strcmp(message_ids[i].event, event) == 0)
			return message_ids[i].id;
	}
	return NULL;
}

/* IMD_KEY=value, for the journal as it is. */
static void journal_field_write(struct buf *entry, const struct log_field *field)
{
	buf_add_str(entry, "IMD_");
	for (const char *c = field->key; *c != '\0'; c++)
		buf_add_char(entry, *c == '-' ? '_' : (char)toupper((unsigned char)*c));
	buf_add_char(entry, '=');
	if (field->type == LOG_TEXT)
		buf_add_str(entry, field->text);
	else
		buf_add_u64(entry, field->number);
}

/* An entry that fills: its fields, one behind the other, and where each of them ends. */
struct entry {
	struct buf text;
	size_t ends[FIELDS_MAX + OWN_FIELDS];
	int count;
};

static void entry_end_field(struct entry *entry)
{
	entry->ends[entry->count++] = entry->text.len;
}

static void entry_write(struct entry *entry, enum log_level level, const char *event,
	const struct log_field *fields)
{
	const char *id = message_id(event);

	buf_add_str(&entry->text, "MESSAGE=");
	line_write(&entry->text, event, fields);
	entry_end_field(entry);
	buf_addf(&entry->text, "PRIORITY=%d", (int)level);
	entry_end_field(entry);
	buf_add_str(&entry->text, "SYSLOG_IDENTIFIER=imd");
	entry_end_field(entry);
	if (id != NULL) {
		buf_addf(&entry->text, "MESSAGE_ID=%s", id);
		entry_end_field(entry);
	}
	for (const struct log_field *field = fields; field->type != LOG_END; field++) {
		if (field->type == LOG_TEXT && field->text == NULL)
			continue;
		assert(field - fields < FIELDS_MAX);
		journal_field_write(&entry->text, field);
		entry_end_field(entry);
	}
}

static int journal_write(enum log_level level, const char *event, const struct log_field *fields)
{
	struct entry entry = {.text = BUF_INIT};
	struct iovec parts[FIELDS_MAX + OWN_FIELDS];
	size_t begin = 0;
	int sent;

	entry_write(&entry, level, event, fields);
	for (int i = 0; i < entry.count; i++) {
		parts[i] = (struct iovec){entry.text.data + begin, entry.ends[i] - begin};
		begin = entry.ends[i];
	}
	sent = sd_journal_sendv(parts, entry.count);
	buf_fini(&entry.text);
	return sent;
}

/* ---- events -------------------------------------------------------------------------------- */

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
	if (level > log_level || (log_to_journal && journal_write(level, event, fields) >= 0))
		return;
	struct buf line = BUF_INIT;
	buf_addf(&line, "<%d>", (int)level);
	line_write(&line, event, fields);
	buf_add_char(&line, '\n');
	/* One write a line, so that lines of several writers do not mix. Where stderr takes nothing
	 * there is nobody to be told. */
	ssize_t written = write(STDERR_FILENO, line.data, line.len);
	(void)written;
	buf_fini(&line);
}
