/* Reading a write-ahead log: each damage of each frame of real logs is told from an incomplete end. */
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/wal.h"
#include "tree.h"
#include "unit.h"

enum { HEADER = 32, FRAME_HEADER = 24, FRAMES_MAX = 128, SYNCED = 6 };

static char top[] = "/tmp/imd-wal.XXXXXX";
static uint8_t *bytes; /* of a log */
static size_t length;
static uint32_t page_size;
static size_t frames;
static unsigned transactions[FRAMES_MAX]; /* of each frame, from 1 */
static unsigned count;                    /* of transactions */

static uint32_t big_endian_at(size_t at)
{
	return (uint32_t)bytes[at] << 24 | (uint32_t)bytes[at + 1] << 16 | (uint32_t)bytes[at + 2] << 8 | bytes[at + 3];
}

static size_t frame_at(size_t frame)
{
	return HEADER + frame * (FRAME_HEADER + page_size);
}

/* Independent of what is tested: a whole log, of which every commit field says the truth. */
static void log_describe(void)
{
	page_size = big_endian_at(8);
	frames = (length - HEADER) / (FRAME_HEADER + page_size);
	ck_assert_uint_le(frames, FRAMES_MAX);
	count = 0;
	for (size_t frame = 0; frame < frames; frame++) {
		transactions[frame] = count + 1;
		count += big_endian_at(frame_at(frame) + 4) != 0;
	}
}

static void log_load(const char *path)
{
	struct stat status;
	int fd = open(path, O_RDONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &status), 0);
	length = (size_t)status.st_size;
	bytes = malloc(length);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(read(fd, bytes, length), (ssize_t)length);
	close(fd);
	log_describe();
}

static void must_run(sqlite3 *db, const char *sql)
{
	ck_assert_msg(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "%s: %s", sql, sqlite3_errmsg(db));
}

/* A log of transactions of one frame and of several. */
static void log_make(const char *settings)
{
	char path[64], log[80];
	sqlite3 *db;

	memcpy(top + sizeof top - sizeof "XXXXXX", "XXXXXX", sizeof "XXXXXX" - 1);
	ck_assert_ptr_nonnull(mkdtemp(top));
	snprintf(path, sizeof path, "%s/db", top);
	snprintf(log, sizeof log, "%s-wal", path);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	must_run(db, settings);
	must_run(db, "CREATE TABLE t (a, b)");
	for (int i = 1; i < SYNCED; i++)
		must_run(db, i % 2 ? "INSERT INTO t VALUES (1, zeroblob(3 * 4096))" : "UPDATE t SET a = a + 1");
	log_load(log);
	sqlite3_close(db);
	tree_remove(top);
	ck_assert_uint_eq(count, SYNCED);
	ck_assert_uint_gt(frames, count);
}

static void log_make_usual(void)
{
	log_make("PRAGMA journal_mode = WAL");
}

static void log_free(void)
{
	free(bytes);
}

/* Reads what is in memory, up to a length. */
static struct wal read_log(size_t len)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct wal wal;

	must(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
	must(wal_read(fd, page_size, &wal) == 0);
	close(fd);
	return wal;
}

/* The end of a number of transactions. */
static off_t end_of(unsigned commits)
{
	size_t frame = 0;

	while (frame < frames && transactions[frame] <= commits)
		frame++;
	return (off_t)frame_at(frame);
}

static void must_be(const struct wal *wal, enum wal_end end, uint64_t commits, uint64_t lost)
{
	ck_assert_msg(wal->end == end && wal->commits == commits && wal->lost == lost,
		"end %d, commits %" PRIu64 ", lost %" PRIu64 ", bad frame %" PRIu64 "; wanted %d, %" PRIu64 ", %" PRIu64,
		(int)wal->end, wal->commits, wal->lost, wal->bad_frame, (int)end, commits, lost);
}

/* A bit of a frame is wrong: only the last transaction can be incomplete. */
static void must_tell_flip(size_t frame, size_t at, unsigned bit)
{
	unsigned transaction = transactions[frame], lost = count - transaction + 1;
	struct wal wal;

	bytes[frame_at(frame) + at] ^= (uint8_t)(1u << bit);
	wal = read_log(length);
	must(transaction == count || wal.end == WAL_DAMAGED);
	must(wal.end != WAL_WHOLE && wal.commits == transaction - 1);
	must(wal.lost == lost);
	must(wal.bad_frame == frame + 1 && wal.size == end_of(transaction - 1) && wal.frames == frames);
	bytes[frame_at(frame) + at] ^= (uint8_t)(1u << bit);
}

static void must_tell_every_flip(void)
{
	for (size_t frame = 0; frame < frames; frame++) {
		for (size_t at = 0; at < FRAME_HEADER; at++)
			for (unsigned bit = 0; bit < 8; bit++)
				must_tell_flip(frame, at, bit);
		for (size_t at = FRAME_HEADER; at < FRAME_HEADER + page_size; at += 97)
			must_tell_flip(frame, at, at % 8);
	}
}

START_TEST(a_whole_log_is_whole)
{
	struct wal wal = read_log(length);

	must_be(&wal, WAL_WHOLE, SYNCED, 0);
	ck_assert_uint_eq(wal.frames, frames);
	ck_assert_int_eq(wal.size, (off_t)length);
	ck_assert_uint_eq(wal.page_size, page_size);
}
END_TEST

START_TEST(an_empty_log_is_whole)
{
	struct wal wal = read_log(0);

	must_be(&wal, WAL_WHOLE, 0, 0);
	wal = read_log(HEADER);
	must_be(&wal, WAL_WHOLE, 0, 0);
	wal = read_log(HEADER - 1);
	must_be(&wal, WAL_TORN, 0, 0);
}
END_TEST

START_TEST(damage_of_a_frame_is_told_from_an_incomplete_end)
{
	must_tell_every_flip();
}
END_TEST

START_TEST(logs_of_small_pages_are_read)
{
	log_free();
	log_make("PRAGMA page_size = 1024; PRAGMA journal_mode = WAL");
	ck_assert_uint_eq(page_size, 1024);
	must_tell_every_flip();
}
END_TEST

/* The same log as a machine with the other order of bytes writes it. */
static void log_swap(void)
{
	uint32_t sum[2] = {0, 0};

	bytes[3] ^= 1;
	for (size_t frame = 0, at = 0; at < length; at = frame_at(frame++)) {
		size_t ends[2][2] = {{at, at ? at + 8 : HEADER - 8}, {at + FRAME_HEADER, at ? frame_at(frame) : 0}};

		for (int part = 0; part < 2; part++)
			for (size_t word = ends[part][0]; word < ends[part][1]; word += 8) {
				sum[0] += big_endian_at(word) + sum[1];
				sum[1] += big_endian_at(word + 4) + sum[0];
			}
		for (int i = 0; i < 8; i++)
			bytes[(at ? at + 16 : HEADER - 8) + (size_t)i] = (uint8_t)(sum[i / 4] >> (24 - i % 4 * 8));
	}
}

START_TEST(logs_of_the_other_order_of_bytes_are_read)
{
	struct wal wal;

	if (bytes[3] & 1)
		return;
	log_swap();
	wal = read_log(length);
	must_be(&wal, WAL_WHOLE, SYNCED, 0);
	must_tell_every_flip();
}
END_TEST

START_TEST(damage_of_the_header_loses_all_commits)
{
	for (size_t at = 0; at < HEADER; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			struct wal wal;

			bytes[at] ^= (uint8_t)(1u << bit);
			wal = read_log(length);
			must_be(&wal, WAL_DAMAGED, 0, SYNCED);
			must(wal.bad_frame == 0 && wal.size == 0);
			wal = read_log(frame_at(0));
			must_be(&wal, WAL_TORN, 0, 0);
			bytes[at] ^= (uint8_t)(1u << bit);
		}
}
END_TEST

/* What a power loss leaves: of the last transaction any sectors are missing. */
START_TEST(any_part_of_the_last_transaction_may_be_missing)
{
	enum { SECTOR = 512 };
	size_t begin = (size_t)end_of(count - 1);
	uint8_t *kept = malloc(length);

	ck_assert_ptr_nonnull(kept);
	memcpy(kept, bytes, length);
	for (int round = 0; round < 2000; round++) {
		struct wal wal;

		for (size_t at = begin; at < length; at += SECTOR - at % SECTOR)
			if (random_below(2) == 0)
				memset(bytes + at, 0, SECTOR - at % SECTOR < length - at ? SECTOR - at % SECTOR : length - at);
		wal = read_log(begin + random_below((uint32_t)(length - begin + 1)));
		must(wal.end != WAL_DAMAGED && wal.commits >= count - 1u);
		memcpy(bytes, kept, length);
	}
	free(kept);
}
END_TEST

START_TEST(a_log_that_ends_within_a_transaction_is_incomplete)
{
	for (size_t len = HEADER; len <= length; len += 8) {
		unsigned commits = 0;
		struct wal wal = read_log(len);

		while (commits < count && end_of(commits + 1) <= (off_t)len)
			commits++;
		must_be(&wal, (off_t)len == end_of(commits) ? WAL_WHOLE : WAL_TORN, commits, 0);
		ck_assert_int_eq(wal.size, end_of(commits));
	}
}
END_TEST

/* The log is written from its beginning again, with other salts. */
START_TEST(frames_of_an_earlier_log_are_none_of_this_one)
{
	size_t begin = (size_t)end_of(2);

	for (size_t frame = 0; frame < frames; frame++)
		if (frame_at(frame) >= begin) {
			bytes[frame_at(frame) + 11] ^= 1;
			bytes[frame_at(frame) + 12] ^= 0x55;
		}
	struct wal wal = read_log(length);
	must_be(&wal, WAL_WHOLE, 2, 0);
	ck_assert_int_eq(wal.size, (off_t)begin);
	ck_assert_uint_eq(wal.frames, frames);
	wal = read_log(length - 1);
	must_be(&wal, WAL_WHOLE, 2, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wal");
	TCase *tests = tcase_create("wal");

	unit_take_seed();
	tcase_add_checked_fixture(tests, log_make_usual, log_free);
	tcase_add_test(tests, a_whole_log_is_whole);
	tcase_add_test(tests, an_empty_log_is_whole);
	tcase_add_test(tests, damage_of_a_frame_is_told_from_an_incomplete_end);
	tcase_add_test(tests, logs_of_small_pages_are_read);
	tcase_add_test(tests, logs_of_the_other_order_of_bytes_are_read);
	tcase_add_test(tests, damage_of_the_header_loses_all_commits);
	tcase_add_test(tests, any_part_of_the_last_transaction_may_be_missing);
	tcase_add_test(tests, a_log_that_ends_within_a_transaction_is_incomplete);
	tcase_add_test(tests, frames_of_an_earlier_log_are_none_of_this_one);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
