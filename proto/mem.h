/* Memory, and an emergency reserve.
 *
 * The reserve is address space that is mapped and never touched: it costs no RAM, but counts where memory is
 * limited for a process (RLIMIT_AS, ulimit -v) or for the system (vm.overcommit_memory=2). If an allocation fails
 * the whole reserve is unmapped and the allocation tried again. So the holder of the reserve may allocate as many
 * bytes as it has, in any number of blocks, and none of these allocations fails. It must be held again before the
 * next piece of work: mem_reserve_hold() says whether it could be, and work that may not fail begins only then.
 * What each piece of work takes is computed in daemon/engine/needs.h.
 *
 * Code that can handle failure has three kinds of allocation to choose from:
 *   mem_alloc and the like   cannot fail, for what is small or bounded by what is held; the reserve is used
 *   mem_large_*, mem_try_*   NULL on failure; the reserve is used, unless the thread bypasses it
 *   mem_cache_realloc        NULL on failure, also while the reserve is in use: for caches and other optional data, so
 *                            that they never take what was held for others
 *
 * A limit of a cgroup (MemoryMax=) is not covered by the reserve: there allocations succeed, and the kernel kills. */
#ifndef IMD_PROTO_MEM_H
#define IMD_PROTO_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* As malloc, calloc, reallocarray and strdup. If the reserve does not help either, the handler is called, then a line
 * goes to stderr and the process is aborted. */
void *mem_alloc(size_t size) __attribute__((returns_nonnull));
void *mem_zalloc(size_t count, size_t size) __attribute__((returns_nonnull));
void *mem_realloc(void *memory, size_t count, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *text) __attribute__((returns_nonnull));
/* What they do on failure. */
_Noreturn void mem_exhausted(void);
/* Called first by mem_exhausted, may end the process, and is called once at most: it may allocate. NULL: none. */
void mem_set_exhausted_handler(void (*handler)(void));

/* Holds a reserve of at least so many bytes. 0: it is held, which costs O(1) and no system call if it was before.
 * -1: there is not so much memory; what was held is held still. */
int mem_reserve_hold(size_t bytes);
/* Gives back what is held beyond `bytes`. */
void mem_reserve_trim(size_t bytes);
/* How many bytes are held; 0 also while the reserve is in use. */
size_t mem_reserve_held(void);
/* While `bypasses` is true, mem_large_* and mem_try_* of this thread do without the reserve, as mem_cache_realloc does.
 * Returns what it was before. */
bool mem_reserve_bypass(bool bypasses);

/* As malloc and realloc; NULL on failure. */
void *mem_try_alloc(size_t size);
void *mem_try_realloc(void *memory, size_t size);
void *mem_cache_realloc(void *memory, size_t size);

/* Memory for arrays that may be large, from huge pages where the kernel has them: a page fault
 * every 4 KiB costs more than most of what is done with the page. Large blocks are NULL if there
 * is no memory, and are given back with free(). The memory is zeroed by mem_large_zalloc only. */
void *mem_large_alloc(size_t count, size_t size);
void *mem_large_zalloc(size_t count, size_t size);
/* As realloc: the old block stays as it was where this returns NULL. used: how many items of the
 * old block are worth copying. */
void *mem_large_resize(void *memory, size_t used, size_t count, size_t size);

/* Has the kernel supply the pages of a block that is about to be written whole, all at once. */
void mem_prefault(void *memory, size_t bytes);

#endif
