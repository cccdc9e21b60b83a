/* A frame's checksum continues that of the frame before. So the first frame that is not valid ends what SQLite
 * applies. After it, each frame is judged by its salts, and its checksum is continued from the one that is stored
 * in the frame before: damage in one frame does not hide those after it.
 *
 * A log that was begun again is shorter than the file until it has grown: frames of the log before follow, up to a
 * whole number of frames. So if the last frame is of this log, and part of another one follows, that is of this log.
 *
 * What is not valid of the last transaction may never have been written. The other way round, a header of a
 * frame is written at once, so one with the salts of this log says the truth about whether its frame commits,
 * unless it was damaged: the checksum shows that, as the first two words that went into it can be calculated
 * from its result and all others. */
#include "wal.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/mem.h"

enum {
	CHECKED_BYTES = 8, /* of a frame's header: the page number and the commit field */
	PAGE_MIN = 512,
	PAGE_MAX = 65536,
	PAGE_USUAL = 4096,
	MAGIC = 0x377f0682, /* the lowest bit says in which order of bytes checksums are calculated */
	WORDS = 2,
};

enum commits {
	COMMITS_NOT,
	COMMITS_PERHAPS,
	COMMITS,
};

struct checksum {
	uint32_t words[WORDS];
};

struct frame {
	uint32_t page;
	uint32_t commit; /* pages of the database after a commit; 0: it does not end a transaction */
	uint32_t salts[WORDS];
	struct checksum stored;
};

struct reader {
	int fd;
	off_t file_size;
	bool big_endian;     /* checksums are calculated from big-endian words */
	uint32_t page_size;
	uint32_t salts[WORDS];
	struct checksum last; /* stored in the frame before, or in the header */
	uint8_t *buffer;     /* of one frame */
	bool has_bad;
	bool has_commit;     /* a frame that commits, at the first bad frame or after it */
	bool is_open;        /* the last frame is of a transaction of this log which it does not end */
	bool is_ours;        /* it is of this log; so is the header, before any frame */
	struct wal *wal;
};

/* ---- bytes --------------------------------------------------------------------------------- */

static uint32_t word_at(const uint8_t *data)
{
	uint32_t word;

	memcpy(&word, data, sizeof word);
	return be32toh(word);
}

static uint32_t checked_word(const struct reader *reader, const uint8_t *data)
{
	uint32_t word;

	memcpy(&word, data, sizeof word);
	return reader->big_endian ? be32toh(word) : le32toh(word);
}

static struct checksum checksum_add(const struct reader *reader, struct checksum sum, const uint8_t *data, size_t len)
{
	for (size_t at = 0; at < len; at += 8) {
		sum.words[0] += checked_word(reader, data + at) + sum.words[1];
		sum.words[1] += checked_word(reader, data + at + 4) + sum.words[0];
	}
	return sum;
}

/* What the checksum was before these bytes. */
static struct checksum checksum_remove(const struct reader *reader, struct checksum sum, const uint8_t *data,
	size_t len)
{
	for (size_t at = len; at > 0; at -= 8) {
		sum.words[1] -= checked_word(reader, data + at - 4) + sum.words[0];
		sum.words[0] -= checked_word(reader, data + at - 8) + sum.words[1];
	}
	return sum;
}

static bool checksum_equal(struct checksum a, struct checksum b)
{
	return a.words[0] == b.words[0] && a.words[1] == b.words[1];
}

static struct checksum checksum_at(const uint8_t *data)
{
	return (struct checksum){{word_at(data), word_at(data + 4)}};
}

/* 1, 0 if the file ends before that, or -1. */
static int read_at(int fd, void *buffer, size_t len, off_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t more = pread(fd, (char *)buffer + done, len - done, at + (off_t)done);

		if (more < 0 && errno != EINTR)
			return -1;
		if (more == 0)
			return 0;
		if (more > 0)
			done += (size_t)more;
	}
	return 1;
}

/* ---- the header ---------------------------------------------------------------------------- */

static bool page_size_is_valid(uint32_t size)
{
	return size >= PAGE_MIN && size <= PAGE_MAX && (size & (size - 1)) == 0;
}

/* Whether the header is valid. If not, the salts are set later, from the first frame. */
static bool header_take(struct reader *reader, const uint8_t *header)
{
	uint32_t magic = word_at(header), page_size = word_at(header + WAL_PAGE_SIZE_AT);
	struct checksum sum = {{0, 0}};

	reader->big_endian = (magic & 1) != 0;
	reader->last = checksum_at(header + WAL_HEADER_BYTES - 8);
	reader->is_ours = true;
	sum = checksum_add(reader, sum, header, WAL_HEADER_BYTES - 8);
	if ((magic & ~UINT32_C(1)) != MAGIC || !page_size_is_valid(page_size) || !checksum_equal(sum, reader->last))
		return false;
	reader->page_size = reader->wal->page_size = page_size;
	reader->salts[0] = word_at(header + 16);
	reader->salts[1] = word_at(header + 20);
	reader->wal->size = WAL_HEADER_BYTES;
	return true;
}

/* ---- frames -------------------------------------------------------------------------------- */

static struct frame frame_parse(const uint8_t *data)
{
	return (struct frame){
		.page = word_at(data),
		.commit = word_at(data + 4),
		.salts = {word_at(data + 8), word_at(data + 12)},
		.stored = checksum_at(data + 16),
	};
}

/* An earlier log had another first salt and another second one; one that is equal is enough, for the other may be
 * what was damaged. */
static bool frame_is_ours(const struct reader *reader, const struct frame *frame)
{
	return frame->salts[0] == reader->salts[0] || frame->salts[1] == reader->salts[1];
}

static bool frame_is_valid(const struct reader *reader, const struct frame *frame)
{
	struct checksum sum = checksum_add(reader, reader->last, reader->buffer, CHECKED_BYTES);

	sum = checksum_add(reader, sum, reader->buffer + WAL_FRAME_HEADER_BYTES, reader->page_size);
	return frame->page != 0 && frame->salts[0] == reader->salts[0] &&
		frame->salts[1] == reader->salts[1] && checksum_equal(sum, frame->stored);
}

/* The commit field by the checksum of the frame if that agrees with the page number; else as it is stored. */
static uint32_t commit_field(const struct reader *reader, const struct frame *frame)
{
	struct checksum sum = checksum_remove(reader, frame->stored, reader->buffer + WAL_FRAME_HEADER_BYTES,
		reader->page_size);
	uint32_t page = sum.words[0] - reader->last.words[0] - reader->last.words[1];
	uint32_t commit = sum.words[1] - reader->last.words[1] - sum.words[0];

	return page == checked_word(reader, reader->buffer) ? commit : checked_word(reader, reader->buffer + 4);
}

/* Whether a frame ends a transaction: by its checksum. But a highest bit that is wrong elsewhere changes that of the
 * calculated field alone: if just this bit differs from the stored field, either may be right. */
static enum commits frame_commits(const struct reader *reader, const struct frame *frame)
{
	const uint32_t highest_bit = UINT32_C(1) << 31;
	uint32_t stored = checked_word(reader, reader->buffer + 4), commit = commit_field(reader, frame);

	if ((stored ^ commit) == highest_bit && (stored == 0 || commit == 0))
		return COMMITS_PERHAPS;
	return commit != 0 ? COMMITS : COMMITS_NOT;
}

/* A frame at or after the first one that is not valid. */
static void frame_judge(struct reader *reader, const struct frame *frame)
{
	struct wal *wal = reader->wal;
	enum commits commits;

	if (!frame_is_ours(reader, frame))
		return;
	wal->end = reader->has_commit ? WAL_DAMAGED : WAL_TORN;
	commits = frame_commits(reader, frame);
	wal->lost += commits == COMMITS;
	reader->has_commit = reader->has_commit || commits != COMMITS_NOT;
}

static void frame_take(struct reader *reader, uint64_t number, const struct frame *frame)
{
	struct wal *wal = reader->wal;

	reader->is_ours = frame_is_ours(reader, frame);
	if (!reader->has_bad && !frame_is_valid(reader, frame)) {
		reader->has_bad = true;
		wal->bad_frame = number;
	}
	if (reader->has_bad) {
		frame_judge(reader, frame);
	} else if (frame->commit == 0) {
		reader->is_open = true;
	} else {
		reader->is_open = false;
		wal->commits++;
		wal->size = WAL_HEADER_BYTES + (off_t)number * (WAL_FRAME_HEADER_BYTES + (off_t)reader->page_size);
	}
	reader->last = frame->stored;
}

/* Frames that are valid may have no commit after them, or only a part of a frame. */
static void end_judge(struct reader *reader, off_t end)
{
	struct wal *wal = reader->wal;

	if (wal->end != WAL_WHOLE || (!reader->is_open && (!reader->is_ours || reader->file_size <= end)))
		return;
	wal->end = WAL_TORN;
	if (!reader->has_bad)
		wal->bad_frame = wal->frames + 1;
}

static int frames_read(struct reader *reader)
{
	size_t size = WAL_FRAME_HEADER_BYTES + reader->page_size;
	off_t at = WAL_HEADER_BYTES;
	int ret;

	reader->buffer = mem_alloc(size);
	while ((ret = read_at(reader->fd, reader->buffer, size, at)) > 0) {
		struct frame frame = frame_parse(reader->buffer);

		if (reader->wal->page_size == 0 && reader->wal->frames == 0)
			memcpy(reader->salts, frame.salts, sizeof reader->salts);
		frame_take(reader, ++reader->wal->frames, &frame);
		at += (off_t)size;
	}
	free(reader->buffer);
	end_judge(reader, at);
	return ret;
}

/* The header is synced before the first frame is written. So with it every commit is lost that is in the file. */
static void header_judge(struct wal *wal, bool is_empty)
{
	wal->bad_frame = 0;
	wal->end = wal->lost > 0 ? WAL_DAMAGED : is_empty ? WAL_WHOLE : WAL_TORN;
}

int wal_read(int fd, uint32_t page_size, struct wal *ret_wal)
{
	struct reader reader = {.fd = fd, .page_size = page_size_is_valid(page_size) ? page_size : PAGE_USUAL,
		.wal = ret_wal};
	uint8_t header[WAL_HEADER_BYTES];
	struct stat status;
	int ret;

	*ret_wal = (struct wal){.end = WAL_WHOLE};
	if (fstat(fd, &status) < 0)
		return -1;
	reader.file_size = status.st_size;
	ret = read_at(fd, header, sizeof header, 0);
	if (ret > 0) {
		reader.has_bad = !header_take(&reader, header);
		ret = frames_read(&reader);
	}
	if (ret_wal->page_size == 0)
		header_judge(ret_wal, status.st_size == 0);
	return ret;
}
