#include "mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- the reserve --------------------------------------------------------------------------- */

enum { RESERVE_UNIT = 1 << 20 }; /* it grows and shrinks by multiples of this, to save system calls */

static struct {
	pthread_mutex_t mutex; /* guards the mapping */
	void *mapping;         /* NULL: none */
	atomic_size_t held;    /* its length; read without the mutex too */
	atomic_bool in_use;    /* it was unmapped for an allocation, and is not held again yet */
} reserve = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local bool bypassing;
static void (*exhausted_handler)(void);

/* MAP_NORESERVE: a system that hands out more memory than it has need not count these pages. One that
 * does not (vm.overcommit_memory=2) ignores the flag and counts them. */
static int reserve_resize(size_t bytes)
{
	size_t held = atomic_load(&reserve.held);
	void *mapping;

	if (!reserve.mapping)
		mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	else
		mapping = mremap(reserve.mapping, held, bytes, MREMAP_MAYMOVE);
	if (mapping == MAP_FAILED)
		return -1;
	reserve.mapping = mapping;
	atomic_store(&reserve.held, bytes);
	atomic_store(&reserve.in_use, false);
	return 0;
}

static void reserve_unmap(void)
{
	if (reserve.mapping)
		munmap(reserve.mapping, atomic_load(&reserve.held));
	reserve.mapping = NULL;
	atomic_store(&reserve.held, 0);
}

/* Another thread may have used it for itself a moment ago; what that left may be enough for this one as well. */
static void reserve_use(void)
{
	pthread_mutex_lock(&reserve.mutex);
	if (reserve.mapping)
		atomic_store(&reserve.in_use, true);
	reserve_unmap();
	pthread_mutex_unlock(&reserve.mutex);
}

static size_t whole_mib(size_t bytes)
{
	return (bytes + RESERVE_UNIT - 1) & ~(size_t)(RESERVE_UNIT - 1);
}

int mem_reserve_hold(size_t bytes)
{
	int ret;

	if (atomic_load_explicit(&reserve.held, memory_order_relaxed) >= bytes)
		return 0;
	if (bytes > SIZE_MAX / 2)
		return -1;
	pthread_mutex_lock(&reserve.mutex);
	ret = atomic_load(&reserve.held) >= bytes ? 0 : reserve_resize(whole_mib(bytes));
	pthread_mutex_unlock(&reserve.mutex);
	return ret;
}

void mem_reserve_trim(size_t bytes)
{
	size_t wanted = whole_mib(bytes);

	if (atomic_load_explicit(&reserve.held, memory_order_relaxed) <= wanted)
		return;
	pthread_mutex_lock(&reserve.mutex);
	if (wanted == 0)
		reserve_unmap();
	else if (atomic_load(&reserve.held) > wanted)
		reserve_resize(wanted);
	pthread_mutex_unlock(&reserve.mutex);
}

size_t mem_reserve_held(void)
{
	return atomic_load(&reserve.held);
}

bool mem_reserve_bypass(bool bypasses)
{
	bool before = bypassing;

	bypassing = bypasses;
	return before;
}

/* ---- allocations --------------------------------------------------------------------------- */

void mem_set_exhausted_handler(void (*handler)(void))
{
	exhausted_handler = handler;
}

void mem_exhausted(void)
{
	void (*handler)(void) = exhausted_handler;

	exhausted_handler = NULL; /* it may find no memory either */
	if (handler)
		handler();
	fputs("out of memory\n", stderr);
	abort();
}

void *mem_cache_realloc(void *memory, size_t size)
{
	if (atomic_load_explicit(&reserve.in_use, memory_order_relaxed))
		return NULL;
	return realloc(memory, size > 0 ? size : 1);
}

/* A size of 0 may make the allocators return NULL, which is no failure: ask for one byte then. */
static void *malloc_from_reserve(size_t size)
{
	void *memory = malloc(size > 0 ? size : 1);

	if (memory)
		return memory;
	reserve_use();
	return malloc(size > 0 ? size : 1);
}

static void *realloc_from_reserve(void *memory, size_t size)
{
	void *moved = realloc(memory, size > 0 ? size : 1);

	if (moved)
		return moved;
	reserve_use();
	return realloc(memory, size > 0 ? size : 1);
}

void *mem_try_realloc(void *memory, size_t size)
{
	return bypassing ? mem_cache_realloc(memory, size) : realloc_from_reserve(memory, size);
}

void *mem_try_alloc(size_t size)
{
	return bypassing ? mem_cache_realloc(NULL, size) : malloc_from_reserve(size);
}

void *mem_alloc(size_t size)
{
	void *memory = malloc_from_reserve(size);

	if (!memory)
		mem_exhausted();
	return memory;
}

void *mem_zalloc(size_t count, size_t size)
{
	void *memory = calloc(count > 0 && size > 0 ? count : 1, size > 0 ? size : 1);

	if (memory)
		return memory;
	reserve_use();
	memory = calloc(count > 0 && size > 0 ? count : 1, size > 0 ? size : 1);
	if (!memory)
		mem_exhausted();
	return memory;
}

void *mem_realloc(void *memory, size_t count, size_t size)
{
	size_t bytes;
	void *moved;

	if (__builtin_mul_overflow(count, size, &bytes))
		mem_exhausted();
	moved = realloc_from_reserve(memory, bytes);
	if (!moved)
		mem_exhausted();
	return moved;
}

char *mem_strdup(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(mem_alloc(size), text, size);
}

/* ---- large blocks -------------------------------------------------------------------------- */

enum { HUGE_PAGE = 2 << 20, PAGE = 4096, PREFAULT_MIN = 8 * PAGE };

/* The address range rounded to whole units within it; returns its length. */
static size_t whole_units(void *memory, size_t bytes, size_t unit, void **ret_first)
{
	uintptr_t begin = (uintptr_t)memory;
	uintptr_t first = (begin + unit - 1) & ~(unit - 1), end = (begin + bytes) & ~(unit - 1);

	*ret_first = (char *)memory + (first - begin);
	return first < end ? end - first : 0;
}

/* If the kernel cannot, the pages come one by one. */
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
	memory = mem_try_alloc(bytes);
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
