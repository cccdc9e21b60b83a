/* Preloaded into imd: makes an allocation fail, or one of so many, when a test says so in a file that both map. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static struct {
	_Atomic uint64_t left;   /* the allocation so many from now fails, 0: none does; the test writes it */
	_Atomic uint64_t failed; /* how many have failed; the test reads it */
	_Atomic uint64_t every;  /* then, the one so many from there, and so on, 0: no other */
} *fault;

/* The next allocation of a thread after one that failed succeeds: what other threads allocate meanwhile must not make
 * both fail. */
static _Thread_local int trying_again;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("IMD_TEST_ALLOCFAULT");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *mapped;

	if (fd < 0)
		return;
	mapped = mmap(NULL, sizeof *fault, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (mapped != MAP_FAILED)
		fault = mapped;
}

/* Of all threads only one sees 1. */
static int last_one(void)
{
	uint64_t left = atomic_load(&fault->left);

	while (left > 0)
		if (atomic_compare_exchange_weak(&fault->left, &left, left - 1))
			return left == 1;
	return 0;
}

static int fails(void)
{
	if (!fault || trying_again || !last_one()) {
		trying_again = 0;
		return 0;
	}
	trying_again = 1;
	atomic_fetch_add(&fault->failed, 1);
	atomic_store(&fault->left, atomic_load(&fault->every));
	errno = ENOMEM;
	return 1;
}

void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
	return fails() ? NULL : __libc_realloc(memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t size)
{
	void *memory = fails() ? NULL : __libc_memalign(alignment, size);

	if (!memory)
		return ENOMEM;
	*ret_memory = memory;
	return 0;
}

char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = malloc(size);

	return copy ? memcpy(copy, text, size) : NULL;
}
