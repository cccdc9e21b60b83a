/* Reads a write-ahead log of SQLite without SQLite, to tell its end from damage within it.
 *
 * SQLite takes the first frame that is not valid for the end of the log, so damage in the middle loses all commits
 * after it without a word. But imd syncs each commit before it begins the next one: only the last transaction can
 * be incomplete. A frame that is not valid is damage if a later transaction has begun in the same log. Frames of
 * earlier logs at the end of the file, which have other salts, are normal.
 * (https://www.sqlite.org/fileformat2.html, 4. The Write-Ahead Log.) */
#ifndef IMD_STORE_WAL_H
#define IMD_STORE_WAL_H

#include <stdint.h>
#include <sys/types.h>

enum {
	WAL_HEADER_BYTES = 32,
	WAL_PAGE_SIZE_AT = 8, /* in the header */
	WAL_FRAME_HEADER_BYTES = 24,
};

enum wal_end {
	WAL_WHOLE,   /* all that was committed is there */
	WAL_TORN,    /* the last transaction is incomplete; as far as the log shows, it was never synced */
	WAL_DAMAGED, /* commits that were synced cannot be read */
};

struct wal {
	enum wal_end end;
	uint32_t page_size; /* 0: there is no valid header */
	uint64_t frames;    /* in the file, of any log */
	uint64_t commits;   /* that are whole; SQLite applies these */
	off_t size;         /* up to the end of the last of them */
	uint64_t bad_frame; /* unless the log is whole: the first that is not valid or not there, from 1; 0: the header */
	uint64_t lost;      /* commits from there on that cannot be applied, as far as frames show: at least so many */
};

/* Reads a log from its beginning; an empty file is one without commits. `page_size` is that of the database, with
 * which the frames of a log without a valid header are found. -1 with errno if it cannot be read. */
int wal_read(int fd, uint32_t page_size, struct wal *ret_wal);

#endif
