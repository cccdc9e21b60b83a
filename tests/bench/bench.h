/* What the programs of the benchmark share: time, sockets, and what /proc tells of a server. */
#ifndef IMD_TESTS_BENCH_H
#define IMD_TESTS_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Writes "program: text" to stderr and exits 1: the measurement broke. */
void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

uint64_t bench_now_ns(void);
/* Processor time that a process has used; 0 for pid 0 or where /proc does not tell. */
uint64_t bench_cpu_ns(pid_t pid);

/* A number of a command line, from 1 to max. */
uint64_t bench_number(const char *text, uint64_t max);
/* Resolves \r, \n and \\; the result is the caller's. */
char *bench_unescape(const char *text);

/* The soft limit of descriptors becomes the hard one. */
void bench_raise_nofile(void);
/* Both die where they fail; the descriptors do not block. */
int bench_connect(const char *path);
int bench_listen(const char *path);
/* Waits until the descriptor can be read, then reads once; dies at the end of the stream. */
size_t bench_read_wait(int fd, char *buffer, size_t size);
/* Writes everything, waiting where it must. */
void bench_write_all(int fd, const char *data, size_t len);

#endif
