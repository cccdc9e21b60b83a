/* Runs a fuzz target without libFuzzer: over files, and over mutations of them from a seed.
 *
 *   fuzz_NAME [--mutations=COUNT] [--seed=SEED] [--save=FILE] FILE...
 *
 * Before an input is tried it is written to the file that --save names; if the process ends in any way but well, that
 * is the input to blame. Mutation number i is made from SEED + i alone, so it is the same whatever was tried before. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

/* Wide, so that only what has stopped for good meets it. */
enum { HANGS_AFTER_S = 120, MUTATIONS_MAX = 4 };

/* Memory that a target may have; a sanitizer reserves more than any limit. */
static const rlim_t data_max = (rlim_t)2 << 30;

struct input {
	uint8_t *data;
	size_t size;
};

struct drive {
	struct input *inputs; /* the files */
	size_t count;
	const char *save;
	int saved;            /* file descriptor; -1: not opened */
};

static void die(const char *what)
{
	fprintf(stderr, "fuzz_%s: %s: %s\n", fuzz_target.name, what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void *allocate(size_t size)
{
	void *memory = malloc(size > 0 ? size : 1);

	if (!memory)
		die("not enough memory");
	return memory;
}

static uint64_t byte_random; /* of the mutation that is being made */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
	size_t at = size > 0 ? fuzz_below(&byte_random, size) : 0;

	switch (fuzz_below(&byte_random, 3)) {
	case 0:
		if (size > 0)
			data[at] = (uint8_t)fuzz_random(&byte_random);
		return size;
	case 1:
		if (size == max_size)
			return size;
		memmove(data + at + 1, data + at, size - at);
		data[at] = (uint8_t)fuzz_random(&byte_random);
		return size + 1;
	default:
		if (size == 0)
			return 0;
		memmove(data + at, data + at + 1, size - at - 1);
		return size - 1;
	}
}

static struct input read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct input input = {.data = allocate(1)};
	size_t got, capacity = 0;

	if (!file)
		die(path);
	do {
		if (input.size == capacity) {
			capacity = capacity ? capacity * 2 : 4096;
			input.data = realloc(input.data, capacity);
			if (!input.data)
				die("not enough memory");
		}
		got = fread(input.data + input.size, 1, capacity - input.size, file);
		input.size += got;
	} while (got > 0);
	if (ferror(file))
		die(path);
	fclose(file);
	return input;
}

static void save(struct drive *drive, const struct input *input)
{
	if (!drive->save)
		return;
	if (drive->saved < 0)
		drive->saved = open(drive->save, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (drive->saved < 0 || ftruncate(drive->saved, 0) < 0 ||
		pwrite(drive->saved, input->data, input->size, 0) != (ssize_t)input->size)
		die(drive->save);
}

static void try_input(struct drive *drive, const struct input *input)
{
	/* Of exactly this size, so that a sanitizer sees a read after its end. */
	uint8_t *data = allocate(input->size);

	save(drive, input);
	if (input->size > 0)
		memcpy(data, input->data, input->size);
	alarm(HANGS_AFTER_S);
	LLVMFuzzerTestOneInput(data, input->size);
	alarm(0);
	free(data);
}

/* The beginning of one file and the end of another, or one file as it is. */
static size_t join_files(const struct drive *drive, uint64_t *random, uint8_t *data)
{
	const struct input *one = &drive->inputs[fuzz_below(random, drive->count)];
	const struct input *other = &drive->inputs[fuzz_below(random, drive->count)];
	size_t head = one->size, tail = 0;

	if (fuzz_below(random, 3) == 0) {
		head = fuzz_below(random, one->size + 1);
		tail = fuzz_below(random, other->size + 1);
	}
	if (head > fuzz_target.max_size)
		head = fuzz_target.max_size;
	if (tail > fuzz_target.max_size - head)
		tail = fuzz_target.max_size - head;
	if (head > 0)
		memcpy(data, one->data, head);
	if (tail > 0)
		memcpy(data + head, other->data + other->size - tail, tail);
	return head + tail;
}

static void try_mutation(struct drive *drive, uint64_t seed)
{
	struct input input = {.data = allocate(fuzz_target.max_size)};
	uint64_t random = seed;
	size_t times = 1 + fuzz_below(&random, MUTATIONS_MAX);

	byte_random = fuzz_random(&random);
	input.size = join_files(drive, &random, input.data);
	for (size_t i = 0; i < times; i++)
		input.size = LLVMFuzzerCustomMutator(input.data, input.size, fuzz_target.max_size,
			(unsigned)fuzz_random(&random));
	try_input(drive, &input);
	free(input.data);
}

static bool sanitized(void)
{
#if defined __SANITIZE_ADDRESS__
	return true;
#elif defined __has_feature
	return __has_feature(address_sanitizer);
#else
	return false;
#endif
}

static void limit_memory(void)
{
	struct rlimit limit = {.rlim_cur = data_max, .rlim_max = data_max};

	if (!sanitized() && setrlimit(RLIMIT_DATA, &limit) < 0)
		die("RLIMIT_DATA");
}

static uint64_t number_of(const char *text)
{
	char *end;
	uint64_t number;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno == 0 && (end == text || *end != '\0'))
		errno = EINVAL;
	if (errno != 0)
		die(text);
	return number;
}

struct arguments {
	uint64_t mutations, seed;
};

static void parse(int argc, char **argv, struct drive *drive, struct arguments *arguments)
{
	static const struct option options[] = {
		{"mutations", required_argument, NULL, 'm'},
		{"seed", required_argument, NULL, 's'},
		{"save", required_argument, NULL, 'o'},
		{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'm')
			arguments->mutations = number_of(optarg);
		else if (option == 's')
			arguments->seed = number_of(optarg);
		else if (option == 'o')
			drive->save = optarg;
		else
			exit(EXIT_FAILURE);
	}
	drive->inputs = allocate((size_t)(argc - optind) * sizeof *drive->inputs);
	for (; optind < argc; optind++)
		drive->inputs[drive->count++] = read_file(argv[optind]);
}

int main(int argc, char **argv)
{
	struct drive drive = {.saved = -1};
	struct arguments arguments = {.mutations = 0};

	parse(argc, argv, &drive, &arguments);
	limit_memory();
	for (size_t i = 0; i < drive.count; i++)
		try_input(&drive, &drive.inputs[i]);
	for (uint64_t i = 0; i < arguments.mutations && drive.count > 0; i++)
		try_mutation(&drive, arguments.seed + i);
	if (drive.saved >= 0)
		unlink(drive.save);
	for (size_t i = 0; i < drive.count; i++)
		free(drive.inputs[i].data);
	free(drive.inputs);
	return EXIT_SUCCESS;
}
