/* Allocation that cannot fail: for what is small or bounded. Memory that a request can make grow
 * in proportion to a group is allocated with malloc() and checked instead. */
#ifndef IMD_PROTO_MEM_H
#define IMD_PROTO_MEM_H

#include <stddef.h>

/* As malloc, calloc, reallocarray and strdup; on failure a line to stderr and abort(). */
void *mem_alloc(size_t size) __attribute__((returns_nonnull));
void *mem_zalloc(size_t count, size_t size) __attribute__((returns_nonnull));
void *mem_realloc(void *memory, size_t count, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((returns_nonnull));
/* What they do on failure. */
_Noreturn void mem_exhausted(void);

/* Memory for arrays that may be large, from huge pages where the kernel has them: a page fault
 * every 4 KiB costs more than most of what is done with the page. Large blocks are NULL where there
 * is no memory, and are given back with free(). The memory is zeroed by mem_large_zalloc only. */
void *mem_large_alloc(size_t count, size_t size);
void *mem_large_zalloc(size_t count, size_t size);
/* As realloc: the old block stays as it was where this returns NULL. used: how many items of the
 * old block are worth copying. */
void *mem_large_resize(void *memory, size_t used, size_t count, size_t size);

/* Has the kernel supply the pages of a block that is about to be written whole, all at once. */
void mem_prefault(void *memory, size_t bytes);

#endif
