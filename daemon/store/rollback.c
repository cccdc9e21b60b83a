/* A journal begins with a header, padded to a sector: 8 bytes of magic, the number of records, a nonce, the
 * number of pages that the database had, the size of a sector and that of a page. A record is the number of a page,
 * the page, and a checksum. What a rollback does is to write these pages and to cut the database to its old size.
 * Another segment, with a header and records, may follow at the next sector; imd's own journals have one.
 * (https://www.sqlite.org/fileformat2.html, 3. The Rollback Journal.) */
#include "rollback.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "proto/mem.h"

enum {
	HEADER_BYTES = 28,
	RECORD_EXTRA = 8,
	PAGE_MIN = 512,
	PAGE_MAX = 65536,
	SECTOR_MIN = 32,
	SECTOR_MAX = 65536,
};

struct journal {
	int fd, database;
	off_t size, database_size;
	uint32_t records, pages, sector, page_size;
};

static uint32_t word_at(const unsigned char *data)
{
	uint32_t word;

	memcpy(&word, data, sizeof word);
	return be32toh(word);
}

static bool power_of_two(uint32_t number, uint32_t min, uint32_t max)
{
	return number >= min && number <= max && (number & (number - 1)) == 0;
}

static bool read_all(int fd, void *buffer, size_t len, off_t at)
{
	ssize_t got;

	do
		got = pread(fd, buffer, len, at);
	while (got < 0 && errno == EINTR);
	return got == (ssize_t)len;
}

static const unsigned char magic[8] = {0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7};

/* 1, 0 if there is no journal in it, or -1 if it is not understood. */
static int header_read(struct journal *journal)
{
	unsigned char header[HEADER_BYTES];

	if (journal->size == 0)
		return 0;
	if (!read_all(journal->fd, header, 1, 0))
		return -1;
	if (header[0] == 0)
		return 0; /* its header was zeroed: it has ended */
	if (!read_all(journal->fd, header, sizeof header, 0) || memcmp(header, magic, sizeof magic) != 0)
		return -1;
	journal->records = word_at(header + 8);
	journal->pages = word_at(header + 16);
	journal->sector = word_at(header + 20);
	journal->page_size = word_at(header + 24);
	return power_of_two(journal->sector, SECTOR_MIN, SECTOR_MAX) &&
		power_of_two(journal->page_size, PAGE_MIN, PAGE_MAX) ? 1 : -1;
}

/* The records that a rollback may read: those that are counted, or all of them if nothing was synced. */
static uint64_t records_in(const struct journal *journal)
{
	off_t record = (off_t)journal->page_size + RECORD_EXTRA;

	if (journal->records != UINT32_MAX)
		return journal->records;
	return journal->size <= journal->sector ? 0 : (uint64_t)((journal->size - journal->sector) / record);
}

/* Whether a rollback goes on after the records of the first segment. Those that are not counted reach to the end. */
static bool has_more_segments(const struct journal *journal)
{
	uint64_t end = journal->sector + records_in(journal) * ((uint64_t)journal->page_size + RECORD_EXTRA);
	uint64_t next = (end + journal->sector - 1) / journal->sector * journal->sector;
	unsigned char begin[sizeof magic];

	return journal->records != UINT32_MAX && next < (uint64_t)journal->size &&
		read_all(journal->fd, begin, sizeof begin, (off_t)next) && memcmp(begin, magic, sizeof magic) == 0;
}

/* The database is empty afterwards. It has no tables yet, for these are on other pages. */
static bool undoes_creation(const struct journal *journal)
{
	return journal->pages == 0 && journal->database_size <= (off_t)journal->page_size;
}

/* Bytes of the header that differ: the versions of the file format, which ask for a log, and the counters. */
static void mask_header(unsigned char *page)
{
	static const struct {
		size_t at, len;
	} parts[] = {{18, 2}, {24, 4}, {92, 8}};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		memset(page + parts[i].at, 0, parts[i].len);
}

static bool first_page_is_equal(const struct journal *journal)
{
	size_t size = journal->page_size;
	unsigned char *old = mem_alloc(4 + size), *new = mem_alloc(size);
	bool equal = read_all(journal->fd, old, 4 + size, journal->sector) &&
		read_all(journal->database, new, size, 0) && word_at(old) == 1;

	if (equal) {
		mask_header(old + 4);
		mask_header(new);
		equal = memcmp(old + 4, new, size) == 0;
	}
	free(old);
	free(new);
	return equal;
}

static bool undoes_change_of_mode(const struct journal *journal)
{
	uint64_t records = records_in(journal);

	if (journal->database_size != (off_t)journal->pages * (off_t)journal->page_size || has_more_segments(journal))
		return false;
	return records == 0 || (records == 1 && first_page_is_equal(journal));
}

/* A super-journal is what a transaction over several databases has. Its name is at the end of the journal, then
 * its length and a checksum, and then the magic with which journals begin, too. Without it no journal ends
 * so: the last bytes are a checksum. (SQLite's pager.c.) */
static bool names_super_journal(const struct journal *journal)
{
	enum { TRAILER = 16 };
	unsigned char end[sizeof magic];

	return journal->size >= TRAILER &&
		(!read_all(journal->fd, end, sizeof end, journal->size - (off_t)sizeof end) ||
			memcmp(end, magic, sizeof magic) == 0);
}

int rollback_check(int journal_fd, int database, const char *path, struct error *error)
{
	struct journal journal = {.fd = journal_fd, .database = database};
	struct stat status = {.st_size = 0};
	int has;

	if (database >= 0 && fstat(database, &status) < 0)
		return files_failed(path, "compared", error);
	journal.database_size = status.st_size;
	if (fstat(journal_fd, &status) < 0)
		return files_failed(path, "opened", error);
	journal.size = status.st_size;
	if (names_super_journal(&journal))
		return error_set(error, ERR_STORAGE, "%s names another file to remove (a super-journal), "
			"so it is not imd's", path);
	has = header_read(&journal);
	if (has == 0 || (has > 0 && (undoes_creation(&journal) || undoes_change_of_mode(&journal))))
		return 0;
	return error_set(error, ERR_STORAGE, "%s belongs to another program; let that program roll it back, or move the "
		"journal away", path);
}
