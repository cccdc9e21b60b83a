#include "keep.h"

#include <assert.h>

static size_t kept;

bool keep_take(size_t bytes)
{
	if (bytes > KEEP_MAX - kept)
		return false;
	kept += bytes;
	return true;
}

void keep_give(size_t bytes)
{
	assert(bytes <= kept);
	kept -= bytes;
}
