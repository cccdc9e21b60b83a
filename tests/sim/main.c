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

struct options {
	uint64_t seeds, first;
	bool verbose, soak;
};

/* The seed at work is in *at. */
static void run_seeds(const struct options *options, uint64_t first, uint64_t count, uint64_t *at)
{
	struct totals totals = {0};

	for (*at = first; *at < first + count; (*at)++)
		run_seed(*at, options->verbose, &totals);
	if (!options->soak)
		print_totals(count, &totals);
}

/* Batches of seeds run in processes of their own: whatever ends one, this one can say at which seed. */

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* A signal to this process alone ends the batch, too. */
static void catch_interrupts(void)
{
	struct sigaction action = {.sa_handler = on_interrupt}; /* and no SA_RESTART: waitpid returns */

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static pid_t fork_or_exit(void)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child < 0) {
		perror("sim: fork");
		exit(2);
	}
	return child;
}

/* Returns whether nothing failed. Otherwise it has said how to replay the seed, which is in *at. */
static bool run_batch(const struct options *options, uint64_t first, uint64_t count, uint64_t *at)
{
	int status = 0;
	pid_t child = fork_or_exit();

	if (child == 0) {
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		run_seeds(options, first, count, at);
		exit(0);
	}
	while (waitpid(child, &status, 0) < 0)
		if (interrupted)
			kill(child, SIGTERM);
	if (status == 0 || interrupted)
		return true;
	if (WIFSIGNALED(status))
		fprintf(stderr, "sim: seed %llu: ended by signal %d\n", (unsigned long long)*at, WTERMSIG(status));
	fprintf(stderr, "sim: to replay it: tests/sim/sim --first %llu --seeds 1 --verbose\n",
		(unsigned long long)*at);
	return false;
}

/* Until it is interrupted. A seed that fails does not end it. */
static int soak(const struct options *options, uint64_t *at)
{
	uint64_t seed = options->first, tried = 0, failed = 0;

	while (!interrupted) {
		uint64_t first = seed;

		if (run_batch(options, first, SOAK_BATCH, at)) {
			seed = *at;
		} else {
			seed = *at + 1;
			failed++;
		}
		tried += seed - first;
		printf("sim: up to seed %llu: %llu tried, %llu failed\n", (unsigned long long)seed - 1,
			(unsigned long long)tried, (unsigned long long)failed);
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
	uint64_t *at = mmap(NULL, sizeof *at, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	options_parse(&options, argc, argv);
	if (at == MAP_FAILED) {
		perror("sim: mmap");
		return 2;
	}
	if (options.seeds == 1 && !options.soak) { /* in this process, for debuggers */
		run_seeds(&options, options.first, 1, at);
		return 0;
	}
	catch_interrupts();
	if (options.soak)
		return soak(&options, at);
	return run_batch(&options, options.first, options.seeds, at) && !interrupted ? 0 : 1;
}
