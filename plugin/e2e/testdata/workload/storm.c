/* Processes as fast as they can be made. */
#define _GNU_SOURCE
#include "task.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void one(int way)
{
	pid_t pid;
	uint32_t tok;
	struct program p;
	switch (way % 5) {
	case 0:
		pid = fork_told();
		if (pid == 0)
			exit_told();
		break;
	case 1:
		pid = fork_told();
		if (pid == 0)
			run("storm", "stop", "");
		break;
	case 2:
		program(&p, "storm-v", "stop", "");
		tok = token();
		pid = call1(SYS_vfork, tok);
		if (pid == 0) {
			execute(&p);
			die("storm-v");
		}
		tell("vfork", tok, whoami(), NULL);
		break;
	case 3: /* an orphan */
		pid = fork_told();
		if (pid == 0) {
			if (fork_told() == 0)
				run("storm-orphan", "stop", "");
			exit_told();
		}
		break;
	default: /* one that ends without a record */
		pid = clone3_told(0);
		if (pid == 0) {
			probe();
			syscall(SYS_exit, 0L);
		}
	}
	wait_for(pid);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void part_storm(const char *arg)
{
	double end = seconds() + atoi(arg);
	for (int i = 0; seconds() < end; i++)
		one(i);
	exit_told();
}

void storm(int workers, int length)
{
	char name[24], arg[16];
	snprintf(arg, sizeof arg, "%d", length);
	for (int w = 0; w < workers; w++)
		if (fork_told() == 0) {
			snprintf(name, sizeof name, "worker-%d", w);
			if (w % 2 == 0) /* half of them are another program */
				run(name, "storm", arg);
			part_storm(arg);
		}
	wait_all();
}
