#include "journal.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

/* So much may wait for a journal that is slow, as with sd_journal_sendv; the kernel may allow less. */
enum { QUEUE_BYTES = 8 * 1024 * 1024 };

static int journal_fd = -1;
static struct sockaddr_un journal_address;

int journal_open(const char *path)
{
	assert(strlen(path) < sizeof journal_address.sun_path);
	journal_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(journal_address.sun_path, path, strlen(path));
	if (journal_fd >= 0)
		return 0;
	journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (journal_fd < 0)
		return -1;
	setsockopt(journal_fd, SOL_SOCKET, SO_SNDBUF, &(int){QUEUE_BYTES}, sizeof(int));
	return 0;
}

/* KEY=value, or the length before a value that is not one line. */
void journal_field(struct buf *entry, const char *key, const char *value, size_t len)
{
	buf_add_str(entry, key);
	if (memchr(value, '\n', len) == NULL) {
		buf_add_char(entry, '=');
	} else {
		uint64_t size = htole64(len);

		buf_add_char(entry, '\n');
		buf_add(entry, &size, sizeof size);
	}
	buf_add(entry, value, len);
	buf_add_char(entry, '\n');
}

/* The socket is not connected, so that a journal that was started anew is found again. */
static int message_send(struct msghdr *message)
{
	ssize_t sent;

	message->msg_name = &journal_address;
	message->msg_namelen = sizeof journal_address;
	do {
		sent = sendmsg(journal_fd, message, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent >= 0 ? 0 : -errno;
}

/* A descriptor of a file in memory that has the entry, and that nobody can change any more. */
static int file_of_entry(const struct buf *entry)
{
	int fd = memfd_create("imd-journal-entry", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	if (write(fd, entry->data, entry->len) == (ssize_t)entry->len &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return fd;
	close(fd);
	return -1;
}

/* An entry that is too large for a datagram is handed over as such a file. */
static int file_send(const struct buf *entry)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof control};
	int fd = file_of_entry(entry);
	int sent;

	if (fd < 0)
		return -EMSGSIZE;
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
	sent = message_send(&message);
	close(fd);
	return sent;
}

int journal_send(const struct buf *entry)
{
	struct iovec part = {entry->data, entry->len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int sent = message_send(&message);

	/* So large that it is over the limit, or over what the kernel has in one piece. */
	if (sent == -EMSGSIZE || sent == -ENOBUFS)
		sent = file_send(entry);
	return sent == -ENOBUFS || sent == -ENOMEM ? -EAGAIN : sent;
}
