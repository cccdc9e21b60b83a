#include <config.h>

#include "chance.h"

#include <sys/random.h>
#include <time.h>
#include <uuid/uuid.h>

/* libuuid's own source asks the kernel several times for each; it is for where the kernel has none. Here
 * the kernel is asked for some at a time. */
void chance_id(void *arg, struct id *ret_id)
{
	static struct id pool[16];
	static size_t left;

	(void)arg;
	if (left == 0 && getrandom(pool, sizeof pool, 0) == sizeof pool)
		left = sizeof pool / sizeof pool[0];
	if (left == 0) {
		uuid_generate_random(ret_id->bytes);
		return;
	}
	*ret_id = pool[--left];
	ret_id->bytes[6] = (uint8_t)((ret_id->bytes[6] & 0x0f) | 0x40); /* version 4, */
	ret_id->bytes[8] = (uint8_t)((ret_id->bytes[8] & 0x3f) | 0x80); /* of RFC 9562 */
}

uint64_t chance_seed(void)
{
	uint64_t seed;
	struct timespec time;

	if (getrandom(&seed, sizeof seed, 0) == sizeof seed)
		return seed;
	clock_gettime(CLOCK_REALTIME, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}
