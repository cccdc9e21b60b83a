#include "mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void mem_exhausted(void)
{
	fputs("out of memory\n", stderr);
	abort();
}

static void *mem_checked(void *memory)
{
	if (memory == NULL)
		mem_exhausted();
	return memory;
}

/* A size of 0 may make the allocators return NULL, which is no failure: ask for one byte then. */
void *mem_alloc(size_t size)
{
	return mem_checked(malloc(size > 0 ? size : 1));
}

void *mem_zalloc(size_t count, size_t size)
{
	if (count == 0 || size == 0)
		return mem_checked(calloc(1, 1));
	return mem_checked(calloc(count, size));
}

void *mem_realloc(void *memory, size_t count, size_t size)
{
	if (count == 0 || size == 0)
		return mem_checked(realloc(memory, 1));
	return mem_checked(reallocarray(memory, count, size));
}

char *mem_strdup(const char *text)
{
	return mem_checked(strdup(text));
}

enum { HUGE_PAGE = 2 << 20 };

void *mem_large_alloc(size_t count, size_t size)
{
	size_t bytes;
	uintptr_t first, end;
	void *memory;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	memory = malloc(bytes > 0 ? bytes : 1);
	if (!memory || bytes < HUGE_PAGE)
		return memory;
	first = ((uintptr_t)memory + HUGE_PAGE - 1) & ~((uintptr_t)HUGE_PAGE - 1);
	end = ((uintptr_t)memory + bytes) & ~((uintptr_t)HUGE_PAGE - 1);
	if (first < end) /* advice: it works without, too */
		madvise((void *)first, end - first, MADV_HUGEPAGE);
	return memory;
}

void *mem_large_zalloc(size_t count, size_t size)
{
	void *memory = mem_large_alloc(count, size);

	if (memory)
		memset(memory, 0, count * size);
	return memory;
}

void *mem_large_resize(void *memory, size_t used, size_t count, size_t size)
{
	void *resized = mem_large_alloc(count, size);

	if (!resized)
		return NULL;
	if (used > 0)
		memcpy(resized, memory, (used < count ? used : count) * size);
	free(memory);
	return resized;
}
