/* Who was killed, and by whom. */
#define _GNU_SOURCE
#include "task.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Tells through the descriptor arg who this is, and waits to be killed. */
void part_wait(const char *arg)
{
	char text[16500];
	int n = snprintf(text, sizeof text, "%d=%s", (int)whoami(), chain);
	alarm(60);
	if (write(atoi(arg), text, n) != n)
		die("write");
	for (;;)
		pause();
}

/* Starts a victim; what it says of itself is added to who. */
static pid_t victim(const char *name, pid_t group, char *who, size_t room)
{
	int fd[2];
	char arg[16];
	if (pipe(fd) < 0)
		die("pipe");
	snprintf(arg, sizeof arg, "%d", fd[1]);
	pid_t pid = fork_told();
	if (pid == 0) {
		setpgid(0, group);
		if (*name)
			run(name, "wait", arg);
		part_wait(arg);
	}
	size_t n = strlen(who);
	if (n > 0)
		who[n++] = ' ';
	ssize_t got = read(fd[0], who + n, room - n - 1);
	if (got <= 0)
		die("a victim says nothing");
	who[n + got] = 0;
	close(fd[0]);
	close(fd[1]);
	return pid;
}

void form_signals(void)
{
	static char who[80000];
	static const int signals[] = {SIGKILL, SIGTERM, SIGHUP, SIGUSR1};
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		*who = 0;
		pid_t pid = victim(i % 2 ? "" : "victim", 0, who, sizeof who);
		pid_t killer = fork_told();
		if (killer == 0) {
			kill_told(pid, 0, who); /* only asks whether it is there */
			kill_told(pid, signals[i], who);
			exit_told();
		}
		wait_for(killer);
		wait_for(pid);
	}
	/* Many at once: one record each. */
	*who = 0;
	pid_t group = victim("leader", 0, who, sizeof who);
	for (int i = 0; i < 19; i++)
		victim(i % 3 ? "member" : "", group, who, sizeof who);
	kill_told(-group, SIGTERM, who);
	wait_all();
}

/* The use case: who killed my daemon, whose starter is long gone? */
void part_abort(const char *arg)
{
	(void)arg;
	probe();
	abort();
}
