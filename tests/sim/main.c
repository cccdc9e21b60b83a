/* Runs the simulation over many seeds. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/args.h"
#include "sim.h"

static const struct sim *running;

/* An assertion of the daemon's: which seed was it? */
static void on_abort(int number)
{
	char text[128];
	int len = snprintf(text, sizeof text, "sim: seed %llu, step %llu, at %lld ms: it aborts\n",
		(unsigned long long)running->seed, (unsigned long long)running->steps,
		(long long)running->mono_ms);

	(void)number;
	if (write(STDERR_FILENO, text, (size_t)len) < 0)
		_exit(1);
	_exit(1);
}

struct totals {
	uint64_t steps, commits, failures, failed_loads, crashes, configured;
	uint64_t events, answered, starts, stops, kills;
};

static void run_seed(uint64_t seed, bool verbose, struct totals *totals)
{
	static struct sim sim;
	struct sim_config config;

	sim_config_random(&config, seed);
	sim_init(&sim, seed, &config);
	sim.verbose = verbose;
	running = &sim;
	sim_run(&sim);
	totals->steps += sim.steps;
	totals->commits += sim.storage.commits;
	totals->failures += sim.storage.failures;
	totals->failed_loads += sim.storage.failed_loads;
	totals->crashes += sim.crashes;
	totals->configured += sim.configured;
	totals->events += sim.model.seq;
	totals->answered += sim.answered;
	totals->starts += sim.world.starts;
	totals->stops += sim.world.stops;
	totals->kills += sim.world.kills;
	sim_fini(&sim);
}

static uint64_t number(const char *text, const char *what)
{
	struct error error;
	uint64_t value;

	if (arg_number(text, what, 0, INT64_MAX, &value, &error) < 0) {
		fprintf(stderr, "sim: %s\n", error.text);
		exit(2);
	}
	return value;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"seeds", required_argument, NULL, 'n'},
		{"first", required_argument, NULL, 'f'},
		{"verbose", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	uint64_t seeds = 10000, first = 1;
	struct totals totals = {0};
	bool verbose = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'n') {
			seeds = number(optarg, "seeds");
		} else if (option == 'f') {
			first = number(optarg, "first");
		} else if (option == 'v') {
			verbose = true;
		} else {
			fprintf(stderr, "usage: sim [--seeds N] [--first N] [--verbose]\n");
			return 2;
		}
	}
	signal(SIGABRT, on_abort);
	for (uint64_t seed = first; seed < first + seeds; seed++)
		run_seed(seed, verbose, &totals);
	printf("sim: %llu seeds, %llu steps, %llu commits, %llu failed, %llu failed loads, %llu crashes, "
	       "%llu configured anew, %llu events, %llu answers, %llu starts, %llu stops, %llu kills: "
	       "all that must hold held\n",
		(unsigned long long)seeds, (unsigned long long)totals.steps,
		(unsigned long long)totals.commits, (unsigned long long)totals.failures,
		(unsigned long long)totals.failed_loads,
		(unsigned long long)totals.crashes, (unsigned long long)totals.configured,
		(unsigned long long)totals.events,
		(unsigned long long)totals.answered, (unsigned long long)totals.starts,
		(unsigned long long)totals.stops, (unsigned long long)totals.kills);
	return 0;
}
