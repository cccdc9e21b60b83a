#include "memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "log.h"
#include "proto/mem.h"

enum {
	STACK_BYTES = 256 * 1024,   /* more than any call of the loop takes */
	MAPPED_MIN = 1 << 20,       /* blocks of this size are mapped, so that all of them goes back when they are freed, */
	TRIMMED_MIN = 8 << 20,      /* and of smaller ones what is free at the end of the heap, if it is as much */
};

/* The stack grows when it is used, and there is no way to go on if it cannot. So it grows here: a byte at its end maps
 * all of it, and takes one page of RAM. */
static void __attribute__((noinline)) stack_grow(void)
{
	volatile char stack[STACK_BYTES];

	stack[0] = 0;
	(void)stack[0];
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
	mallopt(M_ARENA_MAX, 1); /* another one takes 64 MiB of addresses */
	mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
	mallopt(M_TRIM_THRESHOLD, TRIMMED_MIN);
}

void memory_started(void)
{
	mem_set_exhausted_handler(NULL);
}
