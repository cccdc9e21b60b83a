/* Deadlines: an indexed binary heap. Adding, cancelling and taking the next one are O(log n). */
#ifndef IMD_CORE_TIMERS_H
#define IMD_CORE_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#define TIMER_NONE UINT32_MAX

/* What is due. The meaning of kind, a and b is the caller's. */
struct timer {
	int64_t deadline_ms; /* monotonic */
	uint32_t kind;
	uint32_t a;
	uint32_t b;
};

struct timers {
	uint32_t *heap;  /* handles, the earliest deadline first; equal ones in the order added */
	struct timer_slot *slots;
	uint32_t count;
	uint32_t capacity;
	uint32_t free;   /* head of the free handles */
	uint64_t added;
};

void timers_init(struct timers *timers);
void timers_fini(struct timers *timers);

/* Returns a handle, valid until the timer is cancelled or popped. */
uint32_t timers_add(struct timers *timers, struct timer timer);
void timers_cancel(struct timers *timers, uint32_t handle);
/* The earliest deadline, or INT64_MAX. */
int64_t timers_next(const struct timers *timers);
/* Takes the earliest timer if it is due at now_ms. */
bool timers_pop(struct timers *timers, int64_t now_ms, struct timer *ret_timer);
/* Reads a timer that has not fired. */
const struct timer *timers_get(const struct timers *timers, uint32_t handle);

#endif
