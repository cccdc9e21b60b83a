#include "sqlite_memory.h"

#include <malloc.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "proto/mem.h"

static void *allocate(int size)
{
	return mem_try_alloc((size_t)size);
}

static void *reallocate(void *memory, int size)
{
	return mem_try_realloc(memory, (size_t)size);
}

static int allocated(void *memory)
{
	return (int)malloc_usable_size(memory);
}

static int round_up(int size)
{
	return (size + 7) & ~7;
}

static int begin(void *arg)
{
	(void)arg;
	return SQLITE_OK;
}

static void end(void *arg)
{
	(void)arg;
}

void sqlite_memory_share(void)
{
	static const sqlite3_mem_methods methods = {allocate, free, reallocate, allocated, round_up, begin, end, NULL};

	sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}
