#include "memory.h"

#include <malloc.h>
#include <pwd.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "proto/mem.h"

enum {
	STACK_BYTES = 256 * 1024,   /* more than any call of the loop takes */
	STACK_NEAR = 16 * 1024,
	PAGE = 4096,
	MAPPED_MIN = 1 << 20,       /* blocks of this size are mapped, so that all of them goes back when they are freed, */
	TRIMMED_MIN = 8 << 20,      /* and of smaller ones what is free at the end of the heap, if it is as much */
};

static void __attribute__((noinline)) stack_use(void)
{
	volatile char stack[STACK_BYTES];

	stack[0] = 0;
	(void)stack[0];
}

/* The stack grows when it is used, and there is no way to go on if it cannot. So it is used before. It stays mapped
 * when its pages are given back; those next to this frame are left alone. */
static void stack_grow(void)
{
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - STACK_NEAR) & ~(uintptr_t)(PAGE - 1);

	stack_use();
	madvise((void *)(end - (STACK_BYTES - 2 * STACK_NEAR)), STACK_BYTES - 2 * STACK_NEAR, MADV_DONTNEED);
}

/* The first look-up of a user or group reads nsswitch.conf, and glibc ends the process if it has no memory for that. */
static void load_name_services(void)
{
	struct passwd user, *found;
	char strings[1024]; /* that the entry may not fit is no matter */

	getpwuid_r(geteuid(), &user, strings, sizeof strings, &found);
}

static void cannot_start(void)
{
	log_event(LEVEL_ERR, "cannot-start",
		LOG_STR("error", "not enough memory for the state: raise the limit of the daemon's memory"));
	_exit(EXIT_FAILURE);
}

void memory_set_up(void)
{
	mem_set_exhausted_handler(cannot_start);
	stack_grow();
	load_name_services();
	mallopt(M_ARENA_MAX, 1); /* another one takes 64 MiB of addresses */
	mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
	mallopt(M_TRIM_THRESHOLD, TRIMMED_MIN);
}

void memory_started(void)
{
	mem_set_exhausted_handler(NULL);
}
