/* Runs the simulation over many seeds: so many, or without end. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/args.h"
#include "sim.h"

enum { SOAK_BATCH = 1000 };

static const struct sim *running; /* NULL: between two seeds */

/* An assertion of the daemon's: which seed was it? */
static void on_abort(int number)
{
	char text[256];
	int len = snprintf(text, sizeof text, "sim: seed %llu, step %llu, at %lld ms: it aborts\n"
		"sim: to replay it: tests/sim/sim --first %llu --seeds 1 --verbose\n",
		(unsigned long long)running->seed, (unsigned long long)running->steps,
		(long long)running->mono_ms, (unsigned long long)running->seed);

	(void)number;
	if (write(STDERR_FILENO, text, (size_t)len) < 0)
		_exit(1);
	_exit(1);
}

/* The end of the program in the midst of a seed: sim_fail has said what is wrong. */
static void on_exit_failed(void)
{
	if (running)
		fprintf(stderr, "sim: to replay it: tests/sim/sim --first %llu --seeds 1 --verbose\n",
			(unsigned long long)running->seed);
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
	running = NULL;
	sim_fini(&sim);
}

static void print_totals(uint64_t seeds, const struct totals *totals)
{
	printf("sim: %llu seeds, %llu steps, %llu commits, %llu failed, %llu failed loads, %llu crashes, "
	       "%llu configured anew, %llu events, %llu answers, %llu starts, %llu stops, %llu kills: "
	       "all that must hold held\n",
		(unsigned long long)seeds, (unsigned long long)totals->steps,
		(unsigned long long)totals->commits, (unsigned long long)totals->failures,
		(unsigned long long)totals->failed_loads,
		(unsigned long long)totals->crashes, (unsigned long long)totals->configured,
		(unsigned long long)totals->events,
		(unsigned long long)totals->answered, (unsigned long long)totals->starts,
		(unsigned long long)totals->stops, (unsigned long long)totals->kills);
}

/* Without end: batches of seeds, each in a process of its own, so that the next seed is tried whatever becomes of
 * this one. */

static volatile sig_atomic_t soak_ends;

static void on_end(int number)
{
	(void)number;
	soak_ends = 1;
}

/* The seed at work is in *shared, for the parent. */
static void soak_child(uint64_t first, uint64_t *shared)
{
	struct totals totals = {0};

	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	for (*shared = first; *shared < first + SOAK_BATCH; (*shared)++)
		run_seed(*shared, false, &totals);
	exit(0);
}

/* Returns the wait status of the batch. A signal to this process alone ends the batch, too. */
static int soak_batch(uint64_t first, uint64_t *shared)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0) {
		perror("sim: fork");
		exit(2);
	}
	if (child == 0)
		soak_child(first, shared);
	while (waitpid(child, &status, 0) < 0)
		if (soak_ends)
			kill(child, SIGTERM);
	return status;
}

static void end_softly(void)
{
	struct sigaction action = {.sa_handler = on_end}; /* and no SA_RESTART: waitpid returns */

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static int soak(uint64_t seed)
{
	uint64_t *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t tried = 0, failed = 0, first;

	if (shared == MAP_FAILED) {
		perror("sim: mmap");
		return 2;
	}
	end_softly();
	while (!soak_ends) {
		int status = soak_batch(seed, shared);

		if (soak_ends)
			break;
		first = seed;
		seed = *shared;
		if (status != 0) {
			failed++;
			if (WIFSIGNALED(status))
				fprintf(stderr, "sim: seed %llu: signal %d ends it\n"
					"sim: to replay it: tests/sim/sim --first %llu --seeds 1 --verbose\n",
					(unsigned long long)seed, WTERMSIG(status), (unsigned long long)seed);
			seed++;
		}
		tried += seed - first;
		printf("sim: seeds %llu to %llu: %llu tried, %llu failed\n", (unsigned long long)first,
			(unsigned long long)(seed - 1), (unsigned long long)tried,
			(unsigned long long)failed);
		fflush(stdout);
	}
	return failed > 0;
}

/* The command line. */

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

/* A number that is short enough to be typed. */
static uint64_t random_seed(void)
{
	uint32_t seed;

	if (getrandom(&seed, sizeof seed, 0) != sizeof seed) {
		perror("sim: getrandom");
		exit(2);
	}
	printf("sim: the first seed, %u, is random\n", seed);
	fflush(stdout);
	return seed;
}

struct options {
	uint64_t seeds, first;
	bool verbose, soak;
};

static void options_parse(struct options *options, int argc, char **argv)
{
	static const struct option table[] = {
		{"seeds", required_argument, NULL, 'n'},
		{"first", required_argument, NULL, 'f'},
		{"soak", no_argument, NULL, 's'},
		{"verbose", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'n') {
			options->seeds = number(optarg, "seeds");
		} else if (option == 'f') {
			options->first = strcmp(optarg, "random") == 0 ? random_seed()
								       : number(optarg, "first");
		} else if (option == 's') {
			options->soak = true;
		} else if (option == 'v') {
			options->verbose = true;
		} else {
			fprintf(stderr, "usage: sim [--first N|random] [--seeds N | --soak] [--verbose]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct options options = {.seeds = 10000, .first = 1};
	struct totals totals = {0};

	options_parse(&options, argc, argv);
	signal(SIGABRT, on_abort);
	atexit(on_exit_failed);
	if (options.soak)
		return soak(options.first);
	for (uint64_t seed = options.first; seed < options.first + options.seeds; seed++)
		run_seed(seed, options.verbose, &totals);
	print_totals(options.seeds, &totals);
	return 0;
}
