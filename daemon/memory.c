#include "memory.h"

#include <malloc.h>
#include <pwd.h>
#include <stdbool.h>
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
	LAST_LINE_BYTES = 16 * 1024,
	MAPPED_MIN = 1 << 20,       /* blocks of this size are mapped, so that all of them goes back when they are freed, */
	TRIMMED_MIN = 8 << 20,      /* and of smaller ones what is free at the end of the heap, if it is as much */
};

static void __attribute__((noinline)) stack_use(void)
{
	volatile char stack[STACK_BYTES];

	stack[0] = 0;
	(void)stack[0];
}

/* Whether the limit of addresses leaves as much for the stack. */
static bool stack_can_grow(void)
{
	void *as_much = mmap(NULL, STACK_BYTES + STACK_NEAR, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (as_much == MAP_FAILED)
		return false;
	munmap(as_much, STACK_BYTES + STACK_NEAR);
	return true;
}

/* The stack grows when it is used, and if it cannot, the kernel kills the process. So it is used before anything is
 * loaded, after asking for as much in a way that can fail. It stays mapped when its pages are given back; those next to
 * this frame are left alone. */
static void stack_grow(void)
{
	uintptr_t end = ((uintptr_t)__builtin_frame_address(0) - STACK_NEAR) & ~(uintptr_t)(PAGE - 1);

	if (!stack_can_grow())
		mem_exhausted();
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

/* What the log needs to report that there is no memory for anything else. */
static void *for_last_line;

static void cannot_start(void)
{
	free(for_last_line);
	log_event(LEVEL_ERR, "cannot-start",
		LOG_STR("error", "not enough memory to load the state; raise the memory limit"));
	_exit(EXIT_FAILURE);
}

void memory_set_up(void)
{
	mem_set_exhausted_handler(cannot_start);
	for_last_line = mem_alloc(LAST_LINE_BYTES);
	stack_grow();
	load_name_services();
	mallopt(M_ARENA_MAX, 1); /* another one takes 64 MiB of addresses */
	mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
	mallopt(M_TRIM_THRESHOLD, TRIMMED_MIN);
}

void memory_started(void)
{
	mem_set_exhausted_handler(NULL);
	free(for_last_line);
	for_last_line = NULL;
}
