/* The server that imctl meets in the target: a script instead of a socket, and a clock that goes while imctl waits. So
 * a run takes no time, and is the same every time. imctl_client.c has ctl/client.c call it in the place of libc.
 *
 * A script is what the server sends, but for lines that begin with ~:
 *
 *   ~          what comes after it is received later
 *   ~close     the connection ends; what comes after it is for the next one
 *   ~wait MS   nothing comes for so many milliseconds
 *
 * At its end the connection ends, and no other one can be made. */
#ifndef IMD_TESTS_FUZZ_IMCTL_SERVER_H
#define IMD_TESTS_FUZZ_IMCTL_SERVER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

/* Begins a run of imctl. The script must last until its end. */
void server_begin(const char *script, size_t len);
/* Whether imctl has received a line OK since then. */
bool server_said_ok(void);

/* What ctl/client.c calls; each as the function of libc. */
int server_socket(int domain, int type, int protocol);
int server_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int server_connect(int fd, const struct sockaddr *address, socklen_t len);
ssize_t server_send(int fd, const void *data, size_t len, int flags);
ssize_t server_recv(int fd, void *data, size_t len, int flags);
int server_poll(struct pollfd *fds, nfds_t count, int timeout_ms);
int server_close(int fd);
int server_clock_gettime(clockid_t clock, struct timespec *ret_now);

/* The main function of ctl/main.c. */
int imctl_main(int argc, char **argv);

#endif
