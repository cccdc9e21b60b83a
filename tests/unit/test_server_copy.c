/* Copies as the server sends them: the real server and engine, and a store whose pieces come when the test says
 * so. */
#include <signal.h>

#include "proto/base64.h"
#include "server_house.h"

enum { PIECES_MAX = 100, READ_SIZE = 1 << 16 };

static char piece[STORE_COPY_PIECE];

static void begin_copy(int client)
{
	signal(SIGPIPE, SIG_IGN); /* as main() has it */
	begin();
	memset(piece, 'x', sizeof piece);
	say(client, "BACKUP\n");
	ck_assert(house.copying);
	ck_assert_ptr_nonnull(house.piece);
}

static void piece_is_read(size_t len)
{
	piece_comes(piece, len, NULL);
	run();
}

/* Reads on, and counts the lines that begin so. */
static unsigned count_lines(int client, const char *begins)
{
	static char text[READ_SIZE + 1];
	unsigned count = 0;
	bool at_begin = true;
	ssize_t len;

	while (run(), (len = recv(house.clients[client], text, READ_SIZE, MSG_DONTWAIT)) > 0) {
		text[len] = '\0';
		for (char *at = text; at < text + len; at++) {
			count += at_begin && strncmp(at, begins, strlen(begins)) == 0;
			at_begin = *at == '\n';
		}
	}
	return count;
}

/* Until the server does not ask for another, because the client does not read. */
static unsigned fill_socket(void)
{
	unsigned pieces = 0;

	while (house.piece) {
		ck_assert_uint_lt(++pieces, PIECES_MAX);
		piece_is_read(sizeof piece);
	}
	return pieces;
}

/* The client goes, and its place in the house is another's. */
static void hang_up(int client)
{
	close(house.clients[client]);
	run();
	house.clients[client] = -1;
}

START_TEST(records_of_one_size_and_a_rest)
{
	char expected[100], base64[BASE64_TEXT_LEN(1) + 1] = "";
	const char *last;

	begin_copy(0);
	piece_is_read(LIMIT_DATA + 1);
	base64_encode(piece, 1, base64);
	snprintf(expected, sizeof expected, "DATA offset=%d bytes=1 base64=%s\n", LIMIT_DATA, base64);
	ck_assert_uint_eq(strlen(got(0)), 4095);
	for (int i = 0; i < 3; i++)
		got(0);
	last = strchr(got(0), '\n');
	ck_assert_str_eq(last + 1, expected);
	piece_is_read(0);
	ck_assert_str_eq(got(0), "OK bytes=12289\n");
	ck_assert(!house.copying);
	end();
}
END_TEST

START_TEST(what_comes_behind_it_is_answered_behind_it)
{
	begin_copy(0);
	say(0, "PING\nBACKUP\n");
	ck_assert_str_eq(got(0), "");
	piece_is_read(3);
	ck_assert_str_eq(got(0), "DATA offset=0 bytes=3 base64=eHh4\n");
	piece_is_read(0);
	ck_assert_str_eq(got(0), "OK bytes=3\nOK\n");
	ck_assert(house.copying);
	piece_is_read(3);
	piece_is_read(0);
	ck_assert_str_eq(got(0), "DATA offset=0 bytes=3 base64=eHh4\nOK bytes=3\n");
	end();
}
END_TEST

START_TEST(an_error_ends_it)
{
	static const struct error gone = {ERR_STORAGE, "the disk is gone"};

	begin_copy(0);
	piece_is_read(3);
	piece_comes(NULL, 0, &gone);
	ck_assert_str_eq(got(0), "DATA offset=0 bytes=3 base64=eHh4\nERR storage the disk is gone\n");
	ck_assert(!house.copying);
	say(0, "PING\n");
	ck_assert_str_eq(got(0), "OK\n");
	end();
}
END_TEST

/* Nothing is read of the copy until the client has taken what there is; others are served. */
START_TEST(it_goes_on_as_the_client_reads)
{
	unsigned pieces, records;

	begin_copy(0);
	pieces = fill_socket();
	ck_assert(house.copying);
	say(1, "PING\n");
	ck_assert_str_eq(got(1), "OK\n");
	records = count_lines(0, "DATA ");
	ck_assert_uint_eq(records, pieces * (STORE_COPY_PIECE / LIMIT_DATA));
	ck_assert_ptr_nonnull(house.piece);
	piece_is_read(0);
	ck_assert_uint_eq(count_lines(0, "OK bytes="), 1);
	end();
}
END_TEST

START_TEST(who_goes_while_it_is_made_or_read_ends_it)
{
	begin_copy(0);
	if (_i == 1)
		piece_is_read(3);
	hang_up(0);
	ck_assert(!house.copying);
	ck_assert_ptr_null(house.piece);
	end();
}
END_TEST

START_TEST(who_goes_without_reading_ends_it)
{
	begin_copy(0);
	fill_socket();
	ck_assert(house.copying);
	hang_up(0);
	ck_assert(!house.copying);
	end();
}
END_TEST

/* Its end of the connection is open yet, so that it shows only when something is sent. */
START_TEST(who_has_said_all_and_goes_ends_it)
{
	begin_copy(0);
	shutdown(house.clients[0], SHUT_WR);
	run();
	ck_assert(house.copying);
	hang_up(0);
	piece_is_read(sizeof piece);
	ck_assert(!house.copying);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("server");
	TCase *tests = tcase_create("copies");

	tcase_add_test(tests, records_of_one_size_and_a_rest);
	tcase_add_test(tests, what_comes_behind_it_is_answered_behind_it);
	tcase_add_test(tests, an_error_ends_it);
	tcase_add_test(tests, it_goes_on_as_the_client_reads);
	tcase_add_loop_test(tests, who_goes_while_it_is_made_or_read_ends_it, 0, 2);
	tcase_add_test(tests, who_goes_without_reading_ends_it);
	tcase_add_test(tests, who_has_said_all_and_goes_ends_it);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
