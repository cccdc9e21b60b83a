#include "capacity.h"

#include <stddef.h>
#include <sys/resource.h>

#include "log.h"

enum {
	FD_RESERVE = 32, /* descriptors for other things than clients; */
	FD_MIN = 16,     /* with fewer in all there would be none for any client */
};

int limit_clients(uint32_t asked, uint32_t *ret_clients, struct error *error)
{
	struct rlimit limit;
	uint64_t most;

	*ret_clients = asked;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < FD_MIN)
		return error_set(error, ERR_INTERNAL, "the limit of %llu descriptors is too low: "
			"at least %d are needed", (unsigned long long)limit.rlim_cur, FD_MIN);
	most = limit.rlim_cur > FD_RESERVE + 1 ? limit.rlim_cur - FD_RESERVE : 1;
	if (asked <= most)
		return 0;
	log_event(LEVEL_WARNING, "max-clients-lowered", LOG_U64("asked", asked),
		LOG_U64("max-clients", most), LOG_U64("descriptors", limit.rlim_cur));
	*ret_clients = (uint32_t)most;
	return 0;
}
