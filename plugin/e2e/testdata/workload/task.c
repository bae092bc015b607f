#define _GNU_SOURCE
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

char chain[16384];
char top[256];
static char forks[4096] = "-"; /* when the forks were that led here */
static _Atomic uint32_t *counter;

/* Tokens begin here, so that they are not mistaken for flags or addresses. */
static const uint32_t first_token = 0x5a000000;

void die(const char *what)
{
	char text[300];
	int n = snprintf(text, sizeof text, "workload: process %d: %s: %s\n", (int)getpid(), what, strerror(errno));
	if (write(2, text, n) < 0)
		_exit(98);
	_exit(99);
}

pid_t whoami(void)
{
	char text[32];
	ssize_t n = readlink("/proc/self", text, sizeof text - 1);
	if (n <= 0)
		die("/proc/self");
	text[n] = 0;
	return atoi(text);
}

uint32_t token(void)
{
	return first_token + atomic_fetch_add(counter, 1);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void tell(const char *kind, uint32_t tok, pid_t pid, const char *victims)
{
	char head[100];
	int n = snprintf(head, sizeof head, "%s %x %d %.3f ", kind, tok, (int)pid, now());
	struct iovec v[] = {{head, n}, {chain, strlen(chain)}, {" ", 1}, {forks, strlen(forks)}, {" ", 1}, {(char *)victims, victims ? strlen(victims) : 0}, {"\n", 1}};
	if (writev(LOG_FD, v, 7) < 0) /* whole, since it is opened to append */
		die("log");
}

/* Adds an element to a chain. */
static void add(char *to, size_t room, pid_t pid, const char *name, double at)
{
	size_t n = strlen(to);
	n += snprintf(to + n, room - n, "%s%d:", n ? "," : "", (int)pid);
	for (; *name && n + 3 < room; name++)
		n += snprintf(to + n, room - n, "%02x", (unsigned char)*name);
	if (snprintf(to + n, room - n, ":%.3f", at) >= (int)(room - n))
		die("chain is too long");
}

static void map_counter(void)
{
	counter = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, COUNTER_FD, 0);
	if (counter == MAP_FAILED)
		die("counter");
}

static void add_self(pid_t pid, double at)
{
	char name[17] = "";
	if (prctl(PR_GET_NAME, name) < 0)
		die("name");
	add(chain, sizeof chain, pid, name, at);
}

void begin_root(void)
{
	map_counter();
	if (!getcwd(top, sizeof top))
		die("cwd");
	add_self(whoami(), now());
	tell("task", 0, whoami(), NULL);
}

void begin_executed(uint32_t tok)
{
	const char *inherited = getenv("W_CHAIN"), *made = getenv("W_FORKS"), *at = getenv("W_AT"), *dir = getenv("W_TOP");
	if (!inherited || !made || !dir)
		die("not executed by the workload");
	map_counter();
	snprintf(chain, sizeof chain, "%s", inherited);
	snprintf(forks, sizeof forks, "%s", made);
	snprintf(top, sizeof top, "%s", dir);
	add_self(whoami(), at && *at ? atof(at) : now());
	tell("exec", tok, whoami(), NULL);
}

/* The environment and the token of a program; at is left out for one that does not know when it was executed. */
static void prepare(struct program *p)
{
	snprintf(p->env_chain, sizeof p->env_chain, "W_CHAIN=%s", chain);
	snprintf(p->env_forks, sizeof p->env_forks, "W_FORKS=%s", forks);
	snprintf(p->env_at, sizeof p->env_at, "W_AT=%.3f", now());
	snprintf(p->env_top, sizeof p->env_top, "W_TOP=%s", top);
	p->envp[0] = p->env_chain;
	p->envp[1] = p->env_top;
	p->envp[2] = p->env_forks;
	p->envp[3] = p->env_at;
	p->envp[4] = NULL;
	p->token = token();
	snprintf(p->tok, sizeof p->tok, "T=%x", p->token);
}

void program(struct program *p, const char *name, const char *part, const char *arg)
{
	char of[300];
	prepare(p);
	snprintf(of, sizeof of, "%s/workload", top);
	snprintf(p->path, sizeof p->path, "%s/names/%s", top, name);
	if (link(of, p->path) < 0 && errno != EEXIST)
		die(p->path);
	snprintf(p->part, sizeof p->part, "%s", part);
	snprintf(p->arg, sizeof p->arg, "%s", arg ? arg : "");
	p->argv[0] = p->path;
	p->argv[1] = p->part;
	p->argv[2] = p->arg;
	p->argv[3] = p->tok;
	p->argv[4] = NULL;
}

void foreign(struct program *p, const char *path, const char *comm, char *const argv[])
{
	int i = 0;
	prepare(p);
	snprintf(p->path, sizeof p->path, "%s", path);
	for (; argv[i] && i < 6; i++)
		p->argv[i] = argv[i];
	p->argv[i++] = p->tok;
	p->argv[i] = NULL;
	add(p->env_chain, sizeof p->env_chain, whoami(), comm, now());
	p->envp[3] = NULL; /* its children are executed at another time */
	char before[sizeof chain];
	memcpy(before, chain, sizeof before);
	snprintf(chain, sizeof chain, "%s", p->env_chain + strlen("W_CHAIN="));
	tell("exec", p->token, whoami(), NULL);
	memcpy(chain, before, sizeof before);
}

void execute(struct program *p)
{
	syscall(SYS_execve, p->path, p->argv, p->envp, (long)p->token);
}

void run(const char *name, const char *part, const char *arg)
{
	struct program p;
	program(&p, name, part, arg);
	execute(&p);
	die(p.path);
}

/* Tells of a fork in the parent, notes it in the child. */
static pid_t forked(const char *kind, uint32_t tok, pid_t pid)
{
	size_t n = strlen(forks);
	if (pid < 0)
		die(kind);
	if (pid > 0)
		tell(kind, tok, whoami(), NULL);
	else if (snprintf(forks + n, sizeof forks - n, ",%.3f", now()) >= (int)(sizeof forks - n))
		die("too many forks");
	return pid;
}

pid_t fork_told(void)
{
	uint32_t tok = token();
	return forked("fork", tok, syscall(SYS_fork, (long)tok));
}

pid_t clone_told(unsigned long flags)
{
	uint32_t tok = token();
	return forked("clone", tok, syscall(SYS_clone, flags | SIGCHLD, 0L, (long)tok, 0L, 0L));
}

pid_t clone3_told(unsigned long flags)
{
	struct clone_args a = {.flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
	uint32_t tok = token();
	return forked("clone3", tok, syscall(SYS_clone3, &a, sizeof a, (long)tok));
}

void exit_told(void)
{
	uint32_t tok = token();
	tell("exit", tok, whoami(), NULL);
	for (;;)
		syscall(SYS_exit_group, (long)tok);
}

void probe(void)
{
	uint32_t tok = token();
	syscall(SYS_getpgid, (long)tok); /* there is no such process */
	tell("probe", tok, whoami(), NULL);
}

void kill_told(pid_t pid, int sig, const char *victims)
{
	uint32_t tok = token();
	tell("kill", tok, whoami(), victims); /* before: it may be the last thing that is done */
	if (syscall(SYS_kill, (long)pid, (long)sig, (long)tok) < 0)
		die("kill");
}

void wait_for(pid_t pid)
{
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

void wait_all(void)
{
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		errno = 0;
}
