/*
 * The root of the tree: takes scenarios from standard input, a line each, and
 * says "done" when all of their processes have ended. Every other process is
 * this program, too, under a name of its own.
 *
 *   workload root LOGINUID LOG COUNTER     in the directory of workload
 */
#define _GNU_SOURCE
#include "task.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void part_form(const char *arg);
void part_chain(const char *arg);
void part_clone_parent(const char *arg);
void part_orphans(const char *arg);
void part_wait(const char *arg);
void part_abort(const char *arg);
void part_storm(const char *arg);
void part_init(const char *arg);
void part_enter(const char *arg, int type);

static void __attribute__((noreturn)) part_stop(void)
{
	probe();
	exit_told();
}

static void __attribute__((noreturn)) part_fork(void)
{
	probe();
	pid_t pid = fork_told();
	if (pid == 0)
		part_stop();
	wait_for(pid);
	exit_told();
}

/* Lets a child go that waits for a byte. */
static void part_release(const char *arg)
{
	probe();
	if (write(atoi(arg), "", 1) < 0)
		die("write");
	wait_all();
	exit_told();
}

void play(const char *part, const char *arg)
{
	static const struct {
		const char *name;
		void (*play)(const char *arg);
	} parts[] = {
		{"form", part_form}, {"chain", part_chain}, {"clone-parent", part_clone_parent}, {"orphans", part_orphans},
		{"wait", part_wait}, {"abort", part_abort}, {"storm", part_storm}, {"init", part_init}, {"release", part_release},
	};
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (strcmp(part, parts[i].name) == 0)
			parts[i].play(arg);
	if (strcmp(part, "enter") == 0)
		part_enter(arg, 0x20000000); /* CLONE_NEWPID */
	if (strcmp(part, "enter-any") == 0)
		part_enter(arg, 0);
	if (strcmp(part, "fork") == 0)
		part_fork();
	part_stop();
}

static void __attribute__((noreturn)) scenario(char *line)
{
	int workers = 1, length = 1;
	if (sscanf(line, "all %d", &workers) == 1) {
		for (int i = 0; i < workers; i++)
			if (fork_told() == 0) {
				all_forms();
				exit_told();
			}
		wait_all();
	} else if (sscanf(line, "storm %d %d", &workers, &length) == 2) {
		storm(workers, length);
	} else if (strncmp(line, "form ", 5) == 0) {
		line[strcspn(line, "\n")] = 0;
		run(line + 5, "form", line + 5);
	}
	exit_told();
}

static void set_loginuid(const char *id)
{
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, id, strlen(id)) < 0 || close(fd) < 0)
		die("/proc/self/loginuid");
}

static void keep(int fd, int as)
{
	if (fd < 0 || dup2(fd, as) < 0 || close(fd) < 0)
		die("log or counter");
}

static int root(char **argv)
{
	char line[256], c;
	set_loginuid(argv[2]);
	keep(open(argv[3], O_WRONLY | O_APPEND | O_CREAT, 0600), LOG_FD);
	keep(open(argv[4], O_RDWR), COUNTER_FD);
	begin_root();
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		int fd[2];
		if (pipe(fd) < 0)
			die("pipe");
		pid_t pid = fork_told();
		if (pid == 0) {
			close(fd[0]);
			scenario(line);
		}
		close(fd[1]);
		wait_for(pid);
		while (read(fd[0], &c, 1) > 0) /* until nobody has the other end */
			;
		close(fd[0]);
		printf("done\n");
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint32_t token = 0;
	if (argc == 5 && strcmp(argv[1], "root") == 0)
		return root(argv);
	for (int i = 1; i < argc; i++)
		sscanf(argv[i], "T=%x", &token);
	begin_executed(token);
	play(argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "");
}
