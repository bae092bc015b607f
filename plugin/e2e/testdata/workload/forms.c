/* Every way in which Linux makes a process, one function each. */
#define _GNU_SOURCE
#include "task.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A child that shows itself and ends. */
static void child(void)
{
	probe();
	exit_told();
}

static void form_fork(void)
{
	pid_t pid = fork_told();
	if (pid == 0)
		child();
	wait_for(pid);
	pid = clone_told(0);
	if (pid == 0)
		child();
	wait_for(pid);
	pid = clone3_told(0);
	if (pid == 0)
		child();
	wait_for(pid);
}

/* A vfork whose child ends, one whose child executes; the caller's memory is the child's. */
static void form_vfork(void)
{
	uint32_t tok = token();
	long pid = call1(SYS_vfork, tok);
	if (pid == 0)
		child();
	tell("vfork", tok, whoami(), NULL);
	wait_for(pid);

	struct program p;
	program(&p, "vforked", "fork", "");
	tok = token();
	pid = call1(SYS_vfork, tok);
	if (pid == 0) {
		execute(&p);
		die("vforked");
	}
	tell("vfork", tok, whoami(), NULL);
	wait_for(pid);
}

static void form_spawn(void)
{
	struct program p;
	pid_t pid;
	for (int i = 0; i < 3; i++) {
		program(&p, "spawned", i ? "fork" : "stop", "");
		if (posix_spawn(&pid, p.path, NULL, NULL, p.argv, p.envp))
			die("posix_spawn");
		wait_for(pid);
	}
}

/* The child's parent is that of its maker, who has executed something else. */
static void form_clone_parent(void)
{
	pid_t pid = fork_told();
	if (pid == 0)
		run("maker", "clone-parent", "");
	wait_all();
}

void part_clone_parent(const char *arg)
{
	(void)arg;
	if (clone_told(CLONE_PARENT) == 0)
		child();
	if (clone3_told(CLONE_PARENT) == 0)
		run("made", "fork", "");
	exit_told();
}

/* Threads made by clone and by clone3; the latter fork, and one executes. */
static int idle(void *arg)
{
	(void)arg;
	syscall(SYS_exit, 0L);
	return 0;
}

static void *thread_forks(void *arg)
{
	pid_t pid = fork_told();
	if (pid == 0)
		run("of-thread", "fork", "");
	wait_for(pid);
	uint32_t tok = token();
	long v = call1(SYS_vfork, tok);
	if (v == 0) {
		execute(arg);
		die("vfork of a thread");
	}
	tell("vfork", tok, whoami(), NULL);
	wait_for(v);
	return NULL;
}

static void *thread_executes(void *arg)
{
	(void)arg;
	probe();
	run("not-leader", "fork", "");
}

static void form_threads(void)
{
	static char stack[65536];
	pthread_t t;
	if (clone(idle, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_FS | CLONE_FILES, NULL) < 0)
		die("thread");
	static struct program p;
	program(&p, "v-of-thread", "stop", "");
	if (pthread_create(&t, NULL, thread_forks, &p) || pthread_join(t, NULL))
		die("pthread_create");
	probe();
	pid_t pid = fork_told();
	if (pid == 0) {
		if (pthread_create(&t, NULL, thread_executes, NULL))
			die("pthread_create");
		for (;;)
			pause();
	}
	wait_for(pid);
	probe();
}

/* A search in PATH: only the last of the calls finds something. */
static void form_path_search(void)
{
	pid_t pid = fork_told();
	if (pid == 0) {
		struct program p;
		char last[sizeof p.path];
		program(&p, "searched", "fork", "");
		memcpy(last, p.path, sizeof last);
		for (int i = 0; i < 12; i++) {
			uint32_t tok = token();
			snprintf(p.path, sizeof p.path, "%s/no%d/searched", top, i);
			syscall(SYS_execve, p.path, p.argv, p.envp, (long)tok);
			tell("failed", tok, whoami(), NULL);
		}
		memcpy(p.path, last, sizeof last);
		probe();
		execute(&p);
		die("searched");
	}
	wait_for(pid);
}

/* Makes a process, which runs name when its parent is dead and it has another. */
static void orphan(const char *name)
{
	if (fork_told() == 0) {
		pid_t parent = getpid();
		if (fork_told() == 0) {
			while (getppid() == parent)
				usleep(1000);
			probe();
			run(name, "fork", "");
		}
		exit_told();
	}
	wait_all();
}

static void form_orphan(void) { orphan("orphan"); }

static void form_subreaper(void)
{
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		die("subreaper");
	orphan("adopted");
	pid_t pid = fork_told();
	if (pid == 0)
		run("made-orphans", "orphans", "");
	wait_all();
}

void part_orphans(const char *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		if (fork_told() == 0) {
			usleep(20000);
			probe();
			run("late-orphan", "stop", "");
		}
	exit_told();
}

/* A daemon: two forks, a session of its own, and a program. */
static void form_daemon(void)
{
	pid_t pid = fork_told();
	if (pid == 0) {
		setsid();
		if (fork_told() == 0)
			run("daemon", "fork", "");
		exit_told();
	}
	wait_for(pid);
}

static void form_chain(void)
{
	pid_t pid = fork_told();
	if (pid == 0)
		run("c40", "chain", "40");
	wait_for(pid);
}

void part_chain(const char *arg)
{
	int n = atoi(arg) - 1;
	char name[16], left[16];
	probe();
	if (n == 0)
		exit_told();
	snprintf(name, sizeof name, "c%02d", n);
	snprintf(left, sizeof left, "%d", n);
	run(name, "chain", left);
}

static void form_names(void)
{
	static const char *const names[] = {
		"a b", " lead", "trail ", "q\"uote", "'single'", "semi;colon", "a=>b", "name=x;pid=1", "back\\slash", "ends\\",
		"new\nline", "tab\t", "\x1d\x01", "\xc3\xbc\xc3\xb1\xc3\xad", "\xff\xfe", "fourteen-bytes", "fifteen-bytes-x",
		"sixteen-bytes-xy", "a-name-of-many-more-bytes", "cut-in-a-char-\xc3\xbc", "omitted=5", "(paren) R 1", "[kthread]", "\\012", "%s%n",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		pid_t pid = fork_told();
		if (pid == 0)
			run(names[i], "fork", "");
		wait_for(pid);
	}
}

/* Scripts: the name is the script's; its interpreter may be this program or a shell. */
static void write_script(char *path, size_t room, const char *name, const char *text)
{
	snprintf(path, room, "%s/names/%s", top, name);
	char new[600];
	snprintf(new, sizeof new, "%s.%d", path, (int)whoami());
	int fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, 0755) < 0 || close(fd) < 0 || rename(new, path) < 0)
		die(path);
}

static void form_scripts(void)
{
	char text[700];
	pid_t pid = fork_told();
	if (pid == 0) {
		struct program p;
		program(&p, "unused", "unused", "");
		snprintf(text, sizeof text, "#!%s/workload fork\n", top);
		write_script(p.path, sizeof p.path, "script", text);
		execute(&p);
		die("script");
	}
	wait_for(pid);
	pid = fork_told();
	if (pid == 0) {
		struct program p;
		char path[512];
		uint32_t one = token(), two = token();
		snprintf(text, sizeof text, "#!/bin/sh\n%s/names/of-shell fork '' T=%x\n(%s/names/of-subshell stop '' T=%x; :)\nexit 0\n",
			 top, one, top, two);
		program(&p, "of-shell", "", "");
		program(&p, "of-subshell", "", "");
		snprintf(path, sizeof path, "of-sh-%d", (int)whoami());
		char name[512];
		memcpy(name, path, sizeof name);
		name[15] = 0;
		write_script(path, sizeof path, name, text);
		foreign(&p, path, name, (char *[]){path, NULL});
		execute(&p);
		die("shell script");
	}
	wait_for(pid);
}

static void form_execveat(void)
{
	struct program p;
	for (int way = 0; way < 3; way++) {
		pid_t pid = fork_told();
		if (pid == 0) {
			program(&p, "by-descriptor", "fork", "");
			int fd = open(way == 1 ? top : p.path, O_PATH | (way == 2 ? 0 : O_CLOEXEC));
			if (way == 1)
				syscall(SYS_execveat, fd, "names/by-descriptor", p.argv, p.envp, 0);
			else
				syscall(SYS_execveat, fd, "", p.argv, p.envp, AT_EMPTY_PATH);
			die("execveat");
		}
		wait_for(pid);
	}
	pid_t pid = fork_told();
	if (pid == 0) { /* a program in memory only */
		program(&p, "by-descriptor", "fork", "");
		int in = open(p.path, O_RDONLY | O_CLOEXEC), fd = memfd_create("in-memory", MFD_CLOEXEC);
		char buf[65536];
		ssize_t n;
		while ((n = read(in, buf, sizeof buf)) > 0)
			if (write(fd, buf, n) != n)
				die("memfd");
		snprintf(buf, sizeof buf, "/proc/self/fd/%d", fd); /* nobody may write to what is executed */
		int writable = fd;
		fd = open(buf, O_RDONLY | O_CLOEXEC);
		close(writable);
		syscall(SYS_execveat, fd, "", p.argv, p.envp, AT_EMPTY_PATH);
		die("execveat of a memfd");
	}
	wait_for(pid);
}

/* Ends that leave no exit_group: the call exit, and signals. */
static void form_ends(void)
{
	for (int way = 0; way < 4; way++) {
		pid_t pid = fork_told();
		if (pid == 0) {
			probe();
			if (way == 0)
				syscall(SYS_exit, 7L);
			if (way == 1)
				kill_told(getpid(), SIGKILL, NULL);
			if (way == 2)
				kill_told(getpid(), SIGABRT, NULL);
			if (way == 3)
				raise(SIGSEGV);
			for (;;)
				pause();
		}
		wait_for(pid);
	}
	pid_t pid = fork_told();
	if (pid == 0)
		run("will-abort", "abort", "");
	wait_for(pid);
}

/* A name that a process gives itself is no exec. */
static void form_rename(void)
{
	pid_t pid = fork_told();
	if (pid == 0) {
		prctl(PR_SET_NAME, "another-name");
		probe();
		pid = fork_told();
		if (pid == 0)
			run("of-renamed", "fork", "");
		wait_for(pid);
		exit_told();
	}
	wait_for(pid);
}

/* A process that was stopped before its parent executed something. */
static void form_parent_executes(void)
{
	int fd[2];
	char arg[16];
	pid_t pid = fork_told();
	if (pid == 0) {
		if (pipe(fd) < 0)
			die("pipe");
		if (fork_told() == 0) {
			char c;
			close(fd[1]);
			if (read(fd[0], &c, 1) < 0)
				die("read");
			probe();
			run("was-held", "fork", "");
		}
		close(fd[0]);
		snprintf(arg, sizeof arg, "%d", fd[1]);
		run("moved-on", "release", arg);
	}
	wait_for(pid);
}

void forms_i386(void);
void forms_namespaces(void);
void form_signals(void);

static const struct {
	const char *name;
	void (*run)(void);
} forms[] = {
	{"fork", form_fork}, {"vfork", form_vfork}, {"spawn", form_spawn}, {"clone-parent", form_clone_parent},
	{"threads", form_threads}, {"path-search", form_path_search}, {"orphan", form_orphan}, {"subreaper", form_subreaper},
	{"daemon", form_daemon}, {"chain", form_chain}, {"names", form_names}, {"scripts", form_scripts},
	{"execveat", form_execveat}, {"ends", form_ends}, {"rename", form_rename}, {"parent-executes", form_parent_executes},
	{"i386", forms_i386}, {"namespaces", forms_namespaces}, {"signals", form_signals},
};

/* Each form in a process of its own, and the form's name executed there. */
void all_forms(void)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		pid_t pid = fork_told();
		if (pid == 0)
			run(forms[i].name, "form", forms[i].name);
		wait_for(pid);
	}
}

void part_form(const char *arg)
{
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (strcmp(arg, forms[i].name) == 0)
			forms[i].run();
	exit_told();
}
