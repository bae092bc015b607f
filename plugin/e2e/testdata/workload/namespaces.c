/* Processes whose callers see other numbers, and other ABIs, than the records show. */
#define _GNU_SOURCE
#include "task.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void unshare_told(void)
{
	uint32_t tok = token();
	if (syscall(SYS_unshare, (long)CLONE_NEWPID, (long)tok) < 0)
		die("unshare");
	tell("unshare", tok, whoami(), NULL);
}

static void setns_told(int fd, int type)
{
	uint32_t tok = token();
	if (syscall(SYS_setns, (long)fd, (long)type, (long)tok) < 0)
		die("setns");
	tell("setns", tok, whoami(), NULL);
}

static void *thread(void *arg) { return arg; }

/* Life in a namespace: forks whose numbers mean nothing outside, threads among them, an orphan, programs. */
void part_init(const char *arg)
{
	pthread_t t;
	int fd[2];
	probe();
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork_told();
		if (pid == 0)
			run("inside", "fork", "");
		if (pthread_create(&t, NULL, thread, NULL) || pthread_join(t, NULL))
			die("pthread_create");
		pid_t other = clone3_told(0);
		if (other == 0) {
			probe();
			exit_told();
		}
		wait_for(pid);
		wait_for(other);
	}
	if (fork_told() == 0) { /* its child belongs to the init of the namespace */
		if (fork_told() == 0) {
			usleep(20000);
			probe();
			run("inner-orphan", "fork", "");
		}
		exit_told();
	}
	wait_all();
	if (*arg) { /* one namespace more */
		pid_t pid = clone_told(CLONE_NEWPID);
		if (pid == 0)
			run("nested-init", "init", "");
		wait_for(pid);
	}
	/* A child that shows up after its parent has executed something else. */
	if (pipe(fd) < 0)
		die("pipe");
	if (fork_told() == 0) {
		char c;
		close(fd[1]);
		if (read(fd[0], &c, 1) < 0)
			die("read");
		probe();
		run("held-inside", "fork", "");
	}
	close(fd[0]);
	char number[16];
	snprintf(number, sizeof number, "%d", fd[1]);
	run("moved-inside", "release", number);
}

/* Another process enters the namespace of pid. */
static void enter(pid_t pid, int type)
{
	char number[16];
	snprintf(number, sizeof number, "%d", (int)pid);
	pid_t enters = fork_told();
	if (enters == 0)
		run("enters", type ? "enter" : "enter-any", number);
	wait_for(enters);
}

void part_enter(const char *arg, int type)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%s/ns/pid", arg);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die(path);
	setns_told(fd, type);
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork_told();
		if (pid == 0)
			run("entered", "fork", "");
		wait_for(pid);
	}
	exit_told();
}

void forms_namespaces(void)
{
	pid_t pid = fork_told();
	if (pid == 0) {
		unshare_told();
		pid = fork_told();
		if (pid == 0)
			run("init-unshared", "init", "nest");
		wait_for(pid);
		exit_told();
	}
	wait_for(pid);

	pid = clone_told(CLONE_NEWPID);
	if (pid == 0)
		run("init-cloned", "init", "");
	wait_for(pid);

	pid = clone3_told(CLONE_NEWPID);
	if (pid == 0)
		run("init-cloned3", "init", "");
	wait_for(pid);

	/* One that is entered from outside, and killed with all that is in it. */
	int ready[2];
	char c;
	if (pipe(ready) < 0)
		die("pipe");
	pid = clone_told(CLONE_NEWPID);
	if (pid == 0) {
		if (fork_told() == 0) {
			probe();
			if (write(ready[1], "", 1) < 0)
				die("write");
			for (;;)
				pause();
		}
		for (;;)
			pause();
	}
	if (read(ready[0], &c, 1) < 0)
		die("read");
	enter(pid, CLONE_NEWPID);
	enter(pid, 0);
	char victim[16500];
	snprintf(victim, sizeof victim, "%d=%s", (int)pid, chain);
	kill_told(pid, SIGKILL, victim);
	wait_for(pid);
}

#ifdef __x86_64__
/* The calls of 32-bit programs have other numbers (arch/x86/entry/syscalls/syscall_32.tbl). */
static inline __attribute__((always_inline)) long i386(long n, long a, long b, long c)
{
	long r;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory", "r8", "r9", "r10", "r11");
	return r;
}

enum { I386_FORK = 2, I386_EXECVE = 11, I386_CLONE = 120, I386_GETPGID = 132, I386_VFORK = 190, I386_EXIT_GROUP = 252 };

static void i386_child(void)
{
	uint32_t tok = token();
	i386(I386_GETPGID, tok, 0, 0);
	tell("probe", tok, whoami(), NULL);
	tok = token();
	tell("exit", tok, whoami(), NULL);
	i386(I386_EXIT_GROUP, tok, 0, 0);
}

static char *low; /* memory with 32-bit addresses */

static uint32_t copy_low(const char *text)
{
	char *at = low;
	low += snprintf(low, 16384, "%s", text) + 1;
	return (uint32_t)(uintptr_t)at;
}

static void i386_execute(struct program *p)
{
	uint32_t argv[8] = {0}, envp[8] = {0};
	low = mmap(NULL, 1 << 17, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (low == MAP_FAILED)
		die("mmap");
	for (int i = 0; p->argv[i]; i++)
		argv[i] = copy_low(p->argv[i]);
	for (int i = 0; p->envp[i]; i++)
		envp[i] = copy_low(p->envp[i]);
	uint32_t path = copy_low(p->path);
	low = (char *)(((uintptr_t)low + 7) & ~7UL);
	memcpy(low, argv, sizeof argv);
	memcpy(low + sizeof argv, envp, sizeof envp);
	i386(I386_EXECVE, path, (uintptr_t)low, (uintptr_t)low + sizeof argv);
	die("execve of i386");
}

void forms_i386(void)
{
	uint32_t tok = token();
	long pid = i386(I386_FORK, tok, 0, 0);
	if (pid == 0)
		i386_child();
	tell("fork", tok, whoami(), NULL);
	wait_for(pid);

	tok = token();
	pid = i386(I386_CLONE, SIGCHLD, 0, tok);
	if (pid == 0) {
		struct program p;
		program(&p, "by-i386", "fork", "");
		i386_execute(&p);
	}
	tell("clone", tok, whoami(), NULL);
	wait_for(pid);

	tok = token();
	pid = i386(I386_VFORK, tok, 0, 0);
	if (pid == 0)
		i386_child();
	tell("vfork", tok, whoami(), NULL);
	wait_for(pid);
}
#else
void forms_i386(void) {}
#endif
