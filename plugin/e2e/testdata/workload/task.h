/*
 * What every process of the workload knows and says of itself.
 *
 * A process knows its chain: who executed what, from the root of the tree to
 * itself. It inherits it with its memory at a fork and in W_CHAIN at an exec,
 * so nothing here is learnt from audit records.
 *
 * Every audited call carries a token, a number of its own, where the record
 * shows it (an unused argument, or an argument of the executed program), and a
 * line of the log says what the chain is there:
 *
 *   KIND TOKEN PID SECONDS CHAIN FORKS [VICTIM]...
 *
 * PID is the caller's in the initial pid namespace; CHAIN is elements
 * PID:NAME:SECONDS joined by commas, NAME in hexadecimal; FORKS is when the
 * forks were that led to the caller; VICTIM is PID=CHAIN of a process that a
 * signal was sent to.
 */
#ifndef TASK_H
#define TASK_H

#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>

/* Descriptors that every process inherits. */
enum { LOG_FD = 100, COUNTER_FD = 101 };

extern char chain[];   /* of this process */
extern char top[];     /* the directory of the workload */

/* The pid in the initial namespace, whatever getpid() says. */
pid_t whoami(void);

uint32_t token(void);

/* Writes a line of the log; pid is the caller's. */
void tell(const char *kind, uint32_t token, pid_t pid, const char *victims);

/* Prints what is wrong to standard error and ends the process. */
void die(const char *what) __attribute__((noreturn));

/* Makes the log and chain ready. With inherited, chain is that of W_CHAIN. */
void begin_root(void);
void begin_executed(uint32_t token);

/* A program to be executed, with its arguments and environment. */
struct program {
	uint32_t token;
	char path[512], tok[16], part[64], arg[64];
	char env_chain[16400], env_forks[4200], env_at[64], env_top[300];
	char *argv[8], *envp[5];
};

/* This program under another name; it will play part with arg. */
void program(struct program *p, const char *name, const char *part, const char *arg);
/* Another program, which does not know of chains: comm is what it will be called. */
void foreign(struct program *p, const char *path, const char *comm, char *const argv[]);
/* Executes it with call execve; returns if that fails. */
void execute(struct program *p);
void run(const char *name, const char *part, const char *arg) __attribute__((noreturn));

/* The calls, told in the log. */
pid_t fork_told(void);
pid_t clone_told(unsigned long flags);
pid_t clone3_told(unsigned long flags);
void exit_told(void) __attribute__((noreturn));
void probe(void);
void kill_told(pid_t pid, int sig, const char *victims);
void wait_for(pid_t pid);
void wait_all(void);

/* What an executed program does, by name; never returns. */
void play(const char *part, const char *arg) __attribute__((noreturn));

/* The scenarios. */
void all_forms(void);
void storm(int workers, int seconds);

/* In place, so that a vfork's child does not return from it. */
static inline __attribute__((always_inline)) long call1(long n, long a)
{
	long r;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a) : "rcx", "r11", "memory");
	return r;
}

#endif
