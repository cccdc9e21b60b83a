/* The thread takes jobs from one list and puts them into another; a descriptor wakes the loop for the
 * second, and a condition the thread for the first. */
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proto/mem.h"
#include "runner.h"

struct thread_runner {
	struct runner runner;
	pthread_t thread;
	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t given;
	struct jobs todo;
	struct jobs done;
	bool ends;
	int fd;                /* is readable while there is something done; not guarded */
	struct event *event;   /* the loop's alone */
};

static void *work(void *arg)
{
	struct thread_runner *self = arg;
	struct job *job;

	pthread_mutex_lock(&self->mutex);
	for (;;) {
		while (TAILQ_EMPTY(&self->todo) && !self->ends)
			pthread_cond_wait(&self->given, &self->mutex);
		if (self->ends)
			break;
		job = TAILQ_FIRST(&self->todo);
		TAILQ_REMOVE(&self->todo, job, entry);
		pthread_mutex_unlock(&self->mutex);
		job->work(job->arg);
		pthread_mutex_lock(&self->mutex);
		TAILQ_INSERT_TAIL(&self->done, job, entry);
		eventfd_write(self->fd, 1);
	}
	pthread_mutex_unlock(&self->mutex);
	return NULL;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
	struct thread_runner *self = arg;
	struct jobs done = TAILQ_HEAD_INITIALIZER(done);
	struct job *job;
	eventfd_t count;

	(void)what;
	pthread_mutex_lock(&self->mutex);
	eventfd_read(fd, &count);
	TAILQ_CONCAT(&done, &self->done, entry);
	pthread_mutex_unlock(&self->mutex);
	while ((job = TAILQ_FIRST(&done)) != NULL) {
		TAILQ_REMOVE(&done, job, entry);
		job->done(job->arg);
	}
}

static void thread_run(struct runner *runner, struct job *job)
{
	struct thread_runner *self = (struct thread_runner *)runner;

	pthread_mutex_lock(&self->mutex);
	if (job->urgent)
		TAILQ_INSERT_HEAD(&self->todo, job, entry); /* there is one at a time */
	else
		TAILQ_INSERT_TAIL(&self->todo, job, entry);
	pthread_cond_signal(&self->given);
	pthread_mutex_unlock(&self->mutex);
}

static void thread_end(struct thread_runner *self)
{
	pthread_mutex_lock(&self->mutex);
	self->ends = true;
	pthread_cond_signal(&self->given);
	pthread_mutex_unlock(&self->mutex);
	pthread_join(self->thread, NULL);
}

static void runner_release(struct thread_runner *self)
{
	if (self->event != NULL)
		event_free(self->event);
	if (self->fd >= 0)
		close(self->fd);
	pthread_cond_destroy(&self->given);
	pthread_mutex_destroy(&self->mutex);
	free(self);
}

static void thread_free(struct runner *runner)
{
	struct thread_runner *self = (struct thread_runner *)runner;

	thread_end(self);
	runner_release(self);
}

/* Signals are the loop's. */
static int thread_begin(struct thread_runner *self)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&self->thread, NULL, work, self);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed ? -1 : 0;
}

struct runner *runner_thread(struct event_base *base)
{
	static const struct runner_ops ops = {thread_run, thread_free};
	struct thread_runner *self = mem_zalloc(1, sizeof *self);

	self->runner.ops = &ops;
	pthread_mutex_init(&self->mutex, NULL);
	pthread_cond_init(&self->given, NULL);
	TAILQ_INIT(&self->todo);
	TAILQ_INIT(&self->done);
	self->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (self->fd >= 0)
		self->event = event_new(base, self->fd, EV_READ | EV_PERSIST, on_done, self);
	if (self->event == NULL || event_add(self->event, NULL) < 0 || thread_begin(self) < 0) {
		runner_release(self);
		return NULL;
	}
	return &self->runner;
}
