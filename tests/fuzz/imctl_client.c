/* imctl's client, which talks to the script of imctl_server.c. */
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "imctl_server.h"

#define socket server_socket
#define setsockopt server_setsockopt
#define connect server_connect
#define send server_send
#define recv server_recv
#define poll server_poll
#define close server_close
#define clock_gettime server_clock_gettime

#include "ctl/client.c"
