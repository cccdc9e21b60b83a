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

enum { HUGE_PAGE = 2 << 20, PAGE = 4096, PREFAULT_MIN = 8 * PAGE };

/* The address range rounded to whole units within it; returns its length. */
static size_t whole_units(void *memory, size_t bytes, size_t unit, void **ret_first)
{
	uintptr_t begin = (uintptr_t)memory;
	uintptr_t first = (begin + unit - 1) & ~(unit - 1), end = (begin + bytes) & ~(unit - 1);

	*ret_first = (char *)memory + (first - begin);
	return first < end ? end - first : 0;
}

/* Where the kernel cannot, the pages come one by one. */
void mem_prefault(void *memory, size_t bytes)
{
#ifdef MADV_POPULATE_WRITE
	void *first;
	size_t len;

	if (!memory || bytes < PREFAULT_MIN)
		return;
	len = whole_units(memory, bytes, PAGE, &first);
	if (len > 0)
		madvise(first, len, MADV_POPULATE_WRITE);
#else
	(void)memory;
	(void)bytes;
#endif
}

void *mem_large_alloc(size_t count, size_t size)
{
	size_t bytes;
	void *memory, *first;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	memory = malloc(bytes > 0 ? bytes : 1);
	if (!memory || bytes < HUGE_PAGE) {
		mem_prefault(memory, bytes);
		return memory;
	}
	bytes = whole_units(memory, bytes, HUGE_PAGE, &first);
	if (bytes > 0) /* advice: it works without, too */
		madvise(first, bytes, MADV_HUGEPAGE);
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
