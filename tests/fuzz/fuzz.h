/* What every fuzz target has, and what the targets share. A target is a program of one source of its name that
 * defines fuzz_target and fuzz_one; the rest is the same for all:
 *
 *   libFuzzer (make fuzz)  ─┐                         ┌─ fuzz_one
 *                           ├─► mutate.c, with words ─┤
 *   drive.c (make check)   ─┘                         └─ fuzz_require
 *
 * An input is any bytes. The targets read it as lines, so that people can read and write the files of a corpus. */
#ifndef IMD_TESTS_FUZZ_H
#define IMD_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuzz_target {
	const char *name;
	size_t max_size; /* bytes of the longest input that is made */
	/* The words of its inputs, from 0; NULL after the last. */
	const char *(*word)(size_t index);
	/* Makes a line, without its LF, that makes sense; NULL: any words do. */
	void (*make_line)(uint64_t *random, char *ret_line, size_t size);
};

extern const struct fuzz_target fuzz_target;

/* Tries one input. Returns if all is as it must be; fuzz_require ends the process if not. */
void fuzz_one(const uint8_t *data, size_t size);

/* Aborts, with a message, unless the condition holds. */
void fuzz_require(bool holds, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next number of a seeded sequence, and one below a limit, which is not 0. */
uint64_t fuzz_random(uint64_t *state);
size_t fuzz_below(uint64_t *state, size_t limit);

/* The entry points of libFuzzer; see its manual. drive.c calls the first two, and defines the third if there is no
 * libFuzzer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* One of the target's words, by chance. */
const char *fuzz_any_word(uint64_t *random);

/* A directory for the files of a target, below $TMPDIR, else /dev/shm or /tmp. The process that made it removes it
 * when it exits. Returns the path. */
const char *fuzz_directory(void);

#endif
