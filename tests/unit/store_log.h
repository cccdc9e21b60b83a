/* The write-ahead log of a state file, read as SQLite reads it (https://www.sqlite.org/fileformat2.html#walformat), and
 * held against what the file says of its transactions (store/schema.h). */
#ifndef IMD_TESTS_STORE_LOG_H
#define IMD_TESTS_STORE_LOG_H

#include <limits.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "unit.h"

/* ---- files --------------------------------------------------------------------------------- */

static inline void file_remove(const char *name)
{
	static const char *const ends[] = {"", "-wal", "-journal"};
	char full[PATH_MAX + 16];

	for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
		snprintf(full, sizeof full, "%s%s", name, ends[i]);
		unlink(full);
	}
}

/* A file that does not exist has no copy either. */
static inline void file_copy(const char *from, const char *to, const char *end)
{
	static char bytes[1 << 16];
	char name[PATH_MAX + 16];
	FILE *in, *out;
	size_t len;

	snprintf(name, sizeof name, "%s%s", from, end);
	in = fopen(name, "r");
	if (!in)
		return;
	snprintf(name, sizeof name, "%s%s", to, end);
	out = fopen(name, "w");
	ck_assert_ptr_nonnull(out);
	while ((len = fread(bytes, 1, sizeof bytes, in)) > 0)
		ck_assert_uint_eq(fwrite(bytes, 1, len, out), len);
	ck_assert_int_eq(fclose(out), 0);
	fclose(in);
}

/* ---- the log ------------------------------------------------------------------------------- */

enum { LOG_HEADER = 32, LOG_FRAME_HEADER = 24, LOG_PAGE_MAX = 65536 };

static inline uint32_t log_u32(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* The words of imd's logs are in the order of the machine, which the lowest bit of the log's first word says. */
static inline void log_checksum(const uint8_t *bytes, size_t len, uint32_t sums[2])
{
	for (size_t i = 0; i < len; i += 8) {
		uint32_t words[2];

		memcpy(words, bytes + i, sizeof words);
		sums[0] += words[0] + sums[1];
		sums[1] += words[1] + sums[0];
	}
}

/* Whether a frame continues the log: it has the salt of the header, and the sum of all before it. */
static inline bool log_frame_is_valid(const uint8_t *header, const uint8_t *frame, size_t page, uint32_t sums[2])
{
	log_checksum(frame, 8, sums);
	log_checksum(frame + LOG_FRAME_HEADER, page, sums);
	return memcmp(frame + 8, header + 16, 8) == 0 && log_u32(frame + 16) == sums[0] &&
		log_u32(frame + 20) == sums[1];
}

struct log_shape {
	unsigned transactions; /* a frame with the size of the database ends one */
	unsigned leftovers;    /* frames of this log after the last of them */
};

/* Reads the log beside a file; without one, nothing is in it. */
static inline void log_read_shape(const char *name, struct log_shape *ret_shape)
{
	static uint8_t header[LOG_HEADER], frame[LOG_FRAME_HEADER + LOG_PAGE_MAX];
	char log[PATH_MAX + 16];
	uint32_t sums[2] = {0, 0}, page;
	bool is_valid = true;
	FILE *file;

	*ret_shape = (struct log_shape){0};
	snprintf(log, sizeof log, "%s-wal", name);
	file = fopen(log, "r");
	if (!file)
		return;
	page = fread(header, 1, sizeof header, file) == sizeof header ? log_u32(header + 8) : 0;
	ck_assert_uint_le(page, LOG_PAGE_MAX);
	log_checksum(header, 24, sums);
	while (page > 0 && fread(frame, 1, LOG_FRAME_HEADER + page, file) == LOG_FRAME_HEADER + page) {
		is_valid = is_valid && log_frame_is_valid(header, frame, page, sums);
		if (memcmp(frame + 8, header + 16, 8) == 0)
			ret_shape->leftovers++;
		if (is_valid && log_u32(frame + 4) != 0) {
			ret_shape->transactions++;
			ret_shape->leftovers = 0;
		}
	}
	fclose(file);
}

static inline unsigned log_transactions(const char *name)
{
	struct log_shape shape;

	log_read_shape(name, &shape);
	return shape.transactions;
}

static inline unsigned log_leftovers(const char *name)
{
	struct log_shape shape;

	log_read_shape(name, &shape);
	return shape.leftovers;
}

/* ---- what the file says -------------------------------------------------------------------- */

struct log_history {
	char incarnation[64]; /* "": NULL */
	int64_t commits;
	bool is_known;        /* a crash during the first checkpoint may leave a table that only the log has */
};

/* Opens the file, and with it the log that is beside it; without these columns there is no commit. Needs no shared
 * memory, and reads a file that a crash left in the middle of a checkpoint: without its log it may be shorter than its
 * header says. */
static inline void log_read_history(const char *name, struct log_history *ret_history)
{
	static const char settings[] = "PRAGMA locking_mode = EXCLUSIVE; PRAGMA writable_schema = ON";
	sqlite3_stmt *statement;
	sqlite3 *sqlite;
	const unsigned char *incarnation;

	*ret_history = (struct log_history){.commits = 0};
	ck_assert_int_eq(sqlite3_open(name, &sqlite), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(sqlite, settings, NULL, NULL, NULL), SQLITE_OK);
	if (sqlite3_table_column_metadata(sqlite, NULL, "daemon", "commits", NULL, NULL, NULL, NULL, NULL) !=
		SQLITE_OK) {
		ret_history->is_known = sqlite3_errcode(sqlite) == SQLITE_ERROR;
		sqlite3_close(sqlite);
		return;
	}
	ck_assert_int_eq(sqlite3_prepare_v2(sqlite, "SELECT incarnation, commits FROM daemon", -1, &statement, NULL),
		SQLITE_OK);
	if (sqlite3_step(statement) != SQLITE_ROW) {
		sqlite3_finalize(statement);
		sqlite3_close(sqlite);
		return;
	}
	ret_history->is_known = true;
	incarnation = sqlite3_column_text(statement, 0);
	snprintf(ret_history->incarnation, sizeof ret_history->incarnation, "%s",
		incarnation ? (const char *)incarnation : "");
	ret_history->commits = sqlite3_column_int64(statement, 1);
	sqlite3_finalize(statement);
	sqlite3_close(sqlite);
}

/* The file without its log, and with it. The file is not touched: copies of this name are read, and removed. */
static inline void log_read_both(const char *name, const char *copy, struct log_history *ret_alone,
	struct log_history *ret_whole)
{
	file_copy(name, copy, "");
	log_read_history(copy, ret_alone);
	file_remove(copy);
	file_copy(name, copy, "");
	file_copy(name, copy, "-wal");
	log_read_history(copy, ret_whole);
	file_remove(copy);
}

/* The log must continue the file. */
static inline void log_check(const char *name, const char *copy)
{
	unsigned count = log_transactions(name);
	struct log_history alone, whole;

	if (count == 0)
		return;
	log_read_both(name, copy, &alone, &whole);
	ck_assert(whole.is_known);
	if (whole.commits == 0 || !alone.is_known)
		return;
	ck_assert_int_le(whole.commits - count, alone.commits);
	ck_assert_int_le(alone.commits, whole.commits);
	if (alone.incarnation[0] == '\0') /* the log has all that has happened to the file in use */
		ck_assert_int_eq(alone.commits, alone.commits ? whole.commits - count : 0);
	else
		ck_assert_str_eq(alone.incarnation, whole.incarnation);
}

#endif
