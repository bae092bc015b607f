/*
 * chain makes processes that know their own history, in every way Linux has, and has each of them say so.
 *
 *	chain once                 one process
 *	chain hold                 one process, which then sleeps until it is killed
 *	chain run SECONDS WORKERS  trees of processes, one after the other, WORKERS at a time
 *
 * A process's execs are handed on in $CHAIN, a line of tab-separated "PID:SECONDS:NAME", oldest first; each program adds
 * itself when it starts. So that there is an event to look for, a process "says" its chain: it calls unshare with no flags,
 * which does nothing, and is recorded by the history rules with all of its registers. Two that the call does not look at say
 * that it is chain's, and which (a token, used once). Then it appends
 *
 *	TOKEN <tab> SECONDS.MILLISECONDS <tab> CHAIN
 *
 * to the file $CHAIN_LOG. What the record of the call is given as a history must be that chain. The line is written after
 * the call, so a token without an event is an event lost.
 *
 * Pids are those in the initial namespace whatever namespace a process is in: $CHAIN_PROC is where a /proc of that
 * namespace is mounted (default /proc). The program is static, because it runs in containers that hold nothing else.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST = 24, SIZE = 4096, MARK = 0xc4a1 };

static char chain[SIZE];     /* this process's */
static const char *log_name; /* $CHAIN_LOG */
static const char *proc;     /* $CHAIN_PROC */
static uint64_t seed;

/* The names to execute under; all are links to this program, made by run. */
static const char *const names[] = {"chain-a", "chain b", "ch=>ain;pid=1", "chain\"q\"", "cha\303\256ne", "chain-of-a-long-name"};
enum { NAMES = sizeof names / sizeof *names };
static char links[256]; /* the directory they are in, $CHAIN_LINKS */

static unsigned dice(unsigned sides)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(seed >> 33) % sides;
}

static void reseed(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	seed ^= (uint64_t)now.tv_nsec * 2654435761u + (uint64_t)getpid();
	dice(2);
}

static void die(const char *what)
{
	fprintf(stderr, "chain: %s: %s\n", what, strerror(errno));
	_exit(1);
}

/* pid is this process's in the namespace of the /proc at $CHAIN_PROC. */
static int pid(void)
{
	char path[64], number[16];
	snprintf(path, sizeof path, "%s/self", proc);
	ssize_t n = readlink(path, number, sizeof number - 1);
	if (n <= 0)
		die(path);
	number[n] = 0;
	return atoi(number);
}

/* enter adds this program to the chain. */
static void enter(void)
{
	char name[17] = "";
	const char *before = getenv("CHAIN");
	prctl(PR_GET_NAME, name);
	snprintf(chain, sizeof chain, "%s%s%d:%ld:%s", before ? before : "", before && *before ? "\t" : "", pid(), (long)time(NULL), name);
	setenv("CHAIN", chain, 1);
}

static int length(void)
{
	int n = 1;
	for (const char *p = chain; *p; p++)
		n += *p == '\t';
	return n;
}

static void say(void)
{
	static unsigned count;
	char line[SIZE + 128];
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t token = ((uint64_t)pid() << 40 ^ (uint64_t)now.tv_sec << 20 ^ (uint64_t)now.tv_nsec) << 8 | (count++ & 0xff);
	if (syscall(SYS_unshare, 0, token, MARK) != 0)
		die("unshare");
	int n = snprintf(line, sizeof line, "%llx\t%ld.%03ld\t%s\n", (unsigned long long)token, (long)now.tv_sec,
			 now.tv_nsec / 1000000, chain);
	int fd = open(log_name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0 || write(fd, line, (size_t)n) != n)
		die(log_name);
	close(fd);
}

static char program[512];
static char steps_text[16];
static char *life_args[4];

/* arguments makes ready to execute this program under another name, for a life of so many steps. */
static void arguments(int steps)
{
	snprintf(program, sizeof program, "%s/%s", links, names[dice(NAMES)]);
	snprintf(steps_text, sizeof steps_text, "%d", steps);
	life_args[0] = program;
	life_args[1] = "life";
	life_args[2] = steps_text;
}

static void become(int steps)
{
	arguments(steps);
	execv(program, life_args);
	die(program);
}

/* await waits for one child, and for none where it is not ours. */
static void await(pid_t child)
{
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

static void live(int steps);

static pid_t forked(void)
{
	pid_t child = fork();
	if (child < 0 && errno == ENOMEM)
		_exit(0); /* the init of this process's namespace has ended */
	if (child < 0)
		die("fork");
	if (child == 0)
		reseed();
	return child;
}

static void *thread_spawns(void *unused)
{
	pid_t child;
	(void)unused;
	if (posix_spawn(&child, program, NULL, NULL, life_args, environ) != 0)
		die("posix_spawn");
	await(child);
	return NULL;
}

static void *thread_becomes(void *unused)
{
	(void)unused;
	execv(program, life_args);
	die(program);
	return NULL;
}

static void in_thread(void *(*what)(void *), int steps)
{
	pthread_t thread;
	arguments(steps);
	if (pthread_create(&thread, NULL, what, NULL) != 0)
		die("pthread_create");
	pthread_join(thread, NULL);
}

static void orphan(int steps)
{
	pid_t child = forked();
	if (child == 0) {
		if (forked() == 0) {
			usleep(20000); /* the one between is gone by then */
			say();
			become(steps - 1);
		}
		_exit(0);
	}
	await(child);
}

static void sibling(int steps) /* its parent is ours, its creator is this process */
{
	long child = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (child < 0)
		return; /* the init of a namespace must not */
	if (child == 0) {
		reseed();
		live(steps - 1);
		_exit(0);
	}
	usleep(30000);
}

static void vforked(int steps)
{
	arguments(steps - 1);
	pid_t child = vfork();
	if (child == 0) {
		execv(program, life_args);
		_exit(127);
	}
	await(child);
}

static void killed(void)
{
	pid_t child = forked();
	if (child == 0) {
		say();
		for (;;)
			pause();
	}
	usleep(20000);
	kill(child, SIGKILL);
	await(child);
}

static void failed_exec(void)
{
	char *args[] = {"nothing", NULL};
	execv("/nonexistent/chain", args);
	execv("/etc/hostname", args);
}

static void in_namespace(int steps)
{
	pid_t child = forked();
	if (child == 0) {
		if (unshare(CLONE_NEWPID) < 0)
			_exit(0);
		pid_t first = forked();
		if (first == 0) {
			say();
			become(steps - 1);
		}
		await(first);
		_exit(0);
	}
	await(child);
}

/* live is what a process does: so many acts, each with one fewer left for whoever it makes. */
static void live(int steps)
{
	say();
	while (steps > 0 && length() < LONGEST) {
		pid_t child;
		steps--;
		switch (dice(11)) {
		case 0:
		case 1:
			child = forked();
			if (child == 0) {
				live(steps);
				_exit(0);
			}
			await(child);
			break;
		case 2:
			child = forked();
			if (child == 0)
				become(steps);
			await(child);
			break;
		case 3: vforked(steps); break;
		case 4: orphan(steps); break;
		case 5: sibling(steps); break;
		case 6: in_thread(thread_spawns, steps - 1); break;
		case 7: killed(); break;
		case 8: in_namespace(steps); break;
		case 9: failed_exec(); break;
		case 10:
			if (dice(2))
				in_thread(thread_becomes, steps);
			become(steps);
		}
	}
	say();
}

static void run(int seconds, int workers)
{
	snprintf(links, sizeof links, "/tmp/chain.XXXXXX");
	if (!mkdtemp(links) || setenv("CHAIN_LINKS", links, 1))
		die(links);
	for (int i = 0; i < NAMES; i++) {
		snprintf(program, sizeof program, "%s/%s", links, names[i]);
		char self[256];
		ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
		if (n <= 0)
			die("/proc/self/exe");
		self[n] = 0;
		if (symlink(self, program) < 0)
			die(program);
	}
	time_t end = time(NULL) + seconds;
	for (int w = 0; w < workers; w++) {
		if (forked() != 0)
			continue;
		while (time(NULL) < end) {
			pid_t child = forked();
			if (child == 0)
				become(3);
			await(child);
			while (waitpid(-1, NULL, WNOHANG) > 0)
				; /* siblings that sibling has left to us */
		}
		_exit(0);
	}
	while (wait(NULL) > 0 || errno == EINTR)
		;
	for (int i = 0; i < NAMES; i++) {
		snprintf(program, sizeof program, "%s/%s", links, names[i]);
		unlink(program);
	}
	rmdir(links);
}

int main(int argc, char **argv)
{
	const char *l = getenv("CHAIN_LINKS"), *p = getenv("CHAIN_PROC");
	proc = p ? p : "/proc";
	log_name = getenv("CHAIN_LOG");
	if (l)
		snprintf(links, sizeof links, "%s", l);
	if (!log_name || argc < 2) {
		fprintf(stderr, "usage: CHAIN_LOG=FILE chain once | hold | run SECONDS WORKERS\n");
		return 2;
	}
	reseed();
	enter();
	if (!strcmp(argv[1], "life") && argc == 3) {
		live(atoi(argv[2]));
	} else if (!strcmp(argv[1], "run") && argc == 4) {
		say();
		run(atoi(argv[2]), atoi(argv[3]));
	} else {
		say();
		while (!strcmp(argv[1], "hold"))
			pause();
	}
	return 0;
}
