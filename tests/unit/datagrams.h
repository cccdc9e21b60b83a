/* The reader's end of a datagram socket, whose test reads or does not. */
#ifndef IMD_TESTS_DATAGRAMS_H
#define IMD_TESTS_DATAGRAMS_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int reader = -1;
static struct sockaddr_un reader_address = {.sun_family = AF_UNIX};

static inline void reader_bind(void)
{
	reader = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(reader, (const struct sockaddr *)&reader_address, sizeof reader_address), 0);
}

/* The file of a socket lasts as long as the test, unless that was killed. */
static inline void reader_unlink(void)
{
	unlink(reader_address.sun_path);
}

/* Makes the socket; its path. */
static inline const char *reader_open(void)
{
	snprintf(reader_address.sun_path, sizeof reader_address.sun_path, "/tmp/imd-test.%d", (int)getpid());
	reader_unlink();
	atexit(reader_unlink);
	reader_bind();
	return reader_address.sun_path;
}

/* Until there is no room for anybody, as one sender alone is also limited by its own buffer: how many
 * messages that took. */
static inline int reader_fill(void)
{
	int count = 0, before;

	do {
		int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

		ck_assert_int_ge(fd, 0);
		before = count;
		while (sendto(fd, "X", 1, 0, (const struct sockaddr *)&reader_address,
			sizeof reader_address) == 1)
			count++;
		ck_assert_int_eq(errno, EAGAIN);
		close(fd);
	} while (count > before);
	return count;
}

/* The next message, an empty one where there is none. */
static inline char *reader_read(void)
{
	static char text[4096];
	ssize_t got = recv(reader, text, sizeof text - 1, 0);

	if (got < 0)
		ck_assert_int_eq(errno, EAGAIN);
	text[got < 0 ? 0 : got] = '\0';
	return text;
}

static inline void reader_drain(int count)
{
	for (int i = 0; i < count; i++)
		ck_assert_str_eq(reader_read(), "X");
}

#endif
